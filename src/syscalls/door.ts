// What the call families stand on: the addon's entries for one string encoding, and 64-bit fields read as numbers.
import { access } from 'node:fs'
import { isMainThread } from 'node:worker_threads'
import { loadNative, AS_KEEP_FSETID, AS_KEEP_MKNOD } from '../native.js'
import type { SyscallArg } from '../native.js'
import { CLONE_FS } from './constants.js'
import { numbers } from './numbers.js'

/** How path and name strings become bytes: UTF-8, or one byte per character (byte-exact names). */
export type StringEncoding = 'utf8' | 'latin1'

/** Someone else's filesystem identity, for the calls whose name ends in `As`. They throw a TypeError for an id or a mask that is none. */
export interface Credentials {
  uid: number
  gid: number
  /**
   * File mode creation mask; -1 leaves the process's own. In a worker thread the first call with another one gives the thread a
   * umask and a working directory of its own (unshare(2), CLONE_FS; where that is not allowed, the call fails with its errno): later
   * calls of process.chdir() do not reach it. On the main thread the rest of the process has this mask while the call runs.
   */
  umask: number
  /** Supplementary groups; null leaves the process's own. */
  groups: Uint32Array | null
  /** Keeps CAP_FSETID: set-id bits survive as they do for root. */
  keepFsetid?: boolean
  /** Keeps CAP_MKNOD, which making a device node needs. */
  keepMknod?: boolean
}

/** What a call gets for a pointer to nothing. Not null, which a descriptor might be by mistake: that would be descriptor 0. */
export const NULL = 0

export interface Door {
  readonly call: (nr: number, ...args: SyscallArg[]) => number
  readonly callAsync: (nr: number, ...args: SyscallArg[]) => Promise<number>
  readonly callAs: (credentials: Credentials, nr: number, ...args: SyscallArg[]) => number
}

// Kernel: the umask belongs to all threads that share it. Two that set and put back the same one would give each other's files the
// wrong mode. A lock would not do: where one mirror lies on another, the call of one thread waits for that of the other.
let umaskIsOwn = isMainThread

/** 0, or -errno where this thread cannot have a umask that no other thread changes. */
function ownUmask(call: Door['call']): number {
  // Kernel: a thread shares what its maker has. Those of libuv, which this makes if there are none, are to share the process's.
  access('/', () => {})
  const result = call(numbers.unshare, CLONE_FS)
  umaskIsOwn = result === 0
  return result
}

/** Loads the addon and binds its entries for `encoding`. */
export function openDoor(encoding: StringEncoding): Door {
  const native = loadNative()
  const exact = encoding === 'latin1'
  const call = exact ? native.syscallLatin1 : native.syscallUtf8
  return {
    call,
    callAsync: exact ? native.syscallAsyncLatin1 : native.syscallAsyncUtf8,
    callAs(credentials, nr, ...args) {
      const flags =
        (credentials.keepFsetid ? AS_KEEP_FSETID : 0) | (credentials.keepMknod ? AS_KEEP_MKNOD : 0)
      const bytes = exact ? args : args.map(latin1OfUtf8)
      const { uid, gid, umask, groups } = credentials
      if (umask >= 0 && !umaskIsOwn) {
        const result = ownUmask(call)
        if (result < 0) return result
      }
      return native.syscallAs(uid, gid, umask, flags, groups, nr, ...bytes)
    },
  }
}

function latin1OfUtf8(arg: SyscallArg): SyscallArg {
  return typeof arg === 'string' ? Buffer.from(arg, 'utf8').toString('latin1') : arg
}

const TWO_32 = 0x1_0000_0000

/** The unsigned 64-bit field whose low word is `low`: a number while it is exact, else a bigint. */
export function exactU64(low: number, high: number): number | bigint {
  return high < 0x20_0000 ? high * TWO_32 + low : (BigInt(high) << 32n) | BigInt(low)
}
