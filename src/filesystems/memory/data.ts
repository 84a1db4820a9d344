// Data of regular files. Of opens only the writers are counted: a file that is open is one that the kernel has not forgotten.
import {
  EINVAL,
  EISDIR,
  ENOSPC,
  ENXIO,
  EOPNOTSUPP,
  EPERM,
  ESTALE,
  FOPEN_KEEP_CACHE,
  FOPEN_NOFLUSH,
  FUSE_WRITE_CACHE,
  FUSE_WRITE_KILL_SUIDGID,
} from '../../protocol/index.js'
import type {
  CopyFileRangeRequest,
  Errno,
  FallocateRequest,
  Filesystem,
  LseekRequest,
  OpenReply,
  OpenRequest,
  ReadRequest,
  ReleaseRequest,
  WriteRequest,
} from '../../protocol/index.js'
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  O_DIRECT,
  O_NOATIME,
  O_TRUNC,
  SEEK_DATA,
  SEEK_HOLE,
} from '../../syscalls/index.js'
import { now } from './clock.js'
import type { Content } from './content.js'
import { canWrite, forbidsOpen, isImmutable, isProtected } from './flags.js'
import type { MemoryInode } from './inode.js'
import { dropCapabilities, killSuidgid } from './privileges.js'
import type { Tree } from './tree.js'

/** Closing has no errors to report, so the kernel need not send FLUSH. */
export const OPENED = FOPEN_NOFLUSH
/** A copy is answered after so many bytes at the latest, so that others get their turn; the caller goes on by itself. */
const MAX_COPY = 16 * 1024 * 1024

export function data(tree: Tree) {
  const changed = (inode: MemoryInode): void => {
    inode.modified(now())
    dropCapabilities(tree, inode)
  }

  /** The content of a request's file. */
  const contentOf = (inode: MemoryInode | undefined): Content | Errno => {
    if (inode === undefined) return ESTALE
    return inode.content ?? (inode.isDirectory() ? EISDIR : EINVAL)
  }

  /**
   * Kernel: it drops cached pages before an asynchronous O_DIRECT write, but not after it, and a read in between has cached the
   * old bytes. With FUSE_EXPLICIT_INVAL_DATA nobody else would ever drop them.
   */
  const afterDirectWrite = async (inode: MemoryInode, offset: number, written: number): Promise<number> => {
    await tree.invalidate(inode, offset, written)
    return written
  }

  return {
    open(request: OpenRequest): OpenReply | Errno {
      const { nodeid, flags } = request
      const inode = tree.inode(nodeid)
      const content = contentOf(inode)
      if (typeof content === 'number') return content
      if (forbidsOpen(inode!, flags)) return EPERM
      if ((flags & O_TRUNC) !== 0) {
        content.truncate(0)
        if (request.killSuidgid) killSuidgid(inode!, request)
        changed(inode!)
      }
      if (canWrite(flags)) inode!.writers++
      // Only a READ that reaches us moves the access time.
      const openFlags = tree.wantsAtime(inode!) ? OPENED : OPENED | FOPEN_KEEP_CACHE
      return { openFlags }
    },

    release({ nodeid, flags }: ReleaseRequest): void {
      const inode = tree.inode(nodeid)
      if (inode !== undefined && canWrite(flags)) inode.writers--
    },

    read({ nodeid, offset, size, flags }: ReadRequest): Uint8Array | Errno {
      const inode = tree.inode(nodeid)
      const content = contentOf(inode)
      if (typeof content === 'number') return content
      if ((flags & O_NOATIME) === 0) tree.accessed(inode!)
      return content.read(offset, size)
    },

    write(request: WriteRequest): number | Promise<number> {
      const { nodeid, offset, data: bytes, writeFlags } = request
      const inode = tree.inode(nodeid)
      const content = contentOf(inode)
      if (typeof content === 'number') return content
      const isCached = (writeFlags & FUSE_WRITE_CACHE) !== 0
      // Nobody is there to write the rest of what comes from the kernel's cache.
      if (isCached && content.allocate(offset, bytes.byteLength) < 0) return ENOSPC
      const written = content.write(bytes, offset)
      if (written <= 0) return written
      if ((writeFlags & FUSE_WRITE_KILL_SUIDGID) !== 0) killSuidgid(inode!, request)
      // Kernel: with FUSE_WRITEBACK_CACHE it sets the times of what it has cached itself.
      if (tree.writeback && isCached) dropCapabilities(tree, inode!)
      else changed(inode!)
      const isDirect = (request.flags & O_DIRECT) !== 0 && !isCached
      return isDirect ? afterDirectWrite(inode!, offset, written) : written
    },

    fallocate({ nodeid, mode, offset, length }: FallocateRequest): void | Errno {
      const inode = tree.inode(nodeid)
      const content = contentOf(inode)
      if (typeof content === 'number') return content
      if (!Number.isSafeInteger(offset + length)) return EINVAL
      const what = mode & ~FALLOC_FL_KEEP_SIZE
      if (isImmutable(inode!) || (what !== 0 && isProtected(inode!))) return EPERM
      let result = 0
      if (what === FALLOC_FL_PUNCH_HOLE) content.punch(offset, length)
      else if (what === FALLOC_FL_ZERO_RANGE) result = content.zeroRange(offset, length)
      else if (what === 0) result = content.allocate(offset, length)
      else return EOPNOTSUPP
      if (result < 0) return result as Errno
      const grows = (mode & (FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)) === 0
      if (grows) content.size = Math.max(content.size, offset + length)
      changed(inode!)
    },

    lseek({ nodeid, offset, whence }: LseekRequest): number {
      const content = contentOf(tree.inode(nodeid))
      if (typeof content === 'number') return content
      if (offset < 0 || offset >= content.size) return ENXIO
      if (whence === SEEK_DATA) return content.nextData(offset)
      return whence === SEEK_HOLE ? content.nextHole(offset) : EINVAL
    },

    copyFileRange(request: CopyFileRangeRequest): number | Promise<number> {
      const { nodeid, offIn, nodeidOut, offOut, len } = request
      const from = tree.inode(nodeid)
      const to = tree.inode(nodeidOut)
      const [source, target] = [contentOf(from), contentOf(to)]
      if (typeof source === 'number') return source
      if (typeof target === 'number') return target
      if (isImmutable(to!)) return EPERM
      const length = Math.min(len, MAX_COPY, Math.max(0, source.size - offIn))
      if (length === 0) return 0
      const copied = target.copyFrom(source, offIn, offOut, length)
      if (copied < 0) return copied
      const moved = tree.accessed(from!)
      changed(to!)
      // Kernel: of the source it forgets nothing.
      return moved ? tree.invalidate(from!).then(() => copied) : copied
    },
  } satisfies Filesystem
}
