// Worker threads that serve a mount together with the one that mounted it: starts them and hands each its clone.
import { MessageChannel, Worker } from 'node:worker_threads'
import type { MessagePort, WorkerOptions } from 'node:worker_threads'
import { packageRoot } from '../package-root.js'
import { syscalls } from '../syscalls/index.js'
import { unlessAborted } from './abort.js'
import type { Clone } from './clone.js'
import { OptionError, warning } from './errors.js'
import type { DevfuseWarning } from './errors.js'
import { requireOptions, show } from './option-checks.js'
import type { Session } from './session.js'
import { packError, unpackError } from './thread-messages.js'
import type { PackedError } from './thread-messages.js'

/** The first message to a worker thread; what follows goes over `port`. */
export interface WorkerOrders {
  port: MessagePort
  /** URL of the module whose default export is the filesystem, or makes it. */
  module: string
}

/** What the worker thread is told once there is a mount. */
export interface ServeOrder {
  clone: Clone
  /** The CPUs to stay on; undefined: any. */
  cpus?: readonly number[]
  busyPoll?: number
}

/** What it says. */
export type WorkerMessage =
  | { said: 'ready' }
  | { said: 'serving' }
  | { said: 'failed'; error: PackedError }
  | { said: 'warning'; warning: PackedError }

/**
 * Serves the mount of `session` with `count` more threads. Each imports `module`, whose default export is a filesystem that says
 * `shareable: true`, or makes one from `workerData`, which is its `workerData` of node:worker_threads, too. Resolves with the
 * threads once all of them serve. They end with the mount, and keep the process alive until then.
 *
 * Rejects where a thread fails to start; those that serve already go on. One that ends later takes its unanswered requests with it
 * (ECONNABORTED), and the others go on; what it died of, if anything, is reported through `onWarning`. An OptionError names an argument
 * that cannot work, such as `workerData` that cannot be copied; ENODEV says that the session has ended.
 */
export async function addWorkers(
  session: Session,
  module: URL,
  count: number,
  options: { workerData?: unknown } = {},
): Promise<Worker[]> {
  if (typeof (session as Partial<Session> | null | undefined)?.clone !== 'function')
    throw new OptionError(
      `addWorkers() takes a session that this thread serves, not ${show(session)}; for one that a worker serves, mount() takes ` +
        'the option `workers`',
    )
  if (!(module instanceof URL))
    throw new OptionError(
      `addWorkers() takes the URL of a module, not ${show(module)}; write new URL(..., import.meta.url)`,
    )
  if (!Number.isInteger(count) || count < 0)
    throw new OptionError(`addWorkers() takes how many threads to start, 0 or more, not ${String(count)}`)
  const { workerData } = requireOptions(options)
  const add = (): Promise<Worker> => addWorker(session, module.href, workerData)
  return Promise.all(Array.from({ length: count }, add))
}

async function addWorker(session: Session, module: string, workerData: unknown): Promise<Worker> {
  let hired: Recruit | undefined
  let clone: Clone
  try {
    hired = new Recruit(module, workerData, [session.mountPoint])
    await hired.ready
    clone = session.clone()
  } catch (error) {
    await hired?.dismiss()
    throw uncloneable('workerData', error)
  }
  await hired.serve(session, { clone })
  return hired.worker
}

/** A worker thread that imports a filesystem, and then waits for a mount to serve. */
export class Recruit {
  readonly worker: Worker
  /** The filesystem is there. Rejects with what is wrong with its module. */
  readonly ready: Promise<void>
  readonly #port: MessagePort
  readonly #gone: Promise<never>
  #report: (problem: DevfuseWarning) => void = () => undefined

  constructor(module: string, workerData: unknown, argv: string[] = []) {
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    this.worker = startThread('worker-entry.js', { name: 'devfuse worker', workerData, argv })
    const orders: WorkerOrders = { port: port2, module }
    this.worker.postMessage(orders, [port2])
    this.#gone = new Promise((_, reject) => {
      this.worker.once('error', reject)
      this.worker.once('exit', (code) =>
        reject(new Error(`the worker thread ended with exit code ${code} before it served`)),
      )
    })
    this.#gone.catch(() => undefined)
    this.#port.on('message', (message: WorkerMessage) => {
      if (message.said === 'warning') this.#report(unpackError(message.warning) as DevfuseWarning)
    })
    this.ready = this.#hear('ready')
    this.ready.catch(() => undefined)
    // The thread keeps the process alive by itself.
    this.#port.unref()
  }

  /** Has it serve the clone of `order`, whose descriptor is given away. Rejects where it cannot, with the thread ended. */
  async serve(session: Session, order: ServeOrder): Promise<void> {
    this.#report = (problem) => session.report(problem)
    this.#port.postMessage(order)
    try {
      await this.#hear('serving')
    } catch (error) {
      await this.worker.terminate()
      session.cloning?.undo(order.clone)
      throw error
    } finally {
      // The thread has taken a copy of its own, or never will.
      syscalls.close(order.clone.fd)
    }
    this.#watch(session, order.clone)
  }

  /** Nothing is to be served. */
  async dismiss(): Promise<void> {
    await this.worker.terminate()
  }

  #hear(word: 'ready' | 'serving'): Promise<void> {
    const heard = new Promise<void>((resolve, reject) => {
      const listen = (message: WorkerMessage): void => {
        if (message.said === 'failed') reject(unpackError(message.error))
        else if (message.said === word) resolve()
        else return
        this.#port.off('message', listen)
      }
      this.#port.on('message', listen)
      void this.#gone.catch(() => this.#port.off('message', listen))
    })
    return Promise.race([heard, this.#gone])
  }

  #watch(session: Session, clone: Clone): void {
    const { mountPoint, ring } = clone
    let ended = false
    void session.closed.then(() => (ended = true))
    this.worker.once('error', (error) =>
      session.report(
        warning(
          'ERR_DEVFUSE_WORKER',
          `a worker thread that serves ${mountPoint} died: ${String(error)}`,
          error,
        ),
      ),
    )
    this.worker.once('exit', () => {
      session.cloning?.left(clone.index)
      if (ring === undefined) return
      if (ended || session.fd < 0) return
      // Kernel: what is made on the CPUs of its queues, and what it has not answered, would wait for ever.
      session.report(
        warning(
          'ERR_DEVFUSE_WORKER',
          `a worker thread that serves ${mountPoint} over io_uring is gone: the connection is aborted`,
        ),
      )
      session.abort()
    })
  }
}

/** Starts a thread for each of `count`, and waits until all have their filesystems. Rejects with none left. */
export async function recruit(
  count: number,
  module: string,
  data: unknown,
  signal?: AbortSignal,
): Promise<Recruit[]> {
  let recruits: Recruit[] = []
  try {
    recruits = Array.from({ length: count }, () => new Recruit(module, data))
    await unlessAborted(signal, () => Promise.all(recruits.map(({ ready }) => ready)))
    return recruits
  } catch (error) {
    await Promise.all(recruits.map((one) => one.dismiss()))
    throw uncloneable('data', error)
  }
}

/** An error, or what it means where it says that the value of an option cannot go to another thread. */
export function uncloneable(option: string, error: unknown, thread = 'a worker'): unknown {
  if ((error as { name?: string }).name !== 'DataCloneError') return error
  return new OptionError(`option \`${option}\` cannot be copied to ${thread}: ${(error as Error).message}`, {
    cause: error,
  })
}

/**
 * Starts a thread at an entry of dist/session. Threads inherit the flags of the process, and `--input-type` (the program came from
 * `-e`) allows no file but one that other code imports.
 */
export function startThread(file: string, options: WorkerOptions): Worker {
  const entry = new URL(`dist/session/${file}`, packageRoot()).href
  return new Worker(`import(${JSON.stringify(entry)})`, { ...options, eval: true })
}

/** What a worker thread says of something thrown. */
export const failed = (error: unknown): WorkerMessage => ({ said: 'failed', error: packError(error) })
