// Rows of the INIT flags about data and its caches: each is proved by what differs with and without it.
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { TestContext } from 'node:test'
import type { Filesystem, SessionOptions } from 'devfuse'
import { sh, run } from '../support/mounting.js'
import type { Memory } from './memory.js'
import { provoke, recording, until } from './rows.js'
import type { Check, Mounted } from './rows.js'

const DIRECT_IO = 1
const KEEP_CACHE = 2
const MiB = 1 << 20

/** The most handlers of one kind that ran at once while `act` ran: each waits for company, for `patience` ms at most. */
async function together(
  t: TestContext,
  handler: 'read' | 'lookup',
  options: SessionOptions,
  act: (mnt: string) => Promise<unknown>,
): Promise<number> {
  const patience = options.refuse === undefined ? 5000 : 150
  let running = 0
  let most = 0
  const slowed = (memory: Memory): Filesystem => {
    memory.put('big', Buffer.alloc(4 * MiB, 'x'))
    for (let i = 0; i < 4; i++) memory.put(`name${i}`)
    const all = memory.filesystem() as unknown as Record<string, (request: object) => unknown>
    const quick = all[handler]
    const slow = async (request: object): Promise<unknown> => {
      most = Math.max(most, ++running)
      for (const end = Date.now() + patience; most < 2 && Date.now() < end;) await delay(5)
      running--
      return quick?.(request)
    }
    return { ...all, [handler]: slow }
  }
  const { mnt } = await recording(t, options, slowed)
  await act(mnt)
  return most
}

/** What cat(1) shows of a cached file after its content, size and times were changed behind the kernel. */
async function afterChange(t: TestContext, options: SessionOptions): Promise<string> {
  const { mnt, memory } = await recording(t, options)
  memory.openFlags = KEEP_CACHE
  const node = memory.put('page', 'a'.repeat(4096))
  await sh(`cat ${mnt}/page`)
  node.data = Buffer.from('b'.repeat(8192))
  node.mtime += 5
  return (await sh(`stat ${mnt}/page > /dev/null; cat ${mnt}/page | tr -s ab`)).trim()
}

/** The same with the size left as it was. */
async function afterTouch(t: TestContext, options: SessionOptions): Promise<string> {
  const { mnt, memory } = await recording(t, options)
  memory.openFlags = KEEP_CACHE
  const node = memory.put('page', 'a'.repeat(4096))
  await sh(`cat ${mnt}/page`)
  node.data = Buffer.from('b'.repeat(4096))
  node.mtime += 5
  return (await sh(`stat ${mnt}/page > /dev/null; cat ${mnt}/page | tr -s ab`)).trim()
}

async function largestWrite(t: TestContext, options: SessionOptions): Promise<number> {
  const { mnt, memory } = await recording(t, options)
  await provoke('write', `${mnt}/new`, 1, MiB)
  return Math.max(...memory.seen('write').map(({ size }) => size))
}

async function agreed({ session }: Mounted, ...flags: string[]): Promise<void> {
  const names = new Set<string>(session.negotiation.agreed)
  for (const flag of flags) assert.ok(names.has(flag), flag)
  await sh(
    `cp ${session.mountPoint}/file ${session.mountPoint}/copy; cmp ${session.mountPoint}/file ${session.mountPoint}/copy`,
  )
}

function informational(flag: 'FUSE_SPLICE_WRITE' | 'FUSE_SPLICE_MOVE' | 'FUSE_SPLICE_READ'): Check {
  return {
    call: 'cp(1)',
    shows: 'agreed on request; it only says what the device can do',
    prove: async (t) => await agreed(await recording(t, { want: [flag] }), flag),
  }
}

export const cacheFlagRows = {
  FUSE_ASYNC_READ: {
    call: 'readahead(2)',
    shows: 'several READs at once; one at a time without',
    prove: async (t) => {
      const maxRead = 16 << 10
      const ahead = (mnt: string): Promise<string> => provoke('readahead', `${mnt}/big`, 8 * maxRead)
      assert.ok((await together(t, 'read', { maxRead }, ahead)) > 1)
      assert.equal(await together(t, 'read', { maxRead, refuse: ['FUSE_ASYNC_READ'] }, ahead), 1)
    },
  },
  FUSE_BIG_WRITES: {
    call: 'write(2) of 1 MiB',
    shows: 'WRITEs larger than a page; one page each without',
    prove: async (t) => {
      assert.ok((await largestWrite(t, {})) > 4096)
      assert.equal(await largestWrite(t, { refuse: ['FUSE_BIG_WRITES'] }), 4096)
    },
  },
  FUSE_MAX_PAGES: {
    call: 'write(2) of 1 MiB',
    shows: 'WRITEs of up to max_pages; 32 pages without',
    prove: async (t) => {
      assert.equal(await largestWrite(t, {}), MiB)
      assert.equal(await largestWrite(t, { maxWrite: MiB / 2 }), MiB / 2)
      assert.equal(await largestWrite(t, { refuse: ['FUSE_MAX_PAGES'] }), 32 * 4096)
    },
  },
  FUSE_SPLICE_WRITE: informational('FUSE_SPLICE_WRITE'),
  FUSE_SPLICE_MOVE: informational('FUSE_SPLICE_MOVE'),
  FUSE_SPLICE_READ: informational('FUSE_SPLICE_READ'),
  FUSE_AUTO_INVAL_DATA: {
    call: 'stat(2), then read(2) of cached data',
    shows: 'a new mtime drops the data; not without',
    prove: async (t) => {
      assert.equal(await afterTouch(t, {}), 'b')
      assert.equal(await afterTouch(t, { refuse: ['FUSE_AUTO_INVAL_DATA'] }), 'a')
    },
  },
  FUSE_EXPLICIT_INVAL_DATA: {
    call: 'stat(2), then read(2) of cached data',
    shows: 'a new size keeps the data; it goes without',
    prove: async (t) => {
      assert.equal(await afterChange(t, { want: ['FUSE_EXPLICIT_INVAL_DATA'] }), 'ab')
      assert.equal(await afterChange(t, { refuse: ['FUSE_AUTO_INVAL_DATA'] }), 'b')
    },
  },
  FUSE_ASYNC_DIO: {
    call: 'read(2) with O_DIRECT',
    shows: 'several READs at once; one at a time without',
    prove: async (t) => {
      const read = (mnt: string): Promise<string> => provoke('direct', `${mnt}/big`, 4 * MiB)
      assert.ok((await together(t, 'read', {}, read)) > 1)
      assert.equal(await together(t, 'read', { refuse: ['FUSE_ASYNC_DIO'] }, read), 1)
    },
  },
  FUSE_WRITEBACK_CACHE: {
    call: '100 write(2) of 10 bytes',
    shows: 'the page with FUSE_WRITE_CACHE, later; 100 WRITEs without',
    prove: async (t) => {
      const without = await recording(t)
      await provoke('write', `${without.mnt}/new`, 100, 10)
      assert.equal(without.memory.seen('write').length, 100)
      const { mnt, memory } = await recording(t, { want: ['FUSE_WRITEBACK_CACHE'], passthrough: 'off' })
      await provoke('write', `${mnt}/new`, 100, 10)
      await until('written back', () => memory.seen('write').length > 0)
      // Anybody's sync(2) may have written the page back once in between.
      assert.ok(memory.seen('write').length < 10)
      const { size, writeFlags } = memory.last('write')
      assert.deepEqual([size, writeFlags & 1], [1000, 1])
      assert.equal(await sh(`wc -c < ${mnt}/new`), '1000\n')
    },
  },
  FUSE_DIRECT_IO_ALLOW_MMAP: {
    call: 'mmap(2) MAP_SHARED of an FOPEN_DIRECT_IO file',
    shows: 'works; ENODEV without',
    prove: async (t) => {
      const map = async (options: SessionOptions): Promise<string> => {
        const { mnt, memory } = await recording(t, options)
        memory.openFlags = DIRECT_IO
        return await provoke('mmap', `${mnt}/file`)
      }
      assert.equal(await map({ want: ['FUSE_DIRECT_IO_ALLOW_MMAP'] }), 'cont')
      assert.equal(await map({}), 'ENODEV')
    },
  },
  FUSE_PASSTHROUGH: {
    call: 'read(2), write(2)',
    shows: 'data from the backing file, no READ; READ without',
    prove: async (t) => {
      const read = async (options: SessionOptions): Promise<number> => {
        const real = `/tmp/devfuse-backing-${process.pid}`
        await sh(`printf 'backing content' > ${real}`)
        const { openSync, closeSync, unlinkSync } = await import('node:fs')
        const fd = openSync(real, 'r+')
        unlinkSync(real)
        let reads = 0
        const { mnt, session } = await recording(t, options, (memory) => ({
          ...memory.filesystem(),
          open: () => ({ fh: 1, passthrough: fd }),
          read: ({ offset, size }) => (reads++, { fd, offset, size }),
        }))
        assert.equal(await sh(`cat ${mnt}/file`), 'backing content')
        assert.equal(session.stats().passthrough.opens, reads === 0 ? 1 : 0)
        closeSync(fd)
        return reads
      }
      assert.equal(await read({ passthrough: 'on' }), 0)
      assert.ok((await read({ passthrough: 'off' })) > 0)
    },
  },
  FUSE_CACHE_SYMLINKS: {
    call: 'readlink(2), twice',
    shows: 'one READLINK; two without',
    prove: async (t) => {
      const count = async (options: SessionOptions): Promise<number> => {
        const { mnt, memory } = await recording(t, options)
        memory.valid = 3600
        memory.put('link', '', 0o120777).target = 'target'
        assert.equal(await sh(`readlink ${mnt}/link; readlink ${mnt}/link`), 'target\ntarget\n')
        return memory.seen('readlink').length
      }
      assert.equal(await count({ want: ['FUSE_CACHE_SYMLINKS'] }), 1)
      assert.equal(await count({}), 2)
    },
  },
  FUSE_PARALLEL_DIROPS: {
    call: 'four stat(2) in one directory at once',
    shows: 'their LOOKUPs come at once; one by one without',
    prove: async (t) => {
      const stats = (mnt: string): Promise<unknown> =>
        Promise.all([0, 1, 2, 3].map((i) => run('stat', [`${mnt}/name${i}`])))
      assert.ok((await together(t, 'lookup', {}, stats)) > 1)
      assert.equal(await together(t, 'lookup', { refuse: ['FUSE_PARALLEL_DIROPS'] }, stats), 1)
    },
  },
} satisfies Record<string, Check>
