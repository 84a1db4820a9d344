// Backing ids: names the kernel gives to files that it reads and writes itself on behalf of a mount
// (FUSE_DEV_IOC_BACKING_OPEN and _CLOSE). Stands beside a request: OPEN and CREATE replies carry an id.
import { EBADF, EINVAL, ENOENT, describeErrno } from '../protocol/index.js'
import { FUSE_DEV_IOC_BACKING_CLOSE, FUSE_DEV_IOC_BACKING_OPEN } from '../protocol/index.js'
import { requireLinux, systemError } from './errors.js'
import type { DevfuseWarning, SystemError } from './errors.js'
import { warning } from './errors.js'
import { StatxBuffer, syscalls } from '../syscalls/index.js'
import type { BackingFiles } from '../device/transport.js'

/** The connection as a backing id sees it: a device to close the id on, while there is one. */
export interface BackingDevice {
  /** Descriptor of the connection, -1 once the session has ended. */
  readonly fd: number
  /** Registers backing files where the connection has no descriptor; undefined elsewhere, and once the session has ended. */
  readonly backing?: BackingFiles | undefined
  /** Where it is mounted, for those who trace. */
  readonly mountPoint?: string
  report(problem: DevfuseWarning): void
}

/** Whether ids can be opened and closed on it. */
export const isLive = (device: BackingDevice): boolean => device.fd >= 0 || device.backing !== undefined

/** Registers `fd` on a connection, whatever it is made of; throws as `BackingId.createRaw` does. */
export function openBackingOn(device: BackingDevice, fd: number): BackingId {
  if (device.backing === undefined)
    return new BackingId(device, BackingId.createRaw(device.fd, fd), identityOf(fd))
  requireDescriptor('fd', fd)
  const id = device.backing.open(fd)
  if (id < 0) throw refusedBacking(id, fd)
  return new BackingId(device, id, identityOf(fd))
}

const found = new StatxBuffer()

/** What tells the real file behind `fd` from any other; empty where the descriptor does not say. */
export function identityOf(fd: number): string {
  return syscalls.fstatx(fd, 0, found) < 0 ? '' : `${found.dev}:${found.ino}`
}

function refusedBacking(errno: number, fd: number): SystemError {
  return systemError(
    errno,
    'ioctl',
    `FUSE_DEV_IOC_BACKING_OPEN of descriptor ${fd} failed: ${describeErrno(errno)}, ${explainBackingError(errno)}`,
  )
}

interface Leaked {
  id: number
  device: WeakRef<BackingDevice>
}

const leaks = new FinalizationRegistry<Leaked>(({ id, device }) => {
  const live = device.deref()
  if (live === undefined || !isLive(live)) return
  live.report(
    warning(
      'ERR_DEVFUSE_BACKING_LEAK',
      `backing id ${id} was garbage-collected without close(); it is closed now. Keep a BackingId for as long as ` +
        'files opened with it live, then close it',
    ),
  )
  closeOn(live, id)
})

const told = new WeakMap<BackingDevice, Set<number>>()

/** A process that has dropped its privileges fails at every close, and says so once. */
function isNew(device: BackingDevice, errno: number): boolean {
  const errors = told.get(device) ?? new Set()
  told.set(device, errors)
  return errors.size !== errors.add(errno).size
}

/** Closes `id` where the connection is still up. A failure is reported, never thrown. */
function closeOn(device: BackingDevice, id: number): void {
  if (!isLive(device)) return
  const argument = new Uint32Array([id])
  const result = device.backing?.close(id) ?? syscalls.ioctl(device.fd, FUSE_DEV_IOC_BACKING_CLOSE, argument)
  // Kernel: the device answers EPERM, and later ENODEV or ENOTCONN, once the connection is gone; its ids went with it.
  if (result < 0 && isLive(device) && isNew(device, result)) {
    device.report(
      warning(
        'ERR_DEVFUSE_BACKING_CLOSE',
        `closing backing id ${id} failed: ${describeErrno(result)}. ` +
          (result === ENOENT ? 'The kernel has no such id' : 'It stays open in the kernel until the unmount'),
      ),
    )
  }
}

/** Why the kernel refuses a backing file; source: Documentation/filesystems/fuse-passthrough.rst and fs/fuse/backing.c. */
export function explainBackingError(errno: number): string {
  switch (describeErrno(errno)) {
    case 'EPERM':
      return 'passthrough was not agreed on at INIT, or the process lacks CAP_SYS_ADMIN in the initial user namespace'
    case 'ELOOP':
      return 'the backing file lies on a filesystem that is stacked too deeply for max_stack_depth (2 allows overlayfs)'
    case 'EINVAL':
    case 'EISDIR':
      return 'only regular files can back a file'
    case 'EBADF':
      return 'the descriptor is not open'
    case 'ENOTTY':
      return 'this kernel has no passthrough (Linux 6.9 and newer with CONFIG_FUSE_PASSTHROUGH have it), or the device is not /dev/fuse'
    default:
      return 'see ioctl(2)'
  }
}

/**
 * A backing file registered with the kernel: FUSE_DEV_IOC_BACKING_OPEN on the connection of a session.
 *
 * An OPEN or CREATE reply that carries it makes the kernel read and write the file itself. Keep it until
 * the last file opened with it was released; the easy form, `{ fh, passthrough: fd }`, does that by itself.
 * The connection is held weakly: once the session has ended, {@link close} does nothing, because the kernel
 * has dropped the id already. Source: Documentation/filesystems/fuse-passthrough.rst.
 */
export class BackingId {
  #device: WeakRef<BackingDevice> | undefined
  readonly #id: number
  /** Not for authors: which real file it names; empty where that is not known. */
  readonly identity: string

  /** Not for authors: use `session.openBacking(fd)` or `session.wrapBacking(id)`. */
  constructor(device: BackingDevice, id: number, identity = '') {
    requireId(id)
    this.#id = id
    this.identity = identity
    this.#device = new WeakRef(device)
    leaks.register(this, { id, device: this.#device }, this)
  }

  /**
   * Registers `fd` on the connection that `deviceFd` is a descriptor of, and returns the bare id (> 0).
   * For a privileged helper process that holds the device but no session. The caller owns the id: it lives
   * until FUSE_DEV_IOC_BACKING_CLOSE or the end of the connection; hand it to `session.wrapBacking(id)`.
   *
   * Throws an Error with `errno`, `code` and `syscall` when the kernel refuses, and one with code
   * ERR_DEVFUSE_UNSUPPORTED off Linux.
   */
  static createRaw(deviceFd: number, fd: number): number {
    requireLinux('backing ids exist on Linux only')
    requireDescriptor('deviceFd', deviceFd)
    requireDescriptor('fd', fd)
    // struct fuse_backing_map { s32 fd; u32 flags; u64 padding }. Kernel: flags and padding must be 0.
    const map = new Int32Array(4)
    map[0] = fd
    const result = syscalls.ioctl(deviceFd, FUSE_DEV_IOC_BACKING_OPEN, map)
    if (result < 0) throw refusedBacking(result, fd)
    return result
  }

  /**
   * FUSE_DEV_IOC_BACKING_CLOSE of a bare id, for the process that called {@link createRaw}: it takes the same privilege.
   * Throws as {@link createRaw} does.
   */
  static closeRaw(deviceFd: number, id: number): void {
    requireLinux('backing ids exist on Linux only')
    requireDescriptor('deviceFd', deviceFd)
    requireId(id)
    const result = syscalls.ioctl(deviceFd, FUSE_DEV_IOC_BACKING_CLOSE, new Uint32Array([id]))
    if (result < 0)
      throw systemError(result, 'ioctl', `closing backing id ${id} failed: ${describeErrno(result)}`)
  }

  /** The number that the kernel gave, > 0; the `backing_id` of fuse_open_out. */
  get id(): number {
    return this.#id
  }

  /** True after {@link close}, {@link intoRaw} or the end of the session. */
  get closed(): boolean {
    const device = this.#device?.deref()
    return device === undefined || !isLive(device)
  }

  /** Whether it is open on this very connection. */
  belongsTo(device: BackingDevice): boolean {
    return this.#device?.deref() === device && isLive(device)
  }

  /**
   * FUSE_DEV_IOC_BACKING_CLOSE. Files that are open already keep working; new opens cannot use the id.
   * Idempotent, and without effect once the session has ended. A failure is reported through the session's
   * `onWarning`, not thrown.
   */
  close(): void {
    const device = this.#device?.deref()
    this.#forget()
    if (device !== undefined) closeOn(device, this.#id)
  }

  /** Gives up ownership: returns the bare id, and closing it becomes the caller's business. */
  intoRaw(): number {
    this.#forget()
    return this.#id
  }

  /** The same as {@link close}, for `using`. */
  [Symbol.dispose](): void {
    this.close()
  }

  #forget(): void {
    this.#device = undefined
    leaks.unregister(this)
  }
}

function requireDescriptor(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 0 || value > 0x7fff_ffff) {
    const message = `${name} must be an open file descriptor (an integer >= 0), not ${String(value)}`
    throw Object.assign(new TypeError(message), systemError(EBADF, 'ioctl', message))
  }
}

/** The kernel reads 32 bits of it: another number may be the id of somebody else's file. */
function requireId(value: number): void {
  if (!Number.isInteger(value) || value <= 0 || value > 0x7fff_ffff) {
    const message = `a backing id is an integer > 0 that the kernel gave, not ${String(value)}`
    throw Object.assign(new TypeError(message), systemError(EINVAL, 'ioctl', message))
  }
}
