// Errors and warnings: what a handler throws becomes an errno for the kernel, what the library
// throws carries `errno`, `code` and `syscall` as node:fs does, and what it only reports is a DevfuseWarning.
import { inspect, types } from 'node:util'
import { describeErrno, errnoOf } from '../protocol/index.js'
import type { Errno } from '../protocol/index.js'

const EIO: Errno = -5
const EINTR: Errno = -4
// Kernel: fuse_dev_do_write refuses an answer whose error is not in -511..0.
const MAX_ERRNO = 511
/** Nobody waits for an answer of these. */
const UNANSWERED: ReadonlySet<string> = new Set(['init', 'destroy', 'forget', 'batchForget'])

/** A problem that was survived and is only reported; `code` says which, `cause` holds what was thrown. */
export class DevfuseWarning extends Error {
  readonly code: string
  override readonly name = 'DevfuseWarning'

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }
}

/** Makes a {@link DevfuseWarning}. */
export function warning(code: string, message: string, cause?: unknown): DevfuseWarning {
  return new DevfuseWarning(code, message, cause)
}

/** The platform has no FUSE: thrown off Linux. */
export class UnsupportedError extends Error {
  readonly code = 'ERR_DEVFUSE_UNSUPPORTED'
}

/** Throws an {@link UnsupportedError} off Linux; `message` says what exists on Linux only. */
export function requireLinux(
  message = `devfuse runs on Linux only: it speaks the Linux kernel's FUSE protocol, and this is ${process.platform}`,
): void {
  if (process.platform !== 'linux') throw new UnsupportedError(message)
}

/** An option, argument or combination that cannot work; the message names it and the fix. */
export class OptionError extends TypeError {
  readonly code = 'ERR_DEVFUSE_OPTION'
}

/** The option `signal` was aborted before the mount was there; `cause` is the signal's reason. Named and coded as Node's own. */
export class AbortError extends Error {
  readonly code = 'ABORT_ERR'
  override readonly name = 'AbortError'
}

/** An error of a system call, in the shape of node:fs: `errno` (negative), `code` and `syscall`. */
export interface SystemError extends Error {
  errno: number
  code: string
  syscall: string
}

/** Makes a {@link SystemError} from -errno. */
export function systemError(errno: number, syscall: string, message: string): SystemError {
  return Object.assign(new Error(message), { errno, code: describeErrno(errno), syscall })
}

/**
 * What the kernel is told about a thrown value: its `errno` (either sign) or `code` where it has one, EINTR
 * for an AbortError, undefined for anything else (answered EIO, and reported), even where it cannot be read.
 */
export function errnoFromThrown(thrown: unknown): Errno | undefined {
  try {
    return errnoIn(thrown)
  } catch {
    return undefined
  }
}

function errnoIn(thrown: unknown): Errno | undefined {
  if (typeof thrown !== 'object' || thrown === null) return undefined
  const { errno, code, name } = thrown as { errno?: unknown; code?: unknown; name?: unknown }
  if (typeof errno === 'number' && Number.isInteger(errno) && errno !== 0 && Math.abs(errno) <= MAX_ERRNO) {
    return -Math.abs(errno) as Errno
  }
  if (typeof code === 'string') {
    const known = errnoOf(code)
    if (known !== undefined) return known
    if (code === 'ABORT_ERR') return EINTR
  }
  return name === 'AbortError' ? EINTR : undefined
}

/** What is said of a thrown value in a warning: it may be anything, of any realm. */
export function messageOf(thrown: unknown): string {
  if (typeof thrown === 'string') return thrown
  try {
    const message: unknown =
      types.isNativeError(thrown) || thrown instanceof Error ? thrown.message : undefined
    if (typeof message === 'string') return message
    return inspect(thrown, { depth: 1, breakLength: Infinity })
  } catch {
    return inspect(thrown, { customInspect: false, showProxy: true, getters: false, depth: 0 })
  }
}

/** The errno for the kernel of a failure inside a handler, and whether it has to be reported. */
export function errnoForKernel(thrown: unknown): { errno: Errno; expected: boolean } {
  const errno = errnoFromThrown(thrown)
  return errno === undefined ? { errno: EIO, expected: false } : { errno, expected: true }
}

/** What is reported of such a failure. */
export function handlerWarning(name: string, thrown: unknown): DevfuseWarning {
  const told = UNANSWERED.has(name) ? '' : ' with an error that has no errno, the caller was told EIO'
  const message = `${name} failed${told}: ${messageOf(thrown)}`
  return warning('ERR_DEVFUSE_HANDLER', message, thrown)
}
