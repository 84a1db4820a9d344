// Data of open files. What is likely to wait for a disk runs on the addon's threads; with passthrough, READ and WRITE never come here.
import {
  EBADF,
  EINTR,
  EMFILE,
  ENOTTY,
  FUSE_INVALID_UIDGID,
  FUSE_IOCTL_DIR,
  FUSE_WRITE_CACHE,
  FUSE_WRITE_KILL_SUIDGID,
} from '../../protocol/index.js'
import type {
  CopyFileRangeRequest,
  Errno,
  FallocateRequest,
  FdData,
  Filesystem,
  FlushRequest,
  FsyncRequest,
  IoctlReply,
  IoctlRequest,
  LseekRequest,
  OpenRequest,
  ReadRequest,
  ReleaseRequest,
  Reply,
  Request,
  SyncfsRequest,
  WriteRequest,
} from '../../protocol/index.js'
import { F_DUPFD_CLOEXEC } from '../../syscalls/index.js'
import type { Directories } from './directories.js'
import { canWrite, writesToCache } from './open-file.js'
import type { OpenFiles } from './open-files.js'
import { killPrivileges } from './privileges.js'
import type { Tree } from './tree.js'
import type { UnopenedDirectories } from './unopened-directories.js'

/** A copy is answered after so many bytes at the latest, so that it can be interrupted; the caller goes on by itself. */
const MAX_COPY = 256 * 1024 * 1024

// linux/fs.h; the numbers are the same on x64 and arm64.
const FS_IOC_GETFLAGS = 0x80086601
const FS_IOC_SETFLAGS = 0x40086602
const FS_IOC_FSGETXATTR = 0x801c581f
const FS_IOC_FSSETXATTR = 0x401c5820
const FS_IOC_GETVERSION = 0x80087601
const IOCTLS = new Set([
  FS_IOC_GETFLAGS,
  FS_IOC_SETFLAGS,
  FS_IOC_FSGETXATTR,
  FS_IOC_FSSETXATTR,
  FS_IOC_GETVERSION,
])
const CHANGES = new Set([FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR])
const IOCTL_ARGUMENT = 64

/**
 * Set-id bits have to go by our hand. The request has no flag for it: only root is taken to hold CAP_FSETID. Kernel: since
 * Linux 6.2 a SETATTR has come before, and one that hides who calls is newer.
 */
const isUser = ({ uid }: Request): boolean => uid !== 0 && uid !== FUSE_INVALID_UIDGID

export function data(tree: Tree, files: OpenFiles, directories: Directories | UnopenedDirectories) {
  const { sys } = tree
  const argument = Buffer.alloc(IOCTL_ARGUMENT)
  const writer = sys.quickWriter()
  const nothing = (result: number): void | Errno => (result < 0 ? (result as Errno) : undefined)

  const ioctl = (request: IoctlRequest, fd: number): IoctlReply | Errno | Promise<IoctlReply> => {
    const { cmd, data: bytes, inSize, outSize } = request
    argument.fill(0)
    argument.set(bytes.subarray(0, inSize))
    const result = sys.ioctl(fd, cmd, argument)
    if (result < 0) return result as Errno
    const reply = { result, data: Buffer.from(argument.subarray(0, outSize)) }
    // Kernel: it does not know that this changes st_ctime.
    return CHANGES.has(cmd) ? files.unlearned(request.nodeid, reply) : reply
  }

  return {
    open: (request: OpenRequest) => files.open(request),

    release(request: ReleaseRequest): void {
      files.release(request)
    },

    // Not kept open: what is read for a caller that is gone reaches nobody.
    read({ fh, offset, size }: ReadRequest): FdData | Errno {
      const fd = files.fd(fh)
      return fd < 0 ? EBADF : { fd, offset, size }
    },

    write(request: WriteRequest): number | Promise<number> {
      const { fh, data: bytes, offset, writeFlags } = request
      return files.with(fh, (fd, file) => {
        if ((writeFlags & FUSE_WRITE_KILL_SUIDGID) !== 0) killPrivileges(tree, fd, request)
        const done = writesToCache(file)
          ? writer.write(fd, bytes, offset)
          : sys.pwriteAllAsync(fd, bytes, offset)
        if ((writeFlags & FUSE_WRITE_CACHE) === 0) return done
        // Nobody is there to write the rest of what comes from the kernel's cache, and to hear why it failed.
        const whole = (written: number): number => sys.pwriteRest(fd, bytes, offset, written)
        return typeof done === 'number' ? whole(done) : done.then(whole)
      })
    },

    /** close(2) is where some filesystems (NFS) report that data was lost, so it is closed once here, too. */
    flush({ fh }: FlushRequest): Reply<void> {
      const file = files.table.get(fh)
      if (file === undefined) return EBADF
      if (!canWrite(file) || file.inode.device.local) return
      let copy = sys.fcntl(file.fd, F_DUPFD_CLOEXEC)
      if (copy === EMFILE) copy = tree.retry(() => sys.fcntl(file.fd, F_DUPFD_CLOEXEC))
      return copy < 0 ? (copy as Errno) : sys.closeAsync(copy).then(nothing)
    },

    async fsync({ fh, fdatasync }: FsyncRequest): Promise<void | Errno> {
      return nothing(await files.with(fh, (fd) => (fdatasync ? sys.fdatasyncAsync(fd) : sys.fsyncAsync(fd))))
    },

    async fallocate(request: FallocateRequest): Promise<void | Errno> {
      const { fh, mode, offset, length } = request
      const result = files.with(fh, (fd) => {
        if (isUser(request)) killPrivileges(tree, fd, request)
        return sys.fallocateAsync(fd, mode, offset, length)
      })
      return nothing(await result)
    },

    lseek({ fh, offset, whence }: LseekRequest): number {
      return files.with(fh, (fd) => sys.lseek(fd, offset, whence))
    },

    copyFileRange(request: CopyFileRangeRequest): Promise<number> | Errno {
      const { fhIn, offIn, fhOut, offOut, len } = request
      return files.with(fhIn, (from) =>
        files.with(fhOut, (to) => {
          if (isUser(request)) killPrivileges(tree, to, request)
          return sys.copyFileRangeAsync(from, offIn, to, offOut, Math.min(len, MAX_COPY))
        }),
      )
    },

    /** Inode flags and project ids (chattr, lsattr); everything else is ENOTTY. */
    ioctl(request: IoctlRequest): IoctlReply | Errno | Promise<IoctlReply | Errno> {
      const { fh, flags, cmd, inSize, outSize } = request
      if (!IOCTLS.has(cmd) || inSize > IOCTL_ARGUMENT || outSize > IOCTL_ARGUMENT) return ENOTTY
      if ((flags & FUSE_IOCTL_DIR) !== 0)
        return directories.with(request, (fd) => ioctl(request, fd)) as ReturnType<typeof ioctl>
      return files.with(fh, (fd) => {
        // Once the file is immutable, what the kernel has not written yet is refused.
        const written = CHANGES.has(cmd) ? files.writePages?.(request.nodeid) : undefined
        if (written === undefined) return ioctl(request, fd)
        return written.then(() => (request.signal.aborted ? EINTR : ioctl(request, fd)))
      })
    },

    async syncfs(_request: SyncfsRequest): Promise<void | Errno> {
      return nothing(await sys.syncfsAsync(tree.mountFd))
    },
  } satisfies Filesystem
}
