// Clears set-user-id and set-group-id bits where the kernel leaves that to the server (FUSE_HANDLE_KILLPRIV_V2).
import { readFileSync } from 'node:fs'
import type { Request } from '../../protocol/index.js'
import { S_IFMT, S_IFREG, S_ISGID, S_ISUID, S_IXGRP } from '../../syscalls/index.js'
import { STAT_MASK } from './tree.js'
import type { Tree } from './tree.js'

const MODE_BITS = 0o7777
const CAP_FSETID = 1n << 4n

/**
 * What a write by the caller does to the mode of a regular file natively: setuid goes; setgid goes where the group may execute
 * or the caller is neither of the group nor privileged. Capabilities (security.capability) go by themselves, with the server's own write.
 */
export function killPrivileges(tree: Tree, fd: number, caller: Request): void {
  const { sys, found } = tree
  if (sys.fstatx(fd, STAT_MASK, found) < 0) return
  const { mode } = found
  if ((mode & S_IFMT) !== S_IFREG) return
  let bits = mode & MODE_BITS & ~S_ISUID
  if ((bits & S_ISGID) !== 0 && ((mode & S_IXGRP) !== 0 || !isEntitled(caller, found.gid))) bits &= ~S_ISGID
  if (bits !== (mode & MODE_BITS)) sys.fchmodat(-1, `/proc/self/fd/${fd}`, bits)
}

/** setgid goes, nothing else: an access ACL was set by someone outside the group. */
export function killSetgid(tree: Tree, fd: number): void {
  const { sys, found } = tree
  if (sys.fstatx(fd, STAT_MASK, found) < 0 || (found.mode & S_ISGID) === 0) return
  sys.fchmodat(-1, `/proc/self/fd/${fd}`, found.mode & MODE_BITS & ~S_ISGID)
}

/**
 * Whether the caller is of the group, or may keep set-group-id without it (CAP_FSETID). Who cannot be seen counts as a stranger:
 * a bit too few is safe. Kernel: with idmapped mounts allowed, only requests that create something say who asks, so /proc tells.
 */
function isEntitled({ pid, gid }: Request, group: number): boolean {
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
