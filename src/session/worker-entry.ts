// Where a worker thread that serves a mount together with others begins: imports the filesystem, takes its clone, serves until
// the mount ends.
import { once } from 'node:events'
import { parentPort, workerData } from 'node:worker_threads'
import { F_DUPFD_CLOEXEC, syscalls } from '../syscalls/index.js'
import { requireShareable, serveClone } from './clone.js'
import type { Filesystem } from './filesystem.js'
import { importFilesystem } from './filesystem-module.js'
import { stayOn } from './pinning.js'
import { packError } from './thread-messages.js'
import { failed } from './workers.js'
import type { ServeOrder, WorkerMessage, WorkerOrders } from './workers.js'

if (parentPort !== null) {
  const [orders] = (await once(parentPort, 'message')) as [WorkerOrders]
  await serve(orders)
}

async function serve({ port, module }: WorkerOrders): Promise<void> {
  const say = (message: WorkerMessage): void => port.postMessage(message)
  try {
    const filesystem: Filesystem = await importFilesystem(module, workerData)
    requireShareable(filesystem, new Set())
    const ordered = once(port, 'message')
    say({ said: 'ready' })
    const [{ clone, cpus, ...options }] = (await ordered) as [ServeOrder]
    // The descriptor is the first thread's to close, which cannot know how far this one gets.
    const fd = syscalls.fcntl(clone.fd, F_DUPFD_CLOEXEC)
    const serving = serveClone({ ...clone, fd }, filesystem, {
      ...options,
      onWarning: (problem) => say({ said: 'warning', warning: packError(problem) }),
    })
    if (cpus !== undefined) await stayOn(cpus)
    say({ said: 'serving' })
    await serving.closed
  } catch (error) {
    say(failed(error))
  }
  port.close()
}
