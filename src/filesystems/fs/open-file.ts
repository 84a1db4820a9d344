// One open file: the object's handle, opened anew where a rename left it behind, or the content in memory.
import {
  O_ACCMODE,
  O_RDONLY,
  O_CREAT,
  O_EXCL,
  O_TRUNC,
  O_APPEND,
  O_DSYNC,
  O_SYNC,
} from '../../syscalls/index.js'
import { isPromise } from './awaitable.js'
import type { Awaitable, Caller, HandleLike, PathFilesystem } from './path-filesystem.js'
import type { PathNode } from './path-node.js'
import type { StreamReader } from './stream-reader.js'

/** What an object is told of the flags of open(2): the kernel and we see to the rest. */
const PASSED_ON = O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_APPEND | O_DSYNC | O_SYNC
const ONCE = O_CREAT | O_EXCL | O_TRUNC

export function flagsForObject(flags: number): number {
  return flags & PASSED_ON
}

/** Whether opening with `flags` is a change, or may lead to one: O_TRUNC is, whatever the access mode. */
export function changes(flags: number): boolean {
  return (flags & O_ACCMODE) !== O_RDONLY || (flags & O_TRUNC) !== 0
}

export class OpenFile {
  readonly node: PathNode
  readonly flags: number
  /** End of what was written through it, for objects that tell sizes late. */
  written = 0
  reader: StreamReader | undefined
  /** The same file, opened to write at positions, where this one appends. */
  positioned: OpenFile | undefined
  #handle: HandleLike | undefined
  /** The handle that is being opened; all who need it wait for the same one. */
  #opening: PromiseLike<HandleLike> | undefined
  /** Calls on the handle that have not settled. */
  readonly #pending = new Set<PromiseLike<unknown>>()

  constructor(node: PathNode, flags: number, handle?: HandleLike) {
    this.node = node
    this.flags = flags
    this.#handle = handle
    ;(node.opens ??= new Set()).add(this)
  }

  get writable(): boolean {
    return (this.flags & O_ACCMODE) !== O_RDONLY
  }

  /** Whether closing it may have something to save. */
  get changes(): boolean {
    return changes(this.flags)
  }

  get appends(): boolean {
    return (this.flags & O_APPEND) !== 0
  }

  /** One that writes at positions: another that is open (a file without a name can't be opened again), or {@link positioned}. */
  get atPositions(): OpenFile {
    for (const other of this.node.opens ?? [])
      if (other.writable && !other.appends && other.handle !== undefined) return other
    return this.ownPositions
  }

  /** {@link positioned}, made when first needed. */
  get ownPositions(): OpenFile {
    return (this.positioned ??= new OpenFile(this.node, this.flags & ~O_APPEND))
  }

  /** The handle, undefined where it has to be opened first or there is none. */
  get handle(): HandleLike | undefined {
    return this.#handle
  }

  /** The handle, opened again under the file's present path where that is needed. */
  reopened(fs: PathFilesystem, caller: Caller): Awaitable<HandleLike> {
    if (this.#handle !== undefined) return this.#handle
    if (this.#opening !== undefined) return this.#opening
    const opened = fs.open!(this.node.path, flagsForObject(this.flags & ~ONCE), 0, caller)
    if (!isPromise(opened)) return (this.#handle = opened)
    const opening = opened.then((handle) => {
      // Let go of meanwhile, it is closed by who did that.
      if (this.#opening === opening) this.#handle = handle
      return handle
    })
    const ended = (): void => {
      if (this.#opening === opening) this.#opening = undefined
    }
    opening.then(ended, ended)
    return (this.#opening = this.track(opening))
  }

  /** Notes a call that a close has to wait for. */
  track<Value>(call: PromiseLike<Value>): PromiseLike<Value> {
    this.#pending.add(call)
    const settled = (): void => void this.#pending.delete(call)
    call.then(settled, settled)
    return call
  }

  /** Closes the handle; the next use opens another one. */
  letGo(): Awaitable<unknown> {
    const handle = this.#handle ?? this.#opening
    if (handle === undefined) return undefined
    this.#handle = undefined
    this.#opening = undefined
    const close = (it: HandleLike): unknown => it.close?.()
    if (isPromise(handle))
      return Promise.allSettled(this.#pending).then(() => handle.then(close, () => undefined))
    if (this.#pending.size === 0) return close(handle)
    return Promise.allSettled(this.#pending).then(() => close(handle))
  }

  /** No more an open file of its node. */
  leave(): void {
    const { opens } = this.node
    opens?.delete(this)
    if (opens?.size === 0) this.node.opens = undefined
  }
}
