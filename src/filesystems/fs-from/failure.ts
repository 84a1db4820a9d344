// Errors of the view: inside, a failure is an errno and sometimes a reason; outside, the error that node:fs would throw.
import { getSystemErrorMap, inspect } from 'node:util'
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

/** For a call's `catch`: what is not there, or what somebody else has removed meanwhile, is no failure. */
export function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}

/** The same failure, told by another call. */
export function systemErrorLike(error: unknown, syscall: string, path?: string): unknown {
  const { errno, path: own, cause } = error as NodeJS.ErrnoException
  if (typeof errno !== 'number') return error
  return systemErrorOf(cause instanceof Failure ? cause : new Failure(errno), syscall, path ?? own)
}

/** The SystemError of node:fs, of calls that refuse by themselves: `errno` is positive, and `code` a word of Node. */
export function refusal(
  code: string,
  summary: string,
  info: { errno: number; message: string; syscall: string; path: string },
): NodeJS.ErrnoException {
  const { errno, message, syscall, path } = info
  const name = errnoName(errno) ?? String(errno)
  const error = new Error(`${summary}: ${syscall} returned ${name} (${message}) ${path}`)
  error.name = 'SystemError'
  const shown = { errno: -errno, syscall, path }
  return Object.assign(error, { code, info: { ...shown, code: name, message }, ...shown })
}

/** Throws the AbortError of node:fs where a signal was aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new AbortError('The operation was aborted', { cause: signal.reason })
}

/** The TypeError of node:fs for a value that can never work. */
export function invalidArgument(name: string, value: unknown, wanted: string): TypeError {
  const error = new TypeError(`The argument '${name}' must be ${wanted}. Received ${inspect(value)}`)
  return Object.assign(error, { code: 'ERR_INVALID_ARG_VALUE' })
}

/** The TypeError of node:fs for an argument of another type. */
export function invalidType(name: string, wanted: string, value: unknown): TypeError {
  const message = `The "${name}" argument must be ${wanted}. Received ${inspect(value)}`
  return Object.assign(new TypeError(message), { code: 'ERR_INVALID_ARG_TYPE' })
}

/** The RangeError of node:fs. */
export function outOfRange(name: string, wanted: string, value: number): RangeError {
  const message = `The value of "${name}" is out of range. It must be ${wanted}. Received ${value}`
  return Object.assign(new RangeError(message), { code: 'ERR_OUT_OF_RANGE' })
}
