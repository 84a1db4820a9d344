// One descriptor and its dispatcher from the first request to the end, without a mount of its own: what a clone of a
// connection and a character device have in common.
import type { RequestReceiver, Transport } from '../device/transport.js'
import type { BackingDevice } from './backing.js'
import { Dispatcher } from './dispatch.js'
import type { DispatchEvents } from './dispatch.js'
import { warning } from './errors.js'
import type { DevfuseWarning } from './errors.js'
import type { Filesystem } from './filesystem.js'
import type { Negotiation } from './init.js'
import type { Notifier } from './notify.js'
import type { ResolvedOptions } from './options.js'
import { tell } from './shutdown.js'
import type { Counters, OperationStats } from './stats.js'

/** Serves the requests of one descriptor. */
export abstract class Served implements BackingDevice, AsyncDisposable {
  /** Settles when nothing is served any more, whoever ended it: the kernel, or {@link close}. */
  readonly closed: Promise<void>
  protected readonly transport: Transport
  protected readonly dispatcher: Dispatcher
  readonly #onWarning: (problem: DevfuseWarning) => void
  #resolveClosed!: () => void
  #ended = false

  /** `wanted` are the INIT flags that were asked for. */
  constructor(
    transport: Transport,
    filesystem: Filesystem,
    options: ResolvedOptions,
    wanted: Negotiation['wanted'] = new Set(),
    counters?: Counters,
  ) {
    this.#onWarning = options.onWarning
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve))
    this.transport = transport
    if (options.busyPoll !== undefined) this.transport.setBusyPoll(options.busyPoll)
    const events: DispatchEvents = {
      ready: () => undefined,
      failed: (error) => this.report(warning('ERR_DEVFUSE_NEGOTIATION', error.message, error)),
      ended: () => this.end(),
    }
    this.dispatcher = new Dispatcher(transport, filesystem, options, wanted, this, events, counters)
  }

  /** The descriptor, -1 once it is closed. */
  get fd(): number {
    return this.transport.fd
  }

  /** Notifications to the kernel. */
  get notify(): Notifier {
    return this.dispatcher.notifier
  }

  /** What was answered here, by operation. */
  stats(): { inFlight: number; operations: Record<string, OperationStats> } {
    const { interrupts, counters } = this.dispatcher
    return { inFlight: interrupts.size, operations: counters.snapshot() }
  }

  /** Serves no more here, and settles when the filesystem's `destroy` has. */
  async close(): Promise<void> {
    this.end()
    await this.closed
  }

  /** The same as {@link close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Passes a survived problem to the option `onWarning`. */
  report(problem: DevfuseWarning): void {
    tell(this.#onWarning, problem)
  }

  protected serve(receiver: RequestReceiver = this.dispatcher): void {
    this.transport.start(receiver)
  }

  /** Called once, when the descriptor has just been closed. */
  protected ending(): void {
    // Nothing more to give back.
  }

  protected end(): void {
    if (this.#ended) return
    this.#ended = true
    this.transport.close()
    this.ending()
    void this.dispatcher.finish().then(() => this.#resolveClosed())
  }
}
