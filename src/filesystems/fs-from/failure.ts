// Errors of the view: inside, a failure is an errno and sometimes a reason; outside, the error that node:fs would throw.
import { getSystemErrorMap } from 'node:util'
import { AbortError, EIO, errnoName } from '../../index.js'

/** A call failed with `errno` (negative). `reason` explains what only this library can know. */
export class Failure extends Error {
  readonly errno: number

  constructor(errno: number, reason?: string, cause?: unknown) {
    super(reason ?? errnoName(errno), cause === undefined ? undefined : { cause })
    this.errno = errno
  }
}

/** An answer that the kernel would not take: its caller gets EIO, and here the reason as well. */
export class BadReply extends Failure {
  constructor(reason: string, cause?: unknown) {
    super(EIO, reason, cause)
  }
}

/** Throws a {@link Failure} unless `errno` is 0. */
export function check(errno: number): void {
  if (errno !== 0) throw new Failure(errno)
}

/** The error of node:fs for a failed call: `code`, negative `errno`, `syscall`, `path` and `dest`. */
export function systemErrorOf(
  failure: Failure,
  syscall: string,
  path?: string,
  dest?: string,
): NodeJS.ErrnoException {
  const { errno } = failure
  const [name, text] = getSystemErrorMap().get(errno) ?? []
  const code = errnoName(errno) ?? name ?? `Unknown system error ${errno}`
  const where = path === undefined ? '' : ` '${path}'${dest === undefined ? '' : ` -> '${dest}'`}`
  const error: NodeJS.ErrnoException = new Error(
    `${code}: ${text ?? `error ${-errno}`}, ${syscall}${where}`,
    failure instanceof BadReply ? { cause: failure } : undefined,
  )
  error.errno = errno
  error.code = code
  error.syscall = syscall
  if (path !== undefined) error.path = path
  if (dest !== undefined) Object.assign(error, { dest })
  return error
}

/** Throws the AbortError of node:fs where a signal was aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortError('The operation was aborted', { cause: signal.reason })
}

/** The TypeError of node:fs for an argument that can never work. */
export function invalidArgument(name: string, value: unknown, wanted: string): TypeError {
  const shown = typeof value === 'string' ? JSON.stringify(value) : String(value)
  const error = new TypeError(`The argument '${name}' must be ${wanted}. Received ${shown}`)
  return Object.assign(error, { code: 'ERR_INVALID_ARG_VALUE' })
}
