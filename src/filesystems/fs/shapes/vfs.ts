// node:vfs (Node 26): a VirtualFileSystem, or a provider on its own.
import { copyOf } from '../attributes.js'
import type { PathFilesystem, StatsLike } from '../path-filesystem.js'
import { bound, has } from './shape.js'
import type { Shape, Thing } from './shape.js'
import { syncFilesystem } from './sync.js'

export const vfs: Shape = {
  name: 'node:vfs',
  needs: 'provider or supportsWatch, with lstatSync and openSync',
  fits: (thing) =>
    ('provider' in thing || 'supportsWatch' in thing) && has(thing, 'lstatSync', 'openSync', 'readdirSync'),
  adapt(thing) {
    const fs = syncFilesystem(thing, {
      stableHandles: true,
      ...(thing['readonly'] === true && { readOnly: true }),
    })
    return numbersAnew(thing) ? { ...fs, lstat: withoutIno(fs) } : fs
  },
}

/** Whether every look at a file gives it another inode number, as providers in memory do. */
function numbersAnew(thing: Thing): boolean {
  const lstat = bound(thing, 'lstatSync') as (path: string) => StatsLike
  return lstat('/').ino !== lstat('/').ino
}

function withoutIno(fs: PathFilesystem): PathFilesystem['lstat'] {
  return (path, caller) => {
    const stats = fs.lstat!(path, caller) as StatsLike | undefined
    return stats && { ...copyOf(stats), size: stats.size, ino: undefined }
  }
}
