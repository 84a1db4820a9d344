// The calls of node:fs/promises that make and list many paths: recursive mkdir and readdir, and temporary directories.
import { randomInt } from 'node:crypto'
import { posix } from 'node:path'
import type { Dirent, MakeDirectoryOptions, PathLike } from 'node:fs'
import { EEXIST, ENOTDIR } from '../../index.js'
import { S_IFDIR } from '../../syscalls/index.js'
import { booleanOf, modeOf } from './arguments.js'
import type { Caller } from './caller.js'
import type { calls } from './calls.js'
import { Failure, systemErrorLike, systemErrorOf } from './failure.js'
import { list, typeOf } from './listing.js'
import type { Listed } from './listing.js'
import { anyBytesOf, bytesOf, decoded, encodingOf, shown, text, under, wire } from './paths.js'
import type { NameEncoding } from './paths.js'
import { direntOf } from './stats.js'
import { find } from './walk.js'

type Calls = ReturnType<typeof calls>

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

/** How much types of entries matter, which may take a lookup each. */
type Types = 'needed' | 'helpful' | 'unused'

/** Makes the calls on top of those about one path. */
export function trees(caller: Caller, view: Calls) {
  /** Every directory on the way that is missing; the first one made, undefined where all were there. */
  async function mkdirAll(path: string, mode: number): Promise<string | undefined> {
    try {
      await view.mkdirOne(wire(path), mode)
      return path
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') {
        const parent = parentPath(path)
        if (parent === path) throw error
        const first = await mkdirAll(parent, mode)
        await mkdirAll(path, mode)
        return first
      }
      const there = await view.stat(wire(path)).catch(() => undefined)
      if (there === undefined) throw error
      if (there.isDirectory()) return undefined
      throw systemErrorOf(new Failure(code === 'EEXIST' ? EEXIST : ENOTDIR), 'mkdir', text(path))
    }
  }

  /** What is in a directory, with types (S_IFMT, 0 for an unknown one) as far as they matter. */
  function entriesOf(path: PathLike, types: Types): Promise<Listed[]> {
    return caller.run(
      'scandir',
      async (kernel, scope) => {
        const node = await find(kernel, scope, bytesOf(path), true)
        const entries: Listed[] = []
        for await (const entry of list(kernel, node)) {
          const type = types === 'unused' ? Promise.resolve(0) : typeOf(kernel, node, entry)
          entries.push({ ...entry, type: await (types === 'helpful' ? ignoringFailures(type) : type) })
        }
        return entries
      },
      path,
    )
  }

  return {
    async mkdir(
      path: PathLike,
      options?: number | string | (MakeDirectoryOptions & { mode?: number | string }) | null,
    ): Promise<string | undefined> {
      const given = typeof options === 'object' && options !== null ? options : { mode: modeAlone(options) }
      const mode = modeOf(given.mode, 0o777)
      if (booleanOf(given.recursive, 'options.recursive')) {
        const first = await mkdirAll(anyBytesOf(path), mode)
        return first === undefined ? undefined : text(first)
      }
      await view.mkdirOne(path, mode)
      return undefined
    },

    async readdir(
      path: PathLike,
      options?:
        | NameEncoding
        | { encoding?: NameEncoding | null; withFileTypes?: boolean; recursive?: boolean }
        | null,
    ): Promise<(string | Buffer)[] | Dirent[]> {
      const encoding = encodingOf(options)
      const given = typeof options === 'object' && options !== null ? options : {}
      const types = given.withFileTypes ? 'needed' : given.recursive ? 'helpful' : 'unused'
      const top = anyBytesOf(path)
      const found: (Listed & { below: string })[] = []
      const pending = ['']
      for (let below = pending.shift(); below !== undefined; below = pending.shift()) {
        for (const entry of await entriesOf(below === '' ? path : wire(under(top, below)), types)) {
          found.push({ ...entry, below })
          if (given.recursive && entry.type === S_IFDIR)
            pending.push(below === '' ? entry.name : under(below, entry.name))
        }
      }
      if (!given.withFileTypes)
        return found.map(({ name, below }) => decoded(below === '' ? name : under(below, name), encoding))
      const parent = (below: string): string =>
        below === '' ? shown(path) : posix.join(shown(path), text(below))
      return found.map(({ name, below, type }) => direntOf(decoded(name, encoding), parent(below), type))
    },

    async mkdtemp(prefix: PathLike, options?: unknown): Promise<string | Buffer> {
      const encoding = encodingOf(options)
      const start = anyBytesOf(prefix, 'prefix')
      for (;;) {
        const random = Array.from({ length: 6 }, () => LETTERS[randomInt(LETTERS.length)]).join('')
        try {
          await view.mkdirOne(wire(start + random), 0o700)
          return decoded(start + random, encoding)
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EEXIST')
            throw systemErrorLike(error, 'mkdtemp', `${shown(prefix)}XXXXXX`)
        }
      }
    },
  }
}

const ignoringFailures = (type: Promise<number>): Promise<number> =>
  type.catch((error: unknown) => {
    if (error instanceof Failure) return 0
    throw error
  })

/** Where the options of mkdir are a mode alone. */
const modeAlone = (mode: number | string | null | undefined): number | string | undefined =>
  typeof mode === 'number' || typeof mode === 'string' ? mode : undefined

function parentPath(path: string): string {
  const trimmed = path.replace(/(?<=.)\/+$/, '')
  const slash = trimmed.lastIndexOf('/')
  return slash < 0 ? '.' : slash === 0 ? '/' : trimmed.slice(0, slash)
}
