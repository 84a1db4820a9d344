// Checks devfuse mirror as a command: the line it prints, its options, its exit statuses, what it leaves behind.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { UsageError } from '#dist/cli/command.js'
import { mirrorOptions } from '#dist/cli/mirror.js'
import { findMount } from '#dist/device/mountinfo.js'
import { controlPath } from '#dist/session/control.js'
import { attempt } from '../programs/command.js'
import { devfuse } from '../programs/mounted.js'

const limit = { timeout: 60_000 }

interface Served {
  child: ChildProcess
  src: string
  mnt: string
  line: string
  status: Promise<number | null>
  stderr: () => string
}

async function serve(t: TestContext, ...args: string[]): Promise<Served> {
  const directory = mkdtempSync(join(tmpdir(), 'devfuse-cli-'))
  const src = join(directory, 'src')
  mkdirSync(src)
  writeFileSync(join(src, 'file'), 'content\n')
  return serveSource(t, directory, src, args)
}

async function serveSource(t: TestContext, directory: string, src: string, args: string[]): Promise<Served> {
  const mnt = join(directory, 'mnt')
  mkdirSync(mnt)
  const child = spawn(devfuse[0], [...devfuse.slice(1), 'mirror', src, mnt, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.after(async () => {
    if (findMount(mnt) !== undefined)
      await attempt(['umount', '-l', mnt], { timeout: 5000 }).catch(() => undefined)
    child.kill('SIGKILL')
    rmSync(directory, { recursive: true })
  })
  let stderr = ''
  child.stderr.on('data', (text: Buffer) => (stderr += text.toString()))
  const status = new Promise<number | null>((resolve) => child.once('exit', resolve))
  const first = new Promise<string>((resolve) =>
    child.stdout.once('data', (text: Buffer) => resolve(text.toString())),
  )
  const line = await Promise.race([first, status.then((code) => `ended with status ${code}: ${stderr}`)])
  return { child, src, mnt, line, status, stderr: () => stderr }
}

const cat = async (path: string): Promise<string> =>
  (await attempt(['cat', path], { timeout: 10_000 })).stdout

describe('devfuse mirror', () => {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    it(`serves until ${signal}, then ends with status 0 and leaves nothing`, limit, async (t) => {
      const { child, src, mnt, line, status } = await serve(t)
      const prefix = `${src} is mounted at ${mnt}, passthrough `
      assert.equal(line.slice(0, prefix.length), prefix)
      assert.match(line, /; unmount with Ctrl-C or `devfuse unmount .*`\n$/)
      assert.equal(await cat(`${mnt}/file`), 'content\n')
      const socket = controlPath(findMount(mnt)?.minor ?? -1)
      const made = statSync(socket, { bigint: true }).birthtimeNs
      child.kill(signal)
      assert.equal(await status, 0)
      assert.equal(findMount(mnt), undefined)
      // Kernel: the number of a mount that is gone goes to the next one, here a test beside this one, and so does its socket's name.
      assert.notEqual(statSync(socket, { bigint: true, throwIfNoEntry: false })?.birthtimeNs, made)
    })
  }

  it('goes on serving when nobody reads what it prints', limit, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'devfuse-cli-'))
    // Its files cannot be passed through, which the server says when the first one is opened.
    const { child, mnt, status } = await serveSource(t, directory, '/proc/sys', [])
    child.stderr!.destroy()
    child.stdout!.destroy()
    await cat(`${mnt}/kernel/ostype`)
    await cat(`${mnt}/kernel/ostype`)
    assert.equal((await attempt(['ls', `${mnt}/kernel/ostype`], { timeout: 10_000 })).status, 0)
    child.kill('SIGTERM')
    assert.equal(await status, 0)
  })

  it('ends with status 0 when it is unmounted from outside', limit, async (t) => {
    const { mnt, status, stderr } = await serve(t)
    assert.equal((await attempt(['umount', mnt], { timeout: 10_000 })).status, 0)
    assert.equal(await status, 0)
    assert.match(stderr(), /unmounted from outside/)
  })

  it('says that passthrough is off when it was turned off, and serves the data itself', limit, async (t) => {
    const { mnt, line, child, status } = await serve(t, '--passthrough', 'off')
    assert.match(line, /passthrough off: it is turned off/)
    assert.equal(await cat(`${mnt}/file`), 'content\n')
    const { stdout } = await attempt([...devfuse, 'stats', mnt, '--json'], { timeout: 10_000 })
    const stats = JSON.parse(stdout) as { operations: Record<string, { count: number }> }
    assert.ok(stats.operations.READ.count > 0)
    child.kill('SIGINT')
    assert.equal(await status, 0)
  })

  it('mounts read-only, with a name of choice', limit, async (t) => {
    const { mnt, child, status } = await serve(t, '-r', '--fsname=something', '--noexec')
    const mount = findMount(mnt)
    assert.equal(mount?.source, 'something')
    assert.ok(mount?.options.includes('ro'))
    assert.ok(mount?.options.includes('noexec'))
    const touched = await attempt(['touch', `${mnt}/new`], { timeout: 10_000 })
    assert.match(touched.stderr, /Read-only file system/)
    child.kill('SIGINT')
    assert.equal(await status, 0)
  })

  it('detaches the mount when it is in use as the signal comes', limit, async (t) => {
    const { mnt, child, status, stderr } = await serve(t)
    const guest = spawn('sh', ['-c', 'echo here; exec sleep 60'], {
      cwd: mnt,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    t.after(() => guest.kill('SIGKILL'))
    await new Promise((resolve) => guest.stdout.once('data', resolve))
    child.kill('SIGINT')
    assert.equal(await status, 0)
    assert.match(stderr(), /EBUSY.*detached instead/)
    assert.equal(findMount(mnt), undefined)
  })

  it('ends with status 1 when another mount covers its own, which stays behind', limit, async (t) => {
    const { mnt, child, status, stderr } = await serve(t)
    const umount = () => attempt(['umount', mnt], { timeout: 10_000 })
    assert.equal((await attempt(['mount', '-t', 'tmpfs', 'tmpfs', mnt], { timeout: 10_000 })).status, 0)
    child.kill('SIGINT')
    assert.equal(await status, 1)
    assert.match(stderr(), /another mount covers it.*could not be detached/s)
    assert.equal((await umount()).status, 0)
    assert.equal((await umount()).status, 0)
  })

  it('says what is wrong with SRC or MNT, with status 1', limit, async (t) => {
    const { src, mnt, child, status } = await serve(t)
    const run = (...args: string[]) => attempt([...devfuse, 'mirror', ...args], { timeout: 20_000 })
    const noSource = await run(`${src}/missing`, mnt)
    assert.equal(noSource.status, 1)
    assert.match(noSource.stderr, /^devfuse: .*missing.*ENOENT/)
    const noTarget = await run(src, `${src}/missing`)
    assert.equal(noTarget.status, 1)
    assert.match(noTarget.stderr, /^devfuse: cannot mount on .*missing: stat says ENOENT; create it first\n$/)
    child.kill('SIGINT')
    assert.equal(await status, 0)
  })
})

describe('mirrorOptions', () => {
  it('translates the command line', () => {
    const options = mirrorOptions({ cache: '2.5', 'read-only': true, 'busy-poll': '0', passthrough: 'on' })
    assert.deepEqual(options.cache, { entryValid: 2.5, attrValid: 2.5 })
    assert.equal(options.readOnly, true)
    assert.equal(options.busyPoll, 0)
    assert.equal(options.passthrough, 'on')
    assert.equal(mirrorOptions({ cache: 'none' }).cache, 'none')
    assert.equal(mirrorOptions({ cache: 'strong' }).cache, 'strong')
    assert.equal(mirrorOptions({}).cache, undefined)
  })

  it('refuses what is no number', () => {
    assert.throws(() => mirrorOptions({ 'max-write': '1M' }), UsageError)
    assert.throws(() => mirrorOptions({ cache: 'soon' }), UsageError)
    assert.throws(() => mirrorOptions({ 'busy-poll': '-1' }), UsageError)
  })
})
