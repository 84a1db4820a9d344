// Mounting and unmounting: mount(2) for a privileged process, fusermount3 for everybody else.
// Before the first request (the descriptor comes from here) and after the last one.
import { spawn } from 'node:child_process'
import { existsSync, writeFileSync } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { describeErrno } from '../protocol/index.js'
import { loadNative, special } from '../native.js'
import { StatxBuffer, syscalls } from '../syscalls/index.js'
import { findMount, isFuse, readMountInfo } from './mountinfo.js'
import type { MountInfo } from './mountinfo.js'
import { mountData, mountFlags } from './mount-options.js'
import type { MountOptions } from './mount-options.js'

/** A mounted filesystem whose requests wait at `fd`. */
export interface Mounted {
  /** A non-blocking descriptor of the connection, owned by the caller. */
  fd: number
  /** Absolute path of the mount point. */
  mountPoint: string
  /** Minor number of the mount's device: the connection's folder below /sys/fs/fuse/connections. */
  minor: number
  /** Who mounted: the system call or the helper program. */
  how: 'mount' | 'fusermount3'
}

/** A failed mount or unmount: what was attempted, what the kernel or the helper said, what to do. */
export class MountError extends Error {
  readonly errno: number
  readonly code: string
  readonly syscall: string
  readonly path: string

  constructor(message: string, errno: number, syscall: string, path: string) {
    super(message)
    this.errno = errno
    this.code = describeErrno(errno)
    this.syscall = syscall
    this.path = path
  }
}

const EPERM = -1
const ENOENT = -2
const EBUSY = -16
const EINVAL = -22
const MNT_FORCE = 1
const MNT_DETACH = 2
const UMOUNT_NOFOLLOW = 8

const O_RDWR = 2
const O_NONBLOCK = 0o4000
const O_CLOEXEC = 0o2000000
const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_CLOEXEC = 0o2000000
const F_SETFL = 4
const MSG_DONTWAIT = 0x40
const AT_FDCWD = -100
const AT_STATX_DONT_SYNC = 0x4000
const AT_NO_AUTOMOUNT = 0x800

/** Mounts at `path`. Throws a {@link MountError}, with nothing left mounted. */
export async function mountDevice(path: string, options: MountOptions): Promise<Mounted> {
  const { mountPoint, mode } = await findMountPoint(resolve(path))
  const direct = process.geteuid?.() === 0 ? await mountDirectly(mountPoint, mode, options) : EPERM
  if (typeof direct === 'number' && direct !== EPERM) throw explainMount(direct, mountPoint)
  const how = typeof direct === 'number' ? 'fusermount3' : 'mount'
  const fd = typeof direct === 'number' ? await mountByHelper(mountPoint, options) : direct.fd
  const minor = await minorOf(mountPoint)
  if (minor >= 0) return { fd, mountPoint, minor, how }
  // Without its number we could not tell our own mount from another one later.
  await loadNative().syscallAsyncUtf8(special.umount, mountPoint, flagsOf('abort'), 0)
  syscalls.close(fd)
  throw new MountError(
    `mounting on ${mountPoint} failed: it was gone again at once`,
    ENOENT,
    'statx',
    mountPoint,
  )
}

/** The path with its symbolic links followed, as mount(2) will do it. */
async function findMountPoint(path: string): Promise<{ mountPoint: string; mode: number }> {
  try {
    const mountPoint = await realpath(path)
    return { mountPoint, mode: (await stat(mountPoint)).mode }
  } catch (error) {
    const { errno = EINVAL, code } = error as NodeJS.ErrnoException
    const fix =
      code === 'ENOTCONN'
        ? 'the server of a mount there has died; clear it with: devfuse unmount'
        : code === 'ENOENT'
          ? 'create it first'
          : 'check the path and its permissions'
    throw new MountError(`cannot mount on ${path}: stat says ${code}; ${fix}`, errno, 'stat', path)
  }
}

/** mount(2): the descriptor, or -errno where the kernel refuses. */
async function mountDirectly(
  mountPoint: string,
  mode: number,
  options: MountOptions,
): Promise<{ fd: number } | number> {
  const fd = syscalls.openat(AT_FDCWD, '/dev/fuse', O_RDWR | O_NONBLOCK | O_CLOEXEC)
  if (fd < 0) throw explainDevice(fd, mountPoint)
  const type = options.subtype === undefined ? 'fuse' : `fuse.${options.subtype}`
  const data = mountData(fd, mode, options)
  // Off this thread: the path may lead over a mount that this thread serves.
  const result = await syscalls.mountAsync(
    options.fsName ?? 'devfuse',
    mountPoint,
    type,
    mountFlags(options),
    data,
  )
  if (result === 0) return { fd }
  syscalls.close(fd)
  return result
}

/** fusermount3 mounts and passes the descriptor back over a socket (its `_FUSE_COMMFD` protocol). */
async function mountByHelper(mountPoint: string, options: MountOptions): Promise<number> {
  if (options.suid || options.dev) {
    throw new MountError(
      `only root can mount ${mountPoint} with working set-user-id bits or device files: leave out suid and dev`,
      EPERM,
      'fusermount3',
      mountPoint,
    )
  }
  // The helper opens the device with rights of its own, so only a missing one is told here.
  if (!existsSync('/dev/fuse')) throw explainDevice(ENOENT, mountPoint)
  const pair = new Int32Array(2)
  const made = syscalls.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)
  if (made < 0)
    throw new MountError(`socketpair failed: ${describeErrno(made)}`, made, 'socketpair', mountPoint)
  const [ours, theirs] = pair as unknown as [number, number]
  try {
    const { status, stderr } = await runHelper(
      ['-o', helperOptions(options), '--', mountPoint],
      theirs,
      mountPoint,
    )
    if (status !== 0) {
      throw new MountError(
        `fusermount3 could not mount on ${mountPoint}: ${stderr.trim() || `exit status ${status}`}` +
          helperHint(stderr),
        EPERM,
        'fusermount3',
        mountPoint,
      )
    }
    const fd = loadNative().syscallUtf8(special.recvFd, ours, MSG_DONTWAIT)
    if (fd < 0) {
      throw new MountError(
        `fusermount3 mounted ${mountPoint} but passed no descriptor: ${describeErrno(fd)}`,
        fd,
        'recvmsg',
        mountPoint,
      )
    }
    syscalls.fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK)
    return fd
  } finally {
    syscalls.close(ours)
  }
}

function helperOptions(options: MountOptions): string {
  const escape = (value: string): string => value.replace(/[\\,]/g, '\\$&')
  const words = ['rw,nosuid,nodev']
  if (options.readOnly) words[0] = 'ro,nosuid,nodev'
  if (options.noexec) words.push('noexec')
  if (options.noatime) words.push('noatime')
  if (options.sync) words.push('sync')
  if (options.dirsync) words.push('dirsync')
  words.push(`fsname=${escape(options.fsName ?? 'devfuse')}`)
  if (options.subtype !== undefined) words.push(`subtype=${escape(options.subtype)}`)
  if (options.allowOther) words.push('allow_other')
  if (options.defaultPermissions) words.push('default_permissions')
  if (options.maxRead !== undefined) words.push(`max_read=${options.maxRead}`)
  return words.join(',')
}

function helperHint(stderr: string): string {
  if (/user_allow_other/.test(stderr))
    return '; add the line user_allow_other to /etc/fuse.conf, or mount without allowOther'
  if (/not permitted/i.test(stderr))
    return '; fusermount3 must be setuid root, and the process must be in a namespace that may mount'
  return ''
}

function runHelper(
  args: string[],
  socket: number | undefined,
  mountPoint: string,
): Promise<{ status: number; stderr: string }> {
  return new Promise((done, fail) => {
    const child = spawn('fusermount3', args, {
      stdio: socket === undefined ? ['ignore', 'ignore', 'pipe'] : ['ignore', 'ignore', 'pipe', socket],
      env: { ...process.env, _FUSE_COMMFD: '3', LC_ALL: 'C' },
    })
    // Only the helper may hold its end: without a descriptor in it, receiving must fail, not wait.
    if (socket !== undefined) syscalls.close(socket)
    let stderr = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', (error: NodeJS.ErrnoException) => {
      const missing = error.code === 'ENOENT'
      fail(
        new MountError(
          missing
            ? `fusermount3 is not installed, and only root can mount without it: install the package fuse3 (for ${mountPoint})`
            : `fusermount3 could not be started: ${error.message}`,
          error.errno ?? EINVAL,
          'fusermount3',
          mountPoint,
        ),
      )
    })
    child.on('close', (status, signal) =>
      done({ status: status ?? 1, stderr: signal ? `killed by ${signal}` : stderr }),
    )
  })
}

function explainDevice(errno: number, mountPoint: string): MountError {
  const name = describeErrno(errno)
  const fix =
    name === 'ENOENT'
      ? 'load the kernel module (modprobe fuse), or give the container the device (--device /dev/fuse)'
      : name === 'EACCES' || name === 'EPERM'
        ? 'the process may not open it: check its mode and the device rules of the container'
        : name === 'ENODEV' || name === 'ENXIO'
          ? 'the kernel has no FUSE: load the module with modprobe fuse'
          : 'run `devfuse doctor`'
  return new MountError(
    `cannot mount on ${mountPoint}: opening /dev/fuse says ${name}; ${fix}`,
    errno,
    'open',
    mountPoint,
  )
}

function explainMount(errno: number, mountPoint: string): MountError {
  const name = describeErrno(errno)
  const fix =
    errno === EINVAL
      ? 'an option was not understood, or the mount point is of another type than the root; see the kernel log'
      : name === 'ENODEV'
        ? 'the kernel has no FUSE filesystem: load the module with modprobe fuse'
        : 'see mount(2)'
  return new MountError(
    `mounting on ${mountPoint} failed: mount says ${name}; ${fix}`,
    errno,
    'mount',
    mountPoint,
  )
}

/** Kernel: with DONT_SYNC nobody is asked for the device number of a mount's root, not even a server that is not there yet. */
async function minorOf(mountPoint: string): Promise<number> {
  const found = new StatxBuffer()
  const result = await syscalls.statxAsync(
    AT_FDCWD,
    mountPoint,
    AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT,
    0,
    found,
  )
  return result < 0 ? -1 : found.devMinor
}

/** Where our connection is mounted now: its path, `covered` by another mount, or undefined: nowhere. */
function placeOf(mounted: Mounted): string | undefined {
  let mounts: MountInfo[]
  try {
    mounts = readMountInfo()
  } catch {
    return mounted.mountPoint // without /proc the path is all there is
  }
  const ours = mounts.filter((mount) => mount.major === 0 && mount.minor === mounted.minor && isFuse(mount))
  const paths = [mounted.mountPoint, ...ours.map(({ mountPoint }) => mountPoint)]
  const reachable = paths.find((path) => findMount(path, mounts)?.minor === mounted.minor)
  return reachable ?? (ours.length > 0 ? COVERED : undefined)
}

const COVERED = ''

/** Whether our connection is still mounted somewhere; never touches the mount itself. */
export function isStillMounted(mounted: Mounted): boolean {
  return placeOf(mounted) !== undefined
}

/** How an unmount ended: 0, or -errno and what to say about it. */
export interface Unmounted {
  errno: number
  said: string
}

/**
 * Unmounts wherever our connection is mounted now: umount2(2) from a child process, so that a dying server never waits for
 * itself, or fusermount3. `lazy` detaches the mount at once and lets open files end by themselves; `abort` ends them.
 */
export async function unmountDevice(mounted: Mounted, how: 'clean' | 'lazy' | 'abort'): Promise<Unmounted> {
  const path = placeOf(mounted)
  if (path === undefined) return { errno: 0, said: '' }
  if (path === COVERED) return { errno: EBUSY, said: 'another mount covers it; unmount that one first' }
  if (how === 'abort') abortConnection(mounted)
  const lazy = how !== 'clean'
  if (process.geteuid?.() === 0) {
    const errno = await loadNative().syscallAsyncUtf8(special.umount, path, flagsOf(how), 0)
    return {
      errno,
      said:
        errno === EBUSY
          ? 'a file or working directory on it is in use; close it, or unmount lazily'
          : describeErrno(errno),
    }
  }
  const args = lazy ? ['-u', '-z', '--', path] : ['-u', '--', path]
  const { status, stderr } = await runHelper(args, undefined, path)
  if (status === 0) return { errno: 0, said: '' }
  return { errno: /busy/i.test(stderr) ? EBUSY : EPERM, said: `fusermount3 says: ${stderr.trim()}` }
}

/** Detaches the mount and aborts its connection without the event loop, waiting a second at the most: 0 or -errno. */
export function detachNow(mounted: Mounted): number {
  const path = placeOf(mounted)
  abortConnection(mounted)
  if (path === undefined || path === COVERED) return 0
  return loadNative().syscallUtf8(special.umount, path, flagsOf('abort'), 1000)
}

function flagsOf(how: 'clean' | 'lazy' | 'abort'): number {
  // Kernel: MNT_FORCE makes FUSE abort the connection, so that nobody waits for an answer any more.
  return UMOUNT_NOFOLLOW | (how === 'clean' ? 0 : MNT_DETACH) | (how === 'abort' ? MNT_FORCE : 0)
}

/**
 * Ends the connection for good, where fusectl is mounted: every caller returns with an error. Closing the device is not enough,
 * because a thread inside a write to it keeps it open.
 */
export function abortConnection({ minor }: { minor: number }): void {
  try {
    writeFileSync(`/sys/fs/fuse/connections/${minor}/abort`, '1')
  } catch {
    // Not mounted, not ours, or gone already.
  }
}
