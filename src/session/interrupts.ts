// Cancellation: FUSE_INTERRUPT aborts the signal of the request it names, and a caller that is being killed is let
// go even when the handler does not settle. Keeps only requests that are still being answered.
import { readFileSync } from 'node:fs'
import type { AnyRequest, OperationInfo, Request } from '../protocol/index.js'

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

export class Interrupts {
  readonly #pending = new Map<number, Pending>()
  readonly #interrupted = new Set<number>()
  readonly #grace: number
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
    const pending = this.#pending.get(request.unique)
    if (pending === undefined) {
      this.#pending.set(request.unique, { controller: undefined, interrupted: false, asked })
    } else {
      pending.asked = asked
    }
  }

  /** The request was answered. */
  delete(request: Request): void {
    if (this.#pending.size > 0) this.#pending.delete(request.unique)
  }

  /**
   * FUSE_INTERRUPT for `unique`; false where it is not being answered here. Kernel: it names a request that was read from
   * this connection before.
   */
  interrupt(unique: number): boolean {
    const pending = this.#pending.get(unique)
    if (pending === undefined) return false
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
    let pending = this.#pending.get(request.unique)
    if (pending === undefined) {
      pending = { controller: undefined, interrupted: false, asked: undefined }
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

const SIGKILL_BIT = 1n << 8n

/**
 * Whether the thread `pid` has been killed. Kernel: every signal that ends a process without a core dump puts SIGKILL
 * among the pending ones of each of its threads. A caller that cannot be seen (another pid namespace) counts as killed:
 * an EINTR that may be repeated is better than a process that cannot be killed.
 */
function isDying(pid: number): boolean {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    return [...status.matchAll(/^(?:Sig|Shd)Pnd:\s*([0-9a-f]+)/gm)].some(
      ([, mask]) => (BigInt(`0x${mask}`) & SIGKILL_BIT) !== 0n,
    )
  } catch {
    return true
  }
}
