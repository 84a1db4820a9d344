// Times as node:fs takes them: seconds, a string of seconds, or a Date.
import type { TimeLike } from 'node:fs'
import type { Timestamp } from './attributes.js'
import { invalidArgument, invalidType } from './failure.js'

/** Whole seconds and nanoseconds; numbers count to the microsecond, as in node:fs. */
export function timestampOf(time: TimeLike, name: string): Timestamp {
  if (time instanceof Date) return fromUnits(time.getTime(), 1000, name, time)
  const seconds: unknown = typeof time === 'string' ? Number(time) : time
  if (typeof seconds !== 'number' || !Number.isFinite(seconds))
    throw invalidType(name, 'an instance of Date or a time in seconds', time)
  return fromUnits(Math.round(seconds * 1e6), 1e6, name, time)
}

function fromUnits(count: number, perSecond: number, name: string, given: TimeLike): Timestamp {
  if (!Number.isFinite(count)) throw invalidArgument(name, given, 'a time that can be told')
  const seconds = Math.floor(count / perSecond)
  return { seconds, nanoseconds: Math.round((count - seconds * perSecond) * (1e9 / perSecond)) }
}
