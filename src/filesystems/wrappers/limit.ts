// limit(): a filesystem that is slower, or smaller, than it is.
import { EIO, ENOSPC, OptionError } from '../../index.js'
import type { HandlerName } from '../../protocol/index.js'
import { checkNames, checkOption, isWithin } from './checks.js'
import { attempt, forOneThread, served, wrap } from './proxy.js'
import type { AnyCall, AnyFilesystem, Next } from './proxy.js'
import { Rates } from './rates.js'
import { Space } from './space.js'

/** Options of {@link limit}; what is left out is not limited. */
export interface LimitOptions {
  /**
   * Bytes that reads and writes may move in a second. A second's worth may be moved at once. A write begins when all that it brings
   * may be moved. What a read moves shows in its answer only, so one that asks for more than a second's worth begins as soon as
   * that much may be moved, and those behind it wait for the rest. What was not moved after all (the end of the file, a short
   * write, a failure) does not count. An answer `{ fd, offset, size }` counts with its `size`, though the file may end before.
   */
  bytesPerSecond?: number
  /** Requests in a second, FORGET not counted. */
  operationsPerSecond?: number
  /** Bytes that all files together may hold. */
  size?: number
  /** Bytes that they hold already; goes with `size`. Default 0. */
  used?: number
}

/**
 * Limits the rate and the size of `inner`. What exceeds the rate waits, in order; a caller that is interrupted meanwhile gets EINTR, costs
 * nothing, and those behind it move up. What would exceed the size is ENOSPC, and statfs tells the limit and what is left of it.
 * Counted is by how much files grow and shrink through this wrapper, beginning with `used`; a file that is removed gives its bytes
 * back with its last FORGET. Files are opened without passthrough where `inner` has handlers for reading and writing, so that they
 * can be met. Several threads would each count by themselves, so the result is not `shareable`.
 *
 * ```ts
 * await mount('/mnt', limit(filesystem, { bytesPerSecond: 1e6, size: 100 * 2 ** 20 }))
 * ```
 *
 * Throws an OptionError for a limit that is no number above 0, or not known.
 */
export function limit<Fs extends AnyFilesystem>(inner: Fs, options: LimitOptions): Fs {
  checkNames('limit()', options, ['bytesPerSecond', 'operationsPerSecond', 'size', 'used'])
  const { used, ...limits } = options
  const { bytesPerSecond, operationsPerSecond, size } = limits
  const isLimit = (value: unknown): boolean => value !== 0 && isWithin(0, Number.MAX_VALUE)(value)
  for (const [name, value] of Object.entries(limits))
    if (value !== undefined)
      checkOption('limit()', name, value, 'a number above 0, or left out for no limit', isLimit)
  if (used !== undefined) {
    checkOption('limit()', 'used', used, 'a number of bytes, 0 or more', isWithin(0, Number.MAX_VALUE))
    if (size === undefined) throw new OptionError('option `used` of limit() says nothing without `size`')
  }
  const rates = new Rates(operationsPerSecond, bytesPerSecond)
  const space = size === undefined ? undefined : new Space(size, used ?? 0)

  const answered = (name: HandlerName, request: AnyCall, answer: unknown, reserved: number): unknown => {
    const told = space === undefined ? answer : space.learn(name, request, answer, reserved)
    if (name === 'statfs' && space !== undefined && typeof told !== 'number') return space.statfs(told ?? {})
    return name === 'open' || name === 'create' || name === 'tmpfile' ? served(inner, told) : told
  }
  const work = (name: HandlerName, request: AnyCall, next: Next): unknown => {
    const reserved = space === undefined ? 0 : space.reserve(name, request)
    if (reserved === undefined) return ENOSPC
    const failed = (error: unknown): never => {
      space?.learn(name, request, EIO, reserved)
      throw error
    }
    return attempt(next, (answer) => answered(name, request, answer, reserved), failed)
  }

  const limited = wrap(
    inner,
    (name, request, next) => {
      if (name === 'forget') {
        space?.forget(request)
        return next()
      }
      return rates.pass(name, request, () => work(name, request, next))
    },
    space === undefined ? [] : ['statfs'],
  )
  return forOneThread(limited)
}
