// fsFrom over whole filesystems: who may do what, data that a kernel would pass through, what node:fs lacks, and back again.
import assert from 'node:assert/strict'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { connect, serve } from 'devfuse'
import type { Filesystem, RequestReceiver, Transport } from 'devfuse'
import { fsFrom, mountFs } from 'devfuse/fs'
import type { FsView } from 'devfuse/fs'
import { memoryFilesystem } from 'devfuse/memory'
import { mirror } from 'devfuse/mirror'
import { RENAME_EXCHANGE, RENAME_NOREPLACE } from 'devfuse/syscalls'
import { cleanup, run, sh, skip, takeDown, temporary } from '../support/mounting.js'
import { codeOf } from './compared.js'
import { file, root, small } from './small.js'

describe('permissions', { skip }, () => {
  it('are those of default_permissions, for whoever acts', async () => {
    const inner = memoryFilesystem()
    const admin = fsFrom(inner, { uid: 0, gid: 0, umask: 0 })
    await admin.mkdir('/private', 0o700)
    await admin.writeFile('/private/f', '')
    await admin.mkdir('/closed', 0o755)
    await admin.mkdir('/tmp', 0o777)
    await admin.chmod('/tmp', 0o1777)
    await admin.writeFile('/tmp/theirs', '', { mode: 0o666 })
    await admin.writeFile('/group', '', { mode: 0o640 })
    await admin.chown('/group', 0, 50)
    await admin.writeFile('/program', '', { mode: 0o644 })
    assert.equal(await admin.access('/program', 1).catch(codeOf), 'EACCES')
    await admin.close()

    const user = fsFrom(inner, { uid: 1000, gid: 1000, groups: [50] })
    const found = {
      search: await user.stat('/private/f').catch(codeOf),
      list: await user.readdir('/private').catch(codeOf),
      create: await user.writeFile('/closed/new', '').catch(codeOf),
      sticky: await user.unlink('/tmp/theirs').catch(codeOf),
      move: await user.rename('/tmp/theirs', '/tmp/mine').catch(codeOf),
      group: await user.readFile('/group', 'utf8').catch(codeOf),
      write: await user.writeFile('/group', 'x').catch(codeOf),
      chmod: await user.chmod('/group', 0o666).catch(codeOf),
      chown: await user.chown('/group', 1000, 1000).catch(codeOf),
      utimes: await user.utimes('/group', 1, 1).catch(codeOf),
      truncate: await user.truncate('/group').catch(codeOf),
      access: await user.access('/private', 4).catch(codeOf),
    }
    assert.deepEqual(found, {
      ...{ search: 'EACCES', list: 'EACCES', create: 'EACCES', sticky: 'EPERM', move: 'EPERM', group: '' },
      ...{
        write: 'EACCES',
        chmod: 'EPERM',
        chown: 'EPERM',
        utimes: 'EPERM',
        truncate: 'EACCES',
        access: 'EACCES',
      },
    })
    await user.writeFile('/tmp/mine', '')
    const { uid, gid, mode } = await user.stat('/tmp/mine')
    assert.deepEqual([uid, gid, mode & 0o777], [1000, 1000, 0o644])
    await user.close()
  })

  it('are asked of a directory itself where it gets another parent', async () => {
    const inner = memoryFilesystem()
    const admin = fsFrom(inner, { uid: 0 })
    await admin.chmod('/', 0o777)
    const user = fsFrom(inner, { uid: 1000, gid: 1000, defaultPermissions: true })
    await user.mkdir('/closed', 0o555)
    await user.mkdir('/open')
    await user.mkdir('/d')
    assert.equal(await user.rename('/closed', '/open/x').catch(codeOf), 'EACCES')
    assert.equal(await user.rename2('/open', '/d/x', 0).catch(codeOf), undefined)
    await user.mkdir('/d/y')
    assert.equal(await user.rename2('/d/y', '/closed', RENAME_EXCHANGE).catch(codeOf), 'EACCES')
    await user.rename('/closed', '/renamed')
    await user.close()
    await admin.close()
  })

  it('do not matter on a read-only view, where nothing changes', async () => {
    const fs = fsFrom(memoryFilesystem(), { readOnly: true })
    for (const change of [fs.writeFile('/x', ''), fs.mkdir('/x'), fs.chmod('/', 0o700), fs.access('/', 2)])
      assert.equal(await change.catch(codeOf), 'EROFS')
    await fs.close()
  })
})

describe('passthrough', { skip }, () => {
  /** A file backed by a real one, in the easy or the explicit form. */
  const backed = (
    fd: number,
    answer: 'easy' | 'explicit',
    connection: () => ReturnType<typeof connect>,
  ): Filesystem => ({
    ...small(),
    read: undefined,
    open: async () => {
      if (answer === 'easy') return { fh: 1, passthrough: fd }
      return { fh: 1, backing: (await connection()).session.openBacking(fd) }
    },
  })

  for (const answer of ['easy', 'explicit'] as const) {
    it(`serves the data from the descriptor, in the ${answer} form`, async (t) => {
      const path = join(temporary(t), 'f')
      writeFileSync(path, 'the real file')
      const fd = openSync(path, 'r')
      const fs: FsView = fsFrom(backed(fd, answer, () => fs.connection()))
      const handle = await fs.open('/hello', 'r+')
      assert.equal((await handle.read(Buffer.alloc(8), 0, 8, 4)).buffer.toString(), 'real fil')
      await handle.write('REAL', 4)
      await handle.close()
      const { passthrough, operations } = (await fs.connection()).session.stats()
      assert.deepEqual([passthrough.opens, operations.read, operations.write], [1, undefined, undefined])
      await fs.close()
      closeSync(fd)
      assert.equal(readFileSync(path, 'utf8'), 'the REAL file')
    })
  }

  it('falls back to the library where it was refused', async (t) => {
    const path = join(temporary(t), 'f')
    writeFileSync(path, 'the real file')
    const fd = openSync(path, 'r+')
    const fs: FsView = fsFrom(
      backed(fd, 'easy', () => fs.connection()),
      { passthrough: 'off' },
    )
    await fs.writeFile('/hello', 'THE', { flag: 'r+' })
    assert.equal(await fs.readFile('/hello', 'utf8'), 'THE real file')
    await fs.close()
    closeSync(fd)
  })
})

describe('beyond node:fs', { skip }, () => {
  it('has attributes, flags of rename, holes and space', async () => {
    await using fs = fsFrom(memoryFilesystem())
    await fs.writeFile('/a', 'a')
    await fs.writeFile('/b', 'b')
    await fs.rename2('/a', '/b', RENAME_EXCHANGE)
    assert.equal(await fs.readFile('/a', 'utf8'), 'b')
    assert.equal(await fs.rename2('/a', '/b', RENAME_NOREPLACE).catch(codeOf), 'EEXIST')
    await fs.setxattr('/a', 'user.one', 'value')
    await fs.setxattr('/a', 'user.two', Buffer.of(0, 1))
    assert.equal(await fs.setxattr('/a', 'user.one', 'x', { flags: 1 }).catch(codeOf), 'EEXIST')
    assert.deepEqual((await fs.listxattr('/a')).toSorted(), ['user.one', 'user.two'])
    assert.equal(String(await fs.getxattr('/a', 'user.one')), 'value')
    await fs.removexattr('/a', 'user.one')
    assert.equal(await fs.getxattr('/a', 'user.one').catch(codeOf), 'ENODATA')
    const handle = await fs.open('/sparse', 'w+')
    await handle.write('x', 1 << 20)
    assert.equal(await handle.seek(0, 'data'), 1 << 20)
    await handle.fallocate(0, 4096)
    assert.ok((await handle.stat()).blocks >= 8)
    await handle.close()
  })

  it('keeps names byte by byte', async () => {
    await using fs = fsFrom(memoryFilesystem())
    const name = Buffer.from('/caf\xe9', 'latin1')
    await fs.writeFile(name, 'x')
    assert.deepEqual(await fs.readdir('/', 'buffer'), [name.subarray(1)])
    assert.equal(await fs.readFile(name, 'utf8'), 'x')
    const bytes: Filesystem<Buffer> = {
      lookup: ({ name: one }) => (one.equals(name.subarray(1)) ? { nodeid: 2, attr: file } : -2),
      getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? root : file }),
    }
    await using raw = fsFrom(bytes, { encoding: 'buffer' })
    assert.equal((await raw.stat(name)).size, file.size)
  })

  it('is a thing to mount again', { timeout: 30_000 }, async (t) => {
    const folder = temporary(t)
    const fs = fsFrom(mirror(folder))
    const mnt = temporary(t)
    const session = await mountFs(fs, mnt)
    cleanup(t, async () => {
      await takeDown(session)
      assert.deepEqual(await fs.close(), { open: [], inodes: [] })
    })
    const out = await sh(
      `cd ${mnt}; mkdir d; echo hello > d/f; mv d/f g; cat g; ln -s g l; readlink l; rm -r d; ls`,
    )
    assert.equal(out, 'hello\ng\ng\nl\n')
    assert.equal(readFileSync(join(folder, 'g'), 'utf8'), 'hello\n')
  })
})

describe('the README', { skip }, () => {
  it('shows a view that works', async () => {
    const project = dirname(fileURLToPath(import.meta.resolve('devfuse/package.json')))
    const readme = readFileSync(join(project, 'README.md'), 'utf8')
    const [, code] = /```ts\n(import \{ fsFrom \}.*?)```/s.exec(readme) ?? []
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', code], { cwd: project })
    assert.equal(stdout, 'hello 5\n{ open: [], inodes: [] }\n')
  })
})

describe('connect and serve', () => {
  it('send single requests and show the replies', async () => {
    const connection = await connect(small(), { minor: 31, offer: ['FUSE_BIG_WRITES'] })
    assert.deepEqual([...connection.negotiation.agreed], ['FUSE_BIG_WRITES'])
    const { nodeid, error } = await connection.send('lookup', { name: 'hello' })
    assert.deepEqual([nodeid, error], [2, 0])
    assert.equal((await connection.send('lookup', { name: 'none' })).error, -2)
    const { entries } = await connection.send('readdir', { size: 4096 })
    assert.deepEqual(
      (entries as { name: string }[]).map(({ name }) => name),
      ['hello'],
    )
    assert.throws(() => connection.send('nonsense' as never), /unknown operation/)
    assert.deepEqual(await connection.close(), { reason: 'unmount', errno: 0 })
    assert.equal((await connection.send('statfs')).error, -107)
    await assert.rejects(connect({}, { offer: ['FUSE_NONSENSE' as never] }), /no INIT flag/)
  })

  it('interrupt', async () => {
    const connection = await connect({
      getattr: ({ signal }) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    })
    const caller = new AbortController()
    const reply = connection.send('getattr', {}, { signal: caller.signal })
    caller.abort()
    assert.equal((await reply).error, -4)
    await connection.close()
  })

  it('take a transport of one’s own, and refuse what belongs to a mount', async () => {
    let receiver: RequestReceiver | undefined
    const memory = Buffer.alloc(8192)
    const replies: number[] = []
    const transport: Transport = {
      ...{
        name: 'own',
        memory,
        view: new DataView(memory.buffer, memory.byteOffset),
        fd: -1,
        connected: true,
        now: 0,
        scarce: false,
      },
      start: (given) => void (receiver = given),
      release: () => undefined,
      reply: (_unique, _resent, error) => replies.push(error) && 0,
      replyFromFd: () => 0,
      notify: () => Promise.resolve(0),
      clone: () => -25,
      setBusyPoll: () => undefined,
      detachAtExit: () => undefined,
      stats: () => ({}),
      close: () => undefined,
    }
    const serving = serve({}, transport, { handleSignals: false })
    const { encodeRequest } = await import('devfuse/protocol')
    const init = encodeRequest('init', { unique: 2, major: 7, minor: 45, flags: 0x4000_0000 })
    memory.set(init)
    receiver?.receive(0, 0, 40, -1, init.byteLength)
    const session = await serving
    assert.deepEqual([replies, session.stats().transport], [[0], 'own'])
    await session.unmount()
    await assert.rejects(serve({}, transport, { fsName: 'x' }), /`fsName` belongs to the mount/)
    await assert.rejects(serve({}, transport, { control: true }), /option `control` needs a mount/)
  })
})
