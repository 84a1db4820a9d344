// The directories that the keys of a store amount to. The list of keys is asked for again once it is a little old.
import { isPromise, then } from '../awaitable.js'
import type { Awaitable, EntryLike } from '../path-filesystem.js'

/** Milliseconds that a list of keys is believed; what goes through the mount is known at once. */
const BELIEVED = 100

/** The key of a path: `a:b` for `/a/b`. */
export function keyOf(path: string): string {
  return path.slice(1).replaceAll('/', ':')
}

type Directory = Map<string, Directory | null>

export class KeyIndex {
  readonly #getKeys: () => Awaitable<string[]>
  readonly #impossible: RegExp
  #root: Directory = new Map()
  #since = -Infinity
  #asked: PromiseLike<void> | undefined
  /** Changes so far: keys that were asked for before one of them are not believed. */
  #changes = 0

  /** `impossible` is in paths that no key can hold. */
  constructor(getKeys: () => Awaitable<string[]>, impossible: RegExp) {
    this.#getKeys = getKeys
    this.#impossible = impossible
  }

  /** What a path is; undefined where no key leads to it. */
  typeOf(path: string): Awaitable<'file' | 'directory' | undefined> {
    if (path === '/') return 'directory'
    return then(this.#fresh(false), () => {
      const found = this.#find(path)
      return found === undefined ? undefined : found === null ? 'file' : 'directory'
    })
  }

  /** The entries of a directory, asked for anew. */
  list(path: string): Awaitable<EntryLike[]> {
    return then(this.#fresh(true), () => {
      const found = this.#find(path)
      if (found === undefined || found === null) return []
      return [...found].map(
        ([name, below]) => ({ name, type: below === null ? 'file' : 'directory' }) as const,
      )
    })
  }

  added(path: string): void {
    this.#changes++
    this.#add(keyOf(path))
  }

  removed(path: string): void {
    this.#changes++
    this.#remove(this.#root, keyOf(path).split(':'), 0)
  }

  /** Throws EINVAL for a path that would come back as another one, or lead to another one's value. */
  checkPath(path: string): void {
    if (!this.#impossible.test(path)) return
    throw Object.assign(new Error(`a key of this store can't hold the path ${JSON.stringify(path)}`), {
      code: 'EINVAL',
    })
  }

  #fresh(now: boolean): Awaitable<void> {
    if (!now && performance.now() - this.#since < BELIEVED) return undefined
    if (this.#asked !== undefined) return this.#asked
    const changes = this.#changes
    const keys = this.#getKeys()
    if (!isPromise(keys)) return this.#take(keys)
    const asked = keys.then(
      (value) => {
        this.#asked = undefined
        return changes === this.#changes ? this.#take(value) : this.#fresh(true)
      },
      (error: unknown) => {
        this.#asked = undefined
        throw error
      },
    )
    this.#asked = asked
    return asked
  }

  #take(keys: readonly string[]): void {
    this.#root = new Map()
    for (const key of keys) this.#add(key.replaceAll('/', ':'))
    this.#since = performance.now()
  }

  #add(key: string): void {
    const names = key.split(':').filter((name) => name !== '')
    let at = this.#root
    for (const name of names.slice(0, -1)) {
      let next = at.get(name)
      // A key that others begin with is a file and a directory: only one can be shown, and the directory loses nothing.
      if (next === undefined || next === null) at.set(name, (next = new Map()))
      at = next
    }
    const last = names.at(-1)
    if (last !== undefined && !at.has(last)) at.set(last, null)
  }

  #remove(at: Directory, names: readonly string[], depth: number): void {
    const name = names[depth]
    const next = at.get(name)
    if (depth === names.length - 1) {
      if (next === null) at.delete(name)
      return
    }
    if (next === undefined || next === null) return
    this.#remove(next, names, depth + 1)
    if (next.size === 0) at.delete(name)
  }

  #find(path: string): Directory | null | undefined {
    let at: Directory | null | undefined = this.#root
    if (path === '/') return at
    for (const name of path.slice(1).split('/')) at = at?.get(name)
    return at
  }
}
