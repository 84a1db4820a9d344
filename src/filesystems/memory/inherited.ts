// What a new inode gets from its directory and from its maker: owner, group, mode, access lists and flags.
import type { Errno } from '../../protocol/index.js'
import { S_IFDIR, S_IFLNK, S_IFMT, S_ISGID } from '../../syscalls/index.js'
import { ACL_ACCESS, ACL_DEFAULT, inherit } from './acl.js'
import { INHERITED } from './flags.js'
import type { Body, MemoryInode } from './inode.js'
import type { Tree } from './tree.js'

export interface Creation {
  uid: number
  gid: number
  umask?: number
}

/** An inode as `directory` and the caller make it, without a name yet. */
export function makeIn(
  tree: Tree,
  directory: MemoryInode,
  asked: number,
  { uid, gid, umask = 0 }: Creation,
  body: Body,
): MemoryInode | Errno {
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
  return result === 0 ? inode : discard(tree, inode, result as Errno)
}

function discard(tree: Tree, inode: MemoryInode, result: Errno): Errno {
  tree.inodes.remember(inode)
  tree.forget(inode.nodeid, 1)
  return result
}
