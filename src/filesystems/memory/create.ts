// New files: whose they are, and which mode and access list they get from the caller and from their directory.
import { EINVAL, ENOENT, ENOTDIR, EPERM, ESTALE } from '../../protocol/index.js'
import type {
  CreateReply,
  CreateRequest,
  Entry,
  Errno,
  Filesystem,
  MkdirRequest,
  MknodRequest,
  SymlinkRequest,
  TmpfileRequest,
} from '../../protocol/index.js'
import {
  O_EXCL,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  S_ISGID,
} from '../../syscalls/index.js'
import { ACL_ACCESS, ACL_DEFAULT, inherit } from './acl.js'
import { Content } from './content.js'
import { OPENED } from './data.js'
import { Directory } from './directory.js'
import { INHERITED, canWrite, isImmutable } from './flags.js'
import { ownBytes } from './inode.js'
import type { Body, MemoryInode } from './inode.js'
import { directoryForNew } from './names.js'
import type { Tree } from './tree.js'

const MODE_BITS = 0o7777

interface Creation {
  uid: number
  gid: number
  umask?: number
}

export function create(tree: Tree) {
  /** An inode as `directory` and the caller make it, without a name yet. */
  const make = (
    directory: MemoryInode,
    asked: number,
    { uid, gid, umask = 0 }: Creation,
    body: Body,
  ): MemoryInode | Errno => {
    const type = asked & S_IFMT
    const setgid = (directory.mode & S_ISGID) !== 0
    const list = type === S_IFLNK ? undefined : directory.xattrs?.get(ACL_DEFAULT)
    const inherited = list && inherit(list, asked)
    // A default list takes the place of the umask.
    let mode = inherited?.mode ?? (type === S_IFLNK ? asked : asked & ~umask)
    if (setgid && type === S_IFDIR) mode |= S_ISGID
    const inode = tree.make(mode, uid, setgid ? directory.gid : gid, body)
    if (typeof inode === 'number') return inode
    inode.flags = directory.flags & INHERITED
    if (list === undefined) return inode
    let result = 0
    if (inherited?.access !== undefined) result = tree.setXattr(inode, ACL_ACCESS, inherited.access)
    if (result === 0 && type === S_IFDIR) result = tree.setXattr(inode, ACL_DEFAULT, list)
    return result === 0 ? inode : discard(inode, result as Errno)
  }

  const discard = (inode: MemoryInode, result: Errno): Errno => {
    tree.inodes.remember(inode)
    tree.forget(inode.nodeid, 1)
    return result
  }

  const named = (
    request: Creation & { nodeid: number; name: string },
    mode: number,
    body: Body,
  ): Entry | Errno => {
    const directory = directoryForNew(tree, request.nodeid, request.name)
    if (typeof directory === 'number') return directory
    const inode = make(directory, mode, request, body)
    if (typeof inode === 'number') return inode
    tree.link(directory, request.name, inode, inode.ctime)
    return tree.entry(inode)
  }

  const bodyOf = (mode: number, rdev: number): Body | undefined => {
    switch (mode & S_IFMT) {
      case S_IFREG:
        return { content: new Content(tree.pool) }
      case S_IFCHR:
      case S_IFBLK:
        return { rdev }
      case S_IFIFO:
      case S_IFSOCK:
        return {}
      default:
        return undefined
    }
  }

  return {
    mkdir: (request: MkdirRequest): Entry | Errno =>
      named(request, S_IFDIR | (request.mode & MODE_BITS), { directory: new Directory() }),

    mknod(request: MknodRequest): Entry | Errno {
      const body = bodyOf(request.mode, request.rdev)
      return body === undefined ? EINVAL : named(request, request.mode, body)
    },

    symlink: (request: SymlinkRequest): Entry | Errno =>
      named(request, S_IFLNK | 0o777, { target: ownBytes(Buffer.from(request.target)) }),

    create(request: CreateRequest): CreateReply | Errno {
      const body = { content: new Content(tree.pool) }
      const entry = named(request, S_IFREG | (request.mode & MODE_BITS), body)
      if (typeof entry === 'number') return entry
      if (canWrite(request.flags)) tree.inode(entry.nodeid)!.writers++
      return { ...entry, openFlags: OPENED }
    },

    tmpfile(request: TmpfileRequest): CreateReply | Errno {
      const directory = tree.inode(request.nodeid)
      if (directory === undefined) return ESTALE
      if (!directory.isDirectory()) return ENOTDIR
      if (directory.nlink === 0) return ENOENT
      if (isImmutable(directory)) return EPERM
      const mode = S_IFREG | (request.mode & MODE_BITS)
      const inode = make(directory, mode, request, { content: new Content(tree.pool) })
      if (typeof inode === 'number') return inode
      // Kernel: it refuses to link in what was made with O_EXCL; so do we.
      if (canWrite(request.flags)) inode.writers++
      inode.linkable = (request.flags & O_EXCL) === 0
      return { ...tree.entry(inode), openFlags: OPENED }
    },
  } satisfies Filesystem
}
