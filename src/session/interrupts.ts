// Cancellation: FUSE_INTERRUPT aborts the signal of the request it names, and a caller that is being killed is let
// go even when the handler does not settle. Keeps only requests that are still being answered.
import type { AnyRequest, OperationInfo, Request, RequestContext } from '../protocol/index.js'
import { groupsOf, isDying } from './caller.js'

interface Pending {
  controller: AbortController | undefined
  interrupted: boolean
  /** What was asked, once its handler has returned a promise. */
  asked: Asked | undefined
}

/** A request whose handler has not settled yet. */
export interface Asked {
  request: AnyRequest
  info: OperationInfo
  /** When it was read. */
  since: number
}

/** The reason of an abort: an Error with `errno` -4 and `code` EINTR, so that rethrowing it answers EINTR. */
export class InterruptedError extends Error {
  override readonly name = 'AbortError'
  readonly errno = -4
  readonly code = 'EINTR'
}

/** Interrupts without a request that are remembered, oldest forgotten first; the kernel never uses a `unique` twice. */
const MOST_EARLY = 256

const ANSWERED: RequestContext = {
  signalOf: () => AbortSignal.abort(new InterruptedError('the request has been answered already')),
  groupsOf,
}

export class Interrupts {
  readonly #pending = new Map<number, Pending>()
  readonly #early = new Set<number>()
  readonly #interrupted = new Set<number>()
  readonly #grace: number
  #ended = false
  readonly #letGo: (asked: Asked) => void
  #timer: NodeJS.Timeout | undefined

  /**
   * `grace` is how long an interrupted handler has to settle, in milliseconds; after that `letGo` answers in its place,
   * as soon as the caller is being killed.
   */
  constructor(grace: number, letGo: (asked: Asked) => void) {
    this.#grace = grace
    this.#letGo = letGo
  }

  /** Requests whose handlers have not settled yet. */
  get size(): number {
    return this.#pending.size
  }

  /** A handler returned a promise: from now on the request can be interrupted. */
  add(request: AnyRequest, info: OperationInfo, since: number): void {
    const asked = { request, info, since }
    const pending = this.#pending.get(request.unique) ?? this.#track(request.unique)
    pending.asked = asked
  }

  /** The request was answered. */
  delete(request: Request): void {
    if (this.#pending.size > 0) this.#pending.delete(request.unique)
    // Whoever asks for the signal from now on must neither wait for it nor be remembered.
    ;(request as { context: RequestContext }).context = ANSWERED
  }

  /**
   * FUSE_INTERRUPT for `unique`; false where it is not being answered here. Kernel: it names a request that was read
   * before, but where several threads read, its handler may be called only after the interrupt has arrived.
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
    // Kernel: one INTERRUPT is all that is ever sent for a request, and any signal causes it; that the caller is killed
    // later is not told again. So we look for ourselves from now on.
    this.#interrupted.add(unique)
    this.#timer ??= setInterval(() => this.#check(), this.#grace).unref()
    return true
  }

  /** The signal of a request, made on first use. */
  signalOf(request: Request): AbortSignal {
    if (this.#ended) return AbortSignal.abort(new InterruptedError('the session has ended'))
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
    const pending: Pending = { controller: undefined, interrupted: false, asked: undefined }
    this.#pending.set(unique, pending)
    if (this.#early.size > 0 && this.#early.delete(unique)) this.interrupt(unique)
    return pending
  }

  /** The connection is over: nobody waits for any answer any more. */
  abortAll(): void {
    this.#ended = true
    for (const pending of this.#pending.values()) {
      pending.controller?.abort(new InterruptedError('the session has ended'))
    }
    this.#pending.clear()
    this.#interrupted.clear()
    this.#stop()
  }

  #check(): void {
    for (const unique of this.#interrupted) {
      const asked = this.#pending.get(unique)?.asked
      if (asked !== undefined && !isDying(asked.request.pid)) continue
      this.#interrupted.delete(unique)
      if (asked === undefined) continue
      this.#pending.delete(unique)
      this.#letGo(asked)
    }
    if (this.#interrupted.size === 0) this.#stop()
  }

  #stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
