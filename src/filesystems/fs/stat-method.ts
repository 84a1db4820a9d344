// How attributes are asked for: lstat, else stat, else what the listing of the directory above tells.
import { posix } from 'node:path'
import { types } from 'node:util'
import { run, wait } from './awaitable.js'
import type { Steps } from './awaitable.js'
import { nameOf } from './listing.js'
import type { Awaitable, Caller, EntryLike, PathFilesystem, StatsLike } from './path-filesystem.js'

type Lstat = (path: string, caller: Caller) => Awaitable<StatsLike | undefined | null>

export function statMethod(fs: PathFilesystem): Lstat {
  if (fs.lstat !== undefined) return (path, caller) => fs.lstat!(path, caller)
  if (fs.stat !== undefined) return (path, caller) => fs.stat!(path, caller)
  return (path, caller) => (path === '/' ? { type: 'directory' } : run(listed(fs, path, caller)))
}

function* listed(fs: PathFilesystem, path: string, caller: Caller): Steps<StatsLike | undefined> {
  if (fs.readdir === undefined) return undefined
  const wanted = posix.basename(path)
  const listing = yield* wait(fs.readdir(posix.dirname(path), caller))
  const isIt = (entry: EntryLike): boolean => nameOf(entry) === wanted
  if (!(Symbol.asyncIterator in listing)) {
    for (const entry of listing) if (isIt(entry)) return statsOf(entry)
    return undefined
  }
  const iterator = listing[Symbol.asyncIterator]()
  for (;;) {
    const { done, value } = yield* wait<IteratorResult<EntryLike>>(iterator.next())
    if (done) return undefined
    if (!isIt(value)) continue
    yield* wait(iterator.return?.())
    return statsOf(value)
  }
}

/** A name alone says no more than that there is a file. */
function statsOf(entry: EntryLike): StatsLike {
  return typeof entry === 'string' || types.isUint8Array(entry) ? { type: 'file' } : entry
}
