// What /proc tells about the thread that waits for an answer: whether it is being killed, and its groups.
import { readFileSync } from 'node:fs'
import type { Request } from '../protocol/index.js'

const SIGKILL_BIT = 1n << 8n

/**
 * Whether the thread `pid` has been killed. Kernel: every signal that ends a process without a core dump puts SIGKILL
 * among the pending ones of each of its threads. A caller that cannot be seen (another pid namespace) counts as killed:
 * an EINTR that may be repeated is better than a process that cannot be killed.
 */
export function isDying(pid: number): boolean {
  const status = statusOf(pid)
  if (status === undefined) return true
  return [...status.matchAll(/^(?:Sig|Shd)Pnd:\s*([0-9a-f]+)/gm)].some(
    ([, mask]) => (BigInt(`0x${mask}`) & SIGKILL_BIT) !== 0n,
  )
}

/** The supplementary groups of the caller, undefined where it cannot be seen. */
export function groupsOf({ pid }: Request): number[] | undefined {
  const [, groups] = /^Groups:[\t ]*(.*)$/m.exec(statusOf(pid) ?? '') ?? []
  return groups?.split(' ').filter(Boolean).map(Number)
}

// Kernel: 0 stands for a caller outside the pid namespace of the device's reader, and /proc/0 does not exist.
function statusOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/status`, 'latin1')
  } catch {
    return undefined
  }
}
