// Serves data of opens that asked for passthrough and did not get it, where the filesystem has no read or
// write of its own: the promise that `{ fh, passthrough: fd }` works everywhere.
import { fchmodSync, fstatSync } from 'node:fs'
import { EINVAL, FUSE_WRITE_KILL_SUIDGID } from '../protocol/index.js'
import type { Errno, FdData, ReadRequest, WriteRequest } from '../protocol/index.js'
import { syscalls } from '../syscalls/index.js'
import type { Passthrough } from './passthrough.js'

const S_ISUID = 0o4000
const S_ISGID = 0o2000
const S_IXGRP = 0o010
const MODE_BITS = 0o7777

export class DataServer {
  /** Handlers by name, for the filesystem's missing ones. */
  readonly methods: Record<string, unknown>

  constructor(passthrough: Passthrough) {
    this.methods = {
      read: ({ nodeid, fh, offset, size }: ReadRequest): FdData | Errno => {
        const fd = passthrough.descriptorOf(nodeid, fh)
        return fd === undefined ? EINVAL : { fd, offset, size }
      },
      write: ({ nodeid, fh, offset, data, writeFlags }: WriteRequest): Promise<number> | Errno => {
        const fd = passthrough.descriptorOf(nodeid, fh)
        if (fd === undefined) return EINVAL
        return writeAll(fd, data, offset, (writeFlags & FUSE_WRITE_KILL_SUIDGID) !== 0)
      },
    }
  }
}

async function writeAll(fd: number, data: Uint8Array, offset: number, kill: boolean): Promise<number> {
  const written = await syscalls.pwriteAllAsync(fd, data, offset)
  if (kill && written >= 0) killSuidgid(fd)
  return written
}

/** Kernel: with HANDLE_KILLPRIV_V2 the server clears the bits that a write by an unprivileged caller must clear. */
function killSuidgid(fd: number): void {
  const { mode } = fstatSync(fd)
  let bits = mode & MODE_BITS & ~S_ISUID
  if ((mode & S_IXGRP) !== 0) bits &= ~S_ISGID
  if (bits !== (mode & MODE_BITS)) fchmodSync(fd, bits)
}
