// unstorage: drivers and storages, where a path is a key with colons and a directory is what keys begin with.
import { isPromise, then } from '../awaitable.js'
import type { Awaitable, EntryLike, PathFilesystem, StatsLike } from '../path-filesystem.js'
import { KeyIndex, keyOf } from './key-index.js'
import { bound, has } from './shape.js'
import type { Method, Shape } from './shape.js'

/** How unstorage marks bytes in drivers that hold text only. */
const BASE64 = 'base64:'

function bytesOf(value: unknown): Buffer {
  if (value === null || value === undefined)
    throw Object.assign(new Error('the key has no value'), { code: 'ENOENT' })
  if (typeof value === 'string')
    return value.startsWith(BASE64) ? Buffer.from(value.slice(BASE64.length), 'base64') : Buffer.from(value)
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
  if (value instanceof ArrayBuffer) return Buffer.from(value)
  // Numbers, objects: what the storage itself would have written.
  return Buffer.from(JSON.stringify(value))
}

export const unstorage: Shape = {
  name: 'unstorage driver or storage',
  needs: 'getKeys, hasItem and getItem',
  fits: (thing) => has(thing, 'getKeys', 'hasItem', 'getItem'),
  adapt(thing) {
    const getRaw = bound(thing, 'getItemRaw') ?? bound(thing, 'getItem')!
    const setRaw = bound(thing, 'setItemRaw')
    const setText = bound(thing, 'setItem')
    const removeItem = bound(thing, 'removeItem')
    const getMeta = bound(thing, 'getMeta')
    const getKeys = bound(thing, 'getKeys') as () => Awaitable<string[]>
    const { name, options } = thing as { name?: unknown; options?: { readOnly?: boolean } }
    // A storage has no name; it drops what follows `?` from keys, and keeps its own under `$`.
    const impossible = typeof name === 'string' ? /:|\.\.(?:\/|$)/ : /[:?\\]|\$$|\.\.(?:\/|$)/
    const index = new KeyIndex(() => getKeys(), impossible)
    const read = (path: string): Awaitable<Buffer> => {
      const value = getRaw(keyOf(path), {})
      return isPromise(value) ? value.then(bytesOf) : bytesOf(value)
    }
    const fs: PathFilesystem & Record<string, unknown> = {
      lstat: (path) => then(index.typeOf(path), (type) => statsOf(path, type)),
      readdir: (path) => then(index.list(path), (entries): EntryLike[] | Promise<never> => entries),
      readFile: (path) => read(path),
    }
    const set: Method | undefined =
      setRaw ?? (setText && ((key, value) => setText(key, BASE64 + (value as Buffer).toString('base64'), {})))
    if (set !== undefined && removeItem !== undefined && options?.readOnly !== true) {
      Object.assign(fs, {
        checkPath: (path: string) => index.checkPath(path),
        writeFile: (path: string, data: Uint8Array) => {
          index.checkPath(path)
          return then(set(keyOf(path), data, {}), () => index.added(path))
        },
        unlink: (path: string) => then(removeItem(keyOf(path), {}), () => index.removed(path)),
      } satisfies PathFilesystem)
    }
    return fs

    function statsOf(path: string, type: 'file' | 'directory' | undefined): Awaitable<StatsLike | undefined> {
      if (type !== 'file') return type && { type }
      if (getMeta === undefined) return sized(path, {})
      return then(
        getMeta(keyOf(path), { nativeOnly: true }) as Awaitable<Partial<StatsLike> | null>,
        (meta) => {
          const { size, mtime, atime, ctime } = meta ?? {}
          return size === undefined
            ? sized(path, { mtime, atime, ctime })
            : { type: 'file', size, mtime, atime, ctime }
        },
      )
    }

    /** Programs such as git go by the size: without it in the metadata, the value is read. */
    function sized(path: string, stats: StatsLike): Awaitable<StatsLike | undefined> {
      return then(read(path), ({ byteLength }) => ({ ...stats, type: 'file', size: byteLength }))
    }
  },
}
