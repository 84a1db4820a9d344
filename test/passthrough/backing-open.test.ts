// FUSE_DEV_IOC_BACKING_OPEN and _CLOSE against the real kernel: what has to be agreed on, which files can back, who may ask.
// Source of the rules: Documentation/filesystems/fuse-passthrough.rst, fs/fuse/backing.c.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import type { StdioOptions } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { BackingId, FOPEN_PASSTHROUGH, FUSE_DEV_IOC_BACKING_CLOSE, FUSE_DEV_IOC_BACKING_OPEN } from 'devfuse'
import type { SessionOptions } from 'devfuse'
import { O_CLOEXEC, O_PATH, AT_FDCWD, syscalls } from 'devfuse/syscalls'
import { cleanup, mounted, run, sh, skip, temporary } from '../support/mounting.js'
import type { TestMount } from '../support/mounting.js'
import { count, oneFile, settled, source } from '../support/one-file.js'
import type { OneFile } from '../support/one-file.js'
import { root } from '../support/server.js'
import { backing } from './filesystems.js'
import { withoutRules } from './kernel-alone.js'

const EINVAL = -22
const ENOENT = -2

/** A descriptor for the duration of the test. */
function opened(t: TestContext, path: string, flags: number | string = 'r'): number {
  const fd = openSync(path, flags)
  cleanup(t, () => closeSync(fd))
  return fd
}

/** A mount of one file whose opens are answered with the bare id in `answer`. */
async function bare(
  t: TestContext,
  path: string,
  options: SessionOptions = {},
): Promise<TestMount & OneFile & { answer: { backingId: number; openFlags: number } }> {
  const answer = { backingId: 0, openFlags: FOPEN_PASSTHROUGH }
  const file = oneFile(path, (_, fh) => ({ fh, ...answer }))
  return { answer, ...file, ...(await mounted(t, file.filesystem, options)) }
}

const map = (fd: number, flags = 0, padding = 0) => new Int32Array([fd, flags, padding, 0])

describe('FUSE_DEV_IOC_BACKING_OPEN', { skip, timeout: 60_000 }, () => {
  it('without FUSE_PASSTHROUGH agreed: EPERM, and an open with FOPEN_PASSTHROUGH is EIO', async (t) => {
    withoutRules(t)
    const path = source(t, 'text')
    const { mnt, session, answer } = await bare(t, path, { passthrough: 'off' })
    assert.throws(() => session.openBacking(opened(t, path)), {
      code: 'EPERM',
      message: /not agreed on at INIT/,
    })
    answer.backingId = 1
    assert.match((await run('cat', [`${mnt}/f`])).stderr, /Input\/output error/)
  })

  it('is refused together with FUSE_WRITEBACK_CACHE, which the kernel does not combine with passthrough', async (t) => {
    const file = oneFile(source(t, ''), (_, fh) => ({ fh }))
    await assert.rejects(
      mounted(t, file.filesystem, { passthrough: 'on', want: ['FUSE_WRITEBACK_CACHE'] }),
      /excludes FUSE_PASSTHROUGH/,
    )
    const { session } = await mounted(t, file.filesystem, { want: ['FUSE_WRITEBACK_CACHE'] })
    assert.ok(!session.negotiation.agreed.has('FUSE_PASSTHROUGH'))
    assert.throws(() => session.openBacking(opened(t, '/etc/passwd')), { code: 'EPERM' })
  })

  it('flags and padding must be 0: EINVAL', async (t) => {
    const path = source(t, '')
    const { session } = await bare(t, path)
    const fd = opened(t, path)
    for (const argument of [map(fd, 1), map(fd, 0, 1), map(fd, -1, -1)])
      assert.equal(syscalls.ioctl(session.fd, FUSE_DEV_IOC_BACKING_OPEN, argument), EINVAL)
    assert.ok(syscalls.ioctl(session.fd, FUSE_DEV_IOC_BACKING_OPEN, map(fd)) > 0)
  })

  it('takes regular files only: EISDIR or EINVAL for others, EBADF for what is not open', async (t) => {
    const dir = temporary(t)
    const { session } = await bare(t, source(t, ''))
    await sh(`mkfifo ${dir}/fifo; ln -s /etc/passwd ${dir}/link`)
    const server = createServer().listen(join(dir, 'socket'))
    cleanup(t, () => void server.close())
    const bad: [number, RegExp][] = [
      [opened(t, dir), /EISDIR/],
      [opened(t, '/dev/null'), /EINVAL/],
      [opened(t, join(dir, 'fifo'), 'r+'), /EINVAL/],
      [opened(t, join(dir, 'link'), O_PATH | 0o400000), /EINVAL|ELOOP/],
      [syscalls.openat(AT_FDCWD, join(dir, 'socket'), O_PATH | O_CLOEXEC), /EINVAL/],
      [999_999, /EBADF/],
    ]
    for (const [fd, code] of bad)
      assert.throws(() => session.openBacking(fd), { code, syscall: 'ioctl' }, `${code}`)
    syscalls.close(bad[4][0])
  })

  it('a file on a filesystem that is stacked too deeply: ELOOP', async (t) => {
    const overlay = await backing('overlay')
    cleanup(t, () => overlay.remove())
    const { session } = await bare(t, source(t, ''))
    // Kernel: procfs and sysfs count as stacked to the limit.
    assert.throws(() => session.openBacking(opened(t, '/proc/version')), { code: 'ELOOP' })
    if (overlay.missing !== '') return t.skip(overlay.missing)
    writeFileSync(join(overlay.path, 'file'), 'text')
    const fd = opened(t, join(overlay.path, 'file'))
    session.openBacking(fd).close()
    const shallow = await bare(t, source(t, ''), { maxStackDepth: 1 })
    assert.throws(() => shallow.session.openBacking(fd), { code: 'ELOOP', message: /max_stack_depth/ })
  })

  it('max_stack_depth counts the other way round, too: 1 lets the mount be a layer of overlayfs, 2 does not', async (t) => {
    for (const [maxStackDepth, expected] of [
      [1, 0],
      [2, 32],
    ] as const) {
      const dir = temporary(t)
      for (const name of ['upper', 'work', 'merged']) mkdirSync(join(dir, name))
      const file = oneFile(source(t, 'layered'), (fd, fh) => ({ fh, passthrough: fd }))
      const { mnt } = await mounted(t, file.filesystem, { maxStackDepth, allowOther: true })
      const layers = `lowerdir=${mnt},upperdir=${dir}/upper,workdir=${dir}/work`
      const { code, stderr } = await run('mount', [
        '-t',
        'overlay',
        'overlay',
        '-o',
        layers,
        join(dir, 'merged'),
      ])
      if (code === 0) {
        assert.equal(await sh(`cat ${dir}/merged/f`), 'layered')
        await sh(`umount ${dir}/merged`)
      } else if (/unknown filesystem/.test(stderr)) return t.skip(stderr.trim())
      assert.equal(code, expected, stderr)
    }
  })

  it('gives a new id each time, for the same file too', async (t) => {
    const path = source(t, '')
    const { session } = await bare(t, path)
    const fd = opened(t, path)
    const ids = [fd, fd, opened(t, path)].map((one) => session.openBacking(one))
    assert.equal(new Set(ids.map(({ id }) => id)).size, 3)
    for (const one of ids) one.close()
    assert.ok(
      !ids.some(({ id }) => id === session.openBacking(fd).intoRaw()),
      'ids are handed out in a circle',
    )
  })

  it('takes an O_PATH descriptor, and one that only reads for a client that writes; neither has to stay open', async (t) => {
    withoutRules(t)
    for (const flags of [O_PATH, 'r'] as const) {
      const path = source(t, 'text')
      const { mnt, session, answer } = await bare(t, path)
      const fd = openSync(path, flags)
      const id = session.openBacking(fd)
      closeSync(fd)
      answer.backingId = id.id
      assert.equal(await sh(`exec 3<> ${mnt}/f; printf more >> ${mnt}/f; cat <&3`), 'textmore')
      assert.equal(count(session, 'READ') + count(session, 'WRITE'), 0)
      id.close()
    }
  })

  it('opens the backing file as the server at the time of the call, whatever the client is and the server becomes', async (t) => {
    withoutRules(t)
    const path = source(t, 'secret')
    const { mnt, session, answer } = await bare(t, path, { allowOther: true })
    await sh(`chmod 600 ${path}; chmod 755 ${mnt}/..`)
    const fd = openSync(path, 'r+')
    const id = session.openBacking(fd)
    closeSync(fd)
    answer.backingId = id.id
    const asNobody = { uid: 65534, gid: 65534 }
    const direct = await run('cat', [path], asNobody)
    assert.match(direct.stderr, /Permission denied/)
    assert.equal((await run('cat', [`${mnt}/f`], asNobody)).stdout, 'secret')
    id.close()
  })
})

describe('the privilege for it', { skip, timeout: 60_000 }, () => {
  const helper = `
    import { BackingId } from 'devfuse'
    import { openSync } from 'node:fs'
    try {
      console.log(BackingId.createRaw(3, openSync(process.argv[1], 'r')))
    } catch (error) {
      console.log(error.code)
    }`

  /** Asks for an id in another process that holds the connection as descriptor 3: the id, or the error's code. */
  function inOther(deviceFd: number, path: string, ...prefix: string[]): string {
    const [file, ...args] = [...prefix, process.execPath, '--input-type=module', '-e', helper, path]
    const stdio: StdioOptions = ['ignore', 'pipe', 'inherit', deviceFd]
    const { stdout } = spawnSync(file, args, { cwd: root, stdio, encoding: 'utf8', timeout: 20_000 })
    return stdout.trim()
  }

  it('is CAP_SYS_ADMIN in the initial user namespace: EPERM for root without it, and for root of another namespace', async (t) => {
    const path = source(t, 'text')
    const { session } = await bare(t, path)
    await sh(`chmod 755 ${join(path, '..')}`)
    assert.equal(inOther(session.fd, path, 'setpriv', '--bounding-set=-sys_admin'), 'EPERM')
    assert.equal(inOther(session.fd, path, 'unshare', '-Ur'), 'EPERM')
  })

  it('may be held by another process: a bare id from a helper, adopted, used and given away again', async (t) => {
    const path = source(t, 'by a helper')
    const holder: { id?: BackingId } = {}
    const file = oneFile(path, (_, fh) => ({ fh, backing: holder.id as BackingId }))
    const { mnt, session, warnings } = await mounted(t, file.filesystem)
    const raw = Number(inOther(session.fd, path))
    assert.ok(raw > 0, String(raw))
    holder.id = session.wrapBacking(raw)
    assert.equal(await sh(`cat ${mnt}/f`), 'by a helper')
    assert.equal(count(session, 'READ'), 0)
    await settled(() => file.open.size === 0)
    assert.equal(holder.id.intoRaw(), raw)
    BackingId.closeRaw(session.fd, raw)
    assert.throws(() => BackingId.closeRaw(session.fd, raw), { code: 'ENOENT' })
    assert.deepEqual(warnings, [])
  })
})

describe('FUSE_DEV_IOC_BACKING_CLOSE', { skip, timeout: 60_000 }, () => {
  const close = (fd: number, id: number) =>
    syscalls.ioctl(fd, FUSE_DEV_IOC_BACKING_CLOSE, new Uint32Array([id]))

  it('takes an id once: ENOENT for the second time, and for ids that never were', async (t) => {
    const path = source(t, '')
    const { session } = await bare(t, path)
    const id = session.openBacking(opened(t, path)).intoRaw()
    assert.deepEqual(
      [close(session.fd, id), close(session.fd, id), close(session.fd, 4711)],
      [0, ENOENT, ENOENT],
    )
    assert.ok(close(session.fd, 0) < 0)
  })

  it('leaves files alone that are open already; new opens with the id are EIO', async (t) => {
    withoutRules(t)
    const path = source(t, 'text')
    const { mnt, session, answer, open } = await bare(t, path)
    answer.backingId = session.openBacking(opened(t, path, 'r+')).intoRaw()
    const held = run('sh', ['-c', `exec 3<> ${mnt}/f; sleep 0.5; printf more >&3; cat ${path}`])
    await settled(() => open.size > 0)
    await new Promise((done) => setTimeout(done, 100))
    assert.equal(close(session.fd, answer.backingId), 0)
    assert.match((await run('cat', [`${mnt}/f`])).stderr, /Input\/output error/)
    assert.equal((await held).stdout, 'more')
    assert.equal(readFileSync(path, 'utf8'), 'more')
    assert.equal(count(session, 'WRITE'), 0)
  })

  it('before the reply has been dealt with: the open is EIO, which is why the library closes after the last release', async (t) => {
    withoutRules(t)
    const path = source(t, 'text')
    const fd = opened(t, path)
    let session: TestMount['session'] | undefined
    const file = oneFile(path, (_, fh) => {
      const id = session!.openBacking(fd).intoRaw()
      assert.equal(close(session!.fd, id), 0)
      return { fh, openFlags: FOPEN_PASSTHROUGH, backingId: id }
    })
    const test = await mounted(t, file.filesystem)
    session = test.session
    assert.match((await run('cat', [`${test.mnt}/f`])).stderr, /Input\/output error/)
  })

  it('with other opens alive: the inode keeps its backing file, and another id for the same file is EIO', async (t) => {
    withoutRules(t)
    const path = source(t, 'text')
    const { mnt, session, answer, open } = await bare(t, path)
    const fd = opened(t, path)
    answer.backingId = session.openBacking(fd).intoRaw()
    const held = run('sh', ['-c', `exec 3< ${mnt}/f; sleep 0.8; cat <&3`])
    await settled(() => open.size > 0)
    await new Promise((done) => setTimeout(done, 100))
    close(session.fd, answer.backingId)
    answer.backingId = session.openBacking(fd).intoRaw()
    assert.match((await run('cat', [`${mnt}/f`])).stderr, /Input\/output error/)
    assert.equal((await held).stdout, 'text')
    // With the last release the inode is free for any id again.
    await settled(() => open.size === 0)
    assert.equal(await sh(`cat ${mnt}/f`), 'text')
  })

  it('happens by itself at the end of the connection', async (t) => {
    const path = source(t, '')
    const { session, warnings, mnt } = await bare(t, path)
    const fd = opened(t, path)
    const ids = Array.from({ length: 100 }, () => session.openBacking(fd))
    await session.unmount()
    await session.closed
    for (const id of ids) id.close()
    assert.deepEqual(warnings, [])
    // Nothing keeps the backing file's filesystem busy any more; `mnt` is an empty directory again.
    assert.equal(await sh(`ls ${mnt}`), '')
  })
})
