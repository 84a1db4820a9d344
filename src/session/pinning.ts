// Keeps the calling thread on some CPUs, and only this thread.
import { stat } from 'node:fs/promises'
import { keepThread } from '../device/cpus.js'

/**
 * Keeps the calling thread on these CPUs until what is returned is called. What is not allowed is left: it makes requests slower, and
 * nothing wrong.
 */
export async function stayOn(cpus: readonly number[]): Promise<() => void> {
  if (cpus.length === 0) return () => undefined
  // Whoever uses libuv's pool first starts its threads, which would inherit the CPUs.
  await stat('/proc')
  return keepThread(cpus)
}
