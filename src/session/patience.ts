// Promises, and waiting for them with an end to it: for handlers that may never settle, and mounts that may never come away.
import { setTimeout as delay } from 'node:timers/promises'
import { types } from 'node:util'

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

/**
 * The promise that a handler answered with, undefined for any other answer. What is a promise of another make becomes a native one,
 * which settles once, later, and whose `then` does not throw.
 */
export function promiseOf(value: unknown): Promise<unknown> | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const own = (value as { then?: unknown }).then
  if (typeof own !== 'function') return undefined
  const native = own === Promise.prototype.then && types.isPromise(value)
  return native ? value : nativeOf(value)
}

// Apart, so that other answers do not pay for the closure.
function nativeOf(value: object): Promise<unknown> {
  return new Promise((resolve) => resolve(value))
}
