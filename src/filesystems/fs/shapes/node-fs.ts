// node:fs and node:fs/promises themselves, rooted at a directory. Nothing outside it is reached, whatever symlinks are
// put in the way: directories are walked by descriptor, and no name is followed.
import * as nodeFs from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { OptionError, describeErrno } from '../../../index.js'
import {
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
  syscalls,
} from '../../../syscalls/index.js'
import { isPromise } from '../awaitable.js'
import type { Awaitable, HandleLike, PathFilesystem } from '../path-filesystem.js'
import { handlesByNumber } from './fd-handle.js'
import { nodeShape } from './node-shape.js'
import { bound } from './shape.js'
import type { Method, Shape, Thing } from './shape.js'

const DIRECTORY = O_PATH | O_DIRECTORY | O_CLOEXEC
const ENOSYS = -38

/** Methods that follow a symlink, and have a counterpart that does not. */
const FOLLOW = new Set([
  'stat',
  'chown',
  'utimes',
  'truncate',
  'chmod',
  'readFile',
  'writeFile',
  'copyFile',
  'rm',
])
const TWO_PATHS = new Set(['rename', 'link'])

/** libuv before 1.52 cuts off what is below a microsecond; few fractions are a double, so they came out as one less. */
const CUTS = versionBelow(process.versions.uv, 1, 52)

/**
 * A time for node:fs that comes out as it was meant, to the microsecond, never as less. Node takes a number below 0 for "now", a string for
 * what it says.
 */
function exactTime(seconds: number): number | string {
  const meant = Math.round(seconds * 1e6)
  const time = CUTS ? (meant + (meant < 0 ? -0.5 : 0.5)) / 1e6 : notBefore(meant)
  return meant < 0 ? String(time) : time
}

/** The first double from so many microseconds on, in seconds. */
function notBefore(microseconds: number): number {
  const time = microseconds / 1e6
  const whole = Math.floor(time)
  const less = (time - whole) * 1e6 < microseconds - whole * 1e6
  return less ? time + Math.abs(time) * Number.EPSILON : time
}

function versionBelow(version: string, major: number, minor: number): boolean {
  const [a = 0, b = 0] = version.split('.').map(Number)
  return a < major || (a === major && b < minor)
}

/** A directory that paths are walked down from. */
class Root {
  readonly #path: string
  #fd = -1

  constructor(path: string) {
    this.#path = path
  }

  /** Calls `use` with a path to the same file that has no directory left to be exchanged. */
  at<Result>(path: string, use: (path: string) => Result): Result {
    const root = this.#open()
    if (path === '/') return use(`/proc/self/fd/${root}/.`)
    const slash = path.lastIndexOf('/')
    const name = path.slice(slash + 1)
    if (slash === 0) return use(`/proc/self/fd/${root}/${name}`)
    const fd = walk(root, path.slice(1, slash))
    if (fd < 0) throw Object.assign(new Error(`no directory of the root: ${path}`), { errno: fd })
    let result: Result
    try {
      result = use(`/proc/self/fd/${fd}/${name}`)
    } catch (error) {
      syscalls.close(fd)
      throw error
    }
    if (!isPromise(result)) {
      syscalls.close(fd)
      return result
    }
    const close = (): void => void syscalls.close(fd)
    result.then(close, close)
    return result
  }

  close(): void {
    if (this.#fd >= 0) syscalls.close(this.#fd)
    this.#fd = -1
  }

  #open(): number {
    if (this.#fd >= 0) return this.#fd
    const fd = syscalls.openat(-100, this.#path, DIRECTORY)
    if (fd < 0)
      throw Object.assign(
        new Error(`opening the directory ${this.#path} of option \`root\` says ${describeErrno(fd)}`),
        { errno: fd },
      )
    return (this.#fd = fd)
  }
}

/** Opens a directory by a path of names, none of them a symlink. Before Linux 5.6 name by name. */
function walk(root: number, path: string): number {
  const fd = syscalls.openat2(root, path, {
    flags: DIRECTORY,
    resolve: RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
  })
  if (fd !== ENOSYS) return fd
  let at = root
  for (const name of path.split('/')) {
    const next = syscalls.openat(at, name, DIRECTORY | O_NOFOLLOW)
    if (at !== root) syscalls.close(at)
    if (next < 0) return next
    at = next
  }
  return at
}

function rootedFind(thing: Thing, root: Root, suffix: string): (name: string) => Method | undefined {
  return (name) => {
    if (FOLLOW.has(name)) return undefined
    const method = bound(thing, `${name}${suffix}`)
    if (method === undefined) return undefined
    if (name === 'symlink') return (target, path) => root.at(String(path), (real) => method(target, real))
    if (TWO_PATHS.has(name))
      return (from, to) => root.at(String(from), (one) => root.at(String(to), (other) => method(one, other)))
    const call = name === 'lutimes' ? withExactTimes(method) : method
    return (path, ...rest) => root.at(String(path), (real) => call(real, ...rest))
  }
}

/** chmod(2) follows symlinks: an O_PATH descriptor of the file itself does not, and fails on one. */
function chmodAt(root: Root, chmod: Method) {
  return (path: string, mode: number): unknown =>
    root.at(path, (real) => {
      const fd = syscalls.openat(-100, real, O_PATH | O_NOFOLLOW | O_CLOEXEC)
      if (fd < 0) throw Object.assign(new Error(`chmod ${path}`), { errno: fd })
      const close = (): void => void syscalls.close(fd)
      let result: unknown
      try {
        result = chmod(`/proc/self/fd/${fd}`, mode)
      } finally {
        if (!isPromise(result)) close()
      }
      if (isPromise(result)) result.then(close, close)
      return result
    })
}

function handleOf(file: FileHandle): HandleLike {
  return {
    descriptor: file.fd,
    read: (buffer, offset, length, position) => file.read(buffer, offset, length, position),
    write: (buffer, offset, length, position) => file.write(buffer, offset, length, position),
    stat: () => file.stat({ bigint: true }),
    truncate: (size) => file.truncate(size),
    chmod: (mode) => file.chmod(mode),
    chown: (uid, gid) => file.chown(uid, gid),
    utimes: (atime, mtime) => file.utimes(exactTime(atime), exactTime(mtime)),
    sync: () => file.sync(),
    datasync: () => file.datasync(),
    close: () => file.close(),
  }
}

/**
 * Work on data goes to the library's own threads. Those of libuv may all be waiting for this very mount, in a program that
 * uses it through node:fs/promises, and would never come to answer it.
 */
function onOwnThreads(file: HandleLike): HandleLike {
  const fd = file.descriptor!
  return Object.assign(file, {
    write: async (buffer, offset, length, position) =>
      checked('write', await syscalls.pwriteAllAsync(fd, buffer.subarray(offset, offset + length), position)),
    truncate: async (size) => checked('ftruncate', await syscalls.ftruncateAsync(fd, size)),
    sync: async () => checked('fsync', await syscalls.fsyncAsync(fd)),
    datasync: async () => checked('fdatasync', await syscalls.fdatasyncAsync(fd)),
    close: async () => checked('close', await syscalls.closeAsync(fd)),
  } satisfies HandleLike)
}

function checked(syscall: string, result: number): number {
  if (result >= 0) return result
  throw Object.assign(new Error(`${syscall} failed`), { errno: result, syscall })
}

function filesystem(
  thing: Thing,
  path: string,
  suffix: 'Sync' | '',
  adjust: (file: HandleLike) => HandleLike = (file) => file,
): PathFilesystem {
  const root = new Root(path)
  const find = rootedFind(thing, root, suffix)
  const byNumber = handlesByNumber((name) => exact(bound(thing, `${name}${suffix}`), name), true)
  const open = find('open')!
  const opened = (file: unknown): HandleLike =>
    adjust(typeof file === 'number' ? byNumber(file) : handleOf(file as FileHandle))
  const options = suffix === '' ? { bigint: true } : { bigint: true, throwIfNoEntry: false }
  const traits = { stableHandles: true, cheapStat: suffix === 'Sync' }
  const openAt = (at: string, flags: number, mode: number): Awaitable<HandleLike> => {
    const file = open(at, flags | O_NOFOLLOW, mode)
    return isPromise(file) ? file.then(opened) : opened(file)
  }
  return {
    ...nodeShape(find, openAt, traits, options),
    chmod: chmodAt(root, bound(thing, `chmod${suffix}`)!),
    destroy: () => root.close(),
  }
}

function exact(method: Method | undefined, name: string): Method | undefined {
  if (method === undefined) return undefined
  if (name === 'fstat') return (fd) => method(fd, { bigint: true })
  return name === 'futimes' ? withExactTimes(method) : method
}

function withExactTimes(method: Method): Method {
  return (file, atime, mtime) => method(file, exactTime(atime as number), exactTime(mtime as number))
}

function rootOf(root: string | undefined): string {
  if (root !== undefined) return root
  throw new OptionError(
    'node:fs needs the option `root`: the directory to mount, such as `{ root: "/srv/data" }`',
  )
}

/** `node:fs`, sync unless `calls` says otherwise. */
export const nodeFsModule: Shape = {
  name: 'node:fs',
  needs: 'node:fs itself, with option `root`',
  fits: (thing) => thing['lstatSync'] === nodeFs.lstatSync,
  adapt: (_thing, { root, calls }) =>
    calls === 'async'
      ? filesystem(nodeFs.promises, rootOf(root), '')
      : filesystem(nodeFs, rootOf(root), 'Sync'),
}

export const nodeFsPromises: Shape = {
  name: 'node:fs/promises',
  needs: 'node:fs/promises itself, with option `root`',
  fits: (thing) => thing['lstat'] === nodeFs.promises.lstat,
  // Paths are looked up at once: a promise of libuv could wait for ever, see onOwnThreads.
  adapt: (thing, { root, calls }) =>
    calls === 'async'
      ? filesystem(thing, rootOf(root), '')
      : filesystem(nodeFs, rootOf(root), 'Sync', onOwnThreads),
}
