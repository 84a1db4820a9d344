// Where a worker thread of addWorkers() begins: takes its clone, imports the filesystem, serves until the mount ends.
import { once } from 'node:events'
import { parentPort } from 'node:worker_threads'
import { serveClone } from './clone.js'
import type { Filesystem } from './filesystem.js'
import type { WorkerOrders } from './workers.js'

if (parentPort !== null) {
  const [{ clone, module }] = (await once(parentPort, 'message')) as [WorkerOrders]
  const { default: filesystem } = (await import(module)) as { default: Filesystem }
  const serving = serveClone(clone, filesystem)
  parentPort.postMessage('serving')
  await serving.closed
}
