// A mount that one process makes and another one serves: over a socket, by inheritance, as `/dev/fd/N`.
import assert from 'node:assert/strict'
import { closeSync, openSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { fromFd, mount, openMount } from 'devfuse'
import type { OpenedMount } from 'devfuse'
import { AF_UNIX, F_DUPFD_CLOEXEC, SOCK_CLOEXEC, SOCK_STREAM, syscalls } from 'devfuse/syscalls'
import { cleanup, run, skip, takeDown } from '../support/mounting.js'
import { as, mountAt, oneFile, place, serve, serverSource } from '../support/server.js'

async function opened(t: TestContext, options = {}): Promise<OpenedMount> {
  const made = await openMount(place(t), options)
  cleanup(t, () => made.unmount({ lazy: true }))
  return made
}

const cat = (mnt: string, user?: number): ReturnType<typeof run> =>
  user === undefined
    ? run('cat', [`${mnt}/file`], { timeout: 5000 })
    : run('setpriv', [...as(user).slice(1), 'cat', `${mnt}/file`], { timeout: 5000 })

describe('fromFd', { skip, timeout: 60_000 }, () => {
  it('serves, as an ordinary user, what root mounted and sent over a socket', async (t) => {
    const made = await opened(t, { owner: { uid: 65534, gid: 65534 }, fsName: 'handed-over' })
    const pair = new Int32Array(2)
    assert.equal(syscalls.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0)
    const [ours, theirs] = pair as unknown as [number, number]
    assert.equal(syscalls.sendFd(ours, made.fd), 0)
    made.closeFd()
    assert.equal(made.fd, -1)
    const source = serverSource(
      'fromFd(await syscalls.recvFdAsync(3), filesystem)',
      "if (process.getuid() !== 65534) throw new Error('not an ordinary user')",
    )
    const server = await serve(
      t,
      `${source}; console.log(session.mountPoint, process.getuid(), session.stats().transport)`,
      { prefix: as(65534), stdio: [theirs] },
    )
    syscalls.close(ours)
    syscalls.close(theirs)
    const { mountPoint: mnt } = made

    assert.equal((await cat(mnt, 65534)).stdout, 'hello\n')
    assert.notEqual((await cat(mnt)).code, 0, 'root is not the owner')
    assert.match(server.output(), new RegExp(`${mnt} 65534 device`))
    assert.equal(mountAt(mnt)?.source, 'handed-over')

    server.child.kill('SIGKILL')
    await server.ended
    assert.match((await cat(mnt, 65534)).stderr, /not connected/)
    assert.notEqual(mountAt(mnt), undefined, 'the mount is its owner’s to remove')
    await made.unmount()
    assert.equal(mountAt(mnt), undefined)
    t.diagnostic(
      'root mounted and sent the descriptor over a Unix socket; uid 65534 without capabilities served it; after its ' +
        'SIGKILL callers got ENOTCONN, and root unmounted',
    )
  })

  it('serves an inherited descriptor as the mount point /dev/fd/N', async (t) => {
    const made = await opened(t, { allowOther: true })
    const server = await serve(
      t,
      `${serverSource("mount('/dev/fd/3', filesystem, { allowOther: true })")}
       process.on('SIGUSR2', async () => { await session.unmount(); console.log(JSON.stringify(await session.closed)) })`,
      { prefix: as(65534), stdio: [made.fd] },
    )
    made.closeFd()
    assert.equal((await cat(made.mountPoint)).stdout, 'hello\n')
    assert.equal((await cat(made.mountPoint, 1001)).stdout, 'hello\n')
    const since = performance.now()
    server.child.kill('SIGUSR2')
    await server.ended
    assert.ok(performance.now() - since < 1500, 'waited for an unmount that is not its own')
    assert.doesNotMatch(server.output(), /warning/i)
    assert.match(server.output(), /"reason":"unmount"/)
    assert.notEqual(mountAt(made.mountPoint), undefined, 'unmount() only ends the connection')
    assert.match((await cat(made.mountPoint)).stderr, /not connected/)
  })

  it('never unmounts, however its process ends', async (t) => {
    for (const end of ['process.exit(0)', "process.kill(process.pid, 'SIGTERM')"]) {
      const made = await opened(t)
      const source = `${serverSource('fromFd(3, filesystem)')}; setTimeout(() => ${end}, 100)`
      const server = await serve(t, source, { stdio: [made.fd] })
      made.closeFd()
      await server.ended
      assert.notEqual(mountAt(made.mountPoint), undefined, end)
    }
  })

  it('serves in the same process, and enforces an access list for the owner of the mount', async (t) => {
    const made = await opened(t, { owner: { uid: 1001, gid: 1001 }, allowOther: true })
    // Each owns its own.
    const fd = syscalls.fcntl(made.fd, F_DUPFD_CLOEXEC)
    const session = await fromFd(fd, oneFile, { access: 'owner', onWarning: () => undefined })
    cleanup(t, () => takeDown(session))
    assert.equal((await cat(made.mountPoint, 1001)).stdout, 'hello\n')
    assert.match((await cat(made.mountPoint, 1002)).stderr, /Permission denied/)
    assert.match((await cat(made.mountPoint)).stderr, /Permission denied/)
    await made.unmount()
    assert.equal((await session.closed).reason, 'outside')
  })

  it('unmounts once, and never the mount that comes after it in the same place', async (t) => {
    const made = await opened(t)
    await made.unmount()
    const session = await mount(made.mountPoint, oneFile, { onWarning: () => undefined })
    cleanup(t, () => takeDown(session))
    await Promise.all([made.unmount({ lazy: true }), made.unmount()])
    assert.equal((await cat(made.mountPoint)).stdout, 'hello\n')
  })

  it('refuses what cannot be served, and options of the mount', async () => {
    const file = openSync('/dev/null', 'r')
    await assert.rejects(fromFd(file, oneFile), { code: 'ERR_DEVFUSE_OPTION', message: /is not \/dev\/fuse/ })
    await assert.rejects(mount(`/dev/fd/${file}`, oneFile), /is not \/dev\/fuse/)
    closeSync(file)
    await assert.rejects(fromFd(file, oneFile), /is not \/dev\/fuse/)
    const device = openSync('/dev/fuse', 'r+')
    await assert.rejects(fromFd(device, oneFile), /nothing is mounted with descriptor|EPERM/)
    closeSync(device)
    await assert.rejects(fromFd(0, oneFile, { fsName: 'x' }), /option `fsName` belongs to the mount/)
    await assert.rejects(openMount('/', { allowRoot: true }), /takes a session/)
    await assert.rejects(openMount('/', { encoding: 'utf8' } as object), /unknown option `encoding`/)
  })
})
