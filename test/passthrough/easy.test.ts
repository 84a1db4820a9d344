// Kernel passthrough against the real kernel, the easy form: what the library promises for every way to open a file, and
// the rules it keeps authors from breaking.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ENOENT, FOPEN_DIRECT_IO, FOPEN_KEEP_CACHE } from 'devfuse'
import type { Attr, Filesystem } from 'devfuse'
import { act, cleanup, mounted, run, sh, skip, temporary } from '../support/mounting.js'
import { count, easy, oneFile, settled, source } from '../support/one-file.js'
import { backing } from './filesystems.js'

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

  it('falls back where the backing file lies on too many layers', async (t) => {
    const overlay = await backing('overlay')
    cleanup(t, () => overlay.remove())
    if (overlay.missing !== '') return t.skip(overlay.missing)
    writeFileSync(join(overlay.path, 'source'), 'on overlayfs')
    const { mnt, session, warnings } = await easy(t, join(overlay.path, 'source'), { maxStackDepth: 1 })
    assert.equal(await sh(`cat ${mnt}/f`), 'on overlayfs')
    assert.equal(count(session, 'READ'), 1)
    assert.match(warnings.join(), /ELOOP.*max_stack_depth/)
  })

  it('stays with a file of overlayfs that is copied up while it is open', async (t) => {
    const overlay = await backing('overlay')
    cleanup(t, () => overlay.remove())
    if (overlay.missing !== '') return t.skip(overlay.missing)
    const path = join(overlay.path, 'source')
    // Made in the lower layer, behind the back of overlayfs, as an image's files are.
    const lower = temporary(t)
    await sh(`umount ${overlay.path}; echo lower > ${lower}/source`)
    await sh(
      `cd ${overlay.path}/.. && mount -t overlay -o lowerdir=${lower},upperdir=upper,workdir=work overlay backing`,
    )
    const { filesystem, open } = oneFile(path, (_, fh) => ({ fh }))
    // A descriptor that reads is one of the lower file.
    filesystem.open = () => {
      const fd = openSync(path, 'r')
      open.set(fd, fd)
      return { fh: fd, passthrough: fd }
    }
    const { mnt, session } = await mounted(t, filesystem)
    assert.equal(
      await sh(`exec 3< ${mnt}/f; echo upper >> ${mnt}/f; cat <&3; cat ${mnt}/f`),
      'lower\nupper\nlower\nupper\n',
    )
    assert.equal(readFileSync(path, 'utf8'), 'lower\nupper\n')
    assert.equal(readFileSync(join(lower, 'source'), 'utf8'), 'lower\n')
    assert.equal(count(session, 'READ') + count(session, 'WRITE'), 0)
  })

  it('serves the data itself where passthrough is off, and says nothing where that was asked for', async (t) => {
    const path = source(t, 'served')
    const { mnt, session, warnings } = await easy(t, path, { passthrough: 'off' })
    assert.equal(await sh(`cat ${mnt}/f`), 'served')
    assert.deepEqual(warnings, [])
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

  it('serves reads and writes from the descriptor where the reply says FOPEN_DIRECT_IO', async (t) => {
    const path = source(t, 'direct')
    const file = oneFile(path, (fd, fh) => ({ fh, passthrough: fd, openFlags: FOPEN_DIRECT_IO }))
    const { mnt, session } = await mounted(t, file.filesystem)
    assert.equal(await sh(`cat ${mnt}/f`), 'direct')
    await sh(`printf written > ${mnt}/f`)
    assert.equal(readFileSync(path, 'utf8'), 'written')
    assert.ok(count(session, 'READ') > 0 && count(session, 'WRITE') > 0)
  })

  it('serves opens that share one fh until the last of them is released', async (t) => {
    const path = source(t, 'shared')
    const fd = openSync(path, 'r+')
    cleanup(t, () => closeSync(fd))
    const { filesystem } = oneFile(path, () => ({}))
    filesystem.open = () => ({ passthrough: fd })
    filesystem.release = () => undefined
    const { mnt, session } = await mounted(t, filesystem, { passthrough: 'off' })
    const held = run('sh', ['-c', `exec 3< ${mnt}/f; cat ${mnt}/f; sleep 0.5; cat <&3`])
    assert.equal((await held).stdout, 'sharedshared')
    assert.equal(count(session, 'RELEASE'), 2)
  })

  it('serves writes though the descriptor only reads, as passthrough does', async (t) => {
    for (const passthrough of ['auto', 'off'] as const) {
      const path = source(t, 'readonly')
      const { filesystem, open } = oneFile(path, (_, fh) => ({ fh }))
      filesystem.open = () => {
        const fd = openSync(path, 'r')
        open.set(fd, fd)
        return { fh: fd, passthrough: fd }
      }
      const { mnt, warnings } = await mounted(t, filesystem, { passthrough })
      await sh(`printf appended >> ${mnt}/f`)
      assert.equal(readFileSync(path, 'utf8'), 'readonlyappended')
      assert.deepEqual(warnings, [])
    }
  })

  it('serves an open of another real file from that one, and passes the first one through again', async (t) => {
    const paths = [source(t, 'first'), source(t, 'other')]
    let which = 0
    const { filesystem, open } = oneFile(paths[0], (_, fh) => ({ fh }))
    filesystem.open = () => {
      const fd = openSync(paths[which], 'r')
      open.set(fd, fd)
      return { fh: fd, passthrough: fd }
    }
    const { mnt, session } = await mounted(t, filesystem)
    const held = run('sh', ['-c', `exec 3< ${mnt}/f; sleep 1; cat <&3`])
    await settled(() => count(session, 'OPEN') === 1)
    which = 1
    assert.equal(await sh(`cat ${mnt}/f`), 'other')
    which = 0
    const reads = count(session, 'READ')
    assert.equal(await sh(`cat ${mnt}/f`), 'first')
    assert.equal(count(session, 'READ'), reads)
    assert.match(Object.keys(session.stats().passthrough.fallbacks).join(), /another real file/)
    assert.equal((await held).stdout, 'first')
  })

  it('lets direct opens come and go beside passthrough', async (t) => {
    const path = source(t, 'beside')
    let direct = true
    const file = oneFile(path, (fd, fh) =>
      direct ? { fh, openFlags: FOPEN_DIRECT_IO } : { fh, passthrough: fd },
    )
    const filesystem: Filesystem = {
      ...file.filesystem,
      read: ({ offset, size }) => readFileSync(path).subarray(offset, offset + size),
    }
    const { mnt, session } = await mounted(t, filesystem)
    const held = run('sh', ['-c', `exec 3< ${mnt}/f; sleep 1; cat <&3`])
    await settled(() => count(session, 'OPEN') === 1)
    direct = false
    for (let i = 0; i < 3; i++) assert.equal(await sh(`cat ${mnt}/f`), 'beside')
    await settled(() => session.stats().passthrough.backingIds === 0)
    assert.equal(session.stats().passthrough.opens, 3)
    assert.equal((await held).stdout, 'beside')
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
