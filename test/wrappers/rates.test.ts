// limit by rates: who waits and for how long, who leaves the queue, and what a call costs in the end.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { EINTR, EIO, connect } from 'devfuse'
import type { Connection, Filesystem, ReadRequest } from 'devfuse'
import { limit } from 'devfuse/wrappers'
import { run, skip } from '../support/mounting.js'

// What would have to wait for its rate here waits for hours.
const timeout = 60_000

const write = async (kernel: Connection, size: number, signal?: AbortSignal): Promise<number> => {
  const fields = { nodeid: 2, size, data: Buffer.alloc(size) }
  const { error, value } = await kernel.send('write', fields, signal && { signal })
  return error || Number(value)
}

describe('a rate of limit', { skip, timeout }, () => {
  it('lets who is interrupted go at once, and those behind move up in their order', async () => {
    const inner: Filesystem = { write: ({ size }) => size }
    await using kernel = await connect(limit(inner, { bytesPerSecond: 100 }))
    const caller = new AbortController()
    const order: string[] = []
    const told = async (name: string, answer: Promise<number>): Promise<number> => {
      const value = await answer
      order.push(name)
      return value
    }
    assert.equal(await write(kernel, 100), 100)
    const waiting = [
      told('first', write(kernel, 20)),
      told('large', write(kernel, 1 << 20, caller.signal)),
      told('second', write(kernel, 20)),
      told('third', write(kernel, 10)),
    ]
    await waiting[0]
    caller.abort()
    assert.deepEqual(await Promise.all(waiting), [20, EINTR, 20, 10])
    assert.deepEqual(order, ['first', 'large', 'second', 'third'])
  })

  it('costs who is interrupted nothing', async () => {
    let calls = 0
    const inner: Filesystem = { statfs: () => (calls++, {}) }
    await using kernel = await connect(limit(inner, { operationsPerSecond: 1 }))
    assert.equal((await kernel.send('statfs')).error, 0)
    const callers = Array.from({ length: 600 }, () => new AbortController())
    const waiting = callers.map(({ signal }) => kernel.send('statfs', {}, { signal }))
    for (const caller of callers) caller.abort()
    const errors = (await Promise.all(waiting)).map(({ error }) => error)
    assert.deepEqual(new Set(errors), new Set([EINTR]))
    assert.equal((await kernel.send('statfs')).error, 0)
    assert.equal(calls, 2)
  })

  it('holds up neither the end of a session nor that of the process', async () => {
    const program = `
      import { connect } from 'devfuse'
      import { limit } from 'devfuse/wrappers'
      const inner = { write: ({ size }) => size, release: () => console.log('release'), destroy: () => console.log('destroy') }
      const kernel = await connect(limit(inner, { bytesPerSecond: 1, operationsPerSecond: 0.001 }))
      void kernel.send('write', { nodeid: 2, size: 65536, data: Buffer.alloc(65536) })
      void kernel.send('release', { nodeid: 2, fh: 1 })
      await new Promise(setImmediate)
      await kernel.close()
      console.log(process.getActiveResourcesInfo().includes('Timeout'))`
    const args = ['--input-type=module', '-e', program]
    const ended = await run(process.execPath, args, { timeout: 30_000 })
    assert.deepEqual(ended, { code: 0, stdout: 'release\ndestroy\nfalse\n', stderr: '' })
  })

  it('may make somebody wait for longer than a timer can', async () => {
    const inner: Filesystem = { write: ({ size }) => size }
    await using kernel = await connect(limit(inner, { bytesPerSecond: 0.1 }))
    const passed = write(kernel, 1 << 20).then(() => 'passed')
    assert.equal(await Promise.race([passed, delay(300, 'waits')]), 'waits')
  })

  it('counts what a read moved, and not what it asked for', async () => {
    const answers: Record<number, (request: ReadRequest) => ReturnType<NonNullable<Filesystem['read']>>> = {
      0: () => Buffer.alloc(0),
      1: () => Promise.resolve(new Uint8Array(1)),
      2: () => EIO,
      3: () => Promise.reject(Object.assign(new Error('no'), { code: 'EIO' })),
      4: () => {
        throw Object.assign(new Error('no'), { code: 'EIO' })
      },
      5: () => ({ fd: 0, offset: 0, size: 0 }),
    }
    const inner: Filesystem = { read: (request) => answers[request.offset](request) }
    await using kernel = await connect(limit(inner, { bytesPerSecond: 1000 }))
    const found: unknown[] = []
    for (let offset = 0; offset < 60; offset++) {
      const { error, data } = await kernel.send('read', { nodeid: 2, offset: offset % 6, size: 131_072 })
      found.push(error || (data as Buffer).byteLength)
    }
    assert.deepEqual(found.slice(0, 6), [0, 1, EIO, EIO, EIO, 0])
  })

  it('has those behind a read pay for what it moved', async () => {
    const inner: Filesystem = { read: ({ size }) => Buffer.alloc(size) }
    await using kernel = await connect(limit(inner, { bytesPerSecond: 100_000 }))
    const started = performance.now()
    await kernel.send('read', { nodeid: 2, size: 130_000 })
    await kernel.send('read', { nodeid: 2, size: 10_000 })
    assert.ok(performance.now() - started >= 390, '140,000 bytes at 100,000 a second')
  })

  it('counts what a write moved, and none that failed', async () => {
    const answers = [
      () => 0,
      () => 1,
      () => EIO,
      () => Promise.resolve(EIO),
      () => Promise.reject(new Error('no')),
    ]
    let calls = 0
    const inner: Filesystem = { write: () => answers[calls++ % answers.length]() }
    const written = limit(inner, { bytesPerSecond: 1000 })
    await using kernel = await connect(written, { onWarning: () => undefined })
    const found: number[] = []
    for (let i = 0; i < 600; i++) found.push(await write(kernel, 1000))
    assert.deepEqual(found.slice(0, 5), [0, 1, EIO, EIO, EIO])
  })
})
