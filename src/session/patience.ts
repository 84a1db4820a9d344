// Promises, and waiting for them with an end to it: for handlers that may never settle, and mounts that may never come away.
import { setTimeout as delay } from 'node:timers/promises'

/** Whether `promise` settles within `milliseconds`; a rejection in that time is passed on. Keeps the process alive meanwhile. */
export async function settlesWithin(promise: Promise<unknown>, milliseconds: number): Promise<boolean> {
  const timer = new AbortController()
  const late = delay(milliseconds, false, { signal: timer.signal }).catch(() => false)
  try {
    return await Promise.race([promise.then(() => true), late])
  } finally {
    timer.abort()
  }
}

/** Whether a handler answered with a promise, of whatever make. */
export function isPromise(value: unknown): value is Promise<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  )
}
