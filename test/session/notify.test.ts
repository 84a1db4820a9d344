// Notifications without a kernel: their order, and what is refused before anything is sent.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { OptionError, connect } from 'devfuse'

describe('notifications about one inode', { timeout: 20_000 }, () => {
  it('keep their order, also where one of them takes several messages', async () => {
    const sent: string[] = []
    const connection = await connect({}, { onNotify: ({ kind }) => sent.push(kind) })
    const { notify } = connection.session
    const stored = notify.store(2, 0, Buffer.alloc(3 << 20))
    await Promise.all([stored, notify.invalInode(2)])
    assert.deepEqual(sent, ['store', 'store', 'store', 'invalInode'])
    await connection.close()
  })

  it('take bytes only', async () => {
    const connection = await connect({})
    const text = 'text' as unknown as Uint8Array
    await assert.rejects(connection.session.notify.store(2, 0, text), OptionError)
    await connection.close()
  })

  it('take numbers that can be sent, and say which one cannot', { timeout: 10_000 }, async () => {
    const connection = await connect({}, { onNotify: ({ kind }) => assert.fail(kind) })
    const { notify } = connection.session
    const bad = [
      [notify.retrieve(2, -1, 5), /offset/],
      [notify.retrieve(2, 2 ** 53 - 1, 5), /offset \+ size/],
      [notify.store(2, NaN, Buffer.from('x')), /offset/],
      [notify.invalInode(NaN), /nodeid/],
      [notify.invalInode(2, 0.5), /off/],
      [notify.invalEntry(-1, 'a'), /parent/],
      [notify.invalEntry(1, undefined as never), /name/],
      [notify.prune([1.5]), /nodeid/],
      [notify.prune(2 as never), /array/],
      [notify.pollWakeup(undefined as never), /bigint/],
    ] as const
    for (const [sent, wrong] of bad)
      await assert.rejects(sent, (error) => error instanceof OptionError && wrong.test(error.message))
    await connection.close()
  })
})
