// Objects with the methods of node:fs/promises, and those that carry them as `promises`: isomorphic-git's shape, mountx
// drivers.
import type { PathFilesystem } from '../path-filesystem.js'
import { nodeShape } from './node-shape.js'
import { bound, has } from './shape.js'
import type { Shape, Thing } from './shape.js'
import { traitsOf } from './traits.js'

export function promiseFilesystem(
  thing: Thing,
  traits: Pick<PathFilesystem, 'readOnly' | 'stableHandles' | 'checksPermissions'>,
): PathFilesystem {
  return nodeShape((name) => bound(thing, name), bound(thing, 'open'), traits)
}

export const withPromises: Shape = {
  name: '{ promises }',
  needs: '`promises` with stat or lstat, and readdir or readFile',
  fits: ({ promises }) => {
    if (typeof promises !== 'object' || promises === null) return false
    const thing = promises as Thing
    return (has(thing, 'stat') || has(thing, 'lstat')) && (has(thing, 'readdir') || has(thing, 'readFile'))
  },
  adapt: (thing) => promiseFilesystem(thing['promises'] as Thing, traitsOf(thing)),
}

/** Methods of node:fs/promises that a filesystem written for us has no use for. */
const NODES_OWN = ['mkdtemp', 'realpath', 'appendFile', 'opendir']

export const promises: Shape = {
  name: 'methods of node:fs/promises',
  needs: 'stat or lstat, with mkdtemp, realpath, appendFile or opendir beside them',
  fits: (thing) => (has(thing, 'stat') || has(thing, 'lstat')) && NODES_OWN.some((name) => has(thing, name)),
  adapt: (thing) => promiseFilesystem(thing, {}),
}

export const mountx: Shape = {
  name: 'mountx driver',
  needs: 'stat, readdir, open, with capabilities or mountx',
  fits: (thing) =>
    has(thing, 'stat', 'readdir', 'open') &&
    (typeof thing['capabilities'] === 'object' || typeof thing['mountx'] === 'object'),
  adapt(thing) {
    const capabilities = (thing['capabilities'] ?? {}) as { handles?: boolean; readOnly?: boolean }
    const extensions = (thing['mountx'] ?? {}) as Thing
    const fs = promiseFilesystem(thing, {
      stableHandles: capabilities.handles === true,
      ...(capabilities.readOnly && { readOnly: true }),
    })
    const mknod = bound(extensions, 'mknod')
    return mknod === undefined ? fs : { ...fs, mknod: (path, mode, rdev) => mknod(path, mode, rdev) }
  },
}
