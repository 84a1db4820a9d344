// Mounting and unmounting: mount(2) for a privileged process, fusermount3 for everybody else.
// Before the first request (the descriptor comes from here) and after the last one.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { describeErrno } from '../protocol/index.js'
import { loadNative, special } from '../native.js'
import { syscalls } from '../syscalls/index.js'
import { findMount } from './mountinfo.js'
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
const MNT_DETACH = 2
const UMOUNT_NOFOLLOW = 8

const O_RDWR = 2
const O_NONBLOCK = 0o4000
const O_CLOEXEC = 0o2000000
const AF_UNIX = 1
const SOCK_STREAM = 1
const SOCK_CLOEXEC = 0o2000000
const F_SETFL = 4

/** Mounts at `path`. Throws a {@link MountError}. */
export async function mountDevice(path: string, options: MountOptions): Promise<Mounted> {
  const mountPoint = resolve(path)
  const mode = await modeOfMountPoint(mountPoint)
  const direct = process.geteuid?.() === 0 ? mountDirectly(mountPoint, mode, options) : EPERM
  if (typeof direct === 'number') {
    if (direct !== EPERM) throw explainMount(direct, mountPoint)
    const fd = await mountByHelper(mountPoint, options)
    return { fd, mountPoint, minor: minorOf(mountPoint), how: 'fusermount3' }
  }
  return { fd: direct.fd, mountPoint, minor: minorOf(mountPoint), how: 'mount' }
}

async function modeOfMountPoint(mountPoint: string): Promise<number> {
  try {
    return (await stat(mountPoint)).mode
  } catch (error) {
    const { errno = EINVAL, code } = error as NodeJS.ErrnoException
    const fix =
      code === 'ENOTCONN'
        ? 'the server of a mount there has died; clear it with: devfuse unmount'
        : code === 'ENOENT'
          ? 'create it first'
          : 'check the path and its permissions'
    throw new MountError(
      `cannot mount on ${mountPoint}: stat says ${code}; ${fix}`,
      errno,
      'stat',
      mountPoint,
    )
  }
}

/** mount(2): the descriptor, or -errno where the kernel refuses. */
function mountDirectly(mountPoint: string, mode: number, options: MountOptions): { fd: number } | number {
  const fd = syscalls.openat(-100, '/dev/fuse', O_RDWR | O_NONBLOCK | O_CLOEXEC)
  if (fd < 0) throw explainDevice(fd, mountPoint)
  const type = options.subtype === undefined ? 'fuse' : `fuse.${options.subtype}`
  const data = mountData(fd, mode, options)
  const result = syscalls.mount(options.fsName ?? 'devfuse', mountPoint, type, mountFlags(options), data)
  if (result === 0) return { fd }
  syscalls.close(fd)
  return result
}

/** fusermount3 mounts and passes the descriptor back over a socket (its `_FUSE_COMMFD` protocol). */
async function mountByHelper(mountPoint: string, options: MountOptions): Promise<number> {
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
    const fd = loadNative().syscallUtf8(special.recvFd, ours)
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
    syscalls.close(theirs)
  }
}

function helperOptions(options: MountOptions): string {
  const escape = (value: string): string => value.replace(/[\\,]/g, '\\$&')
  const words = ['rw,nosuid,nodev']
  if (options.readOnly) words[0] = 'ro,nosuid,nodev'
  if (options.noexec) words.push('noexec')
  if (options.noatime) words.push('noatime')
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

function minorOf(mountPoint: string): number {
  return findMount(mountPoint)?.minor ?? -1
}

/** Whether our connection is still what is mounted at the path; never touches the mount itself. */
export function isStillMounted(mounted: Mounted): boolean {
  const found = findMount(mounted.mountPoint)
  return found !== undefined && found.major === 0 && found.minor === mounted.minor
}

/**
 * umount2(2) from a child process, so that a dying server never waits for itself: 0 or -errno.
 * `lazy` detaches the mount at once and lets open files end by themselves.
 */
export async function unmountDevice(mounted: Mounted, lazy: boolean): Promise<number> {
  if (!isStillMounted(mounted)) return 0
  if (process.geteuid?.() === 0) {
    const flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)
    return loadNative().syscallAsyncUtf8(special.umount, mounted.mountPoint, flags, 0)
  }
  const args = lazy ? ['-u', '-z', '--', mounted.mountPoint] : ['-u', '--', mounted.mountPoint]
  const { status, stderr } = await runHelper(args, undefined, mounted.mountPoint)
  if (status === 0) return 0
  return /busy/i.test(stderr) ? EBUSY : EPERM
}

/** Detaches the mount without the event loop, waiting a second at the most: 0 or -errno. */
export function detachNow(mounted: Mounted): number {
  if (!isStillMounted(mounted)) return 0
  const native = loadNative()
  return native.syscallUtf8(special.umount, mounted.mountPoint, UMOUNT_NOFOLLOW | MNT_DETACH, 1000)
}
