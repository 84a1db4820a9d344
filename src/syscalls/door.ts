// What the call families stand on: the addon's entries for one string encoding, and 64-bit fields read as numbers.
import { loadNative, AS_KEEP_FSETID, AS_KEEP_MKNOD } from '../native.js'
import type { SyscallArg } from '../native.js'

/** How path and name strings become bytes: UTF-8, or one byte per character (byte-exact names). */
export type StringEncoding = 'utf8' | 'latin1'

/** Someone else's filesystem identity, for the calls whose name ends in `As`. */
export interface Credentials {
  uid: number
  gid: number
  /** File mode creation mask; -1 leaves the process's own. */
  umask: number
  /** Supplementary groups; null leaves the process's own. */
  groups: Uint32Array | null
  /** Keeps CAP_FSETID: set-id bits survive as they do for root. */
  keepFsetid?: boolean
  /** Keeps CAP_MKNOD, which making a device node needs. */
  keepMknod?: boolean
}

export interface Door {
  readonly call: (nr: number, ...args: SyscallArg[]) => number
  readonly callAsync: (nr: number, ...args: SyscallArg[]) => Promise<number>
  readonly callAs: (credentials: Credentials, nr: number, ...args: SyscallArg[]) => number
}

/** Loads the addon and binds its entries for `encoding`. */
export function openDoor(encoding: StringEncoding): Door {
  const native = loadNative()
  const exact = encoding === 'latin1'
  return {
    call: exact ? native.syscallLatin1 : native.syscallUtf8,
    callAsync: exact ? native.syscallAsyncLatin1 : native.syscallAsyncUtf8,
    callAs(credentials, nr, ...args) {
      const flags =
        (credentials.keepFsetid ? AS_KEEP_FSETID : 0) | (credentials.keepMknod ? AS_KEEP_MKNOD : 0)
      const bytes = exact ? args : args.map(latin1OfUtf8)
      const { uid, gid, umask, groups } = credentials
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
