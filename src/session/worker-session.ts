// A mount that a worker thread serves, as the thread that asked for it sees it: starts the worker, passes calls on to the
// session there, and takes the mount away where the worker no longer can.
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads'
import type { Transferable, Worker } from 'node:worker_threads'
import { clearDeadMount, detachNow } from '../device/unmount.js'
import type { Mounted } from '../device/mount.js'
import { throwIfAborted } from './abort.js'
import { AbortError, OptionError, warning } from './errors.js'
import type { DevfuseWarning } from './errors.js'
import type { Negotiation } from './init.js'
import type { Notifier } from './notify.js'
import { resolveOptions, resolveWorkers } from './options.js'
import type { ModuleOptions } from './options.js'
import { settlesWithin } from './patience.js'
import type { Closed } from './closed.js'
import type { UnmountOptions } from './session.js'
import { arriving, tell, unwatch, watch } from './shutdown.js'
import type { Unmountable } from './shutdown.js'
import type { SessionStats } from './stats.js'
import { startThread, uncloneable } from './workers.js'
import { unpackError } from './thread-messages.js'
import type { MountOrders, ThreadCall, ThreadMessage } from './thread-messages.js'

/** How long a worker may take to hear a call before its loop counts as hung, in milliseconds. */
const HEARING = 5000
/** How long a worker may outlive its session, in milliseconds. */
const AFTERLIFE = 1000

const ECONNABORTED = -103

/** The notifications of a {@link Notifier}, which here travel to the worker first. */
export type Notifications = Omit<Notifier, 'retrieved' | 'numberFrom' | 'end'>

const NOTIFICATIONS: readonly (keyof Notifications)[] = [
  'pollWakeup',
  'invalInode',
  'invalEntry',
  'expireEntry',
  'delete',
  'store',
  'retrieve',
  'resend',
  'incEpoch',
  'prune',
]

/** What the worker said when the mount was there. */
type Started = Extract<ThreadMessage, { said: 'mounted' }>

interface Waiting {
  heard(): void
  resolve(value: unknown): void
  reject(error: Error): void
}

/** Mounts the filesystem that `module` exports, served by a worker thread. Rejects as mount() does, with nothing mounted. */
export async function mountInWorker(
  mountPoint: string,
  module: URL,
  given: ModuleOptions,
): Promise<WorkerSession> {
  const { worker: _, data, transferList = [], workers: _count, pinWorkers: _pin, ...sessionOptions } = given
  const plan = resolveWorkers(given)
  if (plan.workers > 1 && transferList.length > 0)
    throw new OptionError(
      'option `transferList` goes with one worker only: what is moved to one, others cannot have',
    )
  const { onWarning, handleSignals, signal } = resolveOptions(sessionOptions)
  const { onWarning: _theirs, signal: _ours, ...options } = sessionOptions
  if (signal !== undefined) throwIfAborted(signal)
  const worker = startWorker(mountPoint, data, transferList)
  const { port1: port, port2 } = new MessageChannel()
  const orders: MountOrders = {
    port: port2,
    mountPoint,
    module: module.href,
    options: { ...options, handleSignals: false },
    plan,
  }
  worker.postMessage(orders, [port2])
  const first = hearOfMount(worker, port, onWarning)
  let givenUp = false
  const stop = (): void => {
    givenUp = true
    void giveUp(worker, port, first)
  }
  signal?.addEventListener('abort', stop, { once: true })
  const make = async (): Promise<WorkerSession> => {
    const session = new WorkerSession(worker, port, await first, onWarning)
    watch(session, handleSignals)
    return session
  }
  try {
    return await arriving(handleSignals, make, { giveUp: stop })
  } catch (error) {
    await worker.terminate()
    if (signal !== undefined) throwIfAborted(signal)
    if (givenUp) throw new AbortError('a signal ends the process, nothing is mounted', { cause: error })
    throw error
  } finally {
    signal?.removeEventListener('abort', stop)
  }
}

function startWorker(mountPoint: string, data: unknown, transferList: readonly Transferable[]): Worker {
  try {
    return startThread('worker-session-entry.js', {
      name: `devfuse ${mountPoint}`,
      workerData: data,
      transferList: [...transferList],
    })
  } catch (error) {
    throw uncloneable('data', error, 'the worker')
  }
}

/** The first word of the worker about its mount; rejects where it is none. */
function hearOfMount(
  worker: Worker,
  port: MessageChannel['port1'],
  onWarning: (problem: DevfuseWarning) => void,
): Promise<Started> {
  return new Promise((resolve, reject) => {
    const settle = (): void => {
      port.off('message', hear)
      worker.off('error', fail).off('exit', exited)
    }
    const fail = (error: Error): void => {
      settle()
      reject(error)
    }
    const exited = (code: number): void => {
      // A mount that it spoke of is gone with it.
      heardLast(port, (message) => {
        if (message.said !== 'mounted') hear(message)
      })
      fail(new Error(`the worker thread ended with exit code ${code} before it had mounted`))
    }
    const hear = (message: ThreadMessage): void => {
      if (message.said === 'warning') tell(onWarning, unpackError(message.warning) as DevfuseWarning)
      if (message.said === 'failed') fail(unpackError(message.error))
      if (message.said !== 'mounted') return
      settle()
      resolve(message)
    }
    worker.on('error', fail).on('exit', exited)
    port.on('message', hear)
  })
}

/** Has a mount that is being made given up by its worker, which knows how far it is; one that hears nothing is terminated. */
async function giveUp(worker: Worker, port: MessageChannel['port1'], first: Promise<unknown>): Promise<void> {
  const call: ThreadCall = { id: 0, method: 'giveUp', args: [] }
  port.postMessage(call)
  const heard = first.catch(() => undefined)
  if (!(await settlesWithin(heard, HEARING))) await worker.terminate()
}

/** What a thread said before it ended, which may not have been delivered yet. */
function heardLast(port: MessageChannel['port1'], hear: (message: ThreadMessage) => void): void {
  for (let last = receiveMessageOnPort(port); last !== undefined; last = receiveMessageOnPort(port))
    hear(last.message)
}

/**
 * A filesystem mounted by `mount(mountPoint, new URL(...))` and served by a worker thread. `await using` unmounts it at the end
 * of the block. The thread that holds it may use the mount with sync calls and be busy as long as it likes.
 */
export class WorkerSession implements Unmountable, AsyncDisposable {
  /** The thread that serves; it ends with the session. Its module can be talked to over `worker.postMessage`. */
  readonly worker: Worker
  /** Settles when the session has ended, whoever ended it. Reason `error` says that the thread died, too. */
  readonly closed: Promise<Closed>
  /** Absolute path of the mount point. */
  readonly mountPoint: string
  /** What INIT settled: offered, wanted, agreed and the limits. */
  readonly negotiation: Negotiation
  /** Notifications to the kernel, sent by the worker. */
  readonly notify: Notifications
  readonly #port: MessageChannel['port1']
  readonly #mounted: Mounted | undefined
  readonly #onWarning: (problem: DevfuseWarning) => void
  readonly #waiting = new Map<number, Waiting>()
  readonly #exited: Promise<unknown>
  #calls = 0
  #ended = false
  #failure: Error | undefined
  #resolveClosed!: (closed: Closed) => void

  /** Not for authors: use {@link mount} with the URL of a module. */
  constructor(
    worker: Worker,
    port: MessageChannel['port1'],
    { mounted, mountPoint, negotiation }: Started,
    onWarning: (problem: DevfuseWarning) => void,
  ) {
    this.worker = worker
    this.mountPoint = mountPoint
    this.negotiation = negotiation
    this.#port = port
    this.#mounted = mounted
    this.#onWarning = onWarning
    this.closed = new Promise((resolve) => (this.#resolveClosed = resolve))
    this.notify = Object.fromEntries(
      NOTIFICATIONS.map((name) => [name, (...args: unknown[]) => this.#notify(name, args)]),
    ) as unknown as Notifications
    port.on('message', (message: ThreadMessage) => this.#hear(message))
    // The worker keeps the process alive, as long as it serves.
    port.unref()
    worker.on('error', (error) => (this.#failure = error))
    this.#exited = new Promise((gone) => worker.once('exit', gone)).then(() => this.#abandoned())
  }

  /** Counters since the mount. Rejects when the session has ended. */
  async stats(): Promise<SessionStats> {
    return (await this.#call('stats', [])) as SessionStats
  }

  /**
   * Unmounts and settles when the session has ended. Fails with EBUSY while the mount is in use, and goes on serving.
   * With `lazy` it never is: the mount is detached, this settles, and the session ends with the last file in use.
   */
  async unmount(options: UnmountOptions = {}): Promise<void> {
    if (!this.#ended) await this.#call('unmount', [options])
    if (options.lazy !== true) await this.closed
  }

  /** Unmounts, lazily where the mount is busy. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown()
  }

  /**
   * Clean unmount, detached where it is busy or takes too long; settles when the session has ended. A worker that hears
   * nothing for 5 seconds, because a handler of it never returns, is terminated.
   */
  async shutdown(): Promise<void> {
    if (this.#ended) {
      await this.closed
      return
    }
    let done: Promise<unknown> = Promise.resolve()
    const heard = new Promise<void>((resolve) => (done = this.#call('shutdown', [], resolve)))
    // A session that ends meanwhile takes its calls with it.
    done = done.catch(() => undefined)
    if (!(await settlesWithin(Promise.race([heard, done]), HEARING))) {
      this.#report(
        'ERR_DEVFUSE_WORKER',
        `the worker thread that serves ${this.mountPoint} does not answer: it is terminated, and the mount detached`,
      )
      this.detachNow()
      await this.worker.terminate()
    }
    await this.closed
  }

  /** Detaches the mount at once, without the event loop; for exit handlers. */
  detachNow(): void {
    if (!this.#ended && this.#mounted !== undefined) detachNow(this.#mounted)
  }

  #hear(message: ThreadMessage): void {
    switch (message.said) {
      case 'warning':
        tell(this.#onWarning, unpackError(message.warning) as DevfuseWarning)
        break
      case 'heard':
        this.#waiting.get(message.id)?.heard()
        break
      case 'done':
        this.#take(message.id)?.resolve(message.value)
        break
      case 'refused':
        this.#take(message.id)?.reject(unpackError(message.error))
        break
      case 'closed':
        this.#end(message.closed)
        break
      default: // `mounted` and `failed` were the first words
    }
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    return waiting
  }

  #call(method: string, args: unknown[], heard: () => void = () => undefined): Promise<unknown> {
    if (this.#ended) return Promise.reject(this.#over())
    const call: ThreadCall = { id: ++this.#calls, method, args }
    return new Promise((resolve, reject) => {
      this.#waiting.set(call.id, { heard, resolve, reject })
      this.#port.postMessage(call)
    })
  }

  async #notify(name: string, args: unknown[]): Promise<unknown> {
    const value = await this.#call(`notify.${name}`, args)
    return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : value
  }

  #over(): Error {
    return Object.assign(new Error(`the session on ${this.mountPoint} has ended`), {
      errno: ECONNABORTED,
      code: 'ECONNABORTED',
      syscall: 'postMessage',
    })
  }

  #end(closed: Closed): void {
    if (this.#ended) return
    this.#ended = true
    unwatch(this)
    this.#port.close()
    for (const waiting of this.#waiting.values()) waiting.reject(this.#over())
    this.#waiting.clear()
    // Timers and sockets of the module must not keep its thread, and this process, for ever.
    void settlesWithin(this.#exited, AFTERLIFE).then(async (gone) => {
      if (!gone) await this.worker.terminate()
    })
    this.#resolveClosed(closed)
  }

  /** The thread is gone. */
  async #abandoned(): Promise<void> {
    heardLast(this.#port, (message) => this.#hear(message))
    if (this.#ended) return
    const reason = this.#failure === undefined ? 'it ended or was terminated' : String(this.#failure)
    this.#report(
      'ERR_DEVFUSE_WORKER',
      `the worker thread that served ${this.mountPoint} is gone, and the mount with it: ${reason}`,
      this.#failure,
    )
    // Its own end has detached the mount already, unless it was cut short.
    const closed: Closed = { reason: 'error', errno: ECONNABORTED }
    if (this.#mounted !== undefined) {
      const cleared = clearDeadMount(this.#mounted).then((stays) => {
        if (stays !== undefined) closed.leftBehind = true
      })
      await settlesWithin(cleared, HEARING).catch(() => undefined)
    }
    this.#end(closed)
  }

  #report(code: string, message: string, cause?: unknown): void {
    tell(this.#onWarning, warning(code, message, cause))
  }
}
