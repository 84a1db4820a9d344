// What time it is, in nanoseconds: the wall clock counts milliseconds, and the monotonic one what lies between.

/** A point in time: whole seconds since 1970 (may be negative), and nanoseconds to add. */
export interface Time {
  readonly sec: number
  readonly nsec: number
}

const NS_PER_MS = 1e6
const MS_PER_SEC = 1000
const LAST_NS_OF_MS = NS_PER_MS - 1

/** Where the monotonic clock began, in milliseconds of the wall clock. */
let epoch = Date.now() - performance.now()

/** The present. Where the two clocks disagree by more than a tick, the wall clock is right: somebody has set it. */
export function now(): Time {
  const tick = Date.now()
  const monotonic = performance.now()
  let within = epoch + monotonic - tick
  if (within < 0 || within >= 1) {
    within = within < 0 ? 0 : LAST_NS_OF_MS / NS_PER_MS
    epoch = tick + within - monotonic
  }
  const sec = Math.floor(tick / MS_PER_SEC)
  return { sec, nsec: (tick - sec * MS_PER_SEC) * NS_PER_MS + Math.floor(within * NS_PER_MS) }
}

/** Whether `a` is before `b`, or the same. */
export function isBefore(a: Time, b: Time): boolean {
  return a.sec < b.sec || (a.sec === b.sec && a.nsec <= b.nsec)
}
