// One mounted filesystem from INIT to its end: owns the transport, the dispatcher and the mount itself,
// and is what mount() returns.
import { setTimeout as delay } from 'node:timers/promises'
import type { Mounted } from '../device/mount.js'
import { detachNow, isStillMounted, unmountDevice } from '../device/mount.js'
import type { Transport } from '../device/transport.js'
import { describeErrno } from '../protocol/index.js'
import { BackingId } from './backing.js'
import type { BackingDevice } from './backing.js'
import { Cloning, explainClone, requireShareable } from './clone.js'
import type { Clone } from './clone.js'
import { ControlSocket } from './control.js'
import { Dispatcher } from './dispatch.js'
import { UnsupportedError, systemError, warning } from './errors.js'
import type { DevfuseWarning } from './errors.js'
import type { Filesystem } from './filesystem.js'
import { NegotiationError, wishes } from './init.js'
import type { Negotiation } from './init.js'
import type { Notifier } from './notify.js'
import type { ResolvedOptions } from './options.js'
import { unwatch, watch } from './shutdown.js'
import type { Unmountable } from './shutdown.js'
import type { SessionStats } from './stats.js'

/** How a session ended. */
export interface Closed {
  /**
   * `unmount`: by us; `outside`: someone else unmounted it; `aborted`: the connection was aborted through fusectl or
   * by a request timeout; `error`: the device failed.
   */
  reason: 'unmount' | 'outside' | 'aborted' | 'error'
  /** What the device said last, negative; 0 after an unmount. */
  errno: number
}

/** Options of {@link Session.unmount}. */
export interface UnmountOptions {
  /** Detach at once even when it is in use (MNT_DETACH): open files live on until they are closed. */
  lazy?: boolean
}

/** How long a connection may outlive its clean unmount, in milliseconds. */
const MAX_AFTERLIFE = 2000

const ENODEV = -19
const ECONNABORTED = -103
const EBUSY = -16

/** A mounted filesystem. `await using` unmounts it at the end of the block. */
export class Session implements Unmountable, BackingDevice, AsyncDisposable {
  /** Settles when the session has ended, whoever ended it. */
  readonly closed: Promise<Closed>
  readonly #transport: Transport
  readonly #filesystem: Filesystem
  readonly #dispatcher: Dispatcher
  readonly #options: ResolvedOptions
  readonly #mounted: Mounted | undefined
  readonly #startedAt = performance.now()
  #resolveClosed!: (closed: Closed) => void
  #ready: Promise<void>
  #ended: Closed | undefined
  #unmounting: Promise<void> | undefined
  #control: ControlSocket | undefined
  #cloning: Cloning | undefined

  /** Not for authors: use {@link mount}. */
  constructor(
    transport: Transport,
    filesystem: Filesystem,
    options: ResolvedOptions,
    mounted: Mounted | undefined,
  ) {
    this.#transport = transport
    this.#filesystem = filesystem
    this.#options = options
    this.#mounted = mounted
    const wanted = wishes(options, (method) => typeof filesystem[method as keyof Filesystem] === 'function')
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve))
    let settled: { resolve: () => void; reject: (error: Error) => void }
    this.#ready = new Promise((resolve, reject) => (settled = { resolve, reject }))
    this.#dispatcher = new Dispatcher(transport, filesystem, options, wanted, this, {
      ready: () => settled.resolve(),
      failed: (error) => settled.reject(error),
      ended: (errno) => {
        settled.reject(
          new NegotiationError(`the connection ended before INIT was answered: ${describeErrno(errno)}`),
        )
        this.#end(errno)
      },
    })
    this.#ready.catch(() => undefined)
  }

  /** Not for authors: serves until INIT has been answered. Throws what made it impossible, with nothing left mounted. */
  async start(): Promise<this> {
    watch(this, this.#options.handleSignals)
    if (this.#options.busyPoll !== undefined) this.#transport.setBusyPoll(this.#options.busyPoll)
    this.#transport.start(this.#dispatcher)
    try {
      await this.#ready
      if (this.#options.control && this.#mounted !== undefined) await this.#listen(this.#mounted.minor)
    } catch (error) {
      await this.#abandon()
      throw error
    }
    return this
  }

  /** Absolute path of the mount point; empty where the session serves no mount of its own. */
  get mountPoint(): string {
    return this.#mounted?.mountPoint ?? ''
  }

  /** Descriptor of the connection for its ioctls, -1 once the session has ended. */
  get fd(): number {
    return this.#transport.fd
  }

  /** What INIT settled: offered, wanted, agreed and the limits. */
  get negotiation(): Negotiation {
    const { negotiation } = this.#dispatcher
    if (negotiation === undefined) throw new NegotiationError('INIT has not been answered yet')
    return negotiation
  }

  /** Notifications to the kernel: cache invalidation, waking pollers, ... */
  get notify(): Notifier {
    return this.#dispatcher.notifier
  }

  /** Counters since the mount. */
  stats(): SessionStats {
    const { kernelMinor, minor } = this.negotiation
    const { passthrough, interrupts, counters } = this.#dispatcher
    return {
      mountPoint: this.mountPoint,
      pid: process.pid,
      uptime: Math.round(performance.now() - this.#startedAt) / 1000,
      transport: this.#transport.name,
      kernelMinor,
      minor,
      inFlight: interrupts.size,
      passthrough: { ...passthrough.stats(), unavailable: passthrough.unavailable },
      operations: counters.snapshot(),
      device: this.#transport.stats(),
    }
  }

  /**
   * Registers `fd` as a backing file (FUSE_DEV_IOC_BACKING_OPEN). Needs agreed passthrough and CAP_SYS_ADMIN; throws
   * an Error with `errno`, `code`, `syscall` and the reason. Close the id after the last release of what it backs.
   */
  openBacking(fd: number): BackingId {
    if (process.platform !== 'linux') throw new UnsupportedError('backing ids exist on Linux only')
    if (this.fd < 0)
      throw systemError(ENODEV, 'ioctl', 'the session has ended: there is nothing to open a backing id on')
    return new BackingId(this, BackingId.createRaw(this.fd, fd))
  }

  /** Takes ownership of a bare id, from `BackingId.createRaw` of this connection or from `intoRaw()`. */
  wrapBacking(id: number): BackingId {
    if (process.platform !== 'linux') throw new UnsupportedError('backing ids exist on Linux only')
    if (!Number.isInteger(id) || id <= 0)
      throw new TypeError(`a backing id is an integer > 0, not ${String(id)}`)
    return new BackingId(this, id)
  }

  /**
   * A further descriptor of this connection (FUSE_DEV_IOC_CLONE) for a worker thread of this process, which serves the mount
   * together with this one: send it there and pass it to `serveClone`, or use `addWorkers`, which does both. Throws an
   * OptionError unless the filesystem says `shareable: true` and the mount was made with `passthrough: 'off'`.
   */
  clone(): Clone {
    requireShareable(this.#filesystem, this.negotiation.agreed)
    const fd = this.fd < 0 ? ENODEV : this.#transport.clone()
    if (fd < 0) throw systemError(fd, 'ioctl', explainClone(fd))
    this.#cloning ??= new Cloning(this.#dispatcher)
    return this.#cloning.clone(fd, this.mountPoint, this.#options.encoding, this.negotiation)
  }

  /**
   * Unmounts and settles when the session has ended. Fails with EBUSY while the mount is in use, and goes on serving;
   * `lazy` detaches it then. Without effect once the session has ended.
   */
  unmount(options: UnmountOptions = {}): Promise<void> {
    if (this.#ended !== undefined) return Promise.resolve()
    this.#unmounting ??= this.#unmount(options.lazy ?? false).finally(() => (this.#unmounting = undefined))
    return this.#unmounting
  }

  /** Unmounts, lazily where the mount is busy. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown()
  }

  /** Clean unmount, detached where it is busy; settles when the session has ended. */
  async shutdown(): Promise<void> {
    try {
      await this.unmount()
    } catch (error) {
      this.report(
        warning(
          'ERR_DEVFUSE_UNMOUNT',
          `${this.mountPoint} could not be unmounted cleanly (${(error as Error).message}); it is detached instead`,
        ),
      )
      await this.unmount({ lazy: true }).catch((problem: unknown) => {
        this.report(warning('ERR_DEVFUSE_UNMOUNT', `${this.mountPoint} could not be detached`, problem))
      })
      // Open files keep a detached mount alive in the kernel; closing the device ends them.
      this.#end(0)
    }
  }

  /** Detaches the mount at once, without the event loop; for exit handlers. */
  detachNow(): void {
    if (this.#ended !== undefined) return
    if (this.#mounted !== undefined) detachNow(this.#mounted)
    this.#control?.close()
    this.#transport.close()
  }

  /** Passes a survived problem to the option `onWarning`. */
  report(problem: DevfuseWarning): void {
    try {
      this.#options.onWarning(problem)
    } catch (error) {
      process.emitWarning(`devfuse: the onWarning option threw: ${String(error)}`)
    }
  }

  async #unmount(lazy: boolean): Promise<void> {
    if (this.#mounted === undefined) {
      this.#end(0)
      return
    }
    const result = await unmountDevice(this.#mounted, lazy)
    if (result < 0) {
      throw systemError(
        result,
        'umount2',
        `unmounting ${this.mountPoint} failed: ${describeErrno(result)}` +
          (result === EBUSY
            ? ', a file or working directory on it is in use; close it, or unmount lazily'
            : ''),
      )
    }
    // Kernel: after the last use of the mount reading the device says ENODEV, which ends the session. A busy mount that
    // was detached lazily goes on being served until its last file is closed.
    if (lazy) return
    const timer = new AbortController()
    const late = delay(MAX_AFTERLIFE, true, { signal: timer.signal }).catch(() => false)
    if (await Promise.race([this.closed.then(() => false), late])) {
      this.report(
        warning(
          'ERR_DEVFUSE_UNMOUNT',
          `${this.mountPoint} is unmounted here but still in use in another mount namespace; its connection is closed`,
        ),
      )
      this.#end(0)
    }
    timer.abort()
  }

  /** The device said its last word, or we did. */
  #end(errno: number): void {
    if (this.#ended !== undefined) return
    const byUs = this.#unmounting !== undefined || errno === 0
    const reason = byUs
      ? 'unmount'
      : errno === ENODEV
        ? 'outside'
        : errno === ECONNABORTED
          ? 'aborted'
          : 'error'
    this.#ended = { reason, errno: byUs ? 0 : errno }
    unwatch(this)
    this.#control?.close()
    this.#cloning?.siblings.end()
    this.#dispatcher.finish()
    this.#transport.close()
    if (byUs) this.#resolveClosed(this.#ended)
    else void this.#clearStale().finally(() => this.#resolveClosed(this.#ended!))
  }

  /** A dead connection leaves its mount behind, where every call fails with ENOTCONN. */
  async #clearStale(): Promise<void> {
    this.report(
      warning(
        'ERR_DEVFUSE_ENDED',
        this.#ended?.reason === 'outside'
          ? `${this.mountPoint} was unmounted from outside`
          : `the connection of ${this.mountPoint} was lost: ${describeErrno(this.#ended?.errno ?? ENODEV)}`,
      ),
    )
    if (this.#mounted !== undefined && isStillMounted(this.#mounted)) await unmountDevice(this.#mounted, true)
  }

  async #abandon(): Promise<void> {
    await this.unmount({ lazy: true }).catch(() => undefined)
    this.#end(0)
  }

  async #listen(minor: number): Promise<void> {
    const control = new ControlSocket(minor, () => this.stats())
    try {
      await control.listen()
      this.#control = control
    } catch (error) {
      this.report(
        warning(
          'ERR_DEVFUSE_CONTROL',
          `\`devfuse stats\` cannot reach this mount: ${(error as Error).message}`,
        ),
      )
    }
  }
}
