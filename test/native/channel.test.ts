// The channel over socket pairs: batches, slots, replies, busy polling, the end, close at any time.
import assert from 'node:assert/strict'
import { mkdtempSync, openSync, readlinkSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, it } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { CHANNEL_STATS } from '#dist/native.js'
import type { NativeChannel } from '#dist/native.js'
import { openFiles } from '../support/descriptors.js'
import { EAGAIN, EBADF, NR, O_NONBLOCK, closeAll, messagePair, native, openFds, pipe } from './calls.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

const SLOT = 8192

interface Bed {
  channel: NativeChannel
  peer: number
  memory: Buffer
  ends: number[]
  say: (text: string) => void
  hear: () => string
}

const open: Bed[] = []
afterEach(() => {
  for (const { channel, peer } of open.splice(0)) {
    channel.close()
    closeAll(peer)
  }
})

function bed(
  slots: number,
  onBatch: (messages: string[], self: NativeChannel, slots: number[]) => void,
): Bed {
  const [ours, peer] = messagePair()
  const memory = new ArrayBuffer(SLOT * slots)
  const bytes = Buffer.from(memory)
  const made: Bed = {
    channel: new native.Channel(
      ours,
      memory,
      SLOT,
      slots,
      (count) => {
        const taken = [...made.channel.slots.subarray(0, count)]
        const lengths = made.channel.lengths
        onBatch(
          taken.map((slot, i) => bytes.toString('latin1', slot * SLOT, slot * SLOT + lengths[i])),
          made.channel,
          taken,
        )
      },
      (errno) => made.ends.push(errno),
    ),
    peer,
    memory: bytes,
    ends: [],
    say: (text) => {
      assert.equal(native.syscallUtf8(NR.write, peer, Buffer.from(text), text.length), text.length)
    },
    hear: () => {
      const into = Buffer.alloc(1 << 20)
      const length = native.syscallUtf8(NR.read, peer, into, into.length)
      assert.ok(length >= 0)
      return into.toString('latin1', 0, length)
    },
  }
  open.push(made)
  return made
}

function stat(channel: NativeChannel, name: (typeof CHANNEL_STATS)[number]): number {
  return channel.stats[CHANNEL_STATS.indexOf(name)]
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 2000 && !condition(); i++) await sleep(1)
  assert.ok(condition())
}

describe('reading', () => {
  it('reports messages in order, what waited in few batches', async () => {
    const seen: string[] = []
    const { channel, say } = bed(16, (messages, self, slots) => {
      seen.push(...messages)
      for (const slot of slots) self.release(slot)
    })
    for (let i = 0; i < 100; i++) say(`message ${i}`)
    channel.start()
    await until(() => seen.length === 100)
    assert.deepEqual(
      seen,
      Array.from({ length: 100 }, (_, i) => `message ${i}`),
    )
    assert.equal(stat(channel, 'requests'), 100)
    assert.ok(stat(channel, 'batches') < 20)
  })

  it('stops without a free slot and goes on after a release', async () => {
    const held: number[] = []
    const seen: string[] = []
    const { channel, say } = bed(4, (messages, _, slots) => {
      seen.push(...messages)
      held.push(...slots)
    })
    for (let i = 0; i < 6; i++) say(`${i}`)
    channel.start()
    await until(() => seen.length === 4)
    await sleep(10)
    assert.deepEqual(seen, ['0', '1', '2', '3'])
    assert.equal(new Set(held).size, 4)
    assert.ok(stat(channel, 'slotWaits') >= 1)
    const wakeups = stat(channel, 'wakeups')
    await sleep(20)
    assert.equal(stat(channel, 'wakeups'), wakeups, 'does not wake up in vain')
    channel.release(held[2])
    await until(() => seen.length === 5)
    assert.equal(held[4], held[2])
    channel.release(held[0])
    await until(() => seen.length === 6)
  })

  it('refuses to free what is not taken', () => {
    const { channel } = bed(2, () => {})
    assert.throws(() => channel.release(0), TypeError)
    assert.throws(() => channel.release(2), TypeError)
    assert.throws(() => channel.release(-1), TypeError)
  })

  it('runs promise jobs and ticks between batches', async () => {
    const order: string[] = []
    const { channel, say } = bed(1, (messages, self, slots) => {
      order.push(messages[0])
      void Promise.resolve().then(() => order.push(`job ${messages[0]}`))
      process.nextTick(() => order.push(`tick ${messages[0]}`))
      self.release(slots[0])
    })
    say('a')
    say('b')
    channel.start()
    await until(() => order.length === 6)
    assert.deepEqual(order, ['a', 'tick a', 'job a', 'b', 'tick b', 'job b'])
  })

  it('reports what a callback throws and goes on', async () => {
    const thrown: unknown[] = []
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.on('uncaughtException', (error) => thrown.push(error.message))
    const seen: string[] = []
    const { channel, say } = bed(4, (messages, self, slots) => {
      seen.push(...messages)
      for (const slot of slots) self.release(slot)
      throw new Error(`bad ${messages[0]}`)
    })
    say('x')
    channel.start()
    await until(() => seen.length === 1)
    say('y')
    await until(() => seen.length === 2)
    process.removeAllListeners('uncaughtException')
    for (const listener of listeners) process.on('uncaughtException', listener)
    assert.deepEqual(thrown, ['bad x', 'bad y'])
  })

  it('ends once, with 0 when the peer is gone and -errno otherwise', async () => {
    const { channel, peer, ends, say } = bed(2, (_, self, slots) => self.release(slots[0]))
    open.length = 0
    say('last')
    channel.start()
    closeAll(peer)
    await until(() => ends.length > 0)
    await sleep(5)
    assert.deepEqual(ends, [0])
    assert.equal(stat(channel, 'requests'), 1)
    channel.close()

    const [output, input] = pipe()
    const errors: number[] = []
    const wrong = new native.Channel(
      input,
      new ArrayBuffer(8),
      8,
      1,
      () => {},
      (errno) => errors.push(errno),
    )
    closeAll(output)
    wrong.start()
    await until(() => errors.length > 0)
    assert.deepEqual(errors, [EBADF])
    wrong.close()
  })

  it('can stop and start again', async () => {
    const seen: string[] = []
    const { channel, say } = bed(2, (messages, self, slots) => {
      seen.push(...messages)
      self.release(slots[0])
      self.stop()
    })
    say('1')
    say('2')
    channel.start()
    channel.start()
    await until(() => seen.length === 1)
    await sleep(5)
    assert.deepEqual(seen, ['1'])
    channel.start()
    await until(() => seen.length === 2)
  })

  it('closes from inside a batch, more than once, and frees the descriptor', async () => {
    let batches = 0
    const { channel, say, peer, ends } = bed(2, (_, self) => {
      batches++
      self.close()
      self.close()
    })
    const socket = readlinkSync(`/proc/self/fd/${channel.fd}`)
    assert.ok(openFiles().includes(socket))
    open.length = 0
    say('1')
    say('2')
    channel.start()
    await until(() => batches === 1)
    await sleep(5)
    assert.equal(channel.fd, -1)
    assert.equal(batches, 1)
    assert.deepEqual(ends, [])
    assert.equal(channel.send(Buffer.from('x'), 0, 1), EBADF)
    assert.equal(channel.clone(), EBADF)
    assert.throws(() => channel.start(), { code: 'EBADF' })
    closeAll(peer)
    assert.ok(!openFiles().includes(socket))
  })
})

describe('writing', () => {
  it('sends parts as one message', () => {
    const { channel, hear } = bed(1, () => {})
    assert.equal(channel.send(Buffer.from('..abc..'), 2, 3), 0)
    assert.equal(hear(), 'abc')
    assert.equal(channel.sendv(Buffer.from('head'), 1, 2, Buffer.from('body'), 2, 2), 0)
    assert.equal(hear(), 'eady')
    assert.equal(channel.sendv(Buffer.from('head'), 0, 4, new Uint8Array(0), 0, 0), 0)
    assert.equal(hear(), 'head')
    assert.equal(stat(channel, 'replies'), 3)
  })

  it('refuses what lies outside of the bytes', () => {
    const { channel } = bed(1, () => {})
    const bytes = Buffer.alloc(8)
    for (const [offset, length] of [
      [-1, 1],
      [0, 9],
      [9, 0],
      [4, 5],
      [0, -1],
      [2 ** 40, 1],
    ] as const) {
      assert.throws(() => channel.send(bytes, offset, length), TypeError)
      assert.throws(() => channel.sendv(bytes, 0, 8, bytes, offset, length), TypeError)
    }
    assert.throws(() => channel.send(new Uint16Array(4) as never, 0, 1), TypeError)
    assert.throws(() => channel.send.call({} as never, bytes, 0, 1), TypeError)
  })

  it('answers errors', () => {
    const { channel } = bed(1, () => {})
    const big = Buffer.alloc(1 << 16)
    channel.start()
    let result = 0
    for (let i = 0; i < 100 && result === 0; i++) result = channel.send(big, 0, big.length)
    assert.equal(result, EAGAIN)
    assert.equal(stat(channel, 'replyErrors'), 1)
  })
})

describe('sendFromFd', () => {
  const folder = mkdtempSync(join(tmpdir(), 'devfuse-channel-'))
  const path = join(folder, 'data')
  const data = Buffer.from(Array.from({ length: 10_000 }, (_, i) => i % 251))
  writeFileSync(path, data)

  /** The parts of a reply: length, error, unique, body. */
  function parsed(reply: string): { error: number; unique: bigint; body: Buffer } {
    const bytes = Buffer.from(reply, 'latin1')
    assert.equal(bytes.readUInt32LE(0), bytes.length)
    return { error: bytes.readInt32LE(4), unique: bytes.readBigUInt64LE(8), body: bytes.subarray(16) }
  }

  for (const sync of [false, true]) {
    it(`answers with the bytes of a file, ${sync ? 'in this thread' : 'wherever'}`, async () => {
      const { channel, hear } = bed(1, () => {})
      const fd = openSync(path, 'r')
      for (const [offset, size] of [
        [0, 100],
        [9_990, 100],
        [10_000, 5],
        [1 << 30, 5],
        [5_000, 0],
      ] as const) {
        assert.equal(
          await channel.sendFromFd(42, fd, offset, size, sync),
          data.subarray(offset, offset + size).byteLength,
        )
        const { error, unique, body } = parsed(hear())
        assert.deepEqual({ error, unique }, { error: 0, unique: 42n })
        assert.deepEqual(body, data.subarray(offset, offset + size))
      }
      assert.equal(await channel.sendFromFd(-42, fd, 0, 1, sync), 1)
      assert.equal(parsed(hear()).unique, (1n << 63n) | 42n)
      closeAll(fd)
    })

    it(`answers with the error of the read, ${sync ? 'in this thread' : 'wherever'}`, async () => {
      const { channel, hear } = bed(1, () => {})
      assert.equal(await channel.sendFromFd(8, 9_999, 0, 10, sync), EBADF)
      assert.deepEqual(parsed(hear()), { error: EBADF, unique: 8n, body: Buffer.alloc(0) })
      const directory = openSync(folder, 'r')
      assert.equal(await channel.sendFromFd(8, directory, 0, 10, sync), -21)
      assert.equal(parsed(hear()).error, -21)
      closeAll(directory)
    })
  }

  it('leaves the thread for what is not cached or cannot tell', async () => {
    const { channel, hear } = bed(1, () => {})
    // A file of procfs knows no RWF_NOWAIT.
    const fd = openSync('/proc/self/comm', 'r')
    const answered = channel.sendFromFd(7, fd, 0, 100, false)
    assert.ok(answered instanceof Promise)
    const sent = await answered
    const { body } = parsed(hear())
    assert.equal(sent, body.byteLength)
    assert.match(body.toString(), /^\S+\n$/)
    assert.equal(stat(channel, 'readsByPool'), 1)
    closeAll(fd)
  })

  it('never writes to a closed channel', async () => {
    const { channel, peer } = bed(1, () => {})
    open.length = 0
    const fd = openSync('/proc/self/comm', 'r')
    const answers = Array.from({ length: 50 }, async () => channel.sendFromFd(7, fd, 0, 100, false))
    channel.close()
    for (const result of await Promise.all(answers)) assert.ok(result > 0 || result === EBADF)
    closeAll(fd, peer)
  })

  it('checks its arguments', () => {
    const { channel } = bed(1, () => {})
    assert.throws(() => channel.sendFromFd(Number.NaN, 0, 0, 0, false), TypeError)
    assert.throws(() => channel.sendFromFd(1, 0, 0, 2 ** 31, false), TypeError)
    for (const odd of [Number.NaN, 0.5, 2 ** 63]) {
      assert.throws(() => channel.sendFromFd(1, odd, 0, 1, false), TypeError)
      assert.throws(() => channel.sendFromFd(1, -1, odd, 1, false), TypeError)
    }
    rmSync(folder, { recursive: true, force: true })
  })
})

describe('busy polling', () => {
  it('gives way to timers, immediates and the pool', async () => {
    const { channel, say } = bed(8, (_, self, slots) => {
      for (const slot of slots) self.release(slot)
    })
    channel.setBusyPoll(1000)
    channel.start()
    for (let i = 0; i < 50; i++) {
      say('x')
      const started = performance.now()
      await new Promise((resolve) => setImmediate(resolve))
      await native.syscallAsyncUtf8(NR.getpid)
      assert.ok(performance.now() - started < 500)
    }
    const started = performance.now()
    say('y')
    await sleep(5)
    assert.ok(performance.now() - started < 500)
    assert.ok(stat(channel, 'spinNanoseconds') < 100e6)
  })

  it('can be turned off', async () => {
    const { channel, say } = bed(8, (_, self, slots) => self.release(slots[0]))
    channel.setBusyPoll(0)
    channel.start()
    for (let i = 0; i < 20; i++) {
      say('x')
      await sleep(1)
    }
    assert.equal(stat(channel, 'spins'), 0)
    assert.throws(() => channel.setBusyPoll(-1), TypeError)
    assert.throws(() => channel.setBusyPoll(Number.NaN), TypeError)
  })
})

describe('a channel', () => {
  it('checks how it is made', () => {
    const memory = new ArrayBuffer(64)
    const make = (...args: unknown[]): unknown =>
      new (native.Channel as new (...args: unknown[]) => unknown)(...args)
    const nothing = (): void => {}
    assert.throws(() => make(), TypeError)
    assert.throws(() => make(-1, memory, 8, 8, nothing, nothing), TypeError)
    assert.throws(() => make(0, memory, 8, 9, nothing, nothing), TypeError)
    assert.throws(() => make(0, memory, 0, 1, nothing, nothing), TypeError)
    assert.throws(() => make(0, new Uint8Array(8), 8, 1, nothing, nothing), TypeError)
    assert.throws(() => make(0, memory, 8, 8, nothing, 1), TypeError)
  })

  it('closes its descriptor when it is forgotten, but not while it is started', async () => {
    const before = openFds()
    const peers = [messagePair(), messagePair()]
    const make = (fd: number): NativeChannel =>
      new native.Channel(
        fd,
        new ArrayBuffer(8),
        8,
        1,
        () => {},
        () => {},
      )
    const forget = (): void => {
      make(peers[0][0])
      make(peers[1][0]).start()
    }
    forget()
    for (let i = 0; i < 100 && openFds() > before + 3; i++) {
      collect()
      await sleep(2)
    }
    assert.equal(openFds(), before + 3)
    // The started one ends with its peer, and then nothing holds it any more.
    closeAll(peers[1][1])
    for (let i = 0; i < 100 && openFds() > before + 1; i++) {
      collect()
      await sleep(2)
    }
    assert.equal(openFds(), before + 1)
    closeAll(peers[0][1])
  })

  it('cannot watch a plain file', () => {
    const channel = new native.Channel(
      openSync('/etc/passwd', 'r'),
      new ArrayBuffer(8),
      8,
      1,
      () => {},
      () => {},
    )
    assert.throws(() => channel.start(), { code: 'ERR_DEVFUSE_ADDON' })
    channel.close()
  })

  it('over /dev/fuse without a mount is refused by the kernel', async (t) => {
    const fd = native.syscallUtf8(NR.openat, -100, '/dev/fuse', 2 | O_NONBLOCK)
    if (fd < 0) return t.skip(`no /dev/fuse (${fd})`)
    const ends: number[] = []
    const channel = new native.Channel(
      fd,
      new ArrayBuffer(SLOT),
      SLOT,
      1,
      () => {},
      (errno) => ends.push(errno),
    )
    assert.equal(channel.clone() < 0, true)
    assert.equal(channel.send(new Uint8Array(16), 0, 16) < 0, true)
    channel.start()
    await until(() => ends.length > 0)
    assert.ok(ends[0] < 0)
    channel.close()
  })
})
