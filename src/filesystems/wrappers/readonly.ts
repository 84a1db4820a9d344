// readonly(): a filesystem on which nothing can be changed.
import { EROFS } from '../../index.js'
import type { HandlerName } from '../../protocol/index.js'
import { O_ACCMODE, O_CREAT, O_RDONLY, O_TRUNC } from '../../syscalls/index.js'
import { wrap } from './proxy.js'
import type { AnyFilesystem } from './proxy.js'

/** Operations that change something, whatever they are asked. */
const CHANGES: readonly HandlerName[] = [
  ...(['setattr', 'symlink', 'mknod', 'mkdir', 'unlink', 'rmdir', 'rename', 'link', 'write'] as const),
  ...(['setxattr', 'removexattr', 'create', 'fallocate', 'copyFileRange', 'tmpfile'] as const),
]

const W_OK = 2

/**
 * The filesystem `inner` with every change refused with EROFS: names, contents, attributes, and opens for writing. Reading goes
 * on, through passthrough as well. `ioctl` is passed on, because only the filesystem knows which of its commands change something.
 *
 * ```ts
 * await mount('/mnt', readonly(filesystem))
 * ```
 */
export function readonly<Fs extends AnyFilesystem>(inner: Fs): Fs {
  return wrap(
    inner,
    (name, request, next) => {
      if (CHANGES.includes(name)) return EROFS
      const { flags = 0, mask = 0 } = request as { flags?: number; mask?: number }
      if (name === 'open' && ((flags & O_ACCMODE) !== O_RDONLY || (flags & (O_TRUNC | O_CREAT)) !== 0))
        return EROFS
      if (name === 'access' && (mask & W_OK) !== 0) return EROFS
      return next()
    },
    // Without handlers of these the kernel would be told something else, or nothing at all.
    [...CHANGES, 'open', 'access'],
  )
}
