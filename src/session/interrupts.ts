// Cancellation: FUSE_INTERRUPT aborts the signal of the request it names. Keeps only requests that are
// still being answered, and makes an AbortController only for those whose handler asked for the signal.
import type { Request } from '../protocol/index.js'

interface Pending {
  controller: AbortController | undefined
  interrupted: boolean
}

/** The reason of an abort: an Error with `errno` -4 and `code` EINTR, so that rethrowing it answers EINTR. */
export class InterruptedError extends Error {
  override readonly name = 'AbortError'
  readonly errno = -4
  readonly code = 'EINTR'
}

/** Interrupts without a request that are remembered, oldest forgotten first; the kernel never uses a `unique` twice. */
const MOST_EARLY = 256

export class Interrupts {
  readonly #pending = new Map<number, Pending>()
  readonly #early = new Set<number>()

  /** Requests whose handlers have not settled yet. */
  get size(): number {
    return this.#pending.size
  }

  /** A handler returned a promise: from now on the request can be interrupted. */
  add(request: Request): void {
    if (!this.#pending.has(request.unique)) this.#track(request.unique)
  }

  /** The request was answered. */
  delete(request: Request): void {
    if (this.#pending.size > 0) this.#pending.delete(request.unique)
  }

  /**
   * FUSE_INTERRUPT for `unique`: whether it is one of ours. Kernel: it names a request that was read before, but where
   * several threads read, its handler may be called only after the interrupt has arrived.
   */
  interrupt(unique: number): boolean {
    const pending = this.#pending.get(unique)
    if (pending === undefined) {
      this.#early.add(unique)
      if (this.#early.size > MOST_EARLY) this.#early.delete(this.#early.values().next().value ?? unique)
      return false
    }
    pending.interrupted = true
    pending.controller?.abort(new InterruptedError('the caller was interrupted (FUSE_INTERRUPT)'))
    return true
  }

  /** The signal of a request, made on first use. */
  signalOf(request: Request): AbortSignal {
    const pending = this.#pending.get(request.unique) ?? this.#track(request.unique)
    if (pending.controller === undefined) {
      pending.controller = new AbortController()
      if (pending.interrupted) {
        pending.controller.abort(new InterruptedError('the caller was interrupted (FUSE_INTERRUPT)'))
      }
    }
    return pending.controller.signal
  }

  #track(unique: number): Pending {
    const pending: Pending = { controller: undefined, interrupted: false }
    this.#pending.set(unique, pending)
    if (this.#early.size > 0 && this.#early.delete(unique)) this.interrupt(unique)
    return pending
  }

  /** The connection is over: nobody waits for any answer any more. */
  abortAll(): void {
    for (const pending of this.#pending.values()) {
      pending.controller?.abort(new InterruptedError('the session has ended'))
    }
    this.#pending.clear()
  }
}
