// Attributes of files (getattr, setattr, statx) and of the filesystem (statfs).
import {
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
import { AT_EMPTY_PATH, F_DUPFD_CLOEXEC, S_IFDIR, UTIME_NOW, UTIME_OMIT } from '../../syscalls/index.js'
import { freesMuch } from './freeing.js'
import type { MirrorInode } from './inode.js'
import type { OpenFiles } from './open-files.js'
import { killPrivileges } from './privileges.js'
import { STAT_MASK } from './tree.js'
import type { Tree } from './tree.js'

const MODE_BITS = 0o7777
const TIMES = FATTR_ATIME | FATTR_MTIME
/** Kernel: with FUSE_WRITEBACK_CACHE the times of what it has written come like this; utimensat(2) has no handle. */
const FLUSHED_TIMES = FATTR_FH | FATTR_MTIME | FATTR_CTIME

export function attributes(tree: Tree, files: OpenFiles) {
  const { sys } = tree

  const truncate = (inode: MirrorInode, request: SetattrRequest): number | Promise<number> => {
    const { valid } = request
    const byHandle = (valid & FATTR_FH) !== 0 ? files.table.get(request.fh) : undefined
    // Kernel: ftruncate(2) and O_TRUNC move mtime in any case, and say so; truncate(2) does where the size becomes another one.
    const file = byHandle ?? ((valid & FATTR_MTIME) !== 0 ? files.writable(inode) : undefined)
    if (file !== undefined) return files.truncate(file, request.size)
    const fd = tree.descriptor(inode)
    if (fd < 0) return fd
    const result = sys.fstatx(fd, STAT_MASK, tree.found)
    if (result < 0) return result
    const path = `/proc/self/fd/${fd}`
    if (!freesMuch(tree.found, request.size)) return sys.truncate(path, request.size)
    // Path descriptors may be closed to make room while the pool works, so it gets one of its own.
    const own = sys.fcntl(fd, F_DUPFD_CLOEXEC)
    if (own < 0) return sys.truncate(path, request.size)
    return sys.truncateAsync(`/proc/self/fd/${own}`, request.size).finally(() => sys.close(own))
  }

  const setMode = (inode: MirrorInode, mode: number): number => {
    const link = tree.magicLink(inode)
    return typeof link === 'string' ? sys.fchmodat(-1, link, mode & MODE_BITS) : link
  }

  const setOwner = (inode: MirrorInode, { valid, newUid, newGid }: SetattrRequest): number => {
    const fd = tree.descriptor(inode)
    if (fd < 0) return fd
    const uid = (valid & FATTR_UID) !== 0 ? newUid : -1
    const gid = (valid & FATTR_GID) !== 0 ? newGid : -1
    return sys.fchownat(fd, '', uid, gid, AT_EMPTY_PATH)
  }

  const setTimes = (inode: MirrorInode, request: SetattrRequest): number => {
    const link = tree.magicLink(inode)
    if (typeof link !== 'string') return link
    const { valid, atime, atimensec, mtime, mtimensec } = request
    const a = nanoseconds(valid, FATTR_ATIME, FATTR_ATIME_NOW, atimensec)
    const m = nanoseconds(valid, FATTR_MTIME, FATTR_MTIME_NOW, mtimensec)
    return sys.utimensat(-1, link, atime, a, mtime, m)
  }

  const killAt = (inode: MirrorInode, request: SetattrRequest, asked: boolean): number => {
    const fd = inode.type === S_IFDIR ? -1 : tree.descriptor(inode)
    // Who has it open for writing may have got the descriptor from somebody else.
    return fd < 0 ? 0 : killPrivileges(tree, fd, request, asked && !files.isWritten(inode))
  }

  /** All that is quick: everything but the size, which comes first. */
  const rest = (inode: MirrorInode, request: SetattrRequest): AttrReply | Errno => {
    const { valid } = request
    // Kernel: with HANDLE_KILLPRIV_V2 the removal of set-id bits before a write that goes to a backing file, a fallocate or a
    // copy arrives as a SETATTR that sets nothing.
    const isEmpty = (valid & ~FATTR_FH) === 0
    let result = 0
    if ((valid & FATTR_KILL_SUIDGID) !== 0 || isEmpty) result = killAt(inode, request, isEmpty)
    // Kernel: chown(2) with two times -1 sends the same, and natively moves ctime, whoever asks. Where a write follows, that moves
    // it anyway, and must not fail because this does.
    if (result >= 0 && isEmpty) setOwner(inode, request)
    if (result >= 0 && (valid & FATTR_MODE) !== 0) result = setMode(inode, request.mode)
    if (result >= 0 && (valid & (FATTR_UID | FATTR_GID)) !== 0) result = setOwner(inode, request)
    if (result >= 0 && (valid & TIMES) !== 0) result = setTimes(inode, request)
    // Immutable or append-only since the pages were written, which moved mtime on the source.
    if (result === EPERM && valid === FLUSHED_TIMES) result = 0
    if (result < 0) return result as Errno
    const reply = tree.attributes(inode)
    if (typeof reply === 'object') tree.recent?.set(inode, tree.found)
    return reply
  }

  return {
    getattr({ nodeid }: GetattrRequest): AttrReply | Errno {
      const inode = tree.inode(nodeid)
      return inode === undefined ? ESTALE : tree.attributes(inode)
    },

    setattr(request: SetattrRequest): AttrReply | Errno | Promise<AttrReply | Errno> {
      const inode = tree.inode(request.nodeid)
      if (inode === undefined) return ESTALE
      if ((request.valid & FATTR_SIZE) === 0) return rest(inode, request)
      const finish = (result: number) => (result < 0 ? (result as Errno) : rest(inode, request))
      const result = truncate(inode, request)
      return typeof result === 'number' ? finish(result) : result.then(finish)
    },

    statx({ nodeid }: StatxRequest): StatxReply | Errno {
      const inode = tree.inode(nodeid)
      if (inode === undefined) return ESTALE
      const result = tree.stat(inode)
      if (result < 0) return result as Errno
      const { found } = tree
      return {
        attrValid: tree.attrValid(inode),
        stat: {
          mask: found.mask & 0xfff,
          blksize: found.blksize,
          attributes: found.attributes,
          attributesMask: found.attributesMask,
          nlink: found.nlink,
          uid: found.uid,
          gid: found.gid,
          mode: found.mode,
          ino: found.ino,
          size: found.size,
          blocks: found.blocks,
          atime: { tvSec: found.atimeSec, tvNsec: found.atimeNsec },
          btime: { tvSec: found.btimeSec, tvNsec: found.btimeNsec },
          ctime: { tvSec: found.ctimeSec, tvNsec: found.ctimeNsec },
          mtime: { tvSec: found.mtimeSec, tvNsec: found.mtimeNsec },
          rdevMajor: found.rdevMajor,
          rdevMinor: found.rdevMinor,
        },
      }
    },

    statfs({ nodeid }: StatfsRequest): Statfs | Errno {
      const inode = tree.inode(nodeid) ?? tree.root
      const fd = tree.descriptor(inode)
      return sys.fstatfs(fd < 0 ? tree.root.fd : fd) as Statfs | Errno
    },
  } satisfies Filesystem
}

function nanoseconds(valid: number, set: number, now: number, nsec: number): number {
  if ((valid & set) === 0) return UTIME_OMIT
  return (valid & now) !== 0 ? UTIME_NOW : nsec
}
