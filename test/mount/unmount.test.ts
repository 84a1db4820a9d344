// unmount(): whatever FUSE mount is at a path, whoever serves it.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { MountError, unmount } from 'devfuse'
import { cleanup, run, sh, skip, skipUsers } from '../support/mounting.js'
import { as, mountAt, place, serve, serverSource } from '../support/server.js'

describe('unmount', { skip, timeout: 60_000 }, () => {
  it('takes the mount of another process away, unless it is in use', async (t) => {
    const mnt = place(t)
    const { ended } = await serve(t, serverSource(`mount(${JSON.stringify(mnt)}, filesystem)`))
    const user = spawn('sh', ['-c', `exec 3< ${mnt}/file; echo open; read go`], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    cleanup(t, () => user.kill('SIGKILL'))
    await once(user.stdout, 'data')
    await assert.rejects(unmount(mnt), (error) => {
      assert.ok(error instanceof MountError)
      assert.equal(error.code, 'EBUSY')
      assert.match(error.message, /umount2 says EBUSY; close what is in use, or unmount lazily/)
      return true
    })
    assert.ok(mountAt(mnt))
    await unmount(mnt, { lazy: true })
    assert.equal(mountAt(mnt), undefined)
    user.stdin.end('go\n')
    await ended
  })

  it('clears the mount of a server that was killed', async (t) => {
    const mnt = place(t)
    const { child, ended } = await serve(t, serverSource(`mount(${JSON.stringify(mnt)}, filesystem)`))
    child.kill('SIGKILL')
    await ended
    assert.match((await run('ls', [mnt])).stderr, /not connected/)
    await unmount(mnt)
    assert.equal(mountAt(mnt), undefined)
  })

  it('touches nothing else', async (t) => {
    await assert.rejects(unmount('/proc'), {
      code: 'EINVAL',
      message: /\/proc: it is a mount of type proc, not FUSE/,
    })
    await assert.rejects(unmount(place(t)), { code: 'EINVAL', message: /nothing is mounted there/ })
  })
})

describe('detachNow()', { skip, timeout: 60_000 }, () => {
  const users: [string, string[], string | false][] = [
    ['root', [], false],
    ['an ordinary user', as(65534), skipUsers],
  ]
  for (const [user, prefix, skipped] of users) {
    it(`takes the mount of ${user} away, and ends its session quietly`, { skip: skipped }, async (t) => {
      const mnt = place(t)
      if (prefix.length > 0) await sh(`chown 65534 ${mnt}`)
      const source = serverSource(
        `mount(${JSON.stringify(mnt)}, { ...filesystem, destroy: () => console.log('destroyed') })`,
      )
      const { ended, output } = await serve(
        t,
        `${source}
        session.detachNow()
        console.log('detached')
        console.log(JSON.stringify(await session.closed))
        await session.shutdown()`,
        { prefix },
      )
      await ended
      assert.equal(output(), 'ready\ndetached\ndestroyed\n{"reason":"unmount","errno":0}\n')
      assert.equal(mountAt(mnt), undefined)
    })
  }
})
