// memfs, whose tree has ways of its own: a rename follows a symlink and miscounts what it replaces, and chmod sets the time
// of change.
import { isPromise, run, wait } from '../awaitable.js'
import type { Steps } from '../awaitable.js'
import { typeOf } from '../attributes.js'
import type { Caller, PathFilesystem, StatsLike } from '../path-filesystem.js'
import { S_IFDIR, S_IFLNK } from '../../../syscalls/index.js'
import { promiseFilesystem } from './promises.js'
import { has } from './shape.js'
import type { Shape, Thing } from './shape.js'
import { syncFilesystem } from './sync.js'
import { isMemfs, traitsOf } from './traits.js'

/** The filesystem, with renames and chmod that do what they say. */
export function withMemfsWays(fs: PathFilesystem): PathFilesystem {
  function* rename(from: string, to: string, caller: Caller): Steps<void> {
    const source = yield* wait(fs.lstat!(from, caller))
    const target = yield* wait(statsOrNothing(to, caller))
    if (target) yield* wait(typeOf(target) === S_IFDIR ? fs.rmdir!(to, caller) : fs.unlink!(to, caller))
    if (source && typeOf(source) === S_IFLNK) {
      const link = yield* wait(fs.readlink!(from, caller))
      yield* wait(fs.symlink!(String(link), to, null, caller))
      yield* likeBefore(to, source, caller)
      yield* wait(fs.unlink!(from, caller))
    } else {
      yield* wait(fs.rename!(from, to, caller))
    }
  }

  /** Owner and times of a symlink that was made anew. It moves all the same where they may not be set. */
  function* likeBefore(path: string, before: StatsLike, caller: Caller): Steps<void> {
    const { uid, gid, atimeMs, mtimeMs } = before
    try {
      if (uid !== undefined && gid !== undefined)
        yield* wait(fs.lchown?.(path, Number(uid), Number(gid), caller))
      if (atimeMs !== undefined && mtimeMs !== undefined)
        yield* wait(fs.lutimes?.(path, Number(atimeMs) / 1000, Number(mtimeMs) / 1000, caller))
    } catch {
      // An owner may be nobody's to give.
    }
  }

  function* chmod(path: string, mode: number, caller: Caller): Steps<void> {
    const stats = yield* wait(fs.lstat!(path, caller))
    yield* wait(fs.chmod!(path, mode, caller))
    if (stats?.mtimeMs !== undefined && stats.atimeMs !== undefined)
      yield* wait(fs.utimes!(path, Number(stats.atimeMs) / 1000, Number(stats.mtimeMs) / 1000, caller))
  }

  function statsOrNothing(path: string, caller: Caller): ReturnType<NonNullable<PathFilesystem['lstat']>> {
    try {
      const stats = fs.lstat!(path, caller)
      return isPromise(stats)
        ? stats.then(
            (value) => value,
            () => undefined,
          )
        : stats
    } catch {
      return undefined
    }
  }

  return {
    ...fs,
    rename: (from, to, caller) => run(rename(from, to, caller)),
    chmod: (path, mode, caller) => run(chmod(path, mode, caller)),
    open: (path, flags, mode, caller) => {
      const opened = fs.open!(path, flags, mode, caller)
      return isPromise(opened) ? opened.then(withoutChmod) : withoutChmod(opened)
    },
  }
}

/** Changing the mode by path is what {@link withMemfsWays} sees to. */
function withoutChmod<Handle extends object>(handle: Handle): Handle {
  return Object.assign(handle, { chmod: undefined })
}

export const memfs: Shape = {
  name: 'memfs',
  needs: 'lstatSync and openSync of a memfs volume',
  fits: (thing) => isMemfs(thing) && has(thing, 'lstatSync', 'openSync', 'renameSync'),
  adapt: (thing, { calls }) =>
    withMemfsWays(
      calls === 'async' && typeof thing['promises'] === 'object'
        ? promiseFilesystem(thing['promises'] as Thing, traitsOf(thing))
        : syncFilesystem(thing, traitsOf(thing)),
    ),
}

/** The volume that promises of memfs carry. */
function volumeOf(promises: Thing): Thing | undefined {
  const volume = promises['fs'] as Thing | undefined | null
  return typeof volume === 'object' && volume !== null && isMemfs(volume) ? volume : undefined
}

function promisesIn(thing: Thing): Thing {
  return (thing['promises'] ?? thing) as Thing
}

export const memfsPromises: Shape = {
  name: 'promises of memfs',
  needs: 'lstat and open of a memfs volume’s promises',
  fits(thing) {
    const promises = promisesIn(thing)
    return volumeOf(promises) !== undefined && has(promises, 'lstat', 'open', 'rename')
  },
  adapt(thing) {
    const promises = promisesIn(thing)
    return withMemfsWays(promiseFilesystem(promises, traitsOf(volumeOf(promises)!)))
  },
}
