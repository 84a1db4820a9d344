// Where a worker thread of addWorkers() begins: takes its clone, imports the filesystem, serves until the mount ends.
import { once } from 'node:events'
import { parentPort } from 'node:worker_threads'
import { F_DUPFD_CLOEXEC, syscalls } from '../syscalls/index.js'
import { requireShareable, serveClone } from './clone.js'
import type { Filesystem } from './filesystem.js'
import type { WorkerOrders } from './workers.js'

if (parentPort !== null) {
  const [{ clone, module }] = (await once(parentPort, 'message')) as [WorkerOrders]
  const { default: filesystem } = (await import(module)) as { default: Filesystem }
  requireShareable(filesystem, clone.negotiation.agreed)
  // The descriptor is the first thread's to close, which cannot know how far this one gets.
  const fd = syscalls.fcntl(clone.fd, F_DUPFD_CLOEXEC)
  const serving = serveClone({ ...clone, fd }, filesystem)
  parentPort.postMessage('serving')
  await serving.closed
}
