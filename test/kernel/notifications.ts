// Rows of the notifications: each is sent, and what a caller sees before and after it differs.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import type { NotificationName, SessionOptions } from 'devfuse'
import { cleanup, run, sh } from '../support/mounting.js'
import { provoke, recording, until } from './rows.js'
import type { Check, Mounted, Rows } from './rows.js'

const KEEP_CACHE = 2

/** A row that is proved on a mount where everything may be cached for an hour. */
function cached(
  call: string,
  shows: string,
  prove: (mount: Mounted, t: TestContext) => Promise<void>,
  options: SessionOptions = {},
): Check {
  return {
    call,
    shows,
    prove: async (t) => {
      const mount = await recording(t, options)
      mount.memory.valid = 3600
      mount.memory.openFlags = KEEP_CACHE
      await prove(mount, t)
    },
  }
}

const lookupsOf = ({ memory }: Mounted, name: string): number =>
  memory.seen('lookup').filter((request) => request.name === name).length

export const notificationRows: Rows<NotificationName> = {
  poll: cached('poll(2)', 'a sleeping poller wakes and asks again', async ({ mnt, memory, session }) => {
    const waiting = provoke('poll', `${mnt}/file`)
    await until('poll', () => memory.pollers.length > 0)
    const before = memory.seen('poll').length
    memory.readable = true
    for (const kh of memory.pollers) assert.equal(await session.notify.pollWakeup(kh), true)
    assert.equal(await waiting, '1 POLLIN')
    assert.ok(memory.seen('poll').length > before)
    assert.equal(await session.notify.pollWakeup(123456789n), true)
  }),
  invalInode: cached(
    'read(2) of cached data',
    'new bytes are read; false for an unknown inode',
    async ({ mnt, memory, session }) => {
      await sh(`cat ${mnt}/file`)
      memory.inodes.get(2)!.data = Buffer.from('CHANGED INPLACE')
      assert.equal(await sh(`cat ${mnt}/file`), 'content of file')
      assert.equal(await session.notify.invalInode(2), true)
      assert.equal(await sh(`cat ${mnt}/file`), 'CHANGED INPLACE')
      assert.equal(await session.notify.invalInode(4711), false)
    },
  ),
  invalEntry: cached('stat(2) of a cached name', 'the name is looked up again', async (mount) => {
    const { mnt, session } = mount
    await sh(`stat ${mnt}/file; stat ${mnt}/file`)
    assert.equal(lookupsOf(mount, 'file'), 1)
    assert.equal(await session.notify.invalEntry(1, 'file'), true)
    await sh(`stat ${mnt}/file`)
    assert.equal(lookupsOf(mount, 'file'), 2)
    assert.equal(await session.notify.invalEntry(1, 'never-seen'), false)
  }),
  store: cached('read(2)', 'bytes come from the page cache, no READ', async ({ mnt, memory, session }) => {
    await sh(`stat ${mnt}/file`)
    assert.equal(await session.notify.store(2, 0, Buffer.from('STORED OF FILE!')), true)
    assert.equal(await sh(`cat ${mnt}/file`), 'STORED OF FILE!')
    assert.equal(memory.seen('read').length, 0)
    assert.equal(await session.notify.store(4711, 0, Buffer.from('x')), false)
  }),
  retrieve: cached('read(2), then NOTIFY_REPLY', 'cached bytes come back', async ({ mnt, session }) => {
    await sh(`cat ${mnt}/file`)
    assert.equal((await session.notify.retrieve(2, 3, 7)).toString(), 'tent of')
    assert.equal((await session.notify.retrieve(4711, 0, 9)).byteLength, 0)
  }),
  delete: cached(
    'inotify(7) on the file',
    'the watcher hears of it; ENOENT',
    async ({ mnt, memory, session }, t) => {
      const script = `require('fs').watch('${mnt}/file', (type) => { console.log(type); process.exit() }); console.log('watching')`
      const watcher = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
      cleanup(t, () => watcher.kill('SIGKILL'))
      await once(watcher.stdout, 'data', { signal: AbortSignal.timeout(10_000) })
      // The watcher may hear of it before we do.
      const heard = once(watcher.stdout, 'data', { signal: AbortSignal.timeout(10_000) })
      memory.inodes.root.children.delete('file')
      assert.equal(await session.notify.delete(1, 2, 'file'), true)
      const [line] = (await heard) as [Buffer]
      assert.equal(line.toString().trim(), 'rename')
      assert.match((await run('stat', [`${mnt}/file`])).stderr, /No such file/)
    },
  ),
  resend: {
    call: 'read(2) that waits',
    shows: 'the request comes again, marked in bit 63 of unique',
    prove: async (t) => {
      const marks: boolean[] = []
      const { mnt, session } = await recording(
        t,
        {},
        {
          open: () => ({ openFlags: 1 }),
          read: ({ resent, offset }) => {
            marks.push(resent)
            return resent || offset > 0
              ? Buffer.from(offset > 0 ? '' : 'again')
              : new Promise(() => undefined)
          },
        },
      )
      const cat = run('cat', [`${mnt}/file`])
      await until('read', () => marks.length === 1)
      assert.equal(await session.notify.resend(), true)
      assert.equal((await cat).stdout, 'again')
      assert.deepEqual(marks.slice(0, 2), [false, true])
    },
  },
  incEpoch: cached('stat(2) of cached names', 'every name is looked up again', async (mount) => {
    await sh(`stat ${mount.mnt}/file`)
    assert.equal(await mount.session.notify.incEpoch(), true)
    await sh(`stat ${mount.mnt}/file`)
    assert.equal(lookupsOf(mount, 'file'), 2)
  }),
  prune: cached('stat(2), then FORGET', 'the kernel forgets the inode', async ({ mnt, memory, session }) => {
    await sh(`stat ${mnt}/file`)
    assert.equal(await session.notify.prune([2]), true)
    await until('forget', () => memory.seen('forget').some(({ nodeid }) => nodeid === 2))
  }),
}
