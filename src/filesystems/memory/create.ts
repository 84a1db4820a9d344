// New files: CREATE, MKDIR, MKNOD, SYMLINK and TMPFILE.
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
} from '../../syscalls/index.js'
import { Content } from './content.js'
import { OPENED } from './data.js'
import { Directory } from './directory.js'
import { canWrite, isImmutable } from './flags.js'
import { makeIn } from './inherited.js'
import type { Creation } from './inherited.js'
import { ownBytes } from './inode.js'
import type { Body } from './inode.js'
import { directoryForNew } from './names.js'
import type { Tree } from './tree.js'

const MODE_BITS = 0o7777

export function create(tree: Tree) {
  const named = (
    request: Creation & { nodeid: number; name: string },
    mode: number,
    body: Body,
  ): Entry | Errno => {
    const directory = directoryForNew(tree, request.nodeid, request.name)
    if (typeof directory === 'number') return directory
    const inode = makeIn(tree, directory, mode, request, body)
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
      const inode = makeIn(tree, directory, mode, request, { content: new Content(tree.pool) })
      if (typeof inode === 'number') return inode
      // Kernel: it refuses to link in what was made with O_EXCL; so do we.
      if (canWrite(request.flags)) inode.writers++
      inode.linkable = (request.flags & O_EXCL) === 0
      return { ...tree.entry(inode), openFlags: OPENED }
    },
  } satisfies Filesystem
}
