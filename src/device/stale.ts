// Dead mounts at a mount point: a server that was killed leaves its mount behind, where every call fails with ENOTCONN.
// Before a mount. Only what an earlier run of the same program left is ever taken away.
import { setTimeout as sleep } from 'node:timers/promises'
import { describeErrno } from '../protocol/index.js'
import { loadNative, special } from '../native.js'
import { MNT_DETACH, UMOUNT_NOFOLLOW, syscalls } from '../syscalls/index.js'
import { runHelper } from './fusermount.js'
import { MountError } from './mount-error.js'
import { sourceOf, typeOf } from './mount-options.js'
import type { MountOptions } from './mount-options.js'
import { findMount, isFuse } from './mountinfo.js'
import type { MountInfo } from './mountinfo.js'

const EPERM = -1
const ENOTCONN = -107
// Enough for a service that was restarted all night.
const MAX_STACKED = 64
/** Milliseconds to wait for a dead mount to say so. */
const DEATH_IS_KNOWN = 1000

/** Detaches the dead mounts at `path`, one above the other. Throws a {@link MountError} for one that is not ours. */
export async function clearStaleMounts(path: string, options: MountOptions): Promise<void> {
  for (let count = 0; count < MAX_STACKED; count++) {
    const mount = await deadMountAt(path)
    if (mount === undefined) return
    const stranger = whyNotOurs(mount, options)
    if (stranger !== undefined) {
      throw new MountError(
        `cannot mount on ${path}: the dead mount there is not ours to clear: ${stranger}; clear it with: devfuse unmount`,
        ENOTCONN,
        'stat',
        path,
      )
    }
    await detach(mount.mountPoint)
  }
}

/** The FUSE mount at `path`, if its server has died. */
export async function deadMountAt(path: string): Promise<MountInfo | undefined> {
  const mount = findMount(path)
  if (mount === undefined || !isFuse(mount)) return undefined
  // Death is known at once; a server that hangs would keep us waiting.
  const late = new AbortController()
  const waited = sleep(DEATH_IS_KNOWN, false, { ref: false, signal: late.signal }).catch(() => false)
  const dead = await Promise.race([isDead(mount.mountPoint), waited]).finally(() => late.abort())
  return dead ? mount : undefined
}

/**
 * A living server may answer one call with ENOTCONN; a dead connection answers nothing else. Not asked by node:fs, whose threads keep a
 * process from ending while a server hangs.
 */
export async function isDead(mountPoint: string): Promise<boolean> {
  return (await syscalls.statfsAsync(mountPoint)) === ENOTCONN
}

/** What tells the mount from the one that these options make; undefined where nothing does. */
function whyNotOurs(mount: MountInfo, options: MountOptions): string | undefined {
  const uid = options.owner?.uid ?? process.getuid?.() ?? 0
  const type = options.subtype === undefined ? typeOf(options) : `${typeOf(options)}.${options.subtype}`
  const owner = mount.superOptions.find((option) => option.startsWith('user_id='))?.slice('user_id='.length)
  if (owner !== String(uid)) return `it belongs to user ${owner}`
  if (mount.fsType !== type) return `its type is ${mount.fsType}, not ${type}`
  return mount.source === sourceOf(options)
    ? undefined
    : `its source is ${mount.source}, not ${sourceOf(options)}`
}

async function detach(mountPoint: string): Promise<void> {
  const flags = UMOUNT_NOFOLLOW | MNT_DETACH
  const errno = await loadNative().syscallAsyncUtf8(special.umount, mountPoint, flags, 0)
  if (errno === 0) return
  const { status, stderr } =
    errno === EPERM
      ? await runHelper(['-u', '-z', '--', mountPoint], undefined, mountPoint)
      : { status: 1, stderr: '' }
  if (status === 0) return
  throw new MountError(
    `the dead mount on ${mountPoint} could not be cleared: ${stderr.trim() || describeErrno(errno)}`,
    errno,
    'umount2',
    mountPoint,
  )
}
