// Kernel passthrough against the real kernel: what the library promises for every way to open a file, the rules it
// keeps authors from breaking, and the explicit BackingId calls one by one.
import assert from 'node:assert/strict'
import { closeSync, mkdirSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { BackingId, ENOENT, FOPEN_DIRECT_IO, FOPEN_KEEP_CACHE } from 'devfuse'
import type { Attr, Filesystem, OpenReply, Reply, Session, SessionOptions } from 'devfuse'
import { act, cleanup, mounted, run, sh, skip, temporary } from '../support/mounting.js'
import type { TestMount } from '../support/mounting.js'

interface OneFile {
  filesystem: Filesystem
  /** Descriptors open right now, by fh. */
  open: Map<number, number>
}

/** A directory with one file `f` that real file `path` stands behind. */
function oneFile(path: string, reply: (fd: number, fh: number) => Reply<OpenReply>): OneFile {
  const open = new Map<number, number>()
  let next = 1
  const attr = (): Attr => {
    const { size, mode } = statSync(path)
    return { ino: 2, size, blocks: 0, mode, nlink: 1, uid: 0, gid: 0, atime: 0, mtime: 0, ctime: 0 }
  }
  const root: Attr = {
    ...{ ino: 1, size: 0, blocks: 0, nlink: 2, uid: 0, gid: 0, atime: 0, mtime: 0, ctime: 0 },
    mode: 0o040755,
  }
  return {
    open,
    filesystem: {
      lookup: ({ name }) => (name === 'f' ? { nodeid: 2, attr: attr() } : ENOENT),
      getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? root : attr() }),
      setattr: ({ nodeid }) => ({ attr: nodeid === 1 ? root : attr() }),
      open() {
        const fd = openSync(path, 'r+')
        const fh = next++
        open.set(fh, fd)
        return reply(fd, fh)
      },
      release({ fh }) {
        closeSync(open.get(fh) as number)
        open.delete(fh)
      },
    },
  }
}

function source(t: TestContext, content: string): string {
  const path = join(temporary(t), 'source')
  writeFileSync(path, content)
  return path
}

function count(session: Session, operation: string): number {
  return session.stats().operations[operation]?.count ?? 0
}

async function easy(
  t: TestContext,
  path: string,
  options: SessionOptions = {},
): Promise<TestMount & OneFile> {
  const file = oneFile(path, (fd, fh) => ({ fh, passthrough: fd }))
  return { ...file, ...(await mounted(t, file.filesystem, options)) }
}

async function settled(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !condition(); i++) await new Promise((done) => setTimeout(done, 10))
  assert.ok(condition())
}

describe('the easy form: { fh, passthrough: fd }', { skip, timeout: 120_000 }, () => {
  it('reads and writes without a READ or WRITE request', async (t) => {
    const path = source(t, 'content behind the mount')
    const { mnt, session, open, warnings } = await easy(t, path)
    assert.equal(await sh(`cat ${mnt}/f`), 'content behind the mount')
    await sh(`printf written >> ${mnt}/f`)
    assert.equal(readFileSync(path, 'utf8'), 'content behind the mountwritten')
    assert.equal(count(session, 'READ') + count(session, 'WRITE'), 0)
    assert.equal(session.stats().passthrough.opens, 2)
    await settled(() => open.size === 0 && session.stats().passthrough.backingIds === 0)
    assert.deepEqual(warnings, [])
  })

  it('works from an async handler', async (t) => {
    const path = source(t, 'async')
    const file = oneFile(path, async (fd, fh) => {
      await new Promise((done) => setTimeout(done, 5))
      return { fh, passthrough: fd }
    })
    const { mnt, session } = await mounted(t, file.filesystem)
    assert.equal(await sh(`cat ${mnt}/f & cat ${mnt}/f; wait`), 'asyncasync')
    assert.equal(count(session, 'READ'), 0)
  })

  it('shares one backing id among all opens of an inode', async (t) => {
    const path = source(t, '0'.repeat(100))
    const { mnt, session, open } = await easy(t, path)
    await act('open-many', `${mnt}/f`, 2)
    await act('open-many', `${mnt}/f`, 10)
    assert.equal(count(session, 'READ') + count(session, 'WRITE'), 0)
    await settled(() => open.size === 0 && session.stats().passthrough.backingIds === 0)
  })

  it('survives 10,000 opens right after closes', async (t) => {
    const { mnt, session } = await easy(t, source(t, 'again'))
    await act('reopen', `${mnt}/f`, 10_000)
    assert.equal(count(session, 'OPEN'), 10_000)
    assert.equal(count(session, 'READ'), 0)
  })

  for (const [name, operation, args] of [
    ['O_DIRECT', 'write-direct', [8]],
    ['a shared mapping', 'mmap', []],
    ['truncation while open', 'truncate', []],
  ] as const) {
    it(`passes ${name}`, async (t) => {
      const path = source(t, 'x'.repeat(8192))
      const { filesystem } = oneFile(path, (fd, fh) => ({ fh, passthrough: fd }))
      filesystem.setattr = async ({ size, valid }) => {
        if ((valid & 8) !== 0) await sh(`truncate -s ${size} ${path}`)
        const now = statSync(path)
        return {
          attr: {
            ino: 2,
            size: now.size,
            blocks: 0,
            mode: now.mode,
            nlink: 1,
            uid: 0,
            gid: 0,
            atime: 0,
            mtime: 0,
            ctime: 0,
          },
        }
      }
      const { mnt, session } = await mounted(t, filesystem)
      await act(operation, `${mnt}/f`, ...args)
      if (operation === 'write-direct') {
        await act('check-direct', `${mnt}/f`, ...args)
        await act('check', path, ...args)
      }
      assert.equal(count(session, 'READ') + count(session, 'WRITE'), 0)
    })
  }

  it('appends from two processes without losing a line', async (t) => {
    const path = source(t, '')
    const { mnt } = await easy(t, path)
    await Promise.all([
      act('append', `${mnt}/f`, 2000, 'first\n'),
      act('append', `${mnt}/f`, 2000, 'other\n'),
    ])
    const lines = readFileSync(path, 'utf8').split('\n')
    assert.equal(lines.filter((line) => line === 'first').length, 2000)
    assert.equal(lines.filter((line) => line === 'other').length, 2000)
  })

  it('takes a backing file on tmpfs and on overlayfs', async (t) => {
    const dir = temporary(t)
    for (const name of ['tmpfs', 'lower', 'upper', 'work', 'merged']) mkdirSync(join(dir, name))
    await sh(`mount -t tmpfs tmpfs ${dir}/tmpfs`)
    cleanup(t, () => sh(`umount -l ${dir}/tmpfs`))
    writeFileSync(join(dir, 'tmpfs/source'), 'on tmpfs')
    const onTmpfs = await easy(t, join(dir, 'tmpfs/source'))
    assert.equal(await sh(`cat ${onTmpfs.mnt}/f`), 'on tmpfs')
    assert.equal(count(onTmpfs.session, 'READ'), 0)

    writeFileSync(join(dir, 'lower/source'), 'on overlayfs')
    const made = await run('mount', [
      ...['-t', 'overlay', 'overlay', '-o'],
      `lowerdir=${dir}/lower,upperdir=${dir}/upper,workdir=${dir}/work`,
      join(dir, 'merged'),
    ])
    if (made.code !== 0) return t.diagnostic(`no overlayfs here: ${made.stderr.trim()}`)
    cleanup(t, () => sh(`umount -l ${dir}/merged`))
    const onOverlay = await easy(t, join(dir, 'merged/source'))
    assert.equal(await sh(`cat ${onOverlay.mnt}/f`), 'on overlayfs')
    assert.equal(count(onOverlay.session, 'READ'), 0)
    // One level less, and the kernel refuses: then the library serves the data.
    const shallow = await easy(t, join(dir, 'merged/source'), { maxStackDepth: 1 })
    assert.equal(await sh(`cat ${shallow.mnt}/f`), 'on overlayfs')
    assert.equal(count(shallow.session, 'READ'), 1)
    assert.match(shallow.warnings.join(), /ELOOP.*max_stack_depth/)
  })

  it('serves the data itself where passthrough is off, and says nothing where that was asked for', async (t) => {
    const path = source(t, 'served')
    const { mnt, session } = await easy(t, path, { passthrough: 'off' })
    assert.equal(await sh(`cat ${mnt}/f`), 'served')
    await sh(`printf more >> ${mnt}/f`)
    assert.equal(readFileSync(path, 'utf8'), 'servedmore')
    assert.ok(count(session, 'READ') > 0 && count(session, 'WRITE') > 0)
  })

  it('falls back for a descriptor that cannot back a file, and says so once', async (t) => {
    const content = readFileSync('/proc/filesystems', 'utf8')
    const attr: Attr = {
      ino: 2,
      size: 100_000,
      blocks: 0,
      mode: 0o100444,
      nlink: 1,
      uid: 0,
      gid: 0,
      atime: 0,
      mtime: 0,
      ctime: 0,
    }
    const fds: number[] = []
    const { mnt, session, warnings } = await mounted(t, {
      lookup: ({ name }) => (name === 'f' ? { nodeid: 2, attr } : ENOENT),
      getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? { ...attr, mode: 0o040755 } : attr }),
      open() {
        const fd = openSync('/proc/filesystems', 'r')
        fds.push(fd)
        return { fh: fd, passthrough: fd, openFlags: FOPEN_DIRECT_IO }
      },
      release: ({ fh }) => closeSync(fh),
    })
    assert.equal(await sh(`cat ${mnt}/f; cat ${mnt}/f`), content + content)
    assert.equal(warnings.length, 1)
    assert.match(warnings[0] ?? '', /fell back.*(ELOOP|EINVAL)/)
    assert.ok(count(session, 'READ') > 0)
    const [reason] = Object.keys(session.stats().passthrough.fallbacks)
    assert.equal(session.stats().passthrough.fallbacks[reason ?? ''], 2)
  })

  it('mixes passthrough and served opens of one inode without EIO', async (t) => {
    const path = source(t, 'mixed modes')
    let served = false
    const file = oneFile(path, (fd, fh) => (served ? { fh } : { fh, passthrough: fd }))
    const filesystem: Filesystem = {
      ...file.filesystem,
      read: ({ offset, size }) => readFileSync(path).subarray(offset, offset + size),
    }
    const { mnt, session } = await mounted(t, filesystem)
    const held = run('sh', ['-c', `exec 3< ${mnt}/f; sleep 1; cat <&3`])
    await settled(() => count(session, 'OPEN') === 1)
    served = true
    assert.equal(await sh(`cat ${mnt}/f`), 'mixed modes')
    assert.ok(count(session, 'READ') > 0)
    assert.equal((await held).stdout, 'mixed modes')
    // And the other way round: a cached open first keeps later ones from passthrough.
    await settled(() => file.open.size === 0)
    const cached = run('sh', ['-c', `exec 3< ${mnt}/f; sleep 1; cat <&3`])
    await settled(() => count(session, 'OPEN') === 3)
    served = false
    assert.equal(await sh(`cat ${mnt}/f`), 'mixed modes')
    assert.equal((await cached).stdout, 'mixed modes')
    assert.match(Object.keys(session.stats().passthrough.fallbacks).join(), /cached mode/)
  })

  it('drops FOPEN_KEEP_CACHE, which the kernel does not take beside passthrough', async (t) => {
    const path = source(t, 'kept')
    const file = oneFile(path, (fd, fh) => ({ fh, passthrough: fd, openFlags: FOPEN_KEEP_CACHE }))
    const { mnt, session } = await mounted(t, file.filesystem)
    assert.equal(await sh(`cat ${mnt}/f`), 'kept')
    assert.equal(count(session, 'READ'), 0)
  })

  it('falls back once privileges are dropped', async (t) => {
    // Dropping is for good, so a child process serves.
    const dir = temporary(t)
    const server = `
      import { mount, ENOENT } from 'devfuse'
      import { openSync, closeSync, writeFileSync } from 'node:fs'
      writeFileSync('${dir}/source', 'unprivileged', { mode: 0o666 })
      const attr = { ino: 2, size: 12, blocks: 0, mode: 0o100644, nlink: 1, uid: 0, gid: 0, atime: 0, mtime: 0, ctime: 0 }
      const session = await mount('${dir}/mnt', {
        lookup: ({ name }) => (name === 'f' ? { nodeid: 2, attr } : ENOENT),
        getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? { ...attr, mode: 0o040755 } : attr }),
        open() { const fd = openSync('${dir}/source', 'r'); return { fh: fd, passthrough: fd } },
        release: ({ fh }) => closeSync(fh),
      }, { onWarning: (w) => console.log('warning: ' + w.message) })
      process.setgid(65534); process.setuid(65534)
      console.log('ready')
      process.stdin.on('end', async () => {
        console.log(JSON.stringify(session.stats().operations.READ?.count ?? 0))
        process.exit(0)
      }).resume()
    `
    mkdirSync(join(dir, 'mnt'))
    await sh(`chmod 755 ${dir}`)
    const { spawn } = await import('node:child_process')
    const child = spawn(process.execPath, ['--input-type=module', '-e', server], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    cleanup(t, () => sh(`umount -l ${dir}/mnt 2>/dev/null || true`))
    cleanup(t, () => child.kill('SIGKILL'))
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    await settled(() => output.includes('ready'))
    assert.equal(await sh(`cat ${dir}/mnt/f; cat ${dir}/mnt/f`), 'unprivilegedunprivileged')
    child.stdin.end()
    await settled(() => /^\d+$/m.test(output))
    assert.equal(output.match(/warning:/g)?.length, 1)
    assert.match(output, /EPERM.*CAP_SYS_ADMIN/)
    assert.match(output, /^[1-9]\d*$/m)
  })
})

describe('the explicit form: BackingId', { skip, timeout: 60_000 }, () => {
  it('opens, backs, closes, and closes again without effect', async (t) => {
    const path = source(t, 'explicit')
    const holder: { backing?: BackingId } = {}
    const file = oneFile(path, (_, fh) => ({ fh, backing: holder.backing as BackingId }))
    const { mnt, session, warnings } = await mounted(t, file.filesystem)
    const fd = openSync(path, 'r')
    holder.backing = session.openBacking(fd)
    closeSync(fd)
    assert.ok(Number.isInteger(holder.backing.id) && holder.backing.id > 0)
    assert.equal(await sh(`cat ${mnt}/f; cat ${mnt}/f`), 'explicitexplicit')
    assert.equal(count(session, 'READ'), 0)
    assert.equal(holder.backing.closed, false)
    holder.backing.close()
    holder.backing.close()
    assert.equal(holder.backing.closed, true)
    assert.deepEqual(warnings, [])
  })

  it('gives ownership away and takes it back', async (t) => {
    const path = source(t, 'raw')
    const { session, warnings } = await mounted(t, oneFile(path, (_, fh) => ({ fh })).filesystem)
    const fd = openSync(path, 'r')
    cleanup(t, () => closeSync(fd))
    const first = session.openBacking(fd)
    const raw = first.intoRaw()
    assert.equal(first.closed, true)
    first.close()
    const wrapped = session.wrapBacking(raw)
    assert.equal(wrapped.id, raw)
    wrapped.close()
    // The kernel has no such id any more: the close fails, which is reported, not thrown.
    session.wrapBacking(raw).close()
    assert.equal(warnings.length, 1)
    assert.match(warnings[0] ?? '', /closing backing id \d+ failed: ENOENT/)
    const bare = BackingId.createRaw(session.fd, fd)
    assert.ok(bare > 0)
    {
      using again = session.wrapBacking(bare)
      assert.equal(again.closed, false)
    }
    assert.equal(warnings.length, 1)
  })

  it('says why a file cannot back', async (t) => {
    const path = source(t, '')
    const { session } = await mounted(t, oneFile(path, (_, fh) => ({ fh })).filesystem)
    const directory = openSync('/', 'r')
    const device = openSync('/dev/null', 'r')
    cleanup(t, () => [directory, device].forEach((fd) => closeSync(fd)))
    assert.throws(() => session.openBacking(directory), { code: /EISDIR|EINVAL/, syscall: 'ioctl' })
    assert.throws(() => session.openBacking(device), { code: 'EINVAL', message: /only regular files/ })
    assert.throws(() => session.openBacking(999_999), { code: 'EBADF' })
    assert.throws(() => session.openBacking(-1), TypeError)
    assert.throws(() => session.wrapBacking(0), TypeError)
  })

  it('does nothing once the session has ended', async (t) => {
    const path = source(t, '')
    const { session, warnings } = await mounted(t, oneFile(path, (_, fh) => ({ fh })).filesystem)
    const fd = openSync(path, 'r')
    cleanup(t, () => closeSync(fd))
    const backing = session.openBacking(fd)
    await session.unmount()
    assert.equal(backing.closed, true)
    backing.close()
    assert.throws(() => session.openBacking(fd), { code: 'ENODEV' })
    assert.deepEqual(warnings, [])
  })

  it('names the rule that a second id on one inode would break', async (t) => {
    const path = source(t, 'second')
    const ids: BackingId[] = []
    let session: Session | undefined
    const file = oneFile(path, (fd, fh) => {
      const backing = (session as Session).openBacking(fd)
      ids.push(backing)
      return { fh, backing }
    })
    const test = await mounted(t, file.filesystem)
    session = test.session
    const held = run('sh', ['-c', `exec 3< ${test.mnt}/f; sleep 1; cat <&3`])
    await settled(() => ids.length === 1)
    assert.match((await run('cat', [`${test.mnt}/f`])).stderr, /Input\/output error/)
    assert.match(test.warnings.join(), /reuse the first one while any open lives/)
    assert.equal((await held).stdout, 'second')
    for (const id of ids) id.close()
  })

  it('names the flag that cannot go with a backing id', async (t) => {
    const path = source(t, 'flags')
    const holder: { backing?: BackingId } = {}
    const file = oneFile(path, (_, fh) => ({
      fh,
      backing: holder.backing as BackingId,
      openFlags: FOPEN_KEEP_CACHE,
    }))
    const test = await mounted(t, file.filesystem)
    const fd = openSync(path, 'r')
    cleanup(t, () => closeSync(fd))
    holder.backing = test.session.openBacking(fd)
    assert.match((await run('cat', [`${test.mnt}/f`])).stderr, /Input\/output error/)
    assert.match(test.warnings.join(), /FOPEN_KEEP_CACHE/)
    holder.backing.close()
  })

  it('closes and reports an id that was dropped', async (t) => {
    const script = `
      import { mount } from 'devfuse'
      import { openSync, mkdtempSync, rmSync } from 'node:fs'
      const mnt = mkdtempSync('/tmp/devfuse-test-')
      const session = await mount(mnt, {}, { onWarning: (w) => console.log(w.code) })
      const fd = openSync('/etc/passwd', 'r')
      session.openBacking(fd)
      for (let i = 0; i < 20; i++) { globalThis.gc(); await new Promise((done) => setTimeout(done, 20)) }
      await session.unmount()
      rmSync(mnt, { recursive: true })
    `
    void t
    const { stdout, stderr, code } = await run(process.execPath, [
      '--expose-gc',
      '--input-type=module',
      '-e',
      script,
    ])
    assert.equal(code, 0, stderr)
    assert.equal(stdout.trim(), 'ERR_DEVFUSE_BACKING_LEAK')
  })
})
