// The new mount interface and FUSE_DEV_IOC_SYNC_INIT: the mount shows only once it works, and not at all where it does not.
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { mount, openMount } from 'devfuse'
import { usableCpus } from '#dist/device/cpus.js'
import { cleanup, mounted, run, sh, skip, takeDown, temporary } from '../support/mounting.js'
import { noRing, turnRingOn } from '../support/ring.js'
import { mountAt, oneFile, place, serve, serverSource } from '../support/server.js'

const kernel = process.platform === 'linux' ? (await run('uname', ['-r'])).stdout : ''
const [major = 0, minor = 0] = kernel.split('.').map(Number)
const noSyncInit =
  major > 6 || (major === 6 && minor >= 18) ? false : 'FUSE_DEV_IOC_SYNC_INIT came with Linux 6.18'

describe('fsmount', { skip, timeout: 60_000 }, () => {
  it('is what root mounts by', async (t) => {
    await using opened = await openMount(temporary(t))
    assert.equal(opened.how, 'fsmount')
    assert.equal(mountAt(opened.mountPoint)?.minor, opened.minor)
  })

  it('mounts on files, through links, and on paths that mount(2) would have to escape', async (t) => {
    const directory = temporary(t)
    mkdirSync(join(directory, 'a b\\c\td'))
    writeFileSync(join(directory, 'file'), '')
    await sh(`ln -s file link`, { cwd: directory })
    for (const [path, real, mode] of [
      ['a b\\c\td', 'a b\\c\td', 0o040755],
      ['link', 'file', 0o100644],
    ] as const) {
      const attr = {
        ino: 1,
        size: 0,
        blocks: 0,
        mode,
        nlink: 1,
        uid: 0,
        gid: 0,
        atime: 0,
        mtime: 0,
        ctime: 0,
      }
      const session = await mount(join(directory, path), { getattr: () => ({ attr }) })
      cleanup(t, () => takeDown(session))
      assert.equal(session.mountPoint, join(directory, real))
      assert.notEqual(mountAt(join(directory, real)), undefined)
      await session.unmount()
    }
  })

  it('says why where the root and the mount point differ in type', async (t) => {
    const mnt = temporary(t)
    await assert.rejects(mount(join(mnt, 'missing'), oneFile), { code: 'ENOENT', syscall: 'stat' })
  })
})

describe('syncInit', { skip: skip || noSyncInit, timeout: 60_000 }, () => {
  it('has the mount show only after INIT was answered', async (t) => {
    const mnt = temporary(t)
    let during: unknown = 'init was not called'
    const session = await mount(
      mnt,
      { ...oneFile, init: () => void (during = mountAt(mnt)) },
      { syncInit: true },
    )
    cleanup(t, () => takeDown(session))
    assert.equal(during, undefined, 'the mount showed while INIT was being answered')
    assert.equal((await run('cat', [`${mnt}/file`])).stdout, 'hello\n')
    assert.notEqual(mountAt(mnt), undefined)
    t.diagnostic('nothing is mounted while INIT is answered, the mount works when mount() resolves')
  })

  it('leaves nothing when the filesystem throws in init, or the kernel lacks what is wanted', async (t) => {
    const mnt = temporary(t)
    const init = (): void => {
      throw new Error('no')
    }
    await assert.rejects(mount(mnt, { ...oneFile, init }, { syncInit: true }), /no/)
    assert.equal(mountAt(mnt), undefined)
    await assert.rejects(
      mount(mnt, oneFile, { syncInit: true, want: ['FUSE_EXPORT_SUPPORT'], options: ['nonsense'] }),
      /Unknown parameter 'nonsense'/,
    )
    assert.equal(mountAt(mnt), undefined)
  })

  it('goes well with autoUnmount, control and a server in a process of its own', async (t) => {
    const mnt = place(t)
    const options = '{ syncInit: true, autoUnmount: true, control: true }'
    const { child, ended } = await serve(
      t,
      serverSource(`mount(${JSON.stringify(mnt)}, filesystem, ${options})`),
    )
    assert.equal((await run('cat', [`${mnt}/file`])).stdout, 'hello\n')
    child.kill('SIGTERM')
    await ended
    assert.equal(mountAt(mnt), undefined)
  })

  it('over a ring waits until the kernel has evaluated the answer to INIT', { skip: noRing }, async (t) => {
    await turnRingOn(t)
    const mnt = place(t)
    // On one CPU and ahead of all others, so that the thread that mounts gets on only while the one that serves sleeps.
    const ahead = `
      import { spawnSync } from 'node:child_process'
      filesystem.init = () => console.log(spawnSync('chrt', ['-f', '-p', '1', String(process.pid)], { encoding: 'utf8' }).stderr)`
    const options = "{ syncInit: true, transport: 'ring' }"
    const server = await serve(
      t,
      serverSource(`mount(${JSON.stringify(mnt)}, filesystem, ${options})`, ahead),
      { prefix: ['taskset', '-c', String(usableCpus()[0])] },
    )
    assert.doesNotMatch(server.output(), /chrt/)
    assert.equal((await run('cat', [`${mnt}/file`], { timeout: 10_000 })).stdout, 'hello\n')
    server.child.kill('SIGTERM')
    await server.ended
    assert.equal(mountAt(mnt), undefined)
  })

  it('costs no more than it did before', async (t) => {
    const median = async (syncInit: boolean): Promise<number> => {
      const times: number[] = []
      for (let i = 0; i < 40; i++) {
        const mnt = temporary(t)
        const since = performance.now()
        const session = await mount(mnt, oneFile, { syncInit })
        times.push(performance.now() - since)
        await session.unmount()
      }
      return times.toSorted((a, b) => a - b)[20]
    }
    const before = await median(false)
    const after = await median(true)
    t.diagnostic(
      `mount() takes ${before.toFixed(2)} ms, with syncInit ${after.toFixed(2)} ms (medians of 40)`,
    )
    assert.ok(after < before * 10 + 50)
  })

  it('is refused where it cannot be had', async (t) => {
    const { mnt } = await mounted(t, oneFile)
    await assert.rejects(openMount(mnt, { syncInit: true }), { code: 'ERR_DEVFUSE_OPTION' })
  })
})
