// Objects with the methods of node:fs, of whatever kind (sync, promise, callback): one table from their names and arguments to
// ours.
import type { HandleLike, PathFilesystem } from '../path-filesystem.js'
import type { Method } from './shape.js'

/** Finds a method by its name in node:fs/promises. */
export type Find = (name: string) => Method | undefined

/** Opens a file; the arguments of node. */
export type Open = (path: string, flags: number, mode: number) => unknown

type Draft = { -readonly [Key in keyof PathFilesystem]: PathFilesystem[Key] }

/** How a method of ours is called, given the object's. */
const CALLS: { [Key in keyof PathFilesystem]?: (method: Method) => PathFilesystem[Key] } = {
  stat: (method) => (path) => method(path) as never,
  readdir: (method) => (path) => method(path, { withFileTypes: true }) as never,
  readlink: (method) => (path) => method(path) as never,
  readFile: (method) => (path) => method(path) as never,
  writeFile: (method) => (path, data, options) => method(path, data, options),
  mkdir: (method) => (path, options) => method(path, options),
  rmdir: (method) => (path) => method(path),
  unlink: (method) => (path) => method(path),
  rm: (method) => (path, options) => method(path, options),
  rename: (method) => (from, to) => method(from, to),
  link: (method) => (existing, path) => method(existing, path),
  symlink: (method) => (target, path) => method(target, path),
  chmod: (method) => (path, mode) => method(path, mode),
  chown: (method) => (path, uid, gid) => method(path, uid, gid),
  lchown: (method) => (path, uid, gid) => method(path, uid, gid),
  utimes: (method) => (path, atime, mtime) => method(path, atime, mtime),
  lutimes: (method) => (path, atime, mtime) => method(path, atime, mtime),
  truncate: (method) => (path, size) => method(path, size),
  copyFile: (method) => (from, to, mode) => method(from, to, mode),
  statfs: (method) => (path) => method(path) as never,
}

/** A filesystem of what is found; `lstat` is called with `statOptions` where there are any. */
export function nodeShape(
  find: Find,
  open: Open | undefined,
  traits: Pick<PathFilesystem, 'readOnly' | 'stableHandles' | 'cheapStat' | 'checksPermissions'>,
  statOptions?: object,
): PathFilesystem {
  const fs: Draft = { ...traits }
  for (const [name, wire] of Object.entries(CALLS)) {
    const method = find(name)
    if (method !== undefined) Object.assign(fs, { [name]: (wire as (method: Method) => unknown)(method) })
  }
  const lstat = find('lstat') ?? find('stat')
  if (lstat !== undefined)
    fs.lstat = (
      statOptions === undefined ? (path) => lstat(path) : (path) => lstat(path, statOptions)
    ) as Draft['lstat']
  if (open !== undefined) fs.open = (path, flags, mode) => open(path, flags, mode) as HandleLike
  return fs
}
