// Extended attributes of every type of file. Values of `trusted.*` are safe to pass on, because the kernel asks for CAP_SYS_ADMIN first;
// their names are not.
import { ERANGE, ESTALE, FUSE_SETXATTR_ACL_KILL_SGID } from '../../protocol/index.js'
import type {
  Errno,
  Filesystem,
  GetxattrRequest,
  ListxattrRequest,
  RemovexattrRequest,
  SetxattrRequest,
} from '../../protocol/index.js'
import { seesTrusted } from '../entitled.js'
import type { MirrorInode } from './inode.js'
import { killSetgid } from './privileges.js'
import type { Tree } from './tree.js'

/** XATTR_LIST_MAX is the same. */
const XATTR_SIZE_MAX = 65536
const TRUSTED = 'trusted.'

export function xattrs(tree: Tree) {
  const { sys } = tree
  // A reply is encoded before the next request is looked at, so one buffer serves all.
  const scratch = Buffer.allocUnsafeSlow(XATTR_SIZE_MAX)

  /** Calls `read` with a path of the inode: the magic link of a descriptor, which is to be followed, or its name. */
  const byPath = (inode: MirrorInode, read: (path: string, follow: boolean) => number): number => {
    // `ls -l` asks every file for its ACL, which should not cost a descriptor each.
    if (inode.fd < 0 && inode.files === null && inode.parent !== null) {
      const parent = tree.magicLink(inode.parent)
      const result = typeof parent === 'string' ? read(`${parent}/${inode.name}`, false) : parent
      // The kernel caches access lists, and that there is none: those of another file of that name must not get there.
      if (tree.statName(inode.parent, inode.name) === 0 && inode.is(tree.found)) return result
    }
    const link = tree.magicLink(inode)
    return typeof link === 'string' ? read(link, true) : link
  }

  const read = (
    nodeid: number,
    size: number,
    call: (path: string, follow: boolean, bytes: Buffer | null) => number,
  ): Buffer | number => {
    const inode = tree.inode(nodeid)
    if (inode === undefined) return ESTALE
    const bytes = size === 0 ? null : scratch
    const length = byPath(inode, (path, follow) => call(path, follow, bytes))
    if (length < 0 || bytes === null) return length
    return length > size ? ERANGE : bytes.subarray(0, length)
  }

  return {
    getxattr: ({ nodeid, name, size }: GetxattrRequest) =>
      read(nodeid, size, (path, follow, bytes) =>
        follow ? sys.getxattr(path, name, bytes) : sys.lgetxattr(path, name, bytes),
      ),

    listxattr(request: ListxattrRequest) {
      const { nodeid, size } = request
      // Its size alone is that of what the caller may see, too.
      const list = read(nodeid, XATTR_SIZE_MAX, (path, follow, bytes) =>
        follow ? sys.listxattr(path, bytes) : sys.llistxattr(path, bytes),
      )
      if (typeof list === 'number') return list
      const shown = list.includes(TRUSTED) && !seesTrusted(request) ? withoutTrusted(list) : list
      if (size === 0) return shown.length
      return shown.length > size ? ERANGE : shown
    },

    setxattr({ nodeid, name, value, flags, setxattrFlags }: SetxattrRequest): void | Errno {
      const inode = tree.inode(nodeid)
      if (inode === undefined) return ESTALE
      const link = tree.magicLink(inode)
      if (typeof link !== 'string') return link
      const result = sys.setxattr(link, name, value, flags)
      if (result < 0) return result as Errno
      if ((setxattrFlags & FUSE_SETXATTR_ACL_KILL_SGID) !== 0) killSetgid(tree, tree.descriptor(inode))
    },

    removexattr({ nodeid, name }: RemovexattrRequest): void | Errno {
      const inode = tree.inode(nodeid)
      if (inode === undefined) return ESTALE
      const link = tree.magicLink(inode)
      if (typeof link !== 'string') return link
      const result = sys.removexattr(link, name)
      if (result < 0) return result as Errno
    },
  } satisfies Filesystem
}

/** Of names that end in a NUL each. */
function withoutTrusted(list: Buffer): Buffer {
  const names = list.toString('latin1').split('\0')
  return Buffer.from(names.filter((name) => !name.startsWith(TRUSTED)).join('\0'), 'latin1')
}
