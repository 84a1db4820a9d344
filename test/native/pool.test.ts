// The pool of threads behind asynchronous calls: growth, order, pinned memory, the life of the event loop.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, it } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { NR, closeAll, native, pipe, threads } from './calls.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

describe('the pool', () => {
  it('runs 16 blocking calls at a time and the others after them', async () => {
    const before = threads()
    const pipes = Array.from({ length: 24 }, () => pipe())
    const settled: number[] = []
    const reads = pipes.map(async ([output], i) => {
      const result = await native.syscallAsyncUtf8(NR.read, output, new Uint8Array(1), 1)
      settled.push(i)
      return result
    })
    await sleep(50)
    assert.equal(threads() - before, 16)
    assert.deepEqual(settled, [])

    // One thread is enough for those that wait, one after the other.
    for (const [, input] of pipes.toReversed()) native.syscallUtf8(NR.write, input, Buffer.from('x'), 1)
    assert.deepEqual(
      await Promise.all(reads),
      Array.from({ length: 24 }, () => 1),
    )
    assert.equal(settled.length, 24)
    for (const ends of pipes) closeAll(...ends)
  })

  it('grows when told', async () => {
    native.setPoolSize(20)
    const pipes = Array.from({ length: 20 }, () => pipe())
    const reads = pipes.map(([output]) => native.syscallAsyncUtf8(NR.read, output, new Uint8Array(1), 1))
    await sleep(20)
    // The last one is running too: answering it alone is enough.
    native.syscallUtf8(NR.write, pipes[19][1], Buffer.from('x'), 1)
    assert.equal(await reads[19], 1)
    for (const [, input] of pipes.slice(0, 19)) native.syscallUtf8(NR.write, input, Buffer.from('x'), 1)
    await Promise.all(reads)
    for (const ends of pipes) closeAll(...ends)
    native.setPoolSize(16)
    assert.throws(() => native.setPoolSize(0), TypeError)
    assert.throws(() => native.setPoolSize(Number.NaN), TypeError)
  })

  it('works in other threads than the caller', async () => {
    const ours = native.syscallUtf8(NR.gettid)
    const theirs = await Promise.all(Array.from({ length: 50 }, () => native.syscallAsyncUtf8(NR.gettid)))
    assert.equal(ours, process.pid)
    assert.ok(theirs.every((tid) => tid > 0 && tid !== ours))
  })

  it('keeps the memory of a call alive', async () => {
    const [output, input] = pipe()
    let kept: WeakRef<Uint8Array> | undefined
    const start = (): Promise<number> => {
      const bytes = new Uint8Array(1 << 16)
      kept = new WeakRef(bytes)
      return native.syscallAsyncUtf8(NR.read, output, bytes, bytes.length)
    }
    const read = start()
    for (let i = 0; i < 5; i++) {
      await sleep(2)
      collect()
    }
    assert.ok(kept?.deref(), 'still pinned')
    native.syscallUtf8(NR.write, input, Buffer.alloc(4096, 1), 4096)
    assert.equal(await read, 4096)
    for (let i = 0; i < 50 && kept?.deref(); i++) {
      await sleep(2)
      collect()
    }
    assert.equal(kept?.deref(), undefined, 'let go afterwards')
    closeAll(output, input)
  })

  it('copies strings before it returns', async () => {
    const results = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        native.syscallAsyncUtf8(NR.openat, -100, `/proc/self/${i % 2 === 0 ? 'status' : `no-${i}`}`, O_PATH),
      ),
    )
    for (const [i, fd] of results.entries()) {
      if (i % 2 === 1) assert.equal(fd, -2)
      else closeAll(fd)
    }
  })

  it('runs promise reactions and ticks right after a completion', async () => {
    const order: string[] = []
    await native.syscallAsyncUtf8(NR.getpid).then(() => {
      order.push('reaction')
      process.nextTick(() => order.push('tick'))
      setImmediate(() => order.push('immediate'))
      return undefined
    })
    await sleep(5)
    assert.deepEqual(order, ['reaction', 'tick', 'immediate'])
  })
})

const O_PATH = 0o10000000

/** Runs `script` (with `native` and `NR` at hand) in a Node of its own. */
function run(script: string): { status: number | null; stdout: string; stderr: string } {
  const calls = new URL('./calls.js', import.meta.url).href
  const source = `import { native, NR, pipe } from ${JSON.stringify(calls)}\n${script}`
  return spawnSync(process.execPath, ['--input-type=module', '-e', source], {
    encoding: 'utf8',
    timeout: 20_000,
    cwd: new URL('.', import.meta.url).pathname,
  })
}

describe('a process', () => {
  it('lives until its calls are done, and no longer', () => {
    const { status, stdout, stderr } = run(`
      const [output, input] = pipe()
      native.syscallAsyncUtf8(NR.read, output, new Uint8Array(1), 1).then((n) => console.log('read', n))
      setTimeout(() => native.syscallUtf8(NR.write, input, Buffer.from('x'), 1), 50).unref()
    `)
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: 'read 1\n', stderr: '' })
  })

  it('can exit while calls block', () => {
    const started = performance.now()
    const { status, stderr } = run(`
      for (let i = 0; i < 30; i++) native.syscallAsyncUtf8(NR.read, pipe()[0], new Uint8Array(1), 1)
      setTimeout(() => process.exit(7), 30)
    `)
    assert.deepEqual({ status, stderr }, { status: 7, stderr: '' })
    assert.ok(performance.now() - started < 5000)
  })
})
