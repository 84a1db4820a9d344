// What the threads of workers.test.ts serve: statfs(2) tells who answers, `die` ends the thread that is asked for it, and threads
// can fail to begin.
import { threadId } from 'node:worker_threads'
import { ENOENT } from 'devfuse'
import type { Filesystem } from 'devfuse'
import shared from './shared-filesystem.js'

export interface Data {
  /** How many threads have made a filesystem. */
  made?: Int32Array
  /** The thread that is to fail: 0 is the one that mounts. */
  fails?: number
  /** The thread that ends at its tenth statfs(2). */
  dies?: number
  /** Milliseconds that a statfs takes. */
  busy?: number
  shareable?: boolean
}

export default ({ made, fails, dies, busy = 0, shareable = true }: Data = {}): Filesystem => {
  const index = made === undefined ? 0 : Atomics.add(made, 0, 1)
  if (fails === index) throw new Error(`thread ${index} has no luck`)
  let asked = 0
  return {
    ...shared,
    shareable,
    lookup(request) {
      if (request.name === 'die') process.exit(7)
      if (request.name === 'throw') throw new Error(`thrown by ${index}`)
      return shared.lookup?.(request) ?? ENOENT
    },
    statfs() {
      if (dies === index && ++asked === 10) process.exit(7)
      for (const until = performance.now() + busy; performance.now() < until;);
      return { files: threadId }
    },
  }
}
