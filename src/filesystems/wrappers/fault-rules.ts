// The rules of faults(): what one may say, which calls it concerns, and the dice.
import { FUSE_WRITE_CACHE, OptionError, errnoName, errnoOf } from '../../index.js'
import type { HandlerName } from '../../protocol/index.js'
import { checkNames, checkOption, isInteger, isWithin } from './checks.js'
import { handlerInfo } from './proxy.js'
import type { AnyCall } from './proxy.js'

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
  /**
   * Reads and writes only this share of what is asked, 0 to 1, but a byte at least; a rule without another effect concerns nothing
   * else. Only of a file that is opened with FOPEN_DIRECT_IO read(2) is short. Otherwise the kernel reads for its page cache, even
   * with O_DIRECT: there a short answer is the end of the file, or with FUSE_WRITEBACK_CACHE the rest is zeros. Writes out of the
   * page cache (FUSE_WRITE_CACHE: mmap(2), FUSE_WRITEBACK_CACHE) are not cut: the rest would be lost, and no call fail.
   */
  short?: number
  /** Never answers, until the caller is interrupted (EINTR) or the session ends. */
  hang?: boolean
}

/** A rule, and what became of it so far. */
export interface Armed {
  rule: FaultRule
  errno: number | undefined
  operations: ReadonlySet<HandlerName> | undefined
  onlyShort: boolean
  seen: number
  struck: number
}

const CONDITIONS = ['operation', 'path', 'probability', 'after', 'times'] as const
// What setTimeout can wait.
const MOST_LATENCY = 2 ** 31 - 1
const EFFECTS = ['errno', 'latency', 'short', 'hang'] as const

/** What the values of a rule must be. */
const FIT: Record<keyof FaultRule, readonly [string, (value: unknown) => boolean]> = {
  operation: [
    'the name of a handler, or an array of some',
    (value) => typeof value === 'string' || (Array.isArray(value) && value.length > 0),
  ],
  path: [
    'a path from the root such as `/d/f`, a RegExp or a function',
    (value) => typeof value === 'function' || value instanceof RegExp || isPath(value),
  ],
  probability: ['a number from 0 to 1', isWithin(0, 1)],
  after: ['a number of calls, an integer from 0', isInteger(0)],
  times: ['a number of calls, an integer from 0', (value) => value === Infinity || isInteger(0)(value)],
  errno: ['an errno that Linux knows, by name or number', (value) => errnoIn(value) !== undefined],
  latency: [
    `milliseconds from 0 to ${MOST_LATENCY}, or two such numbers, the smaller first`,
    (value) => {
      const ends: unknown[] = Array.isArray(value) ? value : [value, value]
      return ends.length === 2 && ends.every(isWithin(0, MOST_LATENCY)) && Number(ends[0]) <= Number(ends[1])
    },
  ],
  short: ['a number from 0 to 1', isWithin(0, 1)],
  hang: ['true or false', (value) => typeof value === 'boolean'],
}

const isPath = (value: unknown): boolean =>
  typeof value === 'string' && (value === '/' || (value.startsWith('/') && !value.endsWith('/')))

const CUT: readonly HandlerName[] = ['read', 'write']
const SILENT: ReadonlySet<HandlerName> = new Set(['forget', 'release', 'releasedir'])

/** Whether `short` cuts this call. Kernel: of a WRITE out of the page cache it never looks how much was written. */
export function isCut(name: HandlerName, request: AnyCall): boolean {
  return name === 'read' || (name === 'write' && ((request.writeFlags as number) & FUSE_WRITE_CACHE) === 0)
}

/** Whether a rule is about this call. */
export function concerns(
  { operations, onlyShort, rule: { path } }: Armed,
  name: HandlerName,
  request: AnyCall,
  pathOf: () => string,
): boolean {
  if (onlyShort && !isCut(name, request)) return false
  if (operations === undefined ? SILENT.has(name) : !operations.has(name)) return false
  if (path === undefined) return true
  if (typeof path === 'string') return path === pathOf()
  return typeof path === 'function' ? path(pathOf()) : pathOf().search(path) >= 0
}

/** Checks a rule; throws an OptionError for one that cannot work. */
export function arm(rule: FaultRule): Armed {
  checkNames('a fault', rule, [...CONDITIONS, ...EFFECTS])
  for (const [name, [wanted, fits]] of Object.entries(FIT)) {
    const value = rule[name as keyof FaultRule]
    if (value !== undefined) checkOption('a fault', name, value, wanted, fits)
  }
  const { operation, errno } = rule
  const operations = operation === undefined ? undefined : new Set<HandlerName>([operation].flat())
  const strange = [...(operations ?? [])].find((name) => !handlerInfo.has(name))
  if (strange !== undefined)
    throw new OptionError(`a fault is for the operation \`${strange}\`, which no filesystem has`)
  const effects = EFFECTS.filter((effect) => rule[effect] !== undefined && rule[effect] !== false)
  if (effects.length === 0) throw new OptionError(`a fault without ${EFFECTS.join(', ')} has no effect`)
  if (effects.includes('short') && operations !== undefined && !CUT.some((name) => operations.has(name)))
    throw new OptionError(
      `option \`short\` of a fault is for ${CUT.join(' and ')}, not for ${[...operations].join(', ')}`,
    )
  const onlyShort = effects.length === 1 && effects[0] === 'short'
  const errnoNumber = errno === undefined ? undefined : errnoIn(errno)
  return { rule, errno: errnoNumber, operations, onlyShort, seen: 0, struck: 0 }
}

function errnoIn(errno: unknown): number | undefined {
  if (typeof errno === 'string') return errnoOf(errno)
  return typeof errno === 'number' && errnoName(errno) !== undefined ? -Math.abs(errno) : undefined
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
