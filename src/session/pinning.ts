// Keeps the calling thread on some CPUs, and only this thread.
import { stat } from 'node:fs/promises'
import { pinThread } from '../device/cpus.js'

/** Keeps the calling thread on these CPUs. What is not allowed is left: it makes requests slower, and nothing wrong. */
export async function stayOn(cpus: readonly number[]): Promise<void> {
  if (cpus.length === 0) return
  // Whoever uses libuv's pool first starts its threads, which would inherit the CPUs.
  await stat('/proc')
  pinThread(cpus)
}
