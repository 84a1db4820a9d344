// Runs one call of the view: waits for INIT, gives back what the call looked up, and turns failures into errors of node:fs.
import type { PathLike } from 'node:fs'
import { ENOTCONN } from '../../index.js'
import { Failure, systemErrorOf } from './failure.js'
import type { Kernel, Scope } from './kernel.js'
import { shown } from './paths.js'

/** Work that a call does. */
export type Action<T> = (kernel: Kernel, scope: Scope) => Promise<T>

/** Something that stays open between calls. */
export interface Releasable {
  /** Calls that hold it are under way, and its release waits for them. */
  readonly busy: boolean
  release(): Promise<void>
}

export class Caller {
  /** Open files and directories, and where they were opened. */
  readonly open = new Map<Releasable, string>()
  readonly #ready: Promise<Kernel>
  #ended = false

  constructor(ready: Promise<Kernel>) {
    this.#ready = ready
    // Whoever calls first hears of it.
    ready.catch(() => undefined)
  }

  /** `path` and `dest` are what an error names. */
  async run<T>(syscall: string, action: Action<T>, path?: PathLike, dest?: PathLike): Promise<T> {
    const kernel = await this.#ready
    try {
      if (this.#ended) throw new Failure(ENOTCONN)
      return await kernel.scoped((scope) => action(kernel, scope))
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      throw systemErrorOf(error, syscall, path && shown(path), dest && shown(dest))
    }
  }

  /** No further call is served; the kernel, for the end of it. */
  async end(): Promise<Kernel> {
    const kernel = await this.#ready
    this.#ended = true
    return kernel
  }
}
