// poll(2) against the real kernel: what is ready at once, who is woken by session.notify.pollWakeup, and who waits in vain.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { EAGAIN, ENOENT, ENOSYS } from 'devfuse'
import type { Attr, Filesystem, PollRequest } from 'devfuse'
import { epoll, poll } from '../support/device-client.js'
import { mounted, skip } from '../support/mounting.js'

const POLLIN = 1
const POLLOUT = 4
const FOPEN_DIRECT_IO = 1

const shared = { blocks: 0, nlink: 1, size: 0, uid: 0, gid: 0, atime: 0, mtime: 0, ctime: 0 }
const attr = (nodeid: number): Attr => ({ ...shared, ino: nodeid, mode: nodeid === 1 ? 0o040755 : 0o100644 })

interface Pipe {
  filesystem: Filesystem
  asked: Pick<PollRequest, 'kh' | 'fh' | 'events' | 'scheduleNotify'>[]
  /** Bytes that wait to be read. */
  ready: number
}

function pipe(): Pipe {
  const state: Pipe = {
    asked: [],
    ready: 0,
    filesystem: {
      lookup: ({ name }) => (name === 'f' ? { nodeid: 2, attr: attr(2) } : ENOENT),
      getattr: ({ nodeid }) => ({ attr: attr(nodeid) }),
      open: () => ({ fh: 5, openFlags: FOPEN_DIRECT_IO }),
      read({ size }) {
        if (state.ready === 0) return EAGAIN
        const bytes = Buffer.alloc(Math.min(size, state.ready), 'x')
        state.ready -= bytes.length
        return bytes
      },
      poll({ kh, fh, events, scheduleNotify }) {
        state.asked.push({ kh, fh, events, scheduleNotify })
        return state.ready > 0 ? POLLIN : 0
      },
    },
  }
  return state
}

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !condition(); i++) await delay(10)
  assert.ok(condition())
}

describe('poll', { skip, timeout: 60_000 }, () => {
  it('answers at once what is ready', async (t) => {
    const state = pipe()
    const { mnt } = await mounted(t, state.filesystem)
    assert.match(await poll(`${mnt}/f`, POLLIN, 0), /^result=0 errno=0 revents=0/)
    assert.equal(state.asked[0]?.fh, 5)
    // Somebody who does not wait is not to be notified.
    assert.equal(state.asked[0]?.scheduleNotify, false)
    assert.equal((state.asked[0]?.events ?? 0) & POLLIN, POLLIN)
    state.ready = 1
    assert.match(await poll(`${mnt}/f`, POLLIN, 10_000), /^result=1 errno=0 revents=1/)
    assert.match(await poll(`${mnt}/f`, POLLOUT, 0), /^result=0 errno=0 revents=0/)
  })

  it('wakes who waits', async (t) => {
    const state = pipe()
    const { mnt, session } = await mounted(t, state.filesystem)
    const waiting = poll(`${mnt}/f`, POLLIN, 10_000)
    await until(() => state.asked.length > 0)
    assert.equal(state.asked[0]?.scheduleNotify, true)
    await delay(100)
    state.ready = 3
    assert.equal(await session.notify.pollWakeup(state.asked[0]?.kh ?? 0n), true)
    const [, revents, ms] = /revents=(\d+) ms=(\d+)/.exec(await waiting) ?? []
    assert.equal(revents, '1')
    assert.ok(Number(ms) >= 100 && Number(ms) < 5000, `woken after ${ms} ms`)
  })

  it('lets who waits time out when nothing happens, or nothing that was waited for', async (t) => {
    const state = pipe()
    const { mnt, session } = await mounted(t, state.filesystem)
    const waiting = poll(`${mnt}/f`, POLLIN, 400)
    await until(() => state.asked.length > 0)
    // Woken, they ask again and find nothing.
    await session.notify.pollWakeup(state.asked[0]?.kh ?? 0n)
    const [, ms] = /^result=0 errno=0 revents=0 ms=(\d+)$/.exec(await waiting) ?? []
    assert.ok(Number(ms) >= 400)
    assert.ok(state.asked.length >= 2)
  })

  it('takes a wake-up that nobody waits for', async (t) => {
    const { mnt, session } = await mounted(t, pipe().filesystem)
    assert.equal(await session.notify.pollWakeup(0xffff_ffff_ffff_ffffn), true)
    assert.match(await poll(`${mnt}/f`, POLLIN, 0), /revents=0/)
  })

  it('works with edge-triggered epoll', async (t) => {
    const state = pipe()
    const { mnt, session } = await mounted(t, state.filesystem)
    const rounds = epoll(`${mnt}/f`, 3)
    for (let round = 1; round <= 3; round++) {
      await until(() => state.asked.length > 0)
      await delay(50)
      state.ready = round
      await session.notify.pollWakeup(state.asked.at(-1)?.kh ?? 0n)
      await until(() => state.ready === 0)
    }
    assert.equal(await rounds, '1 2 3')
  })

  it('wakes twenty that wait for the same file', async (t) => {
    const state = pipe()
    const { mnt, session } = await mounted(t, state.filesystem)
    const handles = (): Set<bigint> => new Set(state.asked.map(({ kh }) => kh))
    const waiting = Array.from({ length: 20 }, () => poll(`${mnt}/f`, POLLIN, 20_000))
    await until(() => handles().size === 20)
    state.ready = 1
    await Promise.all([...handles()].map((kh) => session.notify.pollWakeup(kh)))
    for (const answer of await Promise.all(waiting)) assert.match(answer, /revents=1/)
  })

  it('calls every file ready without a handler, and after ENOSYS', async (t) => {
    const { filesystem } = pipe()
    const { poll: _, ...without } = filesystem
    const plain = await mounted(t, without)
    assert.match(await poll(`${plain.mnt}/f`, POLLIN | POLLOUT, 10_000), /revents=5/)
    const sticky = await mounted(t, { ...filesystem, poll: () => ENOSYS })
    assert.match(await poll(`${sticky.mnt}/f`, POLLIN | POLLOUT, 10_000), /revents=5/)
    assert.match(sticky.warnings.join(), /poll answered ENOSYS/)
  })
})
