// Dir of node:fs/promises: a listing that is read entry by entry.
import { S_IFDIR } from '../../syscalls/index.js'
import type { Dirent } from 'node:fs'
import { posix } from 'node:path'
import { callbackify } from 'node:util'
import { ENOTDIR } from '../../index.js'
import type { Caller } from './caller.js'
import { Failure } from './failure.js'
import type { Kernel } from './kernel.js'
import { list, typeOf } from './listing.js'
import type { Listed } from './listing.js'
import { Mutex } from './mutex.js'
import type { Node } from './nodes.js'
import { decoded, text } from './paths.js'
import type { NameEncoding } from './paths.js'
import { direntOf } from './stats.js'
import { find } from './walk.js'

type Callback<T> = (error: NodeJS.ErrnoException | null, value?: T) => void

/** An open listing. `for await` closes it at the end. */
export class FsDir {
  /** As it was given to opendir. */
  readonly path: string
  readonly #caller: Caller
  readonly #kernel: Kernel
  readonly #encoding: NameEncoding
  readonly #recursive: boolean
  /** Directories whose listing goes on, the innermost last. */
  readonly #open: { path: string; node: Node; entries: AsyncGenerator<Listed> }[] = []
  /** Reads take their turns, and closing comes after them. */
  readonly #turn = new Mutex()
  #closed = false

  /** Opens `node`, which is held until the end of the listing. */
  static async open(
    caller: Caller,
    kernel: Kernel,
    node: Node,
    path: string,
    encoding: NameEncoding,
    recursive: boolean,
  ): Promise<FsDir> {
    if (node.type !== S_IFDIR) throw new Failure(ENOTDIR)
    const dir = new FsDir(caller, kernel, path, encoding, recursive)
    dir.#enter(node, path)
    await dir.#fill()
    caller.open.set(dir, path)
    return dir
  }

  /** Not for authors: use `opendir`. */
  constructor(caller: Caller, kernel: Kernel, path: string, encoding: NameEncoding, recursive: boolean) {
    this.path = path
    this.#caller = caller
    this.#kernel = kernel
    this.#encoding = encoding
    this.#recursive = recursive
  }

  #ahead: IteratorResult<Listed> | undefined

  /** The first entry is asked for at once, so that a directory which cannot be opened fails in opendir. */
  async #fill(): Promise<void> {
    try {
      this.#ahead = await this.#open[0].entries.next()
    } catch (error) {
      await this.#leave()
      throw error
    }
  }

  /** The next entry, null at the end. */
  read(): Promise<Dirent | null>
  read(done: Callback<Dirent | null>): void
  read(done?: Callback<Dirent | null>): Promise<Dirent | null> | void {
    return settled(
      this.#turn.run(() => this.#caller.run('readdir', () => this.#next(), this.path)),
      done,
    )
  }

  close(): Promise<void>
  close(done: Callback<void>): void
  close(done?: Callback<void>): Promise<void> | void {
    return settled(this.#end(), done)
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Dirent> {
    try {
      for (let entry = await this.read(); entry !== null; entry = await this.read()) yield entry
    } finally {
      if (!this.#closed) await this.close()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#closed) await this.close()
  }

  async #next(): Promise<Dirent | null> {
    if (this.#closed) throw closedError()
    for (let top = this.#open.at(-1); top !== undefined; top = this.#open.at(-1)) {
      const { value, done } = this.#ahead ?? (await top.entries.next())
      this.#ahead = undefined
      if (done === true) {
        await this.#leave()
        continue
      }
      const type = await typeOf(this.#kernel, top.node, value)
      const { path } = top
      if (this.#recursive && type === S_IFDIR)
        await this.#descend(posix.join(path, text(value.name)), top.node, value.name)
      return direntOf(decoded(value.name, this.#encoding), path, type)
    }
    return null
  }

  async #descend(path: string, parent: Node, name: string): Promise<void> {
    await this.#kernel.scoped(async (scope) => {
      const node = await find(this.#kernel, scope, name, false, parent)
      if (node.type === S_IFDIR) this.#enter(node, path)
    })
  }

  #enter(node: Node, path: string): void {
    this.#open.push({ path, node: this.#kernel.nodes.use(node), entries: list(this.#kernel, node) })
  }

  async #leave(): Promise<void> {
    const top = this.#open.pop()
    if (top === undefined) return
    await top.entries.return(undefined)
    this.#kernel.nodes.leave(top.node)
    this.#kernel.flushForgets()
  }

  /** A read is under way. */
  get busy(): boolean {
    return this.#turn.taken
  }

  /** Ends the listing, whatever its state. */
  async release(): Promise<void> {
    if (!this.#closed) await this.#end()
  }

  async #end(): Promise<void> {
    if (this.#closed) throw closedError()
    this.#closed = true
    this.#caller.open.delete(this)
    await this.#turn.run(async () => {
      while (this.#open.length > 0) await this.#leave()
    })
  }
}

function closedError(): Error {
  return Object.assign(new Error('Directory handle was closed'), { code: 'ERR_DIR_CLOSED' })
}

function settled<T>(promise: Promise<T>, done: Callback<T> | undefined): Promise<T> | void {
  if (done === undefined) return promise
  callbackify(() => promise)(done)
}
