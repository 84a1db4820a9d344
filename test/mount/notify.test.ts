// Notifications against the real kernel: each one changes what a caller sees, and none of them can hang the server.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { ENOENT } from 'devfuse'
import type { Attr, Entry, Filesystem, Session } from 'devfuse'
import { cleanup, mounted, run, sh, skip } from '../support/mounting.js'

const LONG = 3600
const shared = { blocks: 0, nlink: 1, uid: 0, gid: 0, atime: 0, mtime: 0, ctime: 0 }
const root: Attr = { ...shared, ino: 1, size: 0, mode: 0o040755 }

interface Cached {
  filesystem: Filesystem
  /** Content by name; nodeids are given in the order of names. */
  files: Map<string, string>
  lookups: string[]
  forgotten: number[]
}

/** Files whose names, attributes and data the kernel may cache for an hour. */
function cached(content: Record<string, string>): Cached {
  const files = new Map(Object.entries(content))
  const names = [...files.keys()]
  const lookups: string[] = []
  const forgotten: number[] = []
  const attr = (nodeid: number): Attr => {
    if (nodeid === 1) return root
    const size = Buffer.byteLength(files.get(names[nodeid - 2]) ?? '')
    return { ...shared, ino: nodeid, size, mode: 0o100644 }
  }
  const filesystem: Filesystem = {
    lookup({ name }): Entry | typeof ENOENT {
      lookups.push(name)
      if (!files.has(name)) return ENOENT
      const nodeid = names.indexOf(name) + 2
      return { nodeid, entryValid: LONG, attrValid: LONG, attr: attr(nodeid) }
    },
    getattr: ({ nodeid }) => ({ attrValid: LONG, attr: attr(nodeid) }),
    open: () => ({ openFlags: 2 }), // FOPEN_KEEP_CACHE
    read: ({ nodeid, offset, size }) =>
      Buffer.from(files.get(names[nodeid - 2]) ?? '').subarray(offset, offset + size),
    readdir: ({ offset }) => names.map((name, i) => ({ name, ino: i + 2, type: 8 })).slice(offset),
    forget: ({ nodeid }) => void forgotten.push(nodeid),
  }
  return { filesystem, files, lookups, forgotten }
}

describe('session.notify', { skip, timeout: 60_000 }, () => {
  it('invalInode makes new content seen', async (t) => {
    const { filesystem, files } = cached({ a: 'old' })
    const { mnt, session } = await mounted(t, filesystem, { refuse: ['FUSE_AUTO_INVAL_DATA'] })
    assert.equal(await sh(`cat ${mnt}/a`), 'old')
    files.set('a', 'new')
    assert.equal(await sh(`cat ${mnt}/a`), 'old')
    assert.equal(await session.notify.invalInode(2), true)
    assert.equal(await sh(`cat ${mnt}/a`), 'new')
    assert.equal(await session.notify.invalInode(77), false)
  })

  it('invalEntry and expireEntry make a name looked up again', async (t) => {
    const { filesystem, lookups } = cached({ a: '1', b: '2' })
    const { mnt, session } = await mounted(t, filesystem)
    const count = (): number => lookups.filter((name) => name === 'a').length
    await sh(`stat ${mnt}/a; stat ${mnt}/a`)
    assert.equal(count(), 1)
    assert.equal(await session.notify.invalEntry(1, 'a'), true)
    await sh(`stat ${mnt}/a`)
    assert.equal(count(), 2)
    assert.equal(await session.notify.expireEntry(1, Buffer.from('a')), true)
    await sh(`stat ${mnt}/a`)
    assert.equal(count(), 3)
    assert.equal(await session.notify.invalEntry(1, 'unknown'), false)
  })

  it('incEpoch makes every name looked up again', async (t) => {
    const { filesystem, lookups } = cached({ a: '1', b: '2' })
    const { mnt, session } = await mounted(t, filesystem)
    if (session.negotiation.kernelMinor < 44) return t.skip('needs FUSE 7.44')
    await sh(`stat ${mnt}/a ${mnt}/b`)
    const before = lookups.length
    assert.equal(await session.notify.incEpoch(), true)
    await sh(`stat ${mnt}/a ${mnt}/b`)
    assert.equal(lookups.length, before + 2)
  })

  it('delete tells who watches the file', async (t) => {
    const { filesystem, files } = cached({ a: '1' })
    const { mnt, session } = await mounted(t, filesystem)
    const script = `require('fs').watch(${JSON.stringify(`${mnt}/a`)}, (type) => { console.log(type); process.exit() }); console.log('watching')`
    const watcher = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    cleanup(t, () => watcher.kill('SIGKILL'))
    await once(watcher.stdout, 'data', { signal: AbortSignal.timeout(10_000) })
    // The watcher may hear of it before we do.
    const heard = once(watcher.stdout, 'data', { signal: AbortSignal.timeout(10_000) })
    files.delete('a')
    assert.equal(await session.notify.delete(1, 2, 'a'), true)
    const [line] = (await heard) as [Buffer]
    assert.equal(line.toString().trim(), 'rename')
    assert.match((await run('stat', [`${mnt}/a`])).stderr, /No such file/)
  })

  it('store fills the page cache, retrieve reads it back', async (t) => {
    const big = 'x'.repeat(2_500_000)
    const { filesystem } = cached({ a: big })
    let reads = 0
    const { mnt, session } = await mounted(t, {
      ...filesystem,
      read: () => (reads++, Buffer.alloc(0)),
    })
    await sh(`stat ${mnt}/a`)
    assert.equal(await session.notify.store(2, 0, Buffer.from(big)), true)
    assert.equal(await sh(`md5sum < ${mnt}/a`), await sh(`head -c 2500000 /dev/zero | tr '\\0' x | md5sum`))
    assert.equal(reads, 0)
    let back = await session.notify.retrieve(2, 0, 2_500_000)
    // A test beside this one may have the kernel drop what it has cached.
    for (let again = 0; again < 5 && back.byteLength < 2_500_000; again++) {
      await session.notify.store(2, 0, Buffer.from(big))
      back = await session.notify.retrieve(2, 0, 2_500_000)
    }
    assert.equal(back.byteLength, 2_500_000)
    assert.ok(back.every((byte) => byte === 120))
    assert.equal((await session.notify.retrieve(77, 0, 100)).byteLength, 0)
    assert.equal(await session.notify.store(77, 0, Buffer.from('x')), false)
  })

  it('prune makes the kernel forget', async (t) => {
    const { filesystem, forgotten } = cached({ a: '1', b: '2' })
    const { mnt, session } = await mounted(t, filesystem)
    if (session.negotiation.kernelMinor < 45) return t.skip('needs FUSE 7.45')
    await sh(`stat ${mnt}/a ${mnt}/b`)
    await session.notify.prune([2, 3])
    for (let i = 0; i < 100 && forgotten.length < 2; i++) await new Promise((done) => setTimeout(done, 20))
    assert.deepEqual(
      forgotten.toSorted((a, b) => a - b),
      [2, 3],
    )
  })

  it('resend sends what is unanswered again, marked', async (t) => {
    const { filesystem } = cached({ a: 'text' })
    const seen: boolean[] = []
    let go = (): void => undefined
    const { mnt, session } = await mounted(
      t,
      {
        ...filesystem,
        open: () => ({ openFlags: 1 }),
        read: async ({ resent, offset }) => {
          seen.push(resent)
          if (!resent && offset === 0) await new Promise<void>((done) => (go = done))
          return Buffer.from('text').subarray(offset)
        },
      },
      { transport: 'device' },
    )
    const cat = run('cat', [`${mnt}/a`])
    for (let i = 0; i < 100 && seen.length === 0; i++) await new Promise((done) => setTimeout(done, 20))
    assert.equal(await session.notify.resend(), true)
    assert.equal((await cat).stdout, 'text')
    assert.equal(seen[0], false)
    assert.equal(seen[1], true)
    go()
  })

  it('may be called inside a handler, about the very inode it answers for', async (t) => {
    const { filesystem } = cached({ a: '1' })
    const sent: Promise<boolean>[] = []
    let session: Session | undefined
    const test = await mounted(t, {
      ...filesystem,
      lookup(request) {
        if (session !== undefined) sent.push(session.notify.invalEntry(1, 'a'), session.notify.invalInode(1))
        return filesystem.lookup?.(request) as Entry
      },
    })
    session = test.session
    for (let i = 0; i < 50; i++) await sh(`stat ${test.mnt}/a`)
    await Promise.all(sent)
    assert.ok(sent.length > 50)
  })
})
