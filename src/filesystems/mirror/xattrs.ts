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

  /** Where to read from. `ls -l` asks every file for its ACL, which should not cost a descriptor each. */
  const path = (inode: MirrorInode): string | Errno => {
    if (inode.fd >= 0 || inode.files !== null || inode.parent === null) return tree.magicLink(inode)
    const parent = tree.magicLink(inode.parent)
    return typeof parent === 'string' ? `${parent}/${inode.name}` : parent
  }
  const follows = (inode: MirrorInode): boolean =>
    inode.fd >= 0 || inode.files !== null || inode.parent === null

  const read = (
    nodeid: number,
    size: number,
    call: (follow: boolean, path: string, bytes: Buffer | null) => number,
  ): Buffer | number => {
    const inode = tree.inode(nodeid)
    if (inode === undefined) return ESTALE
    const place = path(inode)
    if (typeof place !== 'string') return place
    if (size === 0) return call(follows(inode), place, null)
    const length = call(follows(inode), place, scratch)
    if (length < 0) return length
    return length > size ? ERANGE : scratch.subarray(0, length)
  }

  return {
    getxattr: ({ nodeid, name, size }: GetxattrRequest) =>
      read(nodeid, size, (follow, place, bytes) =>
        follow ? sys.getxattr(place, name, bytes) : sys.lgetxattr(place, name, bytes),
      ),

    listxattr(request: ListxattrRequest) {
      const { nodeid, size } = request
      // Its size alone is that of what the caller may see, too.
      const list = read(nodeid, XATTR_SIZE_MAX, (follow, place, bytes) =>
        follow ? sys.listxattr(place, bytes) : sys.llistxattr(place, bytes),
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
