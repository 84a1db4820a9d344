// The addon in worker threads: each has its own state, and nothing is left of it when it ends.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import { NR, closeAll, native, openFds, pipe, threads } from './calls.js'
import type { Orders } from './worker-life.js'

async function live(orders: Orders): Promise<void> {
  const worker = new Worker(new URL('./worker-life.js', import.meta.url), { workerData: orders })
  const ended = once(worker, 'exit')
  const failed = once(worker, 'error').then(([error]) => Promise.reject(error as Error))
  await Promise.race([once(worker, 'message'), failed])
  if (orders.end === 'terminate') await worker.terminate()
  await Promise.race([ended, failed])
}

describe('worker threads', () => {
  it('load the addon beside each other', async () => {
    const [silent, input] = pipe()
    await Promise.all(
      (['return', 'exit', 'terminate'] as const).map((end) => live({ silent, blocking: 0, end })),
    )
    assert.equal(native.syscallUtf8(NR.getpid), process.pid)
    closeAll(silent, input)
  })

  it('may end while calls block', async () => {
    const [silent, input] = pipe()
    const ours = native.syscallAsyncUtf8(NR.read, silent, new Uint8Array(4), 4)
    await live({ silent, blocking: 3, end: 'exit' })
    await live({ silent, blocking: 20, end: 'terminate' })
    // Only the calls of the workers were cut off.
    native.syscallUtf8(NR.write, input, Buffer.from('mine'), 4)
    assert.equal(await ours, 4)
    closeAll(silent, input)
  })

  it('leave no descriptor and no thread behind, a hundred times', async () => {
    const [silent, input] = pipe()
    const ends = ['return', 'exit', 'terminate', 'exit'] as const
    const round = async (count: number): Promise<void> => {
      for (let i = 0; i < count; i += 4) {
        await Promise.all(ends.map((end) => live({ silent, blocking: end === 'return' ? 0 : 2, end })))
      }
    }
    const left = async (): Promise<{ fds: number; threads: number }> => {
      // The one thread of this one's own pool leaves when it is idle for long: it has to be there both times.
      await native.syscallAsyncUtf8(NR.getpid)
      return { fds: openFds(), threads: threads() }
    }
    await round(8)
    const before = await left()
    await round(100)
    assert.deepEqual(await left(), before)
    closeAll(silent, input)
  })
})
