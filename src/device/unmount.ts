// Unmounting: finds where a connection is mounted now, and takes it away without ever waiting for itself.
// After the last request.
import { writeFileSync } from 'node:fs'
import { describeErrno } from '../protocol/index.js'
import { loadNative, special } from '../native.js'
import { syscalls } from '../syscalls/index.js'
import { connectionOf } from './connection.js'
import { runHelper } from './fusermount.js'
import { findMount, isFuse, readMountInfo } from './mountinfo.js'
import type { MountInfo } from './mountinfo.js'
import type { Mounted } from './mount.js'
import { isDead } from './stale.js'

const EPERM = -1
const EBUSY = -16
const EINVAL = -22
const POLLERR = 8
const POLLNVAL = 32
const MNT_FORCE = 1
const MNT_DETACH = 2
const UMOUNT_NOFOLLOW = 8

/** Kernel: polling a connection that has ended says POLLERR, and one that was closed here POLLNVAL. */
function isAlive({ fd, major, minor }: Mounted): boolean {
  if (fd < 0) return false
  const device = connectionOf(fd)
  if (device === 'none' || (device !== undefined && (device.major !== major || device.minor !== minor)))
    return false
  const bits = syscalls.pollNow(fd, 0)
  return bits >= 0 && (bits & (POLLERR | POLLNVAL)) === 0
}

/** Where our connection is mounted now: its path, `covered` by another mount, or undefined: nowhere. */
function placeOf(mounted: Mounted): string | undefined {
  let mounts: MountInfo[]
  try {
    mounts = readMountInfo()
  } catch {
    return mounted.mountPoint // without /proc the path is all there is
  }
  const isOurs = (mount: MountInfo | undefined): boolean =>
    mount?.major === mounted.major && mount.minor === mounted.minor && isFuse(mount)
  const ours = mounts.filter(isOurs)
  // Once a connection has ended its number may be somebody else's, at any other path.
  const alive = isAlive(mounted)
  const places = ours
    .map(({ mountPoint }) => mountPoint)
    .filter((path) => alive || path === mounted.mountPoint)
  const reachable = [mounted.mountPoint, ...places].find((path) => isOurs(findMount(path, mounts)))
  return reachable ?? (places.length > 0 ? COVERED : undefined)
}

const COVERED = ''
const COVERED_SAID = 'another mount covers it; unmount that one first'

/** Whether the mount of a connection that has ended is still where it was made. */
export function isLeftBehind(mounted: Mounted): boolean {
  return placeOf({ ...mounted, fd: -1 }) !== undefined
}

/** How an unmount ended: 0, or -errno and what to say about it. */
export interface Unmounted {
  errno: number
  said: string
  /** There was nothing to unmount: the mount had been taken away, or detached, before. */
  nowhere?: true
}

/**
 * Unmounts wherever our connection is mounted now: umount2(2) from a child process, so that a dying server never waits for
 * itself, or fusermount3. `lazy` detaches the mount at once and lets open files end by themselves; `abort` ends them.
 */
export async function unmountDevice(mounted: Mounted, how: 'clean' | 'lazy' | 'abort'): Promise<Unmounted> {
  if (mounted.how === 'fd') return { errno: 0, said: '', nowhere: true }
  const path = placeOf(mounted)
  if (how === 'abort' && isAlive(mounted)) abortConnection(mounted)
  if (path === undefined) return { errno: 0, said: '', nowhere: true }
  if (path === COVERED) return { errno: EBUSY, said: COVERED_SAID }
  const lazy = how !== 'clean'
  if (mounted.how !== 'fusermount3') {
    const errno = await loadNative().syscallAsyncUtf8(special.umount, path, flagsOf(how), 0)
    // Whoever unmounts at the same time may be done first.
    if (errno === EINVAL && placeOf(mounted) === undefined) return { errno: 0, said: '' }
    if (errno !== EPERM) {
      return {
        errno,
        said:
          errno === EBUSY
            ? 'a file or working directory on it is in use; close it, or unmount lazily'
            : describeErrno(errno),
      }
    }
    // The process gave its privileges up after it had mounted: the helper is for the owner of the mount.
  }
  const args = lazy ? ['-u', '-z', '--', path] : ['-u', '--', path]
  const { status, stderr } = await runHelper(args, undefined, path)
  if (status === 0) return { errno: 0, said: '' }
  return { errno: /busy/i.test(stderr) ? EBUSY : EPERM, said: `fusermount3 says: ${stderr.trim()}` }
}

/**
 * Takes away what a connection that has ended left behind: the dead mount at its path, where every call fails with ENOTCONN.
 * Kernel: its number is the next mount's as soon as it is gone, so one that lives there is somebody else's. Resolves with why the
 * dead mount stays there, undefined where none does.
 */
export async function clearDeadMount(mounted: Mounted): Promise<string | undefined> {
  const ended = { ...mounted, fd: -1 }
  const path = placeOf(ended)
  if (path === undefined) return undefined
  if (path === COVERED) return COVERED_SAID
  if (mayAsk(path) && !(await isDead(path))) return undefined
  const { errno, said } = await unmountDevice(ended, 'lazy')
  return errno < 0 ? said : undefined
}

/** Kernel: statfs(2) of a mount that belongs to another user says 0, dead or alive. */
function mayAsk(path: string): boolean {
  const { superOptions = [] } = findMount(path) ?? {}
  return superOptions.includes('allow_other') || superOptions.includes(`user_id=${process.geteuid?.()}`)
}

/** Detaches the mount and aborts its connection without the event loop, waiting a second at the most: 0 or -errno. */
export function detachNow(mounted: Mounted): number {
  if (mounted.how === 'fd') return 0
  const path = placeOf(mounted)
  // A connection that has ended has left its number to others, but one whose mount was detached while busy lives on.
  if (isAlive(mounted)) abortConnection(mounted)
  if (path === undefined || path === COVERED) return 0
  return loadNative().syscallUtf8(special.umount, path, flagsOf('abort'), 1000)
}

/**
 * Ends the connection at once. Undefined where fusectl did. Kernel: without it a forced unmount aborts as well, and so does closing
 * the last descriptor of the connection, which is the caller's part: it comes after the promise, which never rejects.
 */
export function forceAbort(mounted: Mounted): Promise<unknown> | undefined {
  if (abortConnection(mounted)) return undefined
  return unmountDevice(mounted, 'abort').catch(() => undefined)
}

function flagsOf(how: 'clean' | 'lazy' | 'abort'): number {
  // Kernel: MNT_FORCE makes FUSE abort the connection, so that nobody waits for an answer any more.
  return UMOUNT_NOFOLLOW | (how === 'clean' ? 0 : MNT_DETACH) | (how === 'abort' ? MNT_FORCE : 0)
}

/**
 * Ends the connection for good, where fusectl is mounted: every caller returns with an error. Closing the device is not enough,
 * because a thread inside a write to it keeps it open. Returns whether it could.
 */
export function abortConnection({ minor }: { minor: number }): boolean {
  try {
    writeFileSync(`/sys/fs/fuse/connections/${minor}/abort`, '1')
    return true
  } catch {
    // Not mounted, not ours, or gone already.
    return false
  }
}
