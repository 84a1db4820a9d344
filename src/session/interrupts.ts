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

export class Interrupts {
  readonly #pending = new Map<number, Pending>()

  /** Requests whose handlers have not settled yet. */
  get size(): number {
    return this.#pending.size
  }

  /** A handler returned a promise: from now on the request can be interrupted. */
  add(request: Request): void {
    if (!this.#pending.has(request.unique)) {
      this.#pending.set(request.unique, { controller: undefined, interrupted: false })
    }
  }

  /** The request was answered. */
  delete(request: Request): void {
    if (this.#pending.size > 0) this.#pending.delete(request.unique)
  }

  /** FUSE_INTERRUPT for `unique`. Kernel: it names a request that was read from this connection before. */
  interrupt(unique: number): void {
    const pending = this.#pending.get(unique)
    if (pending === undefined) return
    pending.interrupted = true
    pending.controller?.abort(new InterruptedError('the caller was interrupted (FUSE_INTERRUPT)'))
  }

  /** The signal of a request, made on first use. */
  signalOf(request: Request): AbortSignal {
    let pending = this.#pending.get(request.unique)
    if (pending === undefined) {
      pending = { controller: undefined, interrupted: false }
      this.#pending.set(request.unique, pending)
    }
    if (pending.controller === undefined) {
      pending.controller = new AbortController()
      if (pending.interrupted) {
        pending.controller.abort(new InterruptedError('the caller was interrupted (FUSE_INTERRUPT)'))
      }
    }
    return pending.controller.signal
  }

  /** The connection is over: nobody waits for any answer any more. */
  abortAll(): void {
    for (const pending of this.#pending.values()) {
      pending.controller?.abort(new InterruptedError('the session has ended'))
    }
    this.#pending.clear()
  }
}
