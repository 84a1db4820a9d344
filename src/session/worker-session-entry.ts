// Where the worker thread of `mount(mountPoint, new URL(...))` begins: imports the filesystem, mounts it here, and does what
// the thread that asked for it calls for, until the mount ends.
import { once } from 'node:events'
import { parentPort, workerData } from 'node:worker_threads'
import { importFilesystem } from './filesystem-module.js'
import { mountHere } from './mount.js'
import { settlesWithin } from './patience.js'
import type { Session } from './session.js'
import { packError } from './thread-messages.js'
import type { MountOrders, ThreadCall, ThreadMessage } from './thread-messages.js'

/** How long the end of a session waits for calls that nobody needs any more, in milliseconds. */
const LAST_WORDS = 1000

if (parentPort !== null) {
  const [orders] = (await once(parentPort, 'message')) as [MountOrders]
  await serve(orders)
}

async function serve({ port, mountPoint, module, options, plan }: MountOrders): Promise<void> {
  const say = (message: ThreadMessage): void => port.postMessage(message)
  const { signal, gaveUp, heed } = surrender()
  let session: Session
  port.on('message', heed)
  try {
    const filesystem = await Promise.race([importFilesystem(module, workerData), gaveUp])
    const warned = (problem: Error): void => say({ said: 'warning', warning: packError(problem) })
    const all = { ...options, signal, onWarning: warned }
    session = await mountHere(mountPoint, filesystem, all, { module, data: workerData as unknown, ...plan })
  } catch (error) {
    say({ said: 'failed', error: packError(error) })
    port.close()
    return
  }
  const answering = new Set<Promise<void>>()
  port.off('message', heed).on('message', (call: ThreadCall) => {
    const answered = answer(session, call, say)
    answering.add(answered)
    void answered.then(() => answering.delete(answered))
  })
  const { negotiation } = session
  say({ said: 'mounted', mounted: session.mounted, mountPoint: session.mountPoint, negotiation })
  const closed = await session.closed
  // The unmount that led here is answered first.
  await settlesWithin(Promise.all(answering), LAST_WORDS)
  say({ said: 'closed', closed })
  port.close()
}

/** What ends the way to a mount before there is a session to call: `signal` aborts and `gaveUp` rejects, once `heed` was called. */
function surrender(): { signal: AbortSignal; gaveUp: Promise<never>; heed: () => void } {
  const controller = new AbortController()
  const { signal } = controller
  const gaveUp = new Promise<never>((_, reject) =>
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
  )
  gaveUp.catch(() => undefined)
  return { signal, gaveUp, heed: () => controller.abort() }
}

async function answer(
  session: Session,
  { id, method, args }: ThreadCall,
  say: (message: ThreadMessage) => void,
): Promise<void> {
  say({ said: 'heard', id })
  try {
    say({ said: 'done', id, value: await invoke(session, method, args) })
  } catch (error) {
    say({ said: 'refused', id, error: packError(error) })
  }
}

function invoke(session: Session, method: string, args: unknown[]): unknown {
  const [name, of] = method.split('.').toReversed()
  const target = (of === undefined ? session : session.notify) as unknown as Record<
    string,
    (...args: unknown[]) => unknown
  >
  return target[name](...args)
}
