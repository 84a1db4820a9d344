// Mounting without serving: for a privileged process that hands the descriptor on to one without privileges.
import type { Mounted } from '../device/mount.js'
import { mountDevice } from '../device/mount.js'
import type { MountOptions } from '../device/mount-options.js'
import { unmountDevice } from '../device/unmount.js'
import { syscalls } from '../syscalls/index.js'
import { requireLinux, systemError } from './errors.js'
import { resolveMountOptions } from './options.js'
import type { UnmountOptions } from './session.js'

/** A mount that somebody else is going to serve. `await using` unmounts it at the end of the block. */
export class OpenedMount implements AsyncDisposable {
  readonly #mounted: Mounted
  #open = true
  /** Kernel: its device number is the next mount's as soon as it is gone. */
  #gone = false
  #last: Promise<unknown> = Promise.resolve()

  /** Not for authors: use {@link openMount}. */
  constructor(mounted: Mounted) {
    this.#mounted = mounted
  }

  /**
   * The descriptor of the connection; -1 once {@link closeFd} was called. It stays this object's to close: `fromFd` in the same process
   * takes a duplicate (`F_DUPFD_CLOEXEC`).
   */
  get fd(): number {
    return this.#open ? this.#mounted.fd : -1
  }

  /** Absolute path of the mount point. */
  get mountPoint(): string {
    return this.#mounted.mountPoint
  }

  /** Minor device number: the connection's folder below /sys/fs/fuse/connections. */
  get minor(): number {
    return this.#mounted.minor
  }

  /** Who mounted. */
  get how(): Mounted['how'] {
    return this.#mounted.how
  }

  /**
   * Closes this process's descriptor once another one has its own. As long as any is open, the connection outlives its
   * server, and callers wait instead of getting ENOTCONN.
   */
  closeFd(): void {
    if (!this.#open) return
    this.#open = false
    syscalls.close(this.#mounted.fd)
  }

  /** Unmounts. Fails with EBUSY while the mount is in use; `lazy` detaches it then. Without effect once it is gone. */
  async unmount({ lazy = false }: UnmountOptions = {}): Promise<void> {
    const unmounting = this.#last.then(() => this.#unmount(lazy))
    this.#last = unmounting.catch(() => undefined)
    await unmounting
  }

  /** Unmounts, detaching where the mount is busy. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.unmount({ lazy: true })
  }

  async #unmount(lazy: boolean): Promise<void> {
    if (this.#gone) return
    const { errno, said } = await unmountDevice({ ...this.#mounted, fd: this.fd }, lazy ? 'lazy' : 'clean')
    if (errno < 0) throw systemError(errno, 'umount2', `unmounting ${this.mountPoint} failed: ${said}`)
    this.#gone = true
    this.#mounted.watchdog?.dismiss()
    this.closeFd()
  }
}

/**
 * Mounts at `mountPoint` and gives the descriptor of the connection, which nobody serves yet: callers wait until the process
 * that gets it (`sendFd` in `devfuse/syscalls`, or by inheritance) passes it to `fromFd`. With `owner`, that is the user whom
 * the kernel lets in. Unmounting stays with this process, also where the other one dies.
 *
 * Throws an OptionError for an option that cannot work, a MountError where mounting fails. Source: mount(8), fuse(4).
 */
export async function openMount(mountPoint: string, options: MountOptions = {}): Promise<OpenedMount> {
  requireLinux()
  return new OpenedMount(await mountDevice(mountPoint, resolveMountOptions(options)))
}
