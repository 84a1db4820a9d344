// Mounting: with the calls of the new mount interface or mount(2) for a process that may, fusermount3 for everybody else.
// Before the first request: the descriptor comes from here.
import { existsSync, readFileSync } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import { loadNative, special } from '../native.js'
import {
  AT_FDCWD,
  AT_NO_AUTOMOUNT,
  AT_STATX_DONT_SYNC,
  MNT_DETACH,
  MNT_FORCE,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDWR,
  StatxBuffer,
  UMOUNT_NOFOLLOW,
  syscalls,
} from '../syscalls/index.js'
import type { DeviceNumber } from './connection.js'
import { fsMount } from './fsmount.js'
import { mountByHelper } from './fusermount.js'
import { MountError, explainDevice, explainMount } from './mount-error.js'
import { connectionParameters, flagWords, parameters, sourceOf, typeOf } from './mount-options.js'
import type { MountOptions, Parameter } from './mount-options.js'
import { clearStaleMounts, deadMountAt } from './stale.js'
import { Watchdog } from './watchdog.js'

/** A mounted filesystem whose requests wait at `fd`. */
export interface Mounted {
  /** A non-blocking descriptor of the connection, owned by the caller; -1 once it is closed. */
  fd: number
  /** Absolute path of the mount point, without symbolic links; empty where the mount is somebody else's to know. */
  mountPoint: string
  /** Device number of the mount: 0, but for fuseblk. */
  major: number
  /** The minor one is also the connection's folder below /sys/fs/fuse/connections; UNKNOWN_MINOR where nobody told. */
  minor: number
  /** Who mounted: the calls of the new mount interface, mount(2), the helper program, or whoever passed the descriptor. */
  how: 'fsmount' | 'mount' | 'fusermount3' | 'fd'
  /** Unmounts after a violent death of this process. */
  watchdog?: Watchdog
}

/** A mount on its way. */
export interface Mounting {
  mounted: Mounted
  /**
   * Has to be called: puts the mount in its place, which with `syncInit` takes an answer to INIT. Throws a {@link MountError}; the
   * descriptor stays the caller's.
   */
  readonly finish: () => Promise<void>
}

const EPERM = -1
const ENOENT = -2
const EINVAL = -22
const ENOSYS = -38
const ENOTCONN = -107

/** Mounts at `path`. Throws a {@link MountError}, with nothing left mounted. */
export async function mountDevice(path: string, options: MountOptions): Promise<Mounted> {
  const { mounted, finish } = await beginMount(path, { ...options, syncInit: false })
  await finish().catch((error: unknown) => {
    syscalls.close(mounted.fd)
    throw error
  })
  return mounted
}

/** Begins to mount at `path`; requests may come before it is finished. Throws a {@link MountError}, with nothing left mounted. */
export async function beginMount(path: string, options: MountOptions): Promise<Mounting> {
  const { mountPoint, mode } = await findMountPoint(path, options)
  const watchdog = options.autoUnmount ? await Watchdog.start(mountPoint) : undefined
  try {
    const { mounted, finish } = await begin(mountPoint, mode, options)
    mounted.watchdog = watchdog
    watchdog?.watch(mounted)
    return {
      mounted,
      finish: async () => {
        try {
          await finish()
        } catch (error) {
          watchdog?.dismiss()
          throw error
        }
      },
    }
  } catch (error) {
    watchdog?.dismiss()
    throw error
  }
}

async function begin(mountPoint: string, mode: number, options: MountOptions): Promise<Mounting> {
  if (mayMount()) {
    const made = await fsMount(mountPoint, mode, options)
    if (typeof made === 'object') {
      const { fd, device, attach } = made
      return { mounted: { fd, mountPoint, ...device, how: 'fsmount' }, finish: attach }
    }
    if (made !== ENOSYS && made !== EPERM) throw explainMount(made, 'fsopen', mountPoint)
    if (options.syncInit)
      throw explainMount(made, 'fsopen', mountPoint, 'syncInit needs it; leave the option out')
    const fd = await mountDirectly(mountPoint, mode, options)
    if (fd >= 0) return inPlace(await identified(fd, mountPoint, 'mount'))
    if (fd !== EPERM) throw explainMount(fd, 'mount', mountPoint)
  }
  return inPlace(await identified(await mountByHelper(mountPoint, options), mountPoint, 'fusermount3'))
}

function inPlace(mounted: Mounted): Mounting {
  return { mounted, finish: () => Promise.resolve() }
}

const CAP_SYS_ADMIN = 21n

/** Kernel: mounting takes CAP_SYS_ADMIN in the user namespace that owns the mount namespace, whatever the user id. */
function mayMount(): boolean {
  if (process.geteuid?.() === 0) return true
  try {
    const [, mask = '0'] = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/self/status', 'latin1')) ?? []
    return ((BigInt(`0x${mask}`) >> CAP_SYS_ADMIN) & 1n) === 1n
  } catch {
    return false
  }
}

/** The path with its symbolic links followed, as mount(2) will do it. */
async function findMountPoint(
  path: string,
  options: MountOptions,
): Promise<{ mountPoint: string; mode: number }> {
  if (path === '')
    throw new MountError('cannot mount on an empty path; name a directory', ENOENT, 'stat', path)
  let errno = ENOTCONN
  let code: string | undefined = 'ENOTCONN'
  try {
    const mountPoint = await realpath(path)
    const { mode } = await stat(mountPoint)
    // Kernel: the root of a dead mount still answers stat(2) while its attributes are cached.
    if (!existsSync('/proc/self/mountinfo') || (await deadMountAt(mountPoint)) === undefined)
      return { mountPoint, mode }
  } catch (error) {
    ;({ errno = EINVAL, code } = error as NodeJS.ErrnoException)
  }
  if (code === 'ENOTCONN' && options.clearStale) {
    await clearStaleMounts(path, options)
    return findMountPoint(path, { ...options, clearStale: false })
  }
  const fix =
    code === 'ENOTCONN'
      ? 'the server of a mount there has died; clear it with: devfuse unmount'
      : code === 'ENOENT'
        ? 'create it first'
        : 'check the path and its permissions'
  throw new MountError(`cannot mount on ${path}: stat says ${code}; ${fix}`, errno, 'stat', path)
}

/** mount(2): the descriptor, or -errno where the kernel refuses. */
async function mountDirectly(mountPoint: string, mode: number, options: MountOptions): Promise<number> {
  const fd = syscalls.openat(AT_FDCWD, '/dev/fuse', O_RDWR | O_NONBLOCK | O_CLOEXEC)
  if (fd < 0) throw explainDevice(fd, mountPoint)
  const type = options.subtype === undefined ? typeOf(options) : `${typeOf(options)}.${options.subtype}`
  const flags = flagWords(options).reduce((bits, { ms }) => bits | ms, 0)
  const list = [...connectionParameters(fd, mode, options), ...parameters(options)]
  const data = list.map((parameter) => expressed(parameter, mountPoint)).join(',')
  // Off this thread: the path may lead over a mount that this thread serves.
  const result = await syscalls.mountAsync(sourceOf(options), mountPoint, type, flags, data)
  if (result === 0) return fd
  syscalls.close(fd)
  return result
}

/** Kernel: mount(2) takes one string and ends an option at every comma; only SELinux's own may be in quotation marks. */
function expressed({ key, value }: Parameter, mountPoint: string): string {
  if (value === undefined) return key
  if (!value.includes(',')) return `${key}=${value}`
  if (/^((fs|def|root)?context|seclabel)$/.test(key) && !value.includes('"')) return `${key}="${value}"`
  throw explainMount(
    EINVAL,
    'mount',
    mountPoint,
    `mount(2) cannot express the comma in the option \`${key}\``,
  )
}

/** Finds out which mount it has become. */
async function identified(fd: number, mountPoint: string, how: 'mount' | 'fusermount3'): Promise<Mounted> {
  const device = await deviceAt(mountPoint)
  if (device !== undefined) return { fd, mountPoint, ...device, how }
  // Without its number we could not tell our own mount from another one later.
  const flags = UMOUNT_NOFOLLOW | MNT_DETACH | MNT_FORCE
  await loadNative().syscallAsyncUtf8(special.umount, mountPoint, flags, 0)
  syscalls.close(fd)
  throw new MountError(
    `mounting on ${mountPoint} failed: it was gone again at once`,
    ENOENT,
    'statx',
    mountPoint,
  )
}

/** Kernel: with DONT_SYNC nobody is asked for the device number of a mount's root, not even a server that is not there yet. */
async function deviceAt(mountPoint: string): Promise<DeviceNumber | undefined> {
  const found = new StatxBuffer()
  const flags = AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT
  const result = await syscalls.statxAsync(AT_FDCWD, mountPoint, flags, 0, found)
  return result < 0 ? undefined : { major: found.devMajor, minor: found.devMinor }
}
