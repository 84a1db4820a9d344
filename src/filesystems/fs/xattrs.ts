// Extended attributes, for objects that have them; without their methods the kernel is told once and asks no more.
import { ENODATA, EROFS, ESTALE } from '../../index.js'
import type { Filesystem } from '../../index.js'
import { then } from './awaitable.js'
import type { Tree } from './tree.js'

type Handlers = Pick<Filesystem, 'getxattr' | 'setxattr' | 'listxattr' | 'removexattr'>

export function xattrs(tree: Tree): Handlers {
  const { fs, options } = tree
  const handlers: Handlers = {}
  if (fs.getxattr !== undefined)
    handlers.getxattr = (request) => {
      const node = tree.inodes.get(request.nodeid)
      if (node === undefined) return ESTALE
      const value = fs.getxattr!(node.path, request.name, request)
      return then(value, (bytes) => bytes ?? ENODATA) as Uint8Array
    }
  if (fs.listxattr !== undefined)
    handlers.listxattr = (request) => {
      const node = tree.inodes.get(request.nodeid)
      if (node === undefined) return ESTALE
      return then(fs.listxattr!(node.path, request), (found) => [...found]) as string[]
    }
  if (fs.setxattr !== undefined)
    handlers.setxattr = (request) => {
      const node = tree.inodes.get(request.nodeid)
      if (node === undefined) return ESTALE
      if (options.readOnly) return EROFS
      // The bytes are the kernel's slot, and the object's to keep.
      const value = Buffer.from(request.value)
      return then(
        fs.setxattr!(node.path, request.name, value, request.flags, request),
        () => undefined,
      ) as undefined
    }
  if (fs.removexattr !== undefined)
    handlers.removexattr = (request) => {
      const node = tree.inodes.get(request.nodeid)
      if (node === undefined) return ESTALE
      if (options.readOnly) return EROFS
      return then(fs.removexattr!(node.path, request.name, request), () => undefined) as undefined
    }
  return handlers
}
