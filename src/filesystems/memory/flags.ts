// Flags of chattr(1) and lsattr(1), by ioctl(2): those that mean something here.
import { EOPNOTSUPP, ENOTTY, ESTALE } from '../../protocol/index.js'
import type { Errno, Filesystem, IoctlReply, IoctlRequest } from '../../protocol/index.js'
import { now } from './clock.js'
import { FS_NOATIME_FL } from './tree.js'
import type { Tree } from './tree.js'

// linux/fs.h; the numbers are the same on x64 and arm64. Their argument is an int, whatever the number says.
const FS_IOC_GETFLAGS = 0x80086601
const FS_IOC_SETFLAGS = 0x40086602
const INT = 4

/** `chattr +d`: dump(8) leaves the file out. */
const FS_NODUMP_FL = 0x40
const SETTABLE = FS_NODUMP_FL | FS_NOATIME_FL

export function flags(tree: Tree) {
  return {
    ioctl({ nodeid, cmd, data, outSize }: IoctlRequest): IoctlReply | Errno {
      const inode = tree.inode(nodeid)
      if (inode === undefined) return ESTALE
      if (cmd === FS_IOC_GETFLAGS && outSize >= INT) {
        const bytes = Buffer.alloc(outSize)
        bytes.writeUInt32LE(inode.flags)
        return { data: bytes }
      }
      if (cmd === FS_IOC_SETFLAGS && data.byteLength >= INT) {
        const wanted = data.readUInt32LE(0)
        // Immutable, append-only and the rest would be promises that nobody keeps.
        if ((wanted & ~SETTABLE) !== 0) return EOPNOTSUPP
        inode.flags = wanted
        inode.ctime = now()
        return {}
      }
      return ENOTTY
    },
  } satisfies Filesystem
}
