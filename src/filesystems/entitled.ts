// Who may keep the set-group-id bit of a file, which the kernel leaves to the server (FUSE_HANDLE_KILLPRIV_V2).
import { readFileSync } from 'node:fs'
import type { Request } from '../protocol/index.js'

const CAP_FSETID = 1n << 4n

/**
 * Whether the caller is of the group, or may keep set-group-id without it (CAP_FSETID). Who cannot be seen counts as a stranger:
 * a bit too few is safe. Kernel: with idmapped mounts allowed, only requests that create something say who asks, so /proc tells.
 */
export function isEntitled({ pid, gid }: Request, group: number): boolean {
  if (gid === group) return true
  let status = ''
  try {
    status = readFileSync(`/proc/${pid}/status`, 'latin1')
  } catch {
    return false
  }
  // Of the four group ids (real, effective, saved, filesystem) the last one counts. Source: proc(5).
  const own = /^Gid:(?:\s+\d+){3}\s+(\d+)$/m.exec(status)?.[1]
  const groups = /^Groups:\s*(.*)$/m.exec(status)?.[1].trim().split(' ') ?? []
  const capabilities = BigInt(`0x${/^CapEff:\s*([\da-f]+)$/m.exec(status)?.[1] ?? '0'}`)
  return own === `${group}` || groups.includes(`${group}`) || (capabilities & CAP_FSETID) !== 0n
}
