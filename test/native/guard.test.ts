// The guard over socket pairs: what it keeps for the loop, what it answers, and that nothing is left of it.
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import type { NativeChannel } from '#dist/native.js'
import { EAGAIN, NR, O_NONBLOCK, closeAll, messagePair, native, openFds, pipe, threads } from './calls.js'

const SLOT = 8192
const HEADER = 40
const GETATTR = 3
const FORGET = 2
const EDEADLK = -35
const tid = native.syscallUtf8(NR.gettid)
const F_SETFL = 4
const MSG_DONTWAIT = 0x40

/** A request as the kernel would send it. */
function request(unique: number, opcode: number, pid: number, length = HEADER): Buffer {
  const bytes = Buffer.alloc(length)
  bytes.writeUInt32LE(length, 0)
  bytes.writeUInt32LE(opcode, 4)
  bytes.writeBigUInt64LE(BigInt(unique), 8)
  bytes.writeUInt32LE(pid, 32)
  return bytes
}

interface Bed {
  channel: NativeChannel
  /** `unique` of what the loop got, and its length where that is more than the header. */
  got: string[]
  reports: number[][]
  send: (message: Buffer) => void
  /** `error unique` of the next answer, undefined where there is none. */
  answer: () => string | undefined
}

function bed(t: TestContext, slots = 4, keep = false): Bed {
  const [ours, peer] = messagePair()
  const memory = new ArrayBuffer(SLOT * slots)
  const bytes = Buffer.from(memory)
  const got: string[] = []
  const reports: number[][] = []
  const channel = new native.Channel(
    ours,
    memory,
    SLOT,
    slots,
    (count) => {
      for (let i = 0; i < count; i++) {
        const slot = channel.slots[i]
        const length = channel.lengths[i]
        const unique = Number(bytes.readBigUInt64LE(slot * SLOT + 8))
        got.push(length === HEADER ? `${unique}` : `${unique}:${length}`)
        if (!keep) channel.slots[i] = ~slot
      }
    },
    () => {},
  )
  // A socket is not non-blocking by itself, as the device is.
  native.syscallUtf8(NR.fcntl, ours, F_SETFL, O_NONBLOCK)
  t.after(() => {
    channel.close()
    closeAll(peer)
  })
  assert.equal(
    channel.guard((...report) => reports.push(report), ''),
    0,
  )
  channel.start()
  return {
    channel,
    got,
    reports,
    send: (message) =>
      assert.equal(native.syscallUtf8(NR.write, peer, message, message.length), message.length),
    answer() {
      const reply = Buffer.alloc(64)
      const length = native.syscallUtf8(NR.recvfrom, peer, reply, reply.length, MSG_DONTWAIT, 0, 0)
      if (length === EAGAIN) return undefined
      assert.equal(length, 16)
      return `${reply.readInt32LE(4)} ${reply.readBigUInt64LE(8)}`
    },
  }
}

/** Waits until the loop has got `count` messages, and a little longer for those that should not come. */
async function arrived(got: string[], count: number): Promise<void> {
  for (let i = 0; i < 1000 && got.length < count; i++) await sleep(5)
  await sleep(50)
}

/** Blocks this thread in read(2) for `seconds`, in a call that might have to do with a mount. */
function blocked(seconds: number): void {
  const [end, input] = pipe()
  spawn('sh', ['-c', `sleep ${seconds}; echo >&3`], { stdio: ['ignore', 'ignore', 'ignore', input] })
  assert.equal(native.syscallUtf8(NR.read, end, Buffer.alloc(8), 8), 1)
  closeAll(end, input)
}

describe('the guard', () => {
  it('keeps what came while the thread was blocked, in order', async (t) => {
    const { got, send, answer, reports } = bed(t, 2)
    for (let i = 1; i <= 40; i++) send(request(i, GETATTR, 1, i % 7 === 0 ? 4096 + i : HEADER))
    execFileSync('sleep', ['0.7'])
    assert.deepEqual(got, [])
    for (let i = 41; i <= 50; i++) send(request(i, GETATTR, 1))
    await arrived(got, 50)
    const all = Array.from({ length: 50 }, (_, i) =>
      i < 40 && (i + 1) % 7 === 0 ? `${i + 1}:${4097 + i}` : `${i + 1}`,
    )
    assert.deepEqual(got, all)
    assert.equal(answer(), undefined)
    assert.deepEqual(reports, [])
  })

  it('answers EDEADLK to a call of the blocked thread, and to nothing else', async (t) => {
    const { got, send, answer, reports } = bed(t)
    send(request(1, GETATTR, 1))
    send(request(2, GETATTR, tid))
    send(request(3, FORGET, tid))
    send(request(4, GETATTR, 0))
    blocked(0.7)
    assert.equal(answer(), `${EDEADLK} 2`)
    assert.equal(answer(), undefined)
    await arrived(got, 3)
    assert.deepEqual(got, ['1', '3', '4'])
    assert.deepEqual(reports, [[1, GETATTR, tid]])
  })

  it('leaves a thread alone that is busy, or waits for other threads', async (t) => {
    const { got, send, answer } = bed(t)
    send(request(1, GETATTR, tid))
    for (const end = performance.now() + 600; performance.now() < end;);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600)
    assert.equal(answer(), undefined)
    await arrived(got, 1)
    assert.deepEqual(got, ['1'])
  })

  it('waits with what it keeps for a free slot', async (t) => {
    const { channel, got, send } = bed(t, 2, true)
    for (let i = 1; i <= 6; i++) send(request(i, GETATTR, 1))
    execFileSync('sleep', ['0.6'])
    await arrived(got, 2)
    assert.deepEqual(got, ['1', '2'])
    channel.release(0)
    await arrived(got, 3)
    assert.deepEqual(got, ['1', '2', '3'])
    channel.release(0)
    channel.release(1)
    await arrived(got, 5)
    assert.deepEqual(got, ['1', '2', '3', '4', '5'])
  })

  it('lets a killed caller go whose request it keeps', async (t) => {
    const { got, send, answer } = bed(t)
    const dead = spawn('true').pid as number
    await sleep(200)
    const INTERRUPT = 36
    const interrupt = (unique: number): Buffer => {
      const bytes = request(unique | 1, INTERRUPT, 0, HEADER + 8)
      bytes.writeBigUInt64LE(BigInt(unique), HEADER)
      return bytes
    }
    send(request(2, GETATTR, dead))
    send(request(4, GETATTR, process.pid))
    send(interrupt(2))
    send(interrupt(4))
    blocked(0.7)
    // The living one is this thread itself, which reads.
    assert.deepEqual(new Set([answer(), answer()]), new Set([`${EDEADLK} 4`, '-4 2']))
    await arrived(got, 1)
    assert.deepEqual(got, ['5:48'])
  })

  it('gives out everything when it is ended', async (t) => {
    const { channel, got, send, reports } = bed(t)
    send(request(1, GETATTR, tid))
    send(request(2, GETATTR, 1))
    blocked(0.7)
    channel.guard(null, '')
    assert.deepEqual(reports, [[1, GETATTR, tid]])
    send(request(3, GETATTR, 1))
    await arrived(got, 2)
    assert.deepEqual(got, ['2', '3'])
  })

  it('is refused where it runs or the channel is closed, and leaves nothing behind', (t) => {
    const { channel, send } = bed(t)
    assert.equal(
      channel.guard(() => {}, ''),
      -114,
    )
    assert.throws(() => channel.guard('x' as unknown as null, ''), /guard takes a callback, or null/)
    send(request(1, GETATTR, 1))
    execFileSync('sleep', ['0.6'])
    channel.close()
    assert.equal(
      channel.guard(() => {}, ''),
      -9,
    )
    const before = { fds: openFds(), threads: threads() }
    for (let i = 0; i < 100; i++) {
      const [ours, peer] = messagePair()
      const one = new native.Channel(
        ours,
        new ArrayBuffer(SLOT),
        SLOT,
        1,
        () => {},
        () => {},
      )
      assert.equal(
        one.guard(() => {}, ''),
        0,
      )
      if (i % 2 === 0) one.start()
      one.close()
      closeAll(peer)
    }
    assert.deepEqual({ fds: openFds(), threads: threads() }, before)
  })
})
