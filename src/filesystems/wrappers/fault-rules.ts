// The rules of faults(): what one may say, which calls it concerns, and the dice.
import { OptionError, errnoOf } from '../../index.js'
import type { HandlerName } from '../../protocol/index.js'
import { checkNames, handlerInfo } from './proxy.js'

/** When to fail, and how. Everything that a rule does not say applies to all; latency goes before the other effects. */
export interface FaultRule {
  /** Handlers concerned. Default: all but `forget`, `release` and `releasedir`, which nobody hears of. */
  operation?: HandlerName | readonly HandlerName[]
  /** Paths concerned: one, a pattern, or a question. For calls with a name, the path that the name makes. */
  path?: string | RegExp | ((path: string) => boolean)
  /** How likely the rule strikes, 0 to 1. Default 1. */
  probability?: number
  /** Calls to let pass before the rule counts. Default 0. */
  after?: number
  /** How often it strikes at the most. Default: for ever. */
  times?: number
  /** Answers this error: `'ENOSPC'` or -28. */
  errno?: string | number
  /** Waits before anything else, in milliseconds; two numbers are a range. */
  latency?: number | readonly [number, number]
  /** Reads and writes only this share of what is asked, 0 to 1, but a byte at least. */
  short?: number
  /** Never answers, until the caller is interrupted (EINTR) or the session ends. */
  hang?: boolean
}

/** A rule, and what became of it so far. */
export interface Armed {
  rule: FaultRule
  errno: number | undefined
  operations: ReadonlySet<HandlerName> | undefined
  seen: number
  struck: number
}

const CONDITIONS = ['operation', 'path', 'probability', 'after', 'times'] as const
const EFFECTS = ['errno', 'latency', 'short', 'hang'] as const

const SILENT: ReadonlySet<HandlerName> = new Set(['forget', 'release', 'releasedir'])

/** Whether a rule is about this call. */
export function concerns(
  { operations, rule: { path } }: Armed,
  name: HandlerName,
  pathOf: () => string,
): boolean {
  if (operations === undefined ? SILENT.has(name) : !operations.has(name)) return false
  if (path === undefined) return true
  if (typeof path === 'string') return path === pathOf()
  return typeof path === 'function' ? path(pathOf()) : pathOf().search(path) >= 0
}

/** Checks a rule; throws an OptionError for one that cannot work. */
export function arm(rule: FaultRule): Armed {
  const { operation, errno, probability = 1, short = 0, latency = 0 } = rule
  checkNames('a fault', rule, [...CONDITIONS, ...EFFECTS])
  if (![latency].flat().every((milliseconds) => typeof milliseconds === 'number' && milliseconds >= 0))
    throw new OptionError('`latency` of a fault must be milliseconds, or two such numbers')
  const number =
    typeof errno === 'string' ? errnoOf(errno) : errno === undefined ? undefined : -Math.abs(errno)
  if (errno !== undefined && (number === undefined || number === 0))
    throw new OptionError(`a fault has the errno ${JSON.stringify(errno)}, which Linux does not know`)
  if (!(probability >= 0 && probability <= 1) || !(short >= 0 && short <= 1))
    throw new OptionError('`probability` and `short` of a fault must be from 0 to 1')
  const operations = operation === undefined ? undefined : new Set<HandlerName>([operation].flat())
  const strange = [...(operations ?? [])].find((name) => !handlerInfo.has(name))
  if (strange !== undefined)
    throw new OptionError(`a fault is for the operation \`${strange}\`, which no filesystem has`)
  if (EFFECTS.every((effect) => rule[effect] === undefined))
    throw new OptionError(`a fault without ${EFFECTS.join(', ')} has no effect`)
  return { rule, errno: number, operations, seen: 0, struck: 0 }
}

/** A small generator of random numbers from 0 to 1 that a seed repeats. */
export function mulberry32(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
