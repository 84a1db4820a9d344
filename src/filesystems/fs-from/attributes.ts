// Attributes: STATX or GETATTR in, SETATTR out, with what the kernel adds and checks on the way.
import {
  EACCES,
  EINVAL,
  EISDIR,
  EPERM,
  FATTR_ATIME,
  FATTR_GID,
  FATTR_KILL_SUIDGID,
  FATTR_MODE,
  FATTR_MTIME,
  FATTR_SIZE,
  FATTR_UID,
  FUSE_GETATTR_FH,
} from '../../index.js'
import type { Attr, Statx, StatxTime } from '../../index.js'
import { STATX_BASIC_STATS, STATX_BTIME, S_IFDIR, S_IFMT, S_IFREG } from '../../syscalls/index.js'
import { Failure } from './failure.js'
import { MAY_WRITE, S_ISGID, isMember, isRoot, may, owns, withoutSetid } from './identity.js'
import type { Kernel } from './kernel.js'
import type { Node } from './nodes.js'
import { requireAccess, requireWritable } from './walk.js'

/** Attributes with the birth time, where the filesystem tells it. */
export interface Status {
  attr: Attr
  btime: StatxTime | undefined
}

/** statx(2): STATX, or GETATTR where the filesystem has no STATX. */
export async function status(kernel: Kernel, node: Node, fh?: number): Promise<Status> {
  const reply = await kernel.attempt('statx', node.nodeid, {
    getattrFlags: fh === undefined ? 0 : FUSE_GETATTR_FH,
    fh,
    sxMask: STATX_BASIC_STATS | STATX_BTIME,
  })
  if (reply === undefined) return { attr: await kernel.getattr(node, fh), btime: undefined }
  const stat = reply.stat as Statx
  const btime = (stat.mask & STATX_BTIME) === 0 ? undefined : stat.btime
  if ((stat.mask & STATX_BASIC_STATS) !== STATX_BASIC_STATS)
    return { attr: await kernel.getattr(node, fh), btime }
  return { attr: kernel.heard('statx', node, attrOf(stat)), btime }
}

function attrOf(stat: Statx): Attr {
  const { ino, size, blocks, mode, nlink, uid, gid, blksize, atime, mtime, ctime } = stat
  const { rdevMajor = 0, rdevMinor = 0 } = stat
  return {
    ...{ ino, size, blocks, mode, nlink, uid, gid, blksize },
    rdev: ((rdevMinor & 0xff) | (rdevMajor << 8) | ((rdevMinor & ~0xff) << 12)) >>> 0,
    atime: atime.tvSec,
    mtime: mtime.tvSec,
    ctime: ctime.tvSec,
    atimensec: atime.tvNsec,
    mtimensec: mtime.tvNsec,
    ctimensec: ctime.tvNsec,
  }
}

/** Fields of SETATTR. */
export interface Change {
  valid: number
  fh?: number
  size?: number
  mode?: number
  newUid?: number
  newGid?: number
  atime?: number
  atimensec?: number
  mtime?: number
  mtimensec?: number
  lockOwner?: bigint
}

/** SETATTR, with the kernel's checks before it. */
export async function setattr(kernel: Kernel, node: Node, change: Change): Promise<void> {
  requireWritable(kernel)
  await node.lock.run(() => setattrLocked(kernel, node, change))
}

async function setattrLocked(kernel: Kernel, node: Node, change: Change): Promise<void> {
  const sent = { ...change }
  const { identity } = kernel
  if (kernel.behaviour.defaultPermissions) {
    const before = await kernel.getattr(node, change.fh)
    checkChange(kernel, before, sent)
  }
  if ((change.valid & FATTR_SIZE) !== 0 && !isRoot(identity)) {
    if (kernel.agreed('FUSE_HANDLE_KILLPRIV_V2')) sent.valid |= FATTR_KILL_SUIDGID
    else await removePrivileges(kernel, node)
  }
  if ((change.valid & (FATTR_UID | FATTR_GID)) !== 0) await keepNoPrivileges(kernel, node, sent)
  const { attr } = await kernel.call('setattr', node.nodeid, { ...sent })
  kernel.heard('setattr', node, attr as Attr)
}

/** setattr_prepare of the kernel. */
function checkChange({ identity }: Kernel, attr: Attr, change: Change): void {
  const { valid } = change
  const owner = owns(identity, attr)
  if ((valid & FATTR_UID) !== 0 && !isRoot(identity) && !(owner && change.newUid === attr.uid))
    throw new Failure(EPERM)
  if ((valid & FATTR_GID) !== 0 && !isRoot(identity)) {
    const group = change.newGid ?? attr.gid
    if (!owner || !(group === attr.gid || isMember(identity, group))) throw new Failure(EPERM)
  }
  if ((valid & FATTR_MODE) !== 0) {
    if (!owner) throw new Failure(EPERM)
    if (!isRoot(identity) && !isMember(identity, attr.gid)) change.mode = (change.mode ?? 0) & ~S_ISGID
  }
  if ((valid & (FATTR_ATIME | FATTR_MTIME)) !== 0 && !owner) throw new Failure(EPERM)
  if ((valid & FATTR_SIZE) !== 0 && change.fh === undefined && !may(identity, attr, MAY_WRITE))
    throw new Failure(EACCES)
}

/** Kernel: chown(2) takes setuid and setgid away by a mode of its own, unless the server promised to. */
async function keepNoPrivileges(kernel: Kernel, node: Node, change: Change): Promise<void> {
  if (kernel.agreed('FUSE_HANDLE_KILLPRIV') || kernel.agreed('FUSE_HANDLE_KILLPRIV_V2')) return
  const { mode } = await kernel.getattr(node)
  if ((mode & S_IFMT) === S_IFDIR || withoutSetid(mode) === mode) return
  change.valid |= FATTR_MODE
  change.mode = withoutSetid(mode)
}

/**
 * Before a write by somebody without CAP_FSETID: takes setuid and setgid away, by SETATTR where the server leaves that to
 * the kernel. True where the server shall do it with the write (HANDLE_KILLPRIV_V2).
 */
export async function removePrivileges(kernel: Kernel, node: Node): Promise<boolean> {
  if (isRoot(kernel.identity) || kernel.agreed('FUSE_HANDLE_KILLPRIV')) return false
  if (kernel.agreed('FUSE_HANDLE_KILLPRIV_V2')) return true
  const { mode } = await kernel.known(node)
  const kept = withoutSetid(mode)
  if ((mode & S_IFMT) !== S_IFREG || kept === mode) return false
  const { attr } = await kernel.call('setattr', node.nodeid, { valid: FATTR_MODE, mode: kept })
  kernel.heard('setattr', node, attr as Attr)
  return false
}

/** What truncate(2) asks of a file before it changes it. */
export async function requireTruncatable(kernel: Kernel, node: Node): Promise<void> {
  if (node.type === S_IFDIR) throw new Failure(EISDIR)
  if (node.type !== S_IFREG) throw new Failure(EINVAL)
  requireWritable(kernel)
  await requireAccess(kernel, node, MAY_WRITE)
}

/** truncate(2) by path. */
export async function truncate(kernel: Kernel, node: Node, size: number): Promise<void> {
  await setattr(kernel, node, { valid: FATTR_SIZE, size })
}

// Kernel: of all calls on an open file only ftruncate(2) sends SETATTR with its handle.

/** chmod(2). */
export async function chmod(kernel: Kernel, node: Node, mode: number): Promise<void> {
  await setattr(kernel, node, { valid: FATTR_MODE, mode: node.type | (mode & 0o7777) })
}

/** chown(2); -1 leaves an id as it is. */
export async function chown(kernel: Kernel, node: Node, uid: number, gid: number): Promise<void> {
  const keep = (id: number): boolean => id === -1 || id === 0xffff_ffff
  const valid = (keep(uid) ? 0 : FATTR_UID) | (keep(gid) ? 0 : FATTR_GID)
  await setattr(kernel, node, { valid, newUid: uid, newGid: gid })
}

/** utimensat(2) with two explicit times. */
export async function utimes(kernel: Kernel, node: Node, atime: Timestamp, mtime: Timestamp): Promise<void> {
  await setattr(kernel, node, {
    valid: FATTR_ATIME | FATTR_MTIME,
    atime: atime.seconds,
    atimensec: atime.nanoseconds,
    mtime: mtime.seconds,
    mtimensec: mtime.nanoseconds,
  })
}

/** A point in time: whole seconds, possibly negative, and nanoseconds to add. */
export interface Timestamp {
  seconds: number
  nanoseconds: number
}
