// What a server that was killed leaves behind: nothing with autoUnmount, and what clearStale clears, and never anybody else's.
import assert from 'node:assert/strict'
import { readdirSync, readlinkSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { mount } from 'devfuse'
import { cleanup, mounted, run, sh, skip, skipUsers, takeDown } from '../support/mounting.js'
import { as, mountAt, oneFile, place, processesWith, serve, serverSource, until } from '../support/server.js'
import type { Server } from '../support/server.js'

const server = (t: TestContext, mnt: string, options: object, more = {}, before = ''): Promise<Server> =>
  serve(
    t,
    serverSource(`mount(${JSON.stringify(mnt)}, filesystem, ${JSON.stringify(options)})`, before),
    more,
  )

const watchdogs = (mnt: string): number[] =>
  processesWith('devfuse-auto-unmount').filter((pid) => processesWith(mnt).includes(pid))

const gone = (mnt: string): Promise<boolean> =>
  until(() => mountAt(mnt) === undefined && watchdogs(mnt).length === 0)

describe('autoUnmount', { skip, timeout: 60_000 }, () => {
  it('unmounts after SIGKILL of the whole process group, and ends', async (t) => {
    const mnt = place(t)
    const { child, ended } = await server(t, mnt, { autoUnmount: true }, { detached: true })
    assert.equal(watchdogs(mnt).length, 1)
    process.kill(-(child.pid as number), 'SIGKILL')
    await ended
    assert.ok(await gone(mnt), 'mount or watchdog is left')
    t.diagnostic('after SIGKILL of server and process group: mount gone, watchdog gone')
  })

  it('unmounts a busy mount, and one whose path has spaces and backslashes', async (t) => {
    const mnt = `${place(t)}/a b\\c\td`
    await sh('mkdir -p "$MNT"', { env: { ...process.env, MNT: mnt } })
    const { child, ended } = await server(t, mnt, { autoUnmount: true })
    const busy = run('sh', ['-c', 'cd "$1" && sleep 1', 'sh', mnt])
    await new Promise((done) => setTimeout(done, 200))
    child.kill('SIGKILL')
    await ended
    assert.ok(await gone(mnt), 'mount or watchdog is left')
    await busy
  })

  it('unmounts for an ordinary user, by fusermount3', { skip: skipUsers }, async (t) => {
    const mnt = place(t)
    await sh(`chown 65534 ${mnt}`)
    const { child, ended } = await server(t, mnt, { autoUnmount: true }, { prefix: as(65534) })
    child.kill('SIGKILL')
    await ended
    assert.ok(await gone(mnt), 'mount or watchdog is left')
  })

  it('keeps nothing open but its pipe, in a session of its own', async (t) => {
    const mnt = place(t)
    const { child } = await server(t, mnt, { autoUnmount: true })
    const [pid] = watchdogs(mnt) as [number]
    // What the shell that started the tests left open lies above 9, and is the server's as well.
    const open = readdirSync(`/proc/${pid}/fd`)
      .filter((fd) => Number(fd) < 10)
      .map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
    assert.equal(open.length, 3)
    assert.match(open[0], /^(socket|pipe):/)
    assert.deepEqual(open.slice(1), ['/dev/null', '/dev/null'])
    const all = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
    assert.ok(!all.includes('/dev/fuse'))
    const ids = (await sh(`ps -o pid=,pgid=,sid= -p ${pid}`)).trim().split(/\s+/)
    assert.deepEqual(ids, [String(pid), String(pid), String(pid)])
    assert.equal(readlinkSync(`/proc/${pid}/cwd`), '/')
    child.kill('SIGTERM')
    assert.ok(await gone(mnt))
  })

  it('leaves with the session, without touching what somebody mounts there next', async (t) => {
    const first = await mounted(t, oneFile, { autoUnmount: true })
    assert.equal(watchdogs(first.mnt).length, 1)
    await first.session.unmount()
    await sh(`mount -t tmpfs other ${first.mnt}`)
    cleanup(t, () => run('umount', [first.mnt]))
    assert.ok(await until(() => watchdogs(first.mnt).length === 0))
    assert.equal(mountAt(first.mnt)?.source, 'other')
  })

  it('never unmounts what somebody mounted on top', async (t) => {
    const mnt = place(t)
    const { child, ended } = await server(t, mnt, { autoUnmount: true, allowOther: true })
    await sh(`mount -t tmpfs other ${mnt}`)
    child.kill('SIGKILL')
    await ended
    assert.ok(await until(() => watchdogs(mnt).length === 0))
    assert.equal(mountAt(mnt)?.source, 'other')
    t.diagnostic("somebody else's mount on top of a dead one is left alone")
  })
})

describe('clearStale', { skip, timeout: 60_000 }, () => {
  async function dead(t: TestContext, options: object, attrValid = 0): Promise<string> {
    const mnt = place(t)
    await sh(`chown 65534 ${mnt}`)
    const cached = `filesystem.getattr = ({ nodeid }) => ({ attr: attrs[nodeid], attrValid: ${attrValid} })`
    const { child, ended } = await server(t, mnt, options, {}, cached)
    await run('stat', [mnt])
    child.kill('SIGKILL')
    await ended
    assert.match((await run('ls', [mnt])).stderr, /not connected|denied/)
    return mnt
  }

  it('clears dead mounts of an earlier run, stacked ones too, and only when asked', async (t) => {
    const mnt = await dead(t, {})
    await assert.rejects(mount(mnt, oneFile), { code: 'ENOTCONN', message: /devfuse unmount/ })
    const session = await mount(mnt, oneFile, { clearStale: true })
    cleanup(t, () => takeDown(session))
    assert.equal((await run('cat', [`${mnt}/file`])).stdout, 'hello\n')
    await session.unmount()
    assert.equal(mountAt(mnt), undefined, 'nothing was below')
  })

  it('leaves a dead mount of another program or user alone', async (t) => {
    const other = await dead(t, { subtype: 'other' })
    await assert.rejects(
      mount(other, oneFile, { clearStale: true }),
      /not ours to clear: its type is fuse.other/,
    )
    const named = await dead(t, { fsName: 'name' })
    await assert.rejects(mount(named, oneFile, { clearStale: true }), /not ours to clear: its source is name/)
    const owned = await dead(t, { owner: { uid: 1001, gid: 1001 }, allowOther: true })
    await assert.rejects(
      mount(owned, oneFile, { clearStale: true }),
      /not ours to clear: it belongs to user 1001/,
    )
    for (const mnt of [other, named, owned]) assert.notEqual(mountAt(mnt), undefined)
  })

  it('notices a dead mount whose root the kernel still has in its cache', async (t) => {
    const mnt = await dead(t, {}, 3600)
    assert.equal((await run('stat', [mnt])).code, 0)
    await assert.rejects(mount(mnt, oneFile), { code: 'ENOTCONN', message: /devfuse unmount/ })
    const session = await mount(mnt, oneFile, { clearStale: true })
    cleanup(t, () => takeDown(session))
    await session.unmount()
    assert.equal(mountAt(mnt), undefined, 'nothing was below')
  })

  it('leaves a living server alone that answers ENOTCONN by itself', async (t) => {
    const { mnt } = await mounted(t, { ...oneFile, getattr: () => -107 as const, statfs: () => ({}) })
    await assert.rejects(mount(mnt, oneFile, { clearStale: true }), { code: 'ENOTCONN' })
    assert.notEqual(mountAt(mnt), undefined)
  })
})
