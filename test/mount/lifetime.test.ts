// Mounts in awkward places and ends in awkward moments: below another mount of the same process, behind a symbolic link,
// renamed or covered meanwhile, with every thread busy, in a worker that is terminated.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, readdirSync, renameSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { ENOENT, EPERM, mount } from 'devfuse'
import type { Attr, Filesystem } from 'devfuse'
import { makeSyscalls } from 'devfuse/syscalls'
import { readMountInfo } from '#dist/device/mountinfo.js'
import { loadNative, special } from '#dist/native.js'
import {
  abortMount,
  cleanup,
  mountFusectl,
  mounted,
  run,
  sh,
  skip,
  takeDown,
  temporary,
} from '../support/mounting.js'

const shared = { blocks: 0, nlink: 1, uid: 0, gid: 0, atime: 0, mtime: 0, ctime: 0 }
const directory = (ino: number): Attr => ({ ...shared, ino, size: 0, mode: 0o040755 })

/** A root with the one subdirectory `sub`. */
const tree: Filesystem = {
  lookup: () => ({ nodeid: 2, attr: directory(2) }),
  getattr: ({ nodeid }) => ({ attr: directory(nodeid) }),
  readdir: () => [],
}

const isMounted = (mnt: string): boolean => readMountInfo().some(({ mountPoint }) => mountPoint === mnt)

/** The processes that any thread of this one has made, zombies included. */
function children(): string[] {
  return readdirSync('/proc/self/task').flatMap((tid) =>
    readFileSync(`/proc/self/task/${tid}/children`, 'latin1').split(' ').filter(Boolean),
  )
}

/** A handler that waits until `answer` is called. */
function hanging(): { handler: () => Promise<-2>; answer: () => void } {
  let answer!: () => void
  const answered = new Promise<-2>((resolve) => (answer = () => resolve(ENOENT)))
  return { handler: () => answered, answer }
}

describe('a mount', { skip, timeout: 60_000 }, () => {
  it('may lie below another one of the same process', async (t) => {
    const outer = await mounted(t, tree)
    const inner = await mount(join(outer.mnt, 'sub'), tree)
    cleanup(t, () => takeDown(inner))
    assert.equal(await sh(`ls ${outer.mnt}/sub`), '')
    await inner.unmount()
    assert.equal((await inner.closed).reason, 'unmount')
  })

  it('may be named by a symbolic link', async (t) => {
    const dir = temporary(t)
    mkdirSync(join(dir, 'real'))
    symlinkSync('real', join(dir, 'link'))
    const session = await mount(join(dir, 'link'), tree)
    cleanup(t, () => takeDown(session))
    assert.equal(session.mountPoint, join(dir, 'real'))
    await session.unmount()
    assert.equal(isMounted(join(dir, 'real')), false)
  })

  it('is found again after its parent was renamed', async (t) => {
    const dir = temporary(t)
    mkdirSync(join(dir, 'before/mnt'), { recursive: true })
    const session = await mount(join(dir, 'before/mnt'), tree)
    cleanup(t, () => takeDown(session))
    renameSync(join(dir, 'before'), join(dir, 'after'))
    assert.equal(isMounted(join(dir, 'after/mnt')), true)
    await session.unmount()
    assert.equal(isMounted(join(dir, 'after/mnt')), false)
  })

  it('says so when another mount covers it', async (t) => {
    const { session, mnt } = await mounted(t, tree)
    await sh(`mount -t tmpfs tmpfs ${mnt}`)
    cleanup(t, () => run('umount', [mnt]))
    await assert.rejects(session.unmount(), { code: 'EBUSY', message: /another mount covers it/ })
    await sh(`umount ${mnt}`)
    await session.unmount()
    assert.equal(isMounted(mnt), false)
  })

  it('ends for those who use it though another mount covers it, and says that it is left behind', async (t) => {
    const { handler, answer } = hanging()
    const { session, mnt, warnings } = await mounted(t, { ...tree, statfs: handler })
    mountFusectl()
    // Another process that has the device keeps the connection up when ours is closed.
    const holder = spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'ignore', session.fd] })
    cleanup(t, () => holder.kill('SIGKILL'))
    const caller = run('stat', ['-f', mnt], { timeout: 20_000 })
    while (session.stats().inFlight === 0) await delay(10)
    await sh(`mount -t tmpfs tmpfs ${mnt}`)
    cleanup(t, () => sh(`umount ${mnt}; umount ${mnt}`))
    const over = session.shutdown()
    assert.match((await caller).stderr, /Software caused connection abort|not connected/)
    answer()
    await over
    assert.deepEqual(await session.closed, { reason: 'unmount', errno: 0, leftBehind: true })
    assert.match(warnings.join(), /could not be detached/)
  })

  it('that was aborted while another mount covers it is said to be left behind', async (t) => {
    const { session, mnt, warnings } = await mounted(t, tree)
    const { minor } = session.mounted!
    mountFusectl()
    await sh(`mount -t tmpfs tmpfs ${mnt}`)
    cleanup(t, () => sh(`umount ${mnt}; umount ${mnt}`))
    await sh(`echo 1 > /sys/fs/fuse/connections/${minor}/abort`)
    assert.equal((await session.closed).leftBehind, true)
    assert.match(warnings.join(), /dead mount is left behind.*another mount covers it/)
  })

  it('that was detached lazily is still ours when it ends', async (t) => {
    const { session, mnt, warnings } = await mounted(t, tree)
    const busy = run('sh', ['-c', `cd ${mnt} && sleep 1`])
    for (let i = 0; i < 100 && (session.stats().operations['GETATTR']?.count ?? 0) === 0; i++) {
      await new Promise((done) => setTimeout(done, 10))
    }
    await session.unmount({ lazy: true })
    assert.equal(isMounted(mnt), false)
    await busy
    assert.deepEqual(await session.closed, { reason: 'unmount', errno: 0 })
    assert.deepEqual(warnings, [])
  })

  it('that is gone leaves the next one alone, which has its number, its descriptor and its place', async (t) => {
    const { handler, answer } = hanging()
    const { session, mnt } = await mounted(t, { ...tree, lookup: handler })
    // The caller is let go, and the handler keeps the end of the session waiting.
    await run('timeout', ['-s', 'KILL', '0.3', 'stat', `${mnt}/sub`])
    await sh(`umount ${mnt}`)
    while (session.fd >= 0) await delay(10)
    const next = await mount(mnt, tree)
    cleanup(t, () => takeDown(next))
    answer()
    assert.deepEqual(await session.closed, { reason: 'outside', errno: -19 })
    assert.equal(isMounted(mnt), true)
    assert.equal(await sh(`ls ${mnt}`), '')
    await next.unmount()
  })

  it('that was aborted goes at once, whatever its handlers do', async (t) => {
    const { handler, answer } = hanging()
    const { session, mnt } = await mounted(t, { ...tree, lookup: handler })
    const caller = run('stat', [`${mnt}/sub`])
    while (session.stats().inFlight === 0) await delay(10)
    abortMount(mnt)
    assert.equal((await caller).code, 1)
    for (let i = 0; i < 300 && isMounted(mnt); i++) await delay(10)
    assert.equal(isMounted(mnt), false)
    assert.equal(await Promise.race([session.closed, delay(10)]), undefined)
    answer()
    assert.equal((await session.closed).reason, 'aborted')
  })

  it('leaves no child behind that came too late to unmount something', async (t) => {
    const { handler, answer } = hanging()
    const { mnt } = await mounted(t, { ...tree, lookup: handler })
    const umount = (path: string, milliseconds: number): Promise<number> =>
      loadNative().syscallAsyncUtf8(special.umount, path, 0, milliseconds)
    assert.equal(await umount(`${mnt}/sub`, 50), -110)
    assert.equal(children().length, 1)
    answer()
    for (let i = 0; i < 300 && children().length > 0; i++) {
      await delay(10)
      assert.equal(await umount(`${mnt}/sub`, 5000), ENOENT)
    }
    assert.deepEqual(children(), [])
  })

  it('goes while every thread of the pool is busy', async (t) => {
    const { session, mnt } = await mounted(t, tree)
    const calls = makeSyscalls('utf8')
    const path = join(temporary(t), 'lock')
    const LOCK_EX = 2
    const holder = openSync(path, 'w')
    calls.flock(holder, LOCK_EX)
    const waiters = Array.from({ length: 40 }, () => openSync(path, 'r'))
    const waiting = waiters.map((fd) => calls.flockAsync(fd, LOCK_EX))
    await session.unmount()
    assert.equal(isMounted(mnt), false)
    closeSync(holder)
    // Each gets the lock in turn, as soon as the one before has closed its descriptor.
    await Promise.all(waiting.map((got, i) => got.then(() => closeSync(waiters[i]))))
  })

  it('does not outlive the worker that served it', async (t) => {
    const mnt = temporary(t)
    const worker = new Worker(
      `import('devfuse').then(async ({ mount }) => {
         const attr = ${JSON.stringify(directory(1))}
         await mount(${JSON.stringify(mnt)}, { getattr: () => ({ attr }), readdir: () => [] })
         require('node:worker_threads').parentPort.postMessage('ready')
       })`,
      { eval: true },
    )
    cleanup(t, async () => {
      if (isMounted(mnt)) await sh(`umount -l ${mnt}`)
    })
    await new Promise((done) => worker.once('message', done))
    assert.equal(isMounted(mnt), true)
    await worker.terminate()
    assert.equal(isMounted(mnt), false)
  })

  it('can be shut down while a handler waits for a notification that waits for the handler', async (t) => {
    const test = await mounted(t, {
      ...tree,
      lookup: ({ name }) => (name === 'sub' ? { nodeid: 2, attr: directory(2) } : -2),
      mkdir: async () => {
        await test.session.notify.invalEntry(1, 'sub')
        return EPERM
      },
    })
    const { session, mnt } = test
    await sh(`ls ${mnt}/sub`)
    const stuck = run('mkdir', [`${mnt}/new`], { timeout: 20_000 })
    for (let i = 0; i < 200 && session.stats().inFlight === 0; i++)
      await new Promise((done) => setTimeout(done, 10))
    await session.shutdown()
    assert.notEqual((await stuck).code, 0)
    assert.equal(isMounted(mnt), false)
  })
})

describe('abort()', { skip, timeout: 60_000 }, () => {
  it('ends the connection where fusectl is not mounted', async (t) => {
    const script = `
    import { execFile } from 'node:child_process'
    import { mount } from 'devfuse'
    const [mnt] = process.argv.slice(1)
    const attr = { ino: 1, size: 0, blocks: 0, nlink: 2, uid: 0, gid: 0, atime: 0, mtime: 0, ctime: 0, mode: 0o040755 }
    const asked = Promise.withResolvers?.() ?? {}
    asked.promise ??= new Promise((resolve) => (asked.resolve = resolve))
    const session = await mount(mnt, {
      lookup: () => (asked.resolve(), new Promise(() => {})),
      getattr: () => ({ attr }),
    })
    const caller = new Promise((done) => execFile('stat', [mnt + '/x'], (_, out, said) => done(said)))
    await asked.promise
    session.abort()
    const { reason } = await session.closed
    console.log(reason, (await caller).trim())`
    const command = `
    while umount -l /sys/fs/fuse/connections 2>/dev/null; do :; done
    exec timeout -s KILL 30 "$@"`
    const { stdout, stderr } = await run('unshare', [
      ...['-m', 'sh', '-c', command, 'sh', process.execPath, '--input-type=module', '-e', script],
      temporary(t),
    ])
    assert.match(stdout, /^aborted .*(Software caused connection abort|not connected)/i, stderr)
  })
})
