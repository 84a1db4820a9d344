// Kernel passthrough against the real kernel, the explicit form: BackingId call by call, and the rules an author can break
// with it, named before the kernel answers EIO.
import assert from 'node:assert/strict'
import { closeSync, openSync } from 'node:fs'
import { describe, it } from 'node:test'
import { BackingId, FOPEN_KEEP_CACHE } from 'devfuse'
import type { Session } from 'devfuse'
import { cleanup, mounted, run, sh, skip } from '../support/mounting.js'
import { count, oneFile, settled, source } from '../support/one-file.js'

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

  it('refuses a closed id, and one of another session, by name', async (t) => {
    const path = source(t, 'closed')
    const holder: { backing?: BackingId } = {}
    const file = oneFile(path, (_, fh) => ({ fh, backing: holder.backing as BackingId }))
    const { mnt, session, warnings } = await mounted(t, file.filesystem)
    const other = await mounted(t, oneFile(path, (_, fh) => ({ fh })).filesystem)
    const fd = openSync(path, 'r')
    cleanup(t, () => closeSync(fd))
    holder.backing = session.openBacking(fd)
    holder.backing.close()
    assert.match((await run('cat', [`${mnt}/f`])).stderr, /Input\/output error/)
    holder.backing = other.session.openBacking(fd)
    assert.match((await run('cat', [`${mnt}/f`])).stderr, /Input\/output error/)
    holder.backing.close()
    assert.equal(
      warnings.filter((message) => /closed, or belongs to another session/.test(message)).length,
      2,
    )
    await settled(() => file.open.size === 0)
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
