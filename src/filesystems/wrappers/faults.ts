// faults(): a filesystem that fails now and then, in ways that are asked for and can be repeated.
import { EINTR, OptionError } from '../../index.js'
import type { HandlerName } from '../../protocol/index.js'
import { checkNames, checkOption, isInteger, shown } from './checks.js'
import { arm, concerns, isCut, mulberry32 } from './fault-rules.js'
import type { Armed, FaultRule } from './fault-rules.js'
import { Paths } from './paths.js'
import { changed, forOneThread, served, settle, wrap } from './proxy.js'
import type { AnyCall, AnyFilesystem, Next } from './proxy.js'

/**
 * Makes calls of `inner` fail by `rules`; of those that concern a call the first that strikes counts. The same `seed` and the same
 * calls give the same faults. So that reads and writes can be met, files are opened without passthrough where `inner` has handlers
 * for both. Threads would each count and throw dice by themselves, so the result is not `shareable`.
 *
 * ```ts
 * const flaky = faults(filesystem, [{ operation: 'write', path: /\.db$/, probability: 0.1, errno: 'ENOSPC' }], { seed: 7 })
 * ```
 *
 * Throws an OptionError for a rule that cannot work.
 */
export function faults<Fs extends AnyFilesystem>(
  inner: Fs,
  rules: readonly FaultRule[],
  options: { seed?: number } = {},
): Fs {
  checkNames('faults()', options, ['seed'])
  const { seed = 1 } = options
  checkOption('faults()', 'seed', seed, 'an integer', isInteger(Number.MIN_SAFE_INTEGER))
  if (!Array.isArray(rules)) throw new OptionError(`faults() takes an array of rules, not ${shown(rules)}`)
  const armed = rules.map((rule: FaultRule) => arm(rule))
  const random = mulberry32(seed)
  const paths = new Paths()
  const strike = (name: HandlerName, request: AnyCall): Armed | undefined =>
    armed.find((one) => {
      if (!concerns(one, name, request, () => paths.of(name, request))) return false
      const { after = 0, times = Infinity, probability = 1 } = one.rule
      if (one.seen++ < after || one.struck >= times || random() >= probability) return false
      return ++one.struck > 0
    })

  const faulty = wrap(inner, (name, request, next) => {
    const met = strike(name, request)
    const answer = met === undefined ? next() : suffer(met, name, request, next, random)
    return settle(answer, (value) => {
      const told = paths.learn(name, request, value)
      return name === 'open' || name === 'create' || name === 'tmpfile' ? served(inner, told) : told
    })
  })
  return forOneThread(faulty)
}

function suffer(
  { rule, errno }: Armed,
  name: HandlerName,
  request: AnyCall,
  next: Next,
  random: () => number,
): unknown {
  const { latency, short, hang } = rule
  if (latency !== undefined) {
    const [least, most] = typeof latency === 'number' ? [latency, latency] : latency
    const rest = { ...rule, latency: undefined }
    const wait = least + random() * (most - least)
    return later(request, wait).then((interrupted) =>
      interrupted ? EINTR : suffer({ rule: rest, errno } as Armed, name, request, next, random),
    )
  }
  if (hang) return later(request, undefined).then(() => EINTR)
  if (errno !== undefined) return errno
  if (short === undefined || !isCut(name, request)) return next()
  const { size, data } = request as unknown as { size: number; data?: Uint8Array }
  const less = Math.max(1, Math.floor(size * short))
  return next(
    changed(request, data === undefined ? { size: less } : { size: less, data: data.subarray(0, less) }),
  )
}

/** Waits, for ever without `milliseconds`; true where the caller was interrupted. FORGET has no caller. */
function later(request: AnyCall, milliseconds: number | undefined): Promise<boolean> {
  const { signal } = request as { signal?: AbortSignal }
  return new Promise((resolve) => {
    const timer = milliseconds === undefined ? undefined : setTimeout(() => resolve(false), milliseconds)
    const interrupted = (): void => {
      clearTimeout(timer)
      resolve(true)
    }
    if (signal?.aborted) interrupted()
    else signal?.addEventListener('abort', interrupted, { once: true })
  })
}
