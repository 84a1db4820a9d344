// A directory of a filesystem as its root.
import { posix } from 'node:path'
import type { PathFilesystem } from '../path-filesystem.js'
import { bound } from './shape.js'
import type { Method, Thing } from './shape.js'

type Name = keyof PathFilesystem

const TRAITS: readonly Name[] = ['readOnly', 'stableHandles', 'cheapStat', 'checksPermissions']
const WITHOUT_PATH: readonly Name[] = ['init', 'destroy']
/** Methods whose first two arguments are paths. */
const TWO_PATHS: readonly Name[] = ['rename', 'link', 'copyFile']
const ONE_PATH: readonly Name[] = [
  'checkPath',
  'lstat',
  'stat',
  'readdir',
  'readlink',
  'readFile',
  'createReadStream',
  'writeFile',
  'open',
  'mkdir',
  'rmdir',
  'unlink',
  'rm',
  'mknod',
  'chmod',
  'lchown',
  'chown',
  'lutimes',
  'utimes',
  'truncate',
  'access',
  'statfs',
  'getxattr',
  'setxattr',
  'listxattr',
  'removexattr',
]

export function rooted(fs: PathFilesystem, root: string): PathFilesystem {
  const base = posix.normalize(root).replace(/\/+$/, '')
  if (base === '') return fs
  const at = (path: string): string => (path === '/' ? base : base + path)
  const made: Record<string, unknown> = {}
  const wire = (names: readonly Name[], call: (method: Method) => Method): void => {
    for (const name of names) {
      const method = bound(fs as unknown as Thing, name)
      if (method !== undefined) made[name] = call(method)
    }
  }
  for (const name of TRAITS) if (fs[name] !== undefined) made[name] = fs[name]
  wire(WITHOUT_PATH, (method) => method)
  wire(
    ONE_PATH,
    (method) =>
      (path, ...rest) =>
        method(at(String(path)), ...rest),
  )
  wire(
    TWO_PATHS,
    (method) =>
      (from, to, ...rest) =>
        method(at(String(from)), at(String(to)), ...rest),
  )
  wire(
    ['symlink'],
    (method) =>
      (target, path, ...rest) =>
        method(target, at(String(path)), ...rest),
  )
  return made
}
