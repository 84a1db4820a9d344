// Serves data of opens that asked for passthrough and did not get it, where the filesystem has no read or
// write of its own: the promise that `{ fh, passthrough: fd }` works everywhere.
import { fchmodSync, fstatSync } from 'node:fs'
import { EINVAL, FUSE_WRITE_CACHE, FUSE_WRITE_KILL_SUIDGID } from '../protocol/index.js'
import type { Errno, FdData, ReadRequest, WriteRequest } from '../protocol/index.js'
import { syscalls } from '../syscalls/index.js'
import type { QuickWriter } from '../syscalls/index.js'
import { ServedData } from './own-descriptor.js'
import type { Passthrough } from './passthrough.js'

const S_ISUID = 0o4000
const S_ISGID = 0o2000
const S_IXGRP = 0o010
const MODE_BITS = 0o7777

export class DataServer {
  /** Handlers by name, for the filesystem's missing ones. */
  readonly methods: Record<string, unknown>

  constructor(passthrough: Passthrough) {
    let writer: QuickWriter | undefined
    this.methods = {
      read: ({ nodeid, fh, offset, size }: ReadRequest): FdData | Errno => {
        const served = passthrough.descriptorOf(nodeid, fh)
        return served === undefined ? EINVAL : new ServedData(served, offset, size)
      },
      write: (request: WriteRequest): Promise<number> | number => {
        const { data, offset } = request
        const served = passthrough.descriptorOf(request.nodeid, request.fh)
        if (served === undefined) return EINVAL
        const { fd, own } = served
        // A job in a queue needs a descriptor that stays.
        if (own === undefined) return written(fd, request, syscalls.pwrite64(fd, data, offset))
        const done = own.writesToCache
          ? (writer ??= syscalls.quickWriter()).write(fd, data, offset)
          : syscalls.pwriteAllAsync(fd, data, offset)
        if (typeof done === 'number') return written(fd, request, done)
        return own.during(() => done.then((n) => written(fd, request, n)))
      },
    }
  }
}

function written(fd: number, { writeFlags, data, offset }: WriteRequest, done: number): number {
  // Nobody is there to write the rest of what comes from the kernel's cache, and to hear why it failed.
  const isCached = (writeFlags & FUSE_WRITE_CACHE) !== 0
  const result = isCached ? syscalls.pwriteRest(fd, data, offset, done) : done
  if ((writeFlags & FUSE_WRITE_KILL_SUIDGID) !== 0 && result >= 0) killSuidgid(fd)
  return result
}

/** Kernel: with HANDLE_KILLPRIV_V2 the server clears the bits that a write by an unprivileged caller must clear. */
function killSuidgid(fd: number): void {
  const { mode } = fstatSync(fd)
  let bits = mode & MODE_BITS & ~S_ISUID
  if ((mode & S_IXGRP) !== 0) bits &= ~S_ISGID
  if (bits !== (mode & MODE_BITS)) fchmodSync(fd, bits)
}
