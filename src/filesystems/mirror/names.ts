// Names: lookup and forget, removing, renaming and linking, and the targets of symlinks.
import { EACCES, ENOENT, EPERM, ESTALE } from '../../protocol/index.js'
import type {
  Entry,
  Errno,
  Filesystem,
  ForgetOne,
  LinkRequest,
  LookupRequest,
  NegativeEntry,
  ReadlinkRequest,
  RenameRequest,
  RmdirRequest,
  UnlinkRequest,
} from '../../protocol/index.js'
import {
  AT_EMPTY_PATH,
  AT_REMOVEDIR,
  AT_SYMLINK_FOLLOW,
  AT_SYMLINK_NOFOLLOW,
  RENAME_EXCHANGE,
  RENAME_WHITEOUT,
  S_IFDIR,
  S_IFMT,
  S_ISGID,
} from '../../syscalls/index.js'
import { BAD_NAME, isPlainName } from './plain-name.js'
import { STAT_MASK } from './tree.js'
import type { MirrorInode } from './inode.js'
import type { Tree } from './tree.js'

export function names(tree: Tree) {
  const { sys, recent } = tree

  /** The inode that is about to lose `name`, kept reachable: the kernel may still hold it by an open, a cwd, an O_PATH. */
  const loser = (parent: MirrorInode, dirfd: number, name: string): MirrorInode | undefined => {
    if (tree.statName(parent, name) < 0) return undefined
    const inode = tree.known()
    if (inode !== undefined) tree.hold(inode, dirfd, name)
    return inode
  }

  const remove = (nodeid: number, name: string, flags: number): void | Errno => {
    const parent = tree.inode(nodeid)
    if (parent === undefined) return ESTALE
    if (!isPlainName(name)) return BAD_NAME
    const dirfd = tree.descriptor(parent)
    if (dirfd < 0) return dirfd as Errno
    const inode = loser(parent, dirfd, name)
    const last = flags === AT_REMOVEDIR || tree.found.nlink <= 1
    const result = sys.unlinkat(dirfd, name, flags)
    if (result < 0) return result as Errno
    if (inode !== undefined) tree.nameGone(inode, parent, name, last)
    recent?.made(parent, name, null)
  }

  /** An entry moved here: its inode is found under the new name from now on. */
  const moved = (parent: MirrorInode, dirfd: number, name: string): void => {
    recent?.tell(parent, name, false)
    if (tree.statName(parent, name) !== 0) return
    const inode = tree.known()
    if (inode === undefined) return
    tree.adopt(parent, name, dirfd)
    recent?.made(parent, name, inode)
  }

  /** The character device that RENAME_WHITEOUT has left belongs to the caller, as what the caller makes does. */
  const giveWhiteout = (dirfd: number, name: string, { uid, gid }: RenameRequest): void => {
    const setgid = sys.fstatx(dirfd, STAT_MASK, tree.found) === 0 && (tree.found.mode & S_ISGID) !== 0
    sys.fchownat(dirfd, name, uid, setgid ? -1 : gid, AT_SYMLINK_NOFOLLOW)
  }

  /** `.` and `..` by which the kernel reconnects a directory that it knows by file handle (FUSE_EXPORT_SUPPORT). */
  const lookupDots = (nodeid: number, name: string): Entry | Errno => {
    const inode = tree.inode(nodeid) ?? tree.revive(nodeid)
    const target = inode === undefined || name === '.' ? inode : tree.parentOf(inode)
    if (target === undefined) return ESTALE
    const result = tree.stat(target)
    return result < 0 ? (result as Errno) : tree.entryOf(target)
  }

  return {
    lookup({ nodeid, name }: LookupRequest): Entry | NegativeEntry | Errno {
      if (name === '.' || name === '..') return lookupDots(nodeid, name)
      const parent = tree.inode(nodeid)
      if (parent === undefined) return ESTALE
      if (!isPlainName(name)) return BAD_NAME
      const dirfd = tree.descriptor(parent)
      if (dirfd < 0) return dirfd as Errno
      const entry = tree.lookup(parent, dirfd, name)
      const { reader } = parent
      if (reader !== null && typeof entry === 'object' && (entry.attr.mode & S_IFMT) !== S_IFDIR)
        reader.lookups++
      const { negativeValid } = parent.device.cache
      return entry === ENOENT && negativeValid > 0 ? { nodeid: 0, entryValid: negativeValid } : entry
    },

    forget({ nodeid, nlookup }: ForgetOne): void {
      tree.forget(nodeid, nlookup)
    },

    readlink({ nodeid }: ReadlinkRequest): string | Errno {
      const inode = tree.inode(nodeid)
      if (inode === undefined) return ESTALE
      if (inode.fd < 0 && inode.parent !== null) {
        const dirfd = tree.descriptor(inode.parent)
        if (dirfd < 0) return dirfd as Errno
        const target = sys.readlinkat(dirfd, inode.name)
        // The kernel caches targets: one that belongs to another symlink of that name must not get there.
        const result = tree.statName(inode.parent, inode.name)
        if (typeof target === 'string' && result === 0 && inode.is(tree.found)) return target
      }
      const fd = tree.descriptor(inode)
      return fd < 0 ? (fd as Errno) : (sys.readlinkat(fd, '') as string | Errno)
    },

    unlink: ({ nodeid, name }: UnlinkRequest) => remove(nodeid, name, 0),

    rmdir: ({ nodeid, name }: RmdirRequest) => remove(nodeid, name, AT_REMOVEDIR),

    rename(request: RenameRequest): void | Errno {
      const { nodeid, name, newdir, newname, flags } = request
      const from = tree.inode(nodeid)
      const to = tree.inode(newdir)
      if (from === undefined || to === undefined) return ESTALE
      if (!isPlainName(name) || !isPlainName(newname)) return BAD_NAME
      const fromFd = tree.descriptor(from)
      if (fromFd < 0) return fromFd as Errno
      const toFd = tree.descriptor(to)
      if (toFd < 0) return toFd as Errno
      const exchange = (flags & RENAME_EXCHANGE) !== 0
      const replaced = exchange ? undefined : loser(to, toFd, newname)
      const last = tree.found.nlink <= 1
      const result = sys.renameat2(fromFd, name, toFd, newname, flags)
      if (result < 0) return result as Errno
      if ((flags & RENAME_WHITEOUT) !== 0) giveWhiteout(fromFd, name, request)
      else if (!exchange) recent?.made(from, name, null)
      moved(to, toFd, newname)
      if (exchange) moved(from, fromFd, name)
      // Kernel: renaming one link over another of the same file does nothing.
      if (replaced === undefined || tree.known() === replaced) return
      tree.nameGone(replaced, to, newname, last || replaced.type === S_IFDIR)
    },

    link({ nodeid, oldnodeid, newname }: LinkRequest): Entry | Errno {
      const parent = tree.inode(nodeid)
      const inode = tree.inode(oldnodeid)
      if (parent === undefined || inode === undefined) return ESTALE
      if (!isPlainName(newname)) return BAD_NAME
      const dirfd = tree.descriptor(parent)
      if (dirfd < 0) return dirfd as Errno
      const fd = tree.descriptor(inode)
      if (fd < 0) return fd as Errno
      let result = sys.linkat(-1, `/proc/self/fd/${fd}`, dirfd, newname, AT_SYMLINK_FOLLOW)
      // A mount point (a file bound from elsewhere) refuses its magic link with EXDEV or EPERM; the descriptor is exact.
      if (result === EPERM || result === EACCES || result === ENOENT) {
        const direct = sys.linkat(fd, '', dirfd, newname, AT_EMPTY_PATH)
        if (direct === 0) result = direct
      }
      if (result < 0) return result as Errno
      const entry = tree.lookup(parent, dirfd, newname)
      if (typeof entry === 'object') recent?.made(parent, newname, inode)
      return entry
    },
  } satisfies Filesystem
}
