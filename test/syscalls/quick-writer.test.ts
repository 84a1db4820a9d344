// Which writes run in the calling thread: a file for the results, a clock and calls of our own for those that wait.
import { strict as assert } from 'node:assert'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { memoryFilesystem } from 'devfuse/memory'
import { QuickWriter, isLocalFilesystem, syscalls } from 'devfuse/syscalls'
import { faults } from 'devfuse/wrappers'
import { mounted, run, skip, temporary } from '../support/mounting.js'

const EBADF = -9
const bytes = Buffer.from('text')

test('writes all of it, small or big, and says the errno', async (t) => {
  const path = join(temporary(t), 'file')
  const fd = openSync(path, 'w')
  const writer = syscalls.quickWriter()
  assert.equal(writer.write(fd, bytes, 3), 4)
  const big = Buffer.alloc(300_000, 'x')
  const written = writer.write(fd, big, 7)
  assert.ok(written instanceof Promise)
  assert.equal(await written, big.length)
  assert.equal(readFileSync(path, 'latin1'), '\0\0\0text' + big.toString())
  closeSync(fd)
  assert.equal(writer.write(fd, bytes, 0), EBADF)
  assert.equal(await writer.write(fd, big, 0), EBADF)
})

test('a filesystem of this machine is known by its magic number', () => {
  const proc = syscalls.statfs('/proc')
  assert.ok(typeof proc !== 'number' && !isLocalFilesystem(proc.type))
  for (const [type, local] of [
    [0xef53, true], // ext4
    [0x01021994, true], // tmpfs
    [0x6969, false], // nfs
    [0x65735546, false], // fuse
  ] as const)
    assert.equal(isLocalFilesystem(type), local)
})

test(
  'a write that waits for a server is the last one in the calling thread',
  { skip, timeout: 60_000 },
  async (t) => {
    const { mnt } = await mounted(t, faults(memoryFilesystem(), [{ operation: 'write', latency: 20 }]))
    const script = `
    import { openSync } from 'node:fs'
    import { syscalls } from 'devfuse/syscalls'
    const fd = openSync(process.argv[1], 'w')
    const writer = syscalls.quickWriter()
    const results = [0, 4].map((offset) => writer.write(fd, Buffer.from('text'), offset))
    for (const result of results) console.log(typeof result, await result)`
    const { stdout, stderr } = await run(process.execPath, [
      '--input-type=module',
      '-e',
      script,
      join(mnt, 'file'),
    ])
    assert.deepEqual([stdout, stderr], ['number 4\nobject 4\n', ''])
  },
)

describe('writes that wait', () => {
  /** A writer whose calls wait `cost` milliseconds each. */
  const slow = () => {
    const state = { now: 0, cost: 0 }
    const call = (...args: unknown[]) => {
      const waited = args.at(-1) as Uint32Array
      state.now += state.cost
      waited[0] = state.cost * 1000
      return 4
    }
    const writer = new QuickWriter({ call, callAsync: () => Promise.resolve(4) }, () => state.now)
    /** How long the pool has the writes, in steps of `step` milliseconds. */
    const pause = (step: number): number => {
      const start = state.now
      while (typeof writer.write(1, bytes, 0) !== 'number') state.now += step
      return state.now - start
    }
    const wait = (cost: number) => {
      state.cost = cost
      assert.equal(writer.write(1, bytes, 0), 4)
      state.cost = 0
    }
    return { state, writer, pause, wait }
  }

  test('send all to the pool, for longer each time', () => {
    const { pause, wait } = slow()
    wait(0)
    assert.equal(pause(1), 0)
    for (const expected of [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]) {
      wait(200)
      assert.equal(pause(10), expected)
    }
  })

  test('send all to the pool, too, where they are short but many', () => {
    const { state, writer, pause } = slow()
    const write = (cost: number) => {
      state.cost = cost
      assert.equal(writer.write(1, bytes, 0), 4)
      state.cost = 0
      return pause(10) > 0
    }
    for (let i = 0; i < 1000; i++) assert.ok(!write(i % 16 === 0 ? 0.5 : 0), String(i))
    assert.ok([...Array(16).keys()].some((i) => write(i % 4 === 0 ? 0.5 : 0)))
  })

  test('are forgotten after a thousand that did not', () => {
    const { writer, pause, wait } = slow()
    for (let i = 0; i < 4; i++) {
      wait(200)
      pause(10)
    }
    for (let i = 0; i < 1000; i++) assert.equal(writer.write(1, bytes, 0), 4)
    wait(2)
    assert.equal(pause(10), 100)
  })
})
