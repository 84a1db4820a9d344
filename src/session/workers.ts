// Worker threads that serve a mount together with the one that mounted it: starts them and hands each its clone.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import type { WorkerOptions } from 'node:worker_threads'
import { packageRoot } from '../package-root.js'
import { syscalls } from '../syscalls/index.js'
import type { Clone } from './clone.js'
import { warning } from './errors.js'
import type { Session } from './session.js'

/** What a worker thread gets to know. */
export interface WorkerOrders {
  clone: Clone
  /** URL of the module whose default export is the filesystem. */
  module: string
}

/**
 * Serves the mount of `session` with `count` more threads. Each imports `module`, whose default export is a filesystem that says
 * `shareable: true`; `workerData` reaches it as `workerData` of node:worker_threads. Resolves with the threads once all of them
 * serve. They end with the mount, and keep the process alive until then.
 *
 * Rejects where a thread fails to start; those that serve already go on. One that dies later is reported through `onWarning`, its
 * unanswered requests fail with ECONNABORTED, and the others go on.
 */
export async function addWorkers(
  session: Session,
  module: string | URL,
  count: number,
  options: { workerData?: unknown } = {},
): Promise<Worker[]> {
  return Promise.all(Array.from({ length: count }, () => addWorker(session, String(module), options)))
}

async function addWorker(
  session: Session,
  module: string,
  options: { workerData?: unknown },
): Promise<Worker> {
  const clone = session.clone()
  const orders: WorkerOrders = { clone, module }
  const worker = startThread('worker-entry.js', {
    workerData: options.workerData,
    argv: [clone.mountPoint],
  })
  const failed = once(worker, 'error').then(([error]) => Promise.reject(error as Error))
  const gone = once(worker, 'exit').then(([code]) =>
    Promise.reject(new Error(`the worker thread ended with exit code ${String(code)} before it served`)),
  )
  worker.postMessage(orders)
  try {
    await Promise.race([once(worker, 'message'), failed, gone])
  } finally {
    // The thread has taken a copy of its own, or never will.
    syscalls.close(clone.fd)
    gone.catch(() => undefined)
  }
  failed.catch((error: unknown) =>
    session.report(
      warning(
        'ERR_DEVFUSE_WORKER',
        `a worker thread that serves ${clone.mountPoint} died: ${String(error)}`,
        error,
      ),
    ),
  )
  return worker
}

/**
 * Starts a thread at an entry of dist/session. Threads inherit the flags of the process, and `--input-type` (the program came from
 * `-e`) allows no file but one that other code imports.
 */
export function startThread(file: string, options: WorkerOptions): Worker {
  const entry = new URL(`dist/session/${file}`, packageRoot()).href
  return new Worker(`import(${JSON.stringify(entry)})`, { ...options, eval: true })
}
