// Extended attributes, and through them access lists: setting a list sets the mode.
import {
  E2BIG,
  EEXIST,
  EINVAL,
  ENODATA,
  ENOSPC,
  EOPNOTSUPP,
  EPERM,
  ERANGE,
  ESTALE,
  FUSE_SETXATTR_ACL_KILL_SGID,
} from '../../protocol/index.js'
import type {
  Errno,
  Filesystem,
  GetxattrRequest,
  ListxattrRequest,
  RemovexattrRequest,
  SetxattrRequest,
} from '../../protocol/index.js'
import { S_ISGID, XATTR_CREATE, XATTR_REPLACE } from '../../syscalls/index.js'
import { seesTrusted } from '../entitled.js'
import { ACL_ACCESS, ACL_DEFAULT, isMinimal, modeOf } from './acl.js'
import { now } from './clock.js'
import { isProtected } from './flags.js'
import type { MemoryInode } from './inode.js'
import type { Tree } from './tree.js'

/** Kernel: XATTR_SIZE_MAX and XATTR_LIST_MAX; a longer list of names could be read by nobody. */
const VALUE_MAX = 65_536
const LIST_MAX = 65_536
const PERMISSION_BITS = 0o777
const NAMESPACES = ['user.', 'trusted.', 'security.']

const isTrusted = (name: string): boolean => name.startsWith('trusted.')
const isList = (name: string): boolean => name === ACL_ACCESS || name === ACL_DEFAULT

export function xattrs(tree: Tree) {
  /** Why there can be no attribute of this name. */
  const refuses = (name: string): Errno | undefined => {
    if (NAMESPACES.includes(name)) return EINVAL
    if (NAMESPACES.some((space) => name.startsWith(space))) return undefined
    return isList(name) && tree.lists ? undefined : EOPNOTSUPP
  }

  const exists = (inode: MemoryInode, name: string): boolean => inode.xattrs?.has(name) === true

  /** The access list becomes the mode; what the mode can't say is kept. */
  const setAccessList = (inode: MemoryInode, list: Buffer, killSgid: boolean): number => {
    const result = tree.setXattr(inode, ACL_ACCESS, isMinimal(list) ? undefined : list)
    if (result < 0) return result
    inode.mode = (inode.mode & ~PERMISSION_BITS) | modeOf(list)
    if (killSgid) inode.mode &= ~S_ISGID
    return 0
  }

  return {
    getxattr({ nodeid, name, size }: GetxattrRequest): Uint8Array | number {
      const inode = tree.inode(nodeid)
      if (inode === undefined) return ESTALE
      const refused = refuses(name)
      if (refused !== undefined) return refused
      const value = inode.xattrs?.get(name)
      if (value === undefined) return ENODATA
      if (size === 0) return value.byteLength
      return value.byteLength > size ? ERANGE : value
    },

    listxattr(request: ListxattrRequest): readonly string[] | Errno {
      const inode = tree.inode(request.nodeid)
      if (inode === undefined) return ESTALE
      const names = [...(inode.xattrs?.keys() ?? [])]
      // As natively: who could not read them does not see them.
      return names.some(isTrusted) && !seesTrusted(request) ? names.filter((name) => !isTrusted(name)) : names
    },

    setxattr(request: SetxattrRequest): void | Errno {
      const { nodeid, name, flags, setxattrFlags } = request
      const inode = tree.inode(nodeid)
      if (inode === undefined) return ESTALE
      const refused = refuses(name)
      if (refused !== undefined) return refused
      if (isProtected(inode)) return EPERM
      if (request.value.byteLength > VALUE_MAX) return E2BIG
      if ((flags & XATTR_CREATE) !== 0 && exists(inode, name)) return EEXIST
      if ((flags & XATTR_REPLACE) !== 0 && !exists(inode, name)) return ENODATA
      if (!exists(inode, name) && lengthOfList(inode) + name.length + 1 > LIST_MAX) return ENOSPC
      const result =
        name === ACL_ACCESS
          ? setAccessList(inode, request.value, (setxattrFlags & FUSE_SETXATTR_ACL_KILL_SGID) !== 0)
          : tree.setXattr(inode, name, request.value)
      if (result < 0) return result as Errno
      inode.ctime = now()
    },

    removexattr({ nodeid, name }: RemovexattrRequest): void | Errno {
      const inode = tree.inode(nodeid)
      if (inode === undefined) return ESTALE
      const refused = refuses(name)
      if (refused !== undefined) return refused
      if (isProtected(inode)) return EPERM
      // No list is what the mode says, and that can be had again.
      if (!exists(inode, name)) return isList(name) ? undefined : ENODATA
      tree.setXattr(inode, name, undefined)
      inode.ctime = now()
    },
  } satisfies Filesystem
}

function lengthOfList(inode: MemoryInode): number {
  let length = 0
  for (const name of inode.xattrs?.keys() ?? []) length += name.length + 1
  return length
}
