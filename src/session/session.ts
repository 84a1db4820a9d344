// One mounted filesystem from INIT to its end: owns the transport, the dispatcher and the mount itself,
// and is what mount() returns.
import type { Mounted } from '../device/mount.js'
import { unlessAborted } from './abort.js'
import { abortConnection, clearDeadMount, detachNow, forceAbort, unmountDevice } from '../device/unmount.js'
import type { BackingFiles, Transport } from '../device/transport.js'
import { EBUSY, ECONNABORTED, ENODEV, describeErrno } from '../protocol/index.js'
import { BackingId, isLive, openBackingOn } from './backing.js'
import type { BackingDevice } from './backing.js'
import { Cloning, cloneDescriptor, requireDevice, requireShareable } from './clone.js'
import type { Clone } from './clone.js'
import { listenOn } from './control.js'
import type { ControlSocket } from './control.js'
import { Dispatcher } from './dispatch.js'
import { requireLinux, systemError, warning } from './errors.js'
import type { DevfuseWarning } from './errors.js'
import type { Filesystem } from './filesystem.js'
import { NegotiationError, wishes } from './init.js'
import { Guard } from './guard.js'
import type { Negotiation } from './init.js'
import { closedBy, endedWarning } from './closed.js'
import type { Closed } from './closed.js'
import type { Notifier } from './notify.js'
import type { ResolvedOptions } from './options.js'
import { settlesWithin } from './patience.js'
import { tell, unwatch, watch } from './shutdown.js'
import type { Unmountable } from './shutdown.js'
import type { SessionStats } from './stats.js'

/** Options of {@link Session.unmount}. */
export interface UnmountOptions {
  /** Detach at once even when it is in use (MNT_DETACH): open files live on until they are closed. */
  lazy?: boolean
}

/** How long a connection may outlive its clean unmount, in milliseconds. */
const MAX_AFTERLIFE = 2000

/** How long a clean unmount may take before the mount is detached, in milliseconds. */
const PATIENCE = 5000

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
  /** Unmounts of ours under way, and whether one has worked. */
  #attempts = 0
  #aborting = false
  #unmounted = false
  /** The mount outlives us, dead. */
  #leftBehind = false
  /** The last of these attempts, without what follows on it. */
  #leaving: Promise<unknown> = Promise.resolve()
  readonly #over: Promise<void>
  #resolveOver!: () => void
  #control: ControlSocket | undefined
  #cloning: Cloning | undefined
  readonly #guard: Guard

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
    this.#guard = new Guard(this.mountPoint, (problem) => this.report(problem))
    const wanted = wishes(options, (method) => typeof filesystem[method as keyof Filesystem] === 'function')
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve))
    this.#over = new Promise((resolve) => (this.#resolveOver = resolve))
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
    const tooEarly = new NegotiationError('the session was ended before INIT was answered')
    void this.#over.then(() => settled.reject(tooEarly))
    this.#ready.catch(() => undefined)
  }

  /** Not for authors: serves until INIT has been answered. Throws what made it impossible, with nothing left mounted. */
  async start(signals = this.#options.handleSignals): Promise<this> {
    watch(this, signals)
    void this.closed.then(() => this.#mounted?.watchdog?.dismiss())
    try {
      if (this.#options.busyPoll !== undefined) this.#transport.setBusyPoll(this.#options.busyPoll)
      this.#transport.start(this.#dispatcher)
      await unlessAborted(this.#options.signal, () => this.#ready)
      if (this.#options.deadlockGuard) this.#guard.begin(this.#transport)
      if (this.#options.control && this.#mounted !== undefined) await this.#listen(this.#mounted)
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

  /** Not for authors: what it takes to detach this mount from another thread. Plain data. */
  get mounted(): Mounted | undefined {
    if (this.#mounted === undefined) return undefined
    const { watchdog: _, ...plain } = this.#mounted
    return plain
  }

  /** Descriptor of the connection for its ioctls, -1 once the session has ended. */
  get fd(): number {
    return this.#transport.fd
  }

  /** Not for authors: see {@link openBacking}. */
  get backing(): BackingFiles | undefined {
    return this.#ended === undefined ? this.#transport.backing : undefined
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
      transportReason: this.#options.transportReason ?? 'it is the only one',
      threads: 1 + (this.#cloning?.threads ?? 0),
      kernelMinor,
      minor,
      inFlight: interrupts.size,
      deadlocks: this.#guard.deadlocks,
      passthrough: { ...passthrough.stats(), unavailable: passthrough.unavailable },
      filesystem: this.#filesystem.stats?.(),
      operations: counters.snapshot(this.#cloning?.counters),
      device: this.#transport.stats(),
    }
  }

  /**
   * Registers `fd` as a backing file (FUSE_DEV_IOC_BACKING_OPEN). Needs agreed passthrough and CAP_SYS_ADMIN; throws
   * an Error with `errno`, `code`, `syscall` and the reason. Close the id after the last release of what it backs.
   */
  openBacking(fd: number): BackingId {
    requireLinux('backing ids exist on Linux only')
    if (!isLive(this))
      throw systemError(ENODEV, 'ioctl', 'the session has ended: there is nothing to open a backing id on')
    return openBackingOn(this, fd)
  }

  /** Takes ownership of a bare id, from `BackingId.createRaw` of this connection or from `intoRaw()`. */
  wrapBacking(id: number): BackingId {
    requireLinux('backing ids exist on Linux only')
    return new BackingId(this, id)
  }

  /**
   * A further descriptor of this connection (FUSE_DEV_IOC_CLONE) for a worker thread of this process, which serves the mount
   * together with this one: send it there and pass it to `serveClone`, or use `addWorkers`, which does both. Throws an
   * OptionError unless the filesystem says `shareable: true` and the mount was made with `passthrough: 'off'`.
   */
  clone(): Clone {
    requireDevice(this.#transport)
    return this.cloneFor()
  }

  /** Not for authors: a clone for the thread that serves `queues` of the ring, where there is one. */
  cloneFor(queues: readonly number[] = []): Clone {
    requireShareable(this.#filesystem, this.negotiation.agreed)
    const fd = cloneDescriptor(this.#transport)
    // While this thread waits, another one may answer.
    this.#guard.end(this.#transport)
    this.#cloning ??= new Cloning(this.#dispatcher)
    const { negotiation, mountPoint } = this
    const ring = this.#transport.name === 'ring' ? queues : undefined
    return this.#cloning.clone({ fd, mountPoint, negotiation }, this.#options, ring)
  }

  /** Not for authors: what is known of the threads with clones. */
  get cloning(): Cloning | undefined {
    return this.#cloning
  }

  /**
   * Unmounts and settles when the session has ended. Fails with EBUSY while the mount is in use, and goes on serving.
   * With `lazy` it never is: the mount is detached, this settles, and the session ends with the last file in use.
   */
  async unmount({ lazy = false }: UnmountOptions = {}): Promise<void> {
    if (this.#ended !== undefined) {
      await this.closed
    } else if (lazy) {
      // Not behind a clean unmount that may be waiting for a hung caller.
      await this.#unmount('lazy')
    } else {
      this.#unmounting ??= this.#unmount('clean').finally(() => (this.#unmounting = undefined))
      await this.#unmounting
    }
  }

  /** Unmounts, lazily where the mount is busy. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown()
  }

  /** Clean unmount, detached where it is busy or takes too long; settles when the session has ended. */
  async shutdown(): Promise<void> {
    try {
      if (!(await settlesWithin(this.unmount(), PATIENCE)))
        throw new Error(`it took more than ${PATIENCE} ms`)
    } catch (error) {
      this.report(
        warning(
          'ERR_DEVFUSE_UNMOUNT',
          `${this.mountPoint} could not be unmounted cleanly (${(error as Error).message}); it is detached instead`,
        ),
      )
      await this.#unmount('abort').catch((problem: unknown) => {
        this.report(warning('ERR_DEVFUSE_UNMOUNT', `${this.mountPoint} could not be detached`, problem))
      })
      this.#end(0)
    }
    await this.closed
  }

  /** Detaches the mount at once, without the event loop, and ends the session; for exit handlers. */
  detachNow(): void {
    if (this.#ended !== undefined) return
    this.#guard.end(this.#transport)
    const stays = this.#mounted !== undefined && this.#transport.connected && detachNow(this.#mounted) < 0
    const ended = this.#stop(0)
    // Not at once: an exit handler is no place for the filesystem's `destroy`.
    queueMicrotask(() => void this.#finish(ended, stays))
  }

  /** Ends the connection at once: requests that somebody waits for fail, and the mount goes. */
  abort(): void {
    if (this.#mounted === undefined || !this.#transport.connected) return
    this.#aborting = true
    void forceAbort({ ...this.#mounted, fd: this.fd })?.then(() => this.#end(ECONNABORTED))
  }

  /** Passes a survived problem to the option `onWarning`. */
  report(problem: DevfuseWarning): void {
    tell(this.#options.onWarning, problem)
  }

  async #unmount(how: 'clean' | 'lazy' | 'abort'): Promise<void> {
    // A mount that somebody else made is his to remove.
    if (this.#mounted === undefined || this.#mounted.how === 'fd') {
      this.#end(0)
      return
    }
    this.#attempts++
    let detachedBefore = false
    try {
      // Once it is closed, its number may be another connection's.
      const unmounting = unmountDevice({ ...this.#mounted, fd: this.fd }, how)
      this.#leaving = unmounting
      const { errno, said, nowhere } = await unmounting
      detachedBefore = nowhere === true
      if (errno < 0) {
        // Nothing more is tried, and whoever asked ends the session.
        this.#leftBehind = how === 'abort'
        throw systemError(
          errno,
          'umount2',
          `unmounting ${this.mountPoint} failed: ${describeErrno(errno)}, ${said}`,
        )
      }
      this.#unmounted ||= !detachedBefore
    } finally {
      this.#attempts--
    }
    // Kernel: after the last use of the mount reading the device says ENODEV, which ends the session. A busy mount that
    // was detached lazily goes on being served until its last file is closed.
    if (how === 'clean') await this.#afterlife(detachedBefore)
  }

  async #afterlife(detachedBefore: boolean): Promise<void> {
    if (!(await settlesWithin(this.#over, MAX_AFTERLIFE))) {
      if (detachedBefore)
        throw systemError(EBUSY, 'umount2', `${this.mountPoint} was detached before, and is in use`)
      this.report(
        warning(
          'ERR_DEVFUSE_UNMOUNT',
          `${this.mountPoint} is unmounted here but still in use in another mount namespace; its connection is closed`,
        ),
      )
      if (this.#mounted !== undefined && this.#transport.connected) abortConnection(this.#mounted)
      this.#end(0)
    }
    await this.closed
  }

  /** The device said its last word, or we did. */
  #end(errno: number): void {
    if (this.#ended === undefined) void this.#finish(this.#stop(errno))
  }

  #stop(errno: number): Closed {
    const byUs = this.#unmounted || this.#attempts > 0 || errno === 0
    const ended: Closed = byUs
      ? { reason: 'unmount', errno: 0 }
      : closedBy(this.#aborting ? ECONNABORTED : errno, this.#mounted)
    this.#ended = ended
    unwatch(this)
    this.#control?.close()
    this.#transport.close()
    this.#cloning?.siblings.end()
    this.#resolveOver()
    return ended
  }

  async #finish(ended: Closed, stale = ended.reason !== 'unmount'): Promise<void> {
    const ends = await Promise.allSettled([this.#dispatcher.finish(), this.#leave(ended, stale)])
    for (const end of ends) {
      if (end.status === 'fulfilled') continue
      this.report(
        warning(
          'ERR_DEVFUSE_UNMOUNT',
          `clearing up after ${this.mountPoint || 'a session'} failed`,
          end.reason,
        ),
      )
    }
    this.#resolveClosed(this.#leftBehind ? { ...ended, leftBehind: true } : ended)
  }

  /** The mount of a connection that has ended goes, whatever its handlers still do. */
  async #leave(ended: Closed, stale: boolean): Promise<void> {
    // The connection may end some time before its mount has come away.
    await this.#leaving.catch(() => undefined)
    if (ended.reason !== 'unmount') this.report(endedWarning(ended, this.mountPoint))
    if (stale) await this.#clearStale()
  }

  /** A dead connection leaves its mount behind, where every call fails with ENOTCONN. */
  async #clearStale(): Promise<void> {
    if (this.#mounted === undefined || this.#mounted.how === 'fd') return
    const cleared = clearDeadMount(this.#mounted).then((stays) => {
      if (stays === undefined) return
      this.#leftBehind = true
      this.report(
        warning('ERR_DEVFUSE_UNMOUNT', `a dead mount is left behind at ${this.mountPoint}: ${stays}`),
      )
    })
    await settlesWithin(cleared, MAX_AFTERLIFE)
  }

  async #abandon(): Promise<void> {
    await this.#unmount('abort').catch(() => undefined)
    this.#end(0)
    await this.closed
  }

  async #listen({ minor }: Mounted): Promise<void> {
    this.#control = await listenOn(
      minor,
      () => this.stats(),
      (problem) => this.report(problem),
    )
    if (this.#ended !== undefined) this.#control?.close()
  }
}
