// What a caller may do where the kernel leaves it to the server: keep the set-id bits of a file or take them away
// (FUSE_HANDLE_KILLPRIV_V2), and see the names of trusted attributes.
import { readFileSync } from 'node:fs'
import { FUSE_INVALID_UIDGID } from '../protocol/index.js'
import type { Request } from '../protocol/index.js'
import { S_IWGRP, S_IWOTH } from '../syscalls/index.js'

const CAP_DAC_OVERRIDE = 1n << 1n
const CAP_FOWNER = 1n << 3n
const CAP_FSETID = 1n << 4n
const CAP_SYS_ADMIN = 1n << 21n

/** What /proc says of a thread: the ids that count for files, and its capabilities. */
interface Credentials {
  uid: string
  gid: string
  groups: string[]
  capabilities: bigint
}

/**
 * Whether the caller is of the group, or may keep set-group-id without it (CAP_FSETID). Who cannot be seen counts as a stranger:
 * a bit too few is safe. Kernel: with idmapped mounts allowed, only requests that create something say who asks, so /proc tells.
 */
export function isEntitled({ pid, gid }: Request, group: number): boolean {
  if (gid === group) return true
  const caller = credentialsOf(pid)
  return caller !== undefined && (isOf(caller, group) || (caller.capabilities & CAP_FSETID) !== 0n)
}

/**
 * Whether the caller owns the file or may write it: only then is a SETATTR that sets nothing a reason to clear set-id bits. Kernel:
 * it comes before a write, a fallocate or a copy, but chown(2) with two times -1 sends the same for a stranger, who gets EPERM.
 * Who cannot be seen counts as a stranger.
 */
export function mayClear(
  { pid }: Request,
  { mode, uid, gid }: { mode: number; uid: number; gid: number },
): boolean {
  if ((mode & S_IWOTH) !== 0) return true
  const caller = credentialsOf(pid)
  if (caller === undefined) return false
  if ((caller.capabilities & (CAP_FOWNER | CAP_DAC_OVERRIDE)) !== 0n || caller.uid === `${uid}`) return true
  return (mode & S_IWGRP) !== 0 && isOf(caller, gid)
}

/**
 * Whether the names of `trusted.*` are the caller's to see: natively those of CAP_SYS_ADMIN, here root's. Kernel: with idmapped mounts
 * allowed LISTXATTR hides who asks, so /proc tells. Root of a user namespace has all capabilities there, and another id here.
 * Who cannot be seen, in another pid namespace, counts as a stranger: a name too few is safe.
 */
export function seesTrusted({ uid, pid }: Request): boolean {
  if (uid !== FUSE_INVALID_UIDGID) return uid === 0
  const caller = credentialsOf(pid)
  return caller !== undefined && caller.uid === '0' && (caller.capabilities & CAP_SYS_ADMIN) !== 0n
}

function isOf({ gid, groups }: Credentials, group: number): boolean {
  return gid === `${group}` || groups.includes(`${group}`)
}

// Of the four ids (real, effective, saved, filesystem) the last one counts. Source: proc(5).
function credentialsOf(pid: number): Credentials | undefined {
  let status: string
  try {
    status = readFileSync(`/proc/${pid}/status`, 'latin1')
  } catch {
    return undefined
  }
  const id = (name: string): string =>
    new RegExp(`^${name}:(?:\\s+\\d+){3}\\s+(\\d+)$`, 'm').exec(status)?.[1] ?? ''
  return {
    uid: id('Uid'),
    gid: id('Gid'),
    groups: /^Groups:[\t ]*(.*)$/m.exec(status)?.[1].trim().split(' ') ?? [],
    capabilities: BigInt(`0x${/^CapEff:\s*([\da-f]+)$/m.exec(status)?.[1] ?? '0'}`),
  }
}
