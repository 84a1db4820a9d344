// Attributes of files (getattr, setattr, statx) and of the filesystem (statfs).
import {
  EINVAL,
  EPERM,
  ESTALE,
  FATTR_ATIME,
  FATTR_ATIME_NOW,
  FATTR_CTIME,
  FATTR_FH,
  FATTR_GID,
  FATTR_KILL_SUIDGID,
  FATTR_MODE,
  FATTR_MTIME,
  FATTR_MTIME_NOW,
  FATTR_SIZE,
  FATTR_UID,
} from '../../protocol/index.js'
import type {
  AttrReply,
  Errno,
  Filesystem,
  GetattrRequest,
  SetattrRequest,
  Statfs,
  StatfsRequest,
  StatxReply,
  StatxRequest,
} from '../../protocol/index.js'
import { S_IFMT } from '../../syscalls/index.js'
import { ACL_ACCESS, withMode } from './acl.js'
import { now } from './clock.js'
import { isImmutable, isProtected } from './flags.js'
import type { MemoryInode } from './inode.js'
import { NAME_MAX } from './names.js'
import { PAGE } from './pages.js'
import { dropCapabilities, killSuidgid } from './privileges.js'
import { FOREVER } from './tree.js'
import type { Tree } from './tree.js'

const MODE_BITS = 0o7777

/** Both times to the present, as touch(1) sets them; one of them alone counts as a time of the caller's choice. */
const TOUCH = FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW | FATTR_MTIME_NOW

/** Kernel: only FUSE leaves this to the server; see may_setattr(). A touch counts as writing. */
function forbids(inode: MemoryInode, valid: number): boolean {
  const touches = (valid & ~FATTR_FH) === TOUCH
  if (valid === 0 || (valid & ~(FATTR_FH | FATTR_KILL_SUIDGID)) === 0) return false
  return touches ? isImmutable(inode) : isProtected(inode)
}

export function attributes(tree: Tree) {
  const setMode = (inode: MemoryInode, mode: number): number => {
    const list = inode.xattrs?.get(ACL_ACCESS)
    const result = list === undefined ? 0 : tree.setXattr(inode, ACL_ACCESS, withMode(list, mode))
    if (result === 0) inode.mode = (inode.mode & S_IFMT) | (mode & MODE_BITS)
    return result
  }

  const setOwner = (inode: MemoryInode, request: SetattrRequest): void => {
    killSuidgid(inode, request)
    dropCapabilities(tree, inode)
    if ((request.valid & FATTR_UID) !== 0) inode.uid = request.newUid
    if ((request.valid & FATTR_GID) !== 0) inode.gid = request.newGid
  }

  const setTimes = (inode: MemoryInode, request: SetattrRequest): void => {
    const { valid, atime, atimensec, mtime, mtimensec, ctime, ctimensec } = request
    const time = now()
    // A change that brings its own ctime comes from the kernel's cache (FUSE_WRITEBACK_CACHE).
    inode.ctime = (valid & FATTR_CTIME) !== 0 ? { sec: ctime, nsec: ctimensec } : time
    if ((valid & FATTR_SIZE) !== 0) inode.mtime = time
    if ((valid & FATTR_ATIME) !== 0) {
      inode.atime = (valid & FATTR_ATIME_NOW) !== 0 ? time : { sec: atime, nsec: atimensec }
    }
    if ((valid & FATTR_MTIME) !== 0) {
      inode.mtime = (valid & FATTR_MTIME_NOW) !== 0 ? time : { sec: mtime, nsec: mtimensec }
    }
  }

  return {
    getattr({ nodeid }: GetattrRequest): AttrReply | Errno {
      const inode = tree.inode(nodeid)
      return inode === undefined ? ESTALE : tree.attributes(inode)
    },

    setattr(request: SetattrRequest): AttrReply | Errno {
      const { valid } = request
      const inode = tree.inode(request.nodeid)
      if (inode === undefined) return ESTALE
      if (forbids(inode, valid)) return EPERM
      if ((valid & FATTR_SIZE) !== 0) {
        if (inode.content === undefined) return EINVAL
        inode.content.truncate(request.size)
        dropCapabilities(tree, inode)
      }
      // Kernel: the removal of set-id bits before a fallocate or a copy arrives as a SETATTR that sets nothing.
      const isEmpty = (valid & ~FATTR_FH) === 0
      if ((isEmpty || (valid & FATTR_KILL_SUIDGID) !== 0) && killSuidgid(inode, request, isEmpty) < 0)
        return EPERM
      if ((valid & FATTR_MODE) !== 0) {
        const result = setMode(inode, request.mode)
        if (result < 0) return result as Errno
      }
      if ((valid & (FATTR_UID | FATTR_GID)) !== 0) setOwner(inode, request)
      setTimes(inode, request)
      return tree.attributes(inode)
    },

    statx({ nodeid }: StatxRequest): StatxReply | Errno {
      const inode = tree.inode(nodeid)
      return inode === undefined ? ESTALE : { attrValid: FOREVER, stat: inode.statx() }
    },

    statfs(_request: StatfsRequest): Statfs {
      const { pool, count, options } = tree
      const bfree = Math.floor(pool.left / PAGE)
      return {
        blocks: Math.floor(pool.limit / PAGE),
        bfree,
        bavail: bfree,
        files: options.inodes,
        ffree: Math.max(0, options.inodes - count),
        bsize: PAGE,
        frsize: PAGE,
        namelen: NAME_MAX,
      }
    },
  } satisfies Filesystem
}
