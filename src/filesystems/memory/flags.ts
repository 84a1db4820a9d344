// Flags of chattr(1) and lsattr(1), by ioctl(2), and what the immutable and append-only ones forbid.
// Kernel: it asks for ownership, and for CAP_LINUX_IMMUTABLE; it does not know the flags of a FUSE inode afterwards.
import { EOPNOTSUPP, ENOTTY, ESTALE } from '../../protocol/index.js'
import type { Errno, Filesystem, IoctlReply, IoctlRequest } from '../../protocol/index.js'
import { O_ACCMODE, O_APPEND, O_RDONLY, O_TRUNC } from '../../syscalls/index.js'
import { now } from './clock.js'
import type { MemoryInode } from './inode.js'
import type { Tree } from './tree.js'

// linux/fs.h; the numbers are the same on x64 and arm64. The argument of the first two is an int, whatever the number says.
const FS_IOC_GETFLAGS = 0x80086601
const FS_IOC_SETFLAGS = 0x40086602
const FS_IOC_FSGETXATTR = 0x801c581f
const FS_IOC_FSSETXATTR = 0x401c5820

const FS_SYNC_FL = 0x08
const FS_IMMUTABLE_FL = 0x10
const FS_APPEND_FL = 0x20
const FS_NODUMP_FL = 0x40
export const FS_NOATIME_FL = 0x80
/** Writing is as synchronous as it gets in any case; the other flags would be promises that nobody keeps. */
const SETTABLE = FS_SYNC_FL | FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL
/** What new files take over from their directory. */
export const INHERITED = FS_SYNC_FL | FS_NODUMP_FL | FS_NOATIME_FL

/** The same flags in `struct fsxattr`: FS_XFLAG_*. */
const XFLAGS = [
  [FS_IMMUTABLE_FL, 0x08],
  [FS_APPEND_FL, 0x10],
  [FS_SYNC_FL, 0x20],
  [FS_NOATIME_FL, 0x40],
  [FS_NODUMP_FL, 0x80],
] as const

export function isImmutable({ flags }: MemoryInode): boolean {
  return (flags & FS_IMMUTABLE_FL) !== 0
}

/** Immutable or append-only: neither removed, renamed, linked nor given other attributes. */
export function isProtected({ flags }: MemoryInode): boolean {
  return (flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)) !== 0
}

/** Whether what is open with these flags can be written. */
export function canWrite(flags: number): boolean {
  return (flags & O_ACCMODE) !== O_RDONLY
}

/** Whether open(2) with these flags could do what is forbidden. */
export function forbidsOpen(inode: MemoryInode, flags: number): boolean {
  const writes = canWrite(flags)
  const truncates = (flags & O_TRUNC) !== 0
  if (isImmutable(inode)) return writes || truncates
  return isProtected(inode) && (truncates || (writes && (flags & O_APPEND) === 0))
}

/** Whether a name of `inode` must stay in `directory`. */
export function forbidsRemoval(directory: MemoryInode, inode: MemoryInode): boolean {
  return isProtected(directory) || isProtected(inode)
}

export function inodeFlags(tree: Tree) {
  const set = (inode: MemoryInode, wanted: number): IoctlReply | Errno | Promise<IoctlReply> => {
    if ((wanted & ~SETTABLE) !== 0) return EOPNOTSUPP
    inode.flags = wanted
    inode.ctime = now()
    return forgotten(inode)
  }

  /** Kernel: an ioctl(2) is the one change of attributes that does not make it forget those it has cached. */
  const forgotten = async (inode: MemoryInode): Promise<IoctlReply> => {
    await tree.invalidate(inode)
    return {}
  }

  return {
    ioctl({ nodeid, cmd, data, outSize }: IoctlRequest): IoctlReply | Errno | Promise<IoctlReply> {
      const inode = tree.inode(nodeid)
      if (inode === undefined) return ESTALE
      switch (cmd) {
        case FS_IOC_GETFLAGS:
          return { data: firstWord(outSize, inode.flags) }
        case FS_IOC_SETFLAGS:
          return data.byteLength < 4 ? ENOTTY : set(inode, data.readUInt32LE(0))
        case FS_IOC_FSGETXATTR: {
          const known = XFLAGS.filter(([flag]) => (inode.flags & flag) !== 0)
          return {
            data: firstWord(
              outSize,
              known.reduce((all, [, xflag]) => all | xflag, 0),
            ),
          }
        }
        case FS_IOC_FSSETXATTR: {
          if (data.byteLength < 4) return ENOTTY
          const xflags = data.readUInt32LE(0)
          const known = XFLAGS.filter(([, xflag]) => (xflags & xflag) !== 0)
          // Extent size hints and project ids follow; there are none here.
          if (data.subarray(4).some((byte) => byte !== 0)) return EOPNOTSUPP
          if (known.reduce((all, [, xflag]) => all | xflag, 0) !== xflags) return EOPNOTSUPP
          return set(
            inode,
            known.reduce((all, [flag]) => all | flag, 0),
          )
        }
        default:
          return ENOTTY
      }
    },
  } satisfies Filesystem
}

/** Bytes for the caller, of which only the first four are not zero. */
function firstWord(size: number, word: number): Buffer {
  const bytes = Buffer.alloc(size)
  if (size >= 4) bytes.writeUInt32LE(word)
  return bytes
}
