// CPUs: which there are, which this process may use, and how they and the kernel's queues are shared out among the threads
// that serve one mount.
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { syscalls } from '../syscalls/index.js'

/** What one thread serves. */
export interface Share {
  /** The CPUs that it runs on. */
  readonly cpus: readonly number[]
  /** The queues of a ring that it owns: those of its CPUs, and of some that this process may not use. */
  readonly queues: readonly number[]
}

/** Kernel: as many queues as num_possible_cpus(). */
export function possibleCpus(): number {
  return parseCpuList(readFileSync('/sys/devices/system/cpu/possible', 'latin1')).length
}

// Whatever keeps the calling thread on some CPUs, and those that it had before.
let kept = 0
let before: number[] = []

/** The CPUs that this process may run on, also while `pinWorkers` keeps the calling thread on some of them. */
export function usableCpus(): number[] {
  if (kept > 0) return before
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]
  return list === undefined ? Array.from({ length: availableParallelism() }, (_, i) => i) : parseCpuList(list)
}

/**
 * Shares out for `threads` threads, neighbours together. With fewer CPUs than threads some get none; a queue of every possible CPU
 * goes to somebody, because others may run there.
 */
export function shareOut(threads: number, possible: number, usable: readonly number[]): Share[] {
  const cpus = usable.filter((cpu) => cpu < possible)
  const shares = Array.from({ length: threads }, (_, index) => {
    const own = cpus.slice(
      Math.floor((index * cpus.length) / threads),
      Math.floor(((index + 1) * cpus.length) / threads),
    )
    return { cpus: own, queues: [...own] }
  })
  const others = Array.from({ length: possible }, (_, cpu) => cpu).filter((cpu) => !cpus.includes(cpu))
  for (const [index, cpu] of others.entries()) shares[index % threads].queues.push(cpu)
  return shares
}

/** Keeps the calling thread on these CPUs: 0 or -errno. Threads and processes that it starts from now on inherit it. */
function pinThread(cpus: readonly number[]): number {
  const mask = new Uint8Array(Math.ceil((Math.max(...cpus) + 1) / 64) * 8)
  for (const cpu of cpus) mask[cpu >> 3] |= 1 << (cpu & 7)
  return syscalls.schedSetaffinity(0, mask)
}

/** {@link pinThread}, until the returned function is called by the same thread. */
export function keepThread(cpus: readonly number[]): () => void {
  if (kept === 0) before = usableCpus()
  kept++
  pinThread(cpus)
  return () => {
    if (--kept === 0) pinThread(before)
  }
}

/** `0-3,8` */
export function parseCpuList(list: string): number[] {
  return list
    .trim()
    .split(',')
    .flatMap((range) => {
      const [first, last = first] = range.split('-').map(Number)
      return Array.from({ length: last - first + 1 }, (_, index) => first + index)
    })
}
