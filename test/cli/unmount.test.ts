// Checks devfuse unmount and devfuse stats on real mounts: clean, busy, stale, stopped, stacked, and what is no FUSE mount.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { findMount, readMountInfo } from '#dist/device/mountinfo.js'
import { controlPath } from '#dist/session/control.js'
import { attempt } from '../programs/command.js'
import type { Finished } from '../programs/command.js'
import { devfuse } from '../programs/mounted.js'

const server = fileURLToPath(new URL('./tiny-server.js', import.meta.url))
const limit = { timeout: 60_000 }

const run = (...args: string[]): Promise<Finished> => attempt([...devfuse, ...args], { timeout: 20_000 })

const ended = (child: ChildProcess): Promise<number | null> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve(child.exitCode)
    : new Promise((resolve) => child.once('exit', resolve))

/** A directory for the mount; what is left of it in the end is removed by force. */
function place(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'devfuse-unmount-'))
  const mnt = join(directory, 'the mount')
  mkdirSync(mnt)
  t.after(async () => {
    for (let i = 0; i < 3 && findMount(mnt) !== undefined; i++) {
      await attempt(['umount', '-l', mnt], { timeout: 5000 }).catch(() => undefined)
    }
    rmSync(directory, { recursive: true })
  })
  return mnt
}

async function serve(t: TestContext, mnt: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [server, mnt], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  await new Promise((resolve) => child.stdout.once('data', resolve))
  return child
}

/** A process that keeps the mount busy with its working directory. */
async function visitor(t: TestContext, mnt: string): Promise<ChildProcess> {
  const child = spawn('sh', ['-c', 'echo here; exec sleep 60'], {
    cwd: mnt,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.after(() => child.kill('SIGKILL'))
  await new Promise((resolve) => child.stdout?.once('data', resolve))
  return child
}

describe('devfuse unmount', () => {
  it('unmounts cleanly, and the server ends by itself', limit, async (t) => {
    const mnt = place(t)
    const child = await serve(t, mnt)
    const { status, stdout, stderr } = await run('unmount', mnt)
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: `unmounted ${mnt}\n`, stderr: '' })
    assert.equal(findMount(mnt), undefined)
    assert.equal(await ended(child), 0)
  })

  it('detaches a busy mount and says who keeps it busy', limit, async (t) => {
    const mnt = place(t)
    const child = await serve(t, mnt)
    const guest = await visitor(t, mnt)
    const { status, stdout } = await run('unmount', mnt)
    assert.equal(status, 0)
    assert.match(stdout, /^detached .*because it was busy/)
    assert.match(stdout, RegExp(`process ${guest.pid} \\(sleep\\): working directory`))
    assert.equal(findMount(mnt), undefined)
    guest.kill('SIGKILL')
    assert.equal(await ended(child), 0)
  })

  it('clears the mount of a dead server and its socket', limit, async (t) => {
    const mnt = place(t)
    const child = await serve(t, mnt)
    const served = findMount(mnt)?.minor ?? -1
    const socket = controlPath(served)
    assert.ok(existsSync(socket))
    child.kill('SIGKILL')
    await ended(child)
    const asked = await run('stats', mnt)
    assert.equal(asked.status, 1)
    assert.match(asked.stderr, /its process has died; clear the mount with `devfuse unmount/)
    const { status, stdout } = await run('unmount', mnt)
    assert.equal(status, 0)
    assert.equal(stdout, `unmounted ${mnt}\n`)
    assert.equal(findMount(mnt), undefined)
    // The number is free again, and a mount of another test may have it by now, with a socket of its own.
    const again = readMountInfo().some(({ minor }) => minor === served)
    assert.ok(again || !existsSync(socket))
  })

  it('clears the mount of a dead server that somebody still sits in', limit, async (t) => {
    const mnt = place(t)
    const child = await serve(t, mnt)
    await visitor(t, mnt)
    child.kill('SIGKILL')
    await ended(child)
    const { status, stdout } = await run('unmount', mnt)
    assert.equal(status, 0)
    assert.match(stdout, /working directory/)
    assert.equal(findMount(mnt), undefined)
  })

  it('ends the connection of a server that hangs with --force', limit, async (t) => {
    const mnt = place(t)
    const child = await serve(t, mnt)
    child.kill('SIGSTOP')
    const waiting = attempt(['stat', `${mnt}/hello`], { timeout: 20_000 })
    await new Promise((resolve) => setTimeout(resolve, 300))
    const asked = await run('stats', mnt)
    assert.equal(asked.status, 1)
    assert.match(asked.stderr, /no answer .*stopped or blocked/)
    const { status } = await run('unmount', '--force', mnt)
    assert.equal(status, 0)
    assert.notEqual((await waiting).status, 0)
    assert.equal(findMount(mnt), undefined)
    child.kill('SIGCONT')
    await ended(child)
  })

  it('takes the topmost of two mounts and tells of the other', limit, async (t) => {
    const mnt = place(t)
    const below = await serve(t, mnt)
    const above = await serve(t, mnt)
    const first = await run('unmount', mnt)
    assert.equal(first.status, 0)
    assert.match(first.stderr, /another FUSE mount was below it/)
    assert.equal(await ended(above), 0)
    assert.equal((await run('unmount', mnt)).status, 0)
    assert.equal(await ended(below), 0)
  })

  it('refuses what is no FUSE mount', limit, async (t) => {
    const mnt = place(t)
    const nothing = await run('unmount', mnt)
    assert.equal(nothing.status, 1)
    assert.match(nothing.stderr, /^devfuse: cannot unmount .*: nothing is mounted there; `grep fuse/)
    const proc = await run('unmount', '/proc')
    assert.equal(proc.status, 1)
    assert.match(proc.stderr, /it is a proc mount of proc, not a FUSE mount; use umount\(8\)/)
    assert.equal((await run('stats', '/proc')).status, 1)
  })
})

describe('devfuse stats', () => {
  it('shows what another process has served', limit, async (t) => {
    const mnt = place(t)
    const child = await serve(t, mnt)
    assert.equal((await attempt(['cat', `${mnt}/hello`], { timeout: 10_000 })).stdout, 'Hello!\n')
    assert.notEqual((await attempt(['cat', `${mnt}/missing`], { timeout: 10_000 })).status, 0)
    const { status, stdout } = await run('stats', mnt, '--json')
    assert.equal(status, 0)
    const stats = JSON.parse(stdout) as {
      mountPoint: string
      pid: number
      uptime: number
      transport: string
      operations: Record<string, Record<string, number>>
    }
    assert.equal(stats.mountPoint, mnt)
    assert.equal(stats.pid, child.pid)
    assert.equal(stats.transport, 'device')
    assert.ok(stats.uptime > 0 && stats.uptime < 60)
    assert.equal(stats.operations.READ.count, 1)
    assert.equal(stats.operations.READ.bytesOut, 7)
    assert.equal(stats.operations.LOOKUP.errors, 1)
    assert.ok(stats.operations.LOOKUP.p50 > 0 && stats.operations.LOOKUP.max >= stats.operations.LOOKUP.p50)
    const text = await run('stats', mnt)
    assert.match(text.stdout, /^READ +1 +0 /m)
    assert.equal((await run('unmount', mnt)).status, 0)
  })
})
