// One call of a handler: its callback becomes an answer, at once where it was called at once. Here a handler that is
// late, that answers twice, that throws or that answers nonsense does no harm.
import { DevfuseWarning, ENOTCONN, ERANGE, ETIMEDOUT, describeErrno } from '../../../index.js'
import type { Errno } from '../../../index.js'
import type { Handlers, Timeout } from './types.js'

const DEFAULT_TIMEOUT_MS = 15_000
// Kernel: fuse_dev_do_write takes no error beyond -511.
const MAX_ERRNO = 511

/** What a callback was called with, behind the result. */
export type Values = readonly unknown[]

/** What is made of the answer of a handler: `result` is 0 or, where numbers are data, above. */
export type Answer<Value> = (result: number, values: Values) => Value

type AnyHandler = (this: Handlers, ...args: unknown[]) => unknown

/** A handler gave up or broke; carries the errno for the kernel, or the reason for a report. */
type Failure = { thrown: unknown }

export class HandlerCalls {
  readonly #handlers: Handlers
  readonly #timeouts: Timeout
  readonly #debug: boolean
  readonly #told = new Set<string>()
  #gate: Promise<void> | undefined
  #ended = false

  constructor(handlers: Handlers, timeout: Timeout | undefined, debug: boolean) {
    this.#handlers = handlers
    this.#timeouts = timeout ?? DEFAULT_TIMEOUT_MS
    this.#debug = debug
  }

  /** Whether there is such a handler. Other things of the same name, as in `{ force: true }`, are none. */
  has(name: keyof Handlers): boolean {
    return typeof this.#handlers[name] === 'function'
  }

  /** Calls `init`; nothing else is called before it has answered, or has taken too long. */
  init(): void {
    if (!this.has('init')) return
    const answered = (result: Errno | undefined): void => {
      if (result !== undefined)
        this.report('init', `init answered ${describeErrno(result)}, which changes nothing`)
    }
    const result = this.#call('init', [], false, () => undefined)
    if (typeof result !== 'object') {
      answered(result)
      return
    }
    this.#gate = result
      .then(answered, (error: unknown) => this.report('init', `init failed: ${messageOf(error)}`, error))
      .finally(() => (this.#gate = undefined))
  }

  /** Nothing is called any more: late requests are told so. */
  end(): void {
    this.#ended = true
  }

  /**
   * Calls handler `name`. A negative result is the answer; else `answer` makes it. A number above 0 is an answer only where it
   * is data (`counts`), elsewhere ERANGE, as libfuse has it.
   */
  ask<Value>(
    name: keyof Handlers,
    args: readonly unknown[],
    answer: Answer<Value>,
    counts = false,
  ): Value | Errno | Promise<Value | Errno> {
    if (this.#ended) return ENOTCONN
    if (this.#gate !== undefined) return this.#gate.then(() => this.ask(name, args, answer, counts))
    return this.#call(name, args, counts, answer)
  }

  #call<Value>(
    name: keyof Handlers,
    args: readonly unknown[],
    counts: boolean,
    answer: Answer<Value>,
  ): Value | Errno | Promise<Value | Errno> {
    let answered: Values | undefined
    let failed: Failure | undefined
    let wake: (() => void) | undefined
    let late = false
    const callback = (...values: unknown[]): void => {
      if (answered !== undefined || failed !== undefined) {
        if (!late)
          this.report(
            `${name} twice`,
            `${name} called its callback more than once; only the first call counts`,
          )
        return
      }
      answered = values
      wake?.()
    }
    const fail = (thrown: unknown): void => {
      if (answered !== undefined || failed !== undefined) {
        this.report(`${name} after`, `${name} failed after it had answered: ${messageOf(thrown)}`, thrown)
        return
      }
      failed = { thrown }
      wake?.()
    }
    try {
      const returned = (this.#handlers[name] as AnyHandler).call(this.#handlers, ...args, callback)
      if (isThenable(returned)) returned.then(undefined, fail)
    } catch (error) {
      fail(error)
    }
    const settle = (): Value | Errno => {
      if (failed !== undefined) {
        if (this.#debug) trace(name, args, messageOf(failed.thrown))
        throw failed.thrown
      }
      const result = this.#resultOf(name, answered?.[0], counts)
      if (this.#debug) trace(name, args, result < 0 ? describeErrno(result) : `${result}`)
      return result < 0 ? (result as Errno) : answer(result, answered?.slice(1) ?? [])
    }
    if (answered !== undefined || failed !== undefined) return settle()
    return new Promise<void>((resolve) => {
      const timeout = this.#timeoutOf(name)
      // The mount keeps the process alive; after its end nobody waits for an answer.
      const timer =
        timeout > 0
          ? setTimeout(() => {
              late = true
              answered ??= [ETIMEDOUT]
              resolve()
            }, timeout).unref()
          : undefined
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    }).then(settle)
  }

  /** Milliseconds, 0 for never; 0 and what is not named mean the default, as in fuse-native. */
  #timeoutOf(name: keyof Handlers): number {
    const all = this.#timeouts
    if (all === false) return 0
    if (typeof all === 'number') return all || DEFAULT_TIMEOUT_MS
    const one = all[name]
    return one === false ? 0 : one || all.default || DEFAULT_TIMEOUT_MS
  }

  #resultOf(name: keyof Handlers, result: unknown, counts: boolean): number {
    if (result === undefined || result === null || result === false) return 0
    if (result instanceof Error) throw result
    if (typeof result !== 'number' || !Number.isInteger(result)) {
      const what =
        typeof result === 'number' || typeof result === 'string'
          ? JSON.stringify(result)
          : `a ${typeof result}`
      throw new TypeError(
        `the handler \`${name}\` answered ${what}; a result is 0 or a negative errno (Fuse.ENOENT)`,
      )
    }
    if ((result > 0 && !counts) || result < -MAX_ERRNO) {
      this.report(
        `${name} range`,
        `${name} answered ${result}, which is no errno, so its caller gets ERANGE; errnos are negative (Fuse.ENOENT)`,
      )
      return ERANGE
    }
    return result
  }

  /** Warns of something about a handler; what has the same `key` only once. */
  report(key: string, message: string, cause?: unknown): void {
    if (this.#told.has(key)) return
    this.#told.add(key)
    process.emitWarning(new DevfuseWarning('ERR_DEVFUSE_HANDLER', `fuse-native: ${message}`, cause))
  }
}

/** As libfuse with `-o debug`: one line a call on stderr. */
function trace(name: string, args: readonly unknown[], result: string): void {
  const shown = args.map((one) =>
    one instanceof Uint8Array ? `<${one.byteLength} bytes>` : JSON.stringify(one),
  )
  process.stderr.write(`fuse-native: ${name}(${shown.join(', ')}) = ${result}\n`)
}

function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  )
}
