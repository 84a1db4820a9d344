// The mode of an open inode: what the kernel does with every pair of answers to OPEN, and what the library makes of the same
// wishes. Source: fs/fuse/iomode.c, fs/fuse/passthrough.c.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import {
  ENOSYS,
  FOPEN_CACHE_DIR,
  FOPEN_DIRECT_IO,
  FOPEN_KEEP_CACHE,
  FOPEN_NOFLUSH,
  FOPEN_NONSEEKABLE,
  FOPEN_PARALLEL_DIRECT_WRITES,
  FOPEN_PASSTHROUGH,
  FOPEN_STREAM,
} from 'devfuse'
import type { Filesystem, OpenReply, Session, SessionOptions } from 'devfuse'
import { act, client, mounted, run, sh, skip } from '../support/mounting.js'
import { count, oneFile, settled, source } from '../support/one-file.js'
import { withoutRules } from './kernel-alone.js'

/** What an author can wish for an open. */
const wishes = ['cached', 'direct', 'passthrough', 'passthrough and direct', 'another id'] as const
type Wish = (typeof wishes)[number]

/** The first open stays open while the second one is made. What the kernel says to the second. */
const allowed: Record<Wish, readonly Wish[]> = {
  cached: ['cached', 'direct'],
  // Kernel: a direct open without a mapping counts as no mode.
  direct: ['cached', 'direct', 'passthrough', 'passthrough and direct', 'another id'],
  passthrough: ['passthrough', 'passthrough and direct'],
  'passthrough and direct': ['passthrough', 'passthrough and direct'],
  'another id': ['another id'],
}

interface Bed {
  /** The real file. */
  path: string
  mnt: string
  session: Session
  open: Map<number, number>
  wish: Wish
}

/** One file whose opens are answered as `wish` says, its data served where it has to be. */
async function bed(
  t: TestContext,
  answer: (wish: Wish, fd: number, fh: number) => OpenReply,
  options: SessionOptions = {},
): Promise<Bed> {
  const path = source(t, 'content')
  const state: { wish: Wish } = { wish: 'cached' }
  const file = oneFile(path, (fd, fh) => answer(state.wish, fd, fh))
  const filesystem: Filesystem = {
    ...file.filesystem,
    read: ({ offset, size }) => readFileSync(path).subarray(offset, offset + size),
  }
  return Object.assign(state, { path, open: file.open, ...(await mounted(t, filesystem, options)) })
}

/** Opens the file twice at the same time, with a wish each: what the second one reads, or EIO. */
async function pair(on: Bed, first: Wish, second: Wish): Promise<string> {
  await settled(() => on.open.size === 0)
  on.wish = first
  const holder = spawn('sh', ['-c', `exec 3< ${on.mnt}/f || exit; echo open; read _; cat <&3`])
  let output = ''
  holder.stdout.setEncoding('latin1').on('data', (text: string) => (output += text))
  const ended = once(holder, 'close')
  await settled(() => output.includes('open'))
  on.wish = second
  const { stdout, stderr } = await run('cat', [`${on.mnt}/f`])
  holder.stdin.end('\n')
  await ended
  // Whatever the second open was answered, the first one goes on.
  assert.equal(output, 'open\ncontent', `${first}, then ${second}`)
  return /Input\/output error/.test(stderr) ? 'EIO' : stdout
}

describe('the kernel on two opens of one inode', { skip, timeout: 120_000 }, () => {
  it('mixes no modes: EIO for every pair that the rules do not have', async (t) => {
    withoutRules(t)
    const ids: number[] = []
    const flagsOf: Record<Wish, () => OpenReply> = {
      cached: () => ({}),
      direct: () => ({ openFlags: FOPEN_DIRECT_IO }),
      passthrough: () => ({ openFlags: FOPEN_PASSTHROUGH, backingId: ids[0] }),
      'passthrough and direct': () => ({ openFlags: FOPEN_PASSTHROUGH | FOPEN_DIRECT_IO, backingId: ids[0] }),
      'another id': () => ({ openFlags: FOPEN_PASSTHROUGH, backingId: ids[1] }),
    }
    const on = await bed(t, (wish, _, fh) => ({ fh, ...flagsOf[wish]() }))
    const fd = openSync(on.path, 'r+')
    for (let i = 0; i < 2; i++) ids.push(on.session.openBacking(fd).intoRaw())
    closeSync(fd)
    const seen: Record<string, readonly string[]> = {}
    for (const first of wishes) {
      const good: string[] = []
      for (const second of wishes) {
        const result = await pair(on, first, second)
        assert.ok(result === 'content' || result === 'EIO', result)
        if (result === 'content') good.push(second)
      }
      seen[first] = good
    }
    assert.deepEqual(seen, allowed)
  })

  it('with FUSE_DIRECT_IO_ALLOW_MMAP a direct file that is mapped counts as cached', async (t) => {
    withoutRules(t)
    const id = { backingId: 0 }
    const on = await bed(
      t,
      (wish, _, fh) =>
        wish === 'direct' ? { fh, openFlags: FOPEN_DIRECT_IO } : { fh, openFlags: FOPEN_PASSTHROUGH, ...id },
      { want: ['FUSE_DIRECT_IO_ALLOW_MMAP'] },
    )
    const fd = openSync(on.path, 'r+')
    id.backingId = on.session.openBacking(fd).intoRaw()
    closeSync(fd)
    on.wish = 'direct'
    const holder = spawn(client(), ['map-hold', `${on.mnt}/f`])
    await once(holder.stdout, 'data')
    on.wish = 'passthrough'
    assert.match((await run('cat', [`${on.mnt}/f`])).stderr, /Input\/output error/)
    holder.stdin.end()
    await once(holder, 'close')
    await settled(() => on.open.size === 0)
    assert.equal(await sh(`cat ${on.mnt}/f`), 'content')
  })

  for (const [name, flag, expected] of [
    ['FOPEN_DIRECT_IO', FOPEN_DIRECT_IO, 'content'],
    ['FOPEN_PARALLEL_DIRECT_WRITES', FOPEN_PARALLEL_DIRECT_WRITES, 'content'],
    ['FOPEN_NOFLUSH', FOPEN_NOFLUSH, 'content'],
    ['FOPEN_KEEP_CACHE', FOPEN_KEEP_CACHE, 'EIO'],
    ['FOPEN_CACHE_DIR', FOPEN_CACHE_DIR, 'EIO'],
    ['FOPEN_NONSEEKABLE', FOPEN_NONSEEKABLE, 'EIO'],
    ['FOPEN_STREAM', FOPEN_STREAM, 'EIO'],
  ] as const) {
    it(`${expected === 'EIO' ? 'refuses' : 'takes'} ${name} beside FOPEN_PASSTHROUGH`, async (t) => {
      withoutRules(t)
      const id = { backingId: 0 }
      const on = await bed(t, (_, __, fh) => ({ fh, openFlags: FOPEN_PASSTHROUGH | flag, ...id }))
      const fd = openSync(on.path, 'r+')
      id.backingId = on.session.openBacking(fd).intoRaw()
      closeSync(fd)
      const { stdout, stderr } = await run('cat', [`${on.mnt}/f`])
      assert.equal(/Input\/output error/.test(stderr) ? 'EIO' : stdout, expected)
    })
  }

  it('knows no mode, and no passthrough, where OPEN is answered ENOSYS', async (t) => {
    const path = source(t, 'content')
    const { filesystem } = oneFile(path, (_, fh) => ({ fh }))
    const { mnt, session } = await mounted(t, {
      ...filesystem,
      open: () => ENOSYS,
      read: ({ offset, size }) => readFileSync(path).subarray(offset, offset + size),
    })
    assert.equal(await sh(`cat ${mnt}/f; cat ${mnt}/f`), 'contentcontent')
    assert.equal(count(session, 'OPEN'), 1)
    assert.equal(session.stats().passthrough.opens, 0)
    assert.ok(count(session, 'READ') > 0)
  })
})

describe('the library on the same wishes', { skip, timeout: 120_000 }, () => {
  const easyAnswer = (wish: Wish, fd: number, fh: number): OpenReply => {
    if (wish === 'cached') return { fh }
    if (wish === 'direct') return { fh, openFlags: FOPEN_DIRECT_IO }
    return { fh, passthrough: fd, openFlags: wish === 'passthrough and direct' ? FOPEN_DIRECT_IO : 0 }
  }

  it('turns every pair into one that works', async (t) => {
    const on = await bed(t, easyAnswer)
    for (const first of wishes)
      for (const second of wishes)
        assert.equal(await pair(on, first, second), 'content', `${first}, then ${second}`)
    await settled(() => on.open.size === 0 && on.session.stats().passthrough.backingIds === 0)
    assert.deepEqual(Object.keys(on.session.stats().passthrough.fallbacks), [
      'the inode is open in cached mode, which the kernel does not mix with passthrough',
    ])
  })

  it('the flags that the kernel refuses are left out, or cost the open its passthrough, and never make it fail', async (t) => {
    for (const [flag, passed] of [
      [FOPEN_KEEP_CACHE, true],
      [FOPEN_CACHE_DIR, true],
      [FOPEN_NOFLUSH, true],
      [FOPEN_PARALLEL_DIRECT_WRITES, true],
      [FOPEN_NONSEEKABLE, false],
      [FOPEN_STREAM, false],
    ] as const) {
      const path = source(t, 'content')
      const file = oneFile(path, (fd, fh) => ({ fh, passthrough: fd, openFlags: flag }))
      const { mnt, session } = await mounted(t, file.filesystem)
      // Kernel: a stream has no position; every read asks for what is at 0.
      assert.equal(await sh(`head -c 7 ${mnt}/f`), 'content')
      assert.equal(count(session, 'READ') === 0, passed, `flag ${flag}`)
    }
  })

  it('DIRECT_IO beside passthrough: reads and writes come to the server, a mapping goes to the backing file', async (t) => {
    const path = source(t, 'x'.repeat(8192))
    const file = oneFile(path, (fd, fh) => ({ fh, passthrough: fd, openFlags: FOPEN_DIRECT_IO }))
    const { mnt, session } = await mounted(t, file.filesystem)
    await act('map-read', `${mnt}/f`, 'x')
    assert.equal(count(session, 'READ'), 0)
    await act('mmap', `${mnt}/f`)
    assert.ok(count(session, 'READ') > 0 && count(session, 'WRITE') > 0)
    assert.equal(readFileSync(path, 'latin1'), 'M'.repeat(4096) + 'W'.repeat(4096))
  })

  it('the mode ends with the last release: reopened at once, by turns, it is always the right one', async (t) => {
    const on = await bed(t, easyAnswer)
    for (let i = 0; i < 15; i++) {
      on.wish = wishes[i % 3] ?? 'cached'
      assert.equal(await sh(`cat ${on.mnt}/f`), 'content')
    }
  })
})
