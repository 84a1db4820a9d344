// Checks what `npm start` runs: the mount, the proof of passthrough, and that Ctrl-C leaves nothing behind.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, rmdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { findMount } from '#dist/device/mountinfo.js'
import { attempt } from '../programs/command.js'

const script = fileURLToPath(new URL('../../examples/start.js', import.meta.url))

async function start(t: TestContext, ...args: string[]) {
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const ready = new Promise<void>((resolve) => {
    child.stdout.on('data', (text: Buffer) => {
      output += text.toString()
      if (output.includes('Ctrl-C unmounts')) resolve()
    })
  })
  child.stderr.on('data', (text: Buffer) => (output += text.toString()))
  const status = new Promise<number | null>((resolve) => child.once('exit', resolve))
  t.after(() => child.kill('SIGKILL'))
  await Promise.race([ready, status])
  return { child, status, output: () => output }
}

describe('npm start', () => {
  it(
    'mounts this project, reads a file without a READ request, and cleans up',
    { timeout: 60_000 },
    async (t) => {
      const { child, status, output } = await start(t)
      const mnt = /is mounted at (\S+),/.exec(output())?.[1] ?? ''
      assert.ok(mnt.startsWith(tmpdir()), output())
      assert.match(output(), /through the mount: \d+ bytes, exactly what the source holds\./)
      assert.match(output(), /It took 0 READ requests: the kernel served the data itself \(passthrough\)\./)
      const listed = await attempt(['ls', mnt], { timeout: 10_000 })
      assert.match(listed.stdout, /package\.json/)
      child.kill('SIGINT')
      assert.equal(await status, 0, output())
      assert.equal(findMount(mnt), undefined)
      assert.ok(!existsSync(mnt))
    },
  )

  it('mounts a directory of choice where it is told to', { timeout: 60_000 }, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'devfuse-own-'))
    const [src, mnt] = [join(directory, 'src'), join(directory, 'mnt')]
    mkdirSync(src)
    mkdirSync(mnt)
    writeFileSync(join(src, 'note'), 'text')
    t.after(async () => {
      if (findMount(mnt) !== undefined) await attempt(['umount', '-l', mnt], { timeout: 5000 })
      rmSync(directory, { recursive: true })
    })
    const { child, status, output } = await start(t, src, mnt)
    assert.match(output(), /read note through the mount: 4 bytes/)
    child.kill('SIGTERM')
    assert.equal(await status, 0, output())
    assert.ok(existsSync(mnt))
  })

  it('says that there is no such directory', { timeout: 60_000 }, async (t) => {
    const { status, output } = await start(t, '/nonexistent/src')
    assert.equal(await status, 1)
    assert.match(output(), /^cannot mirror \/nonexistent\/src: ENOENT.*; name a directory that is there\n$/)
  })

  it('says what to do when it cannot mount', { timeout: 60_000 }, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'devfuse-own-'))
    t.after(() => rmdirSync(directory))
    const { status, output } = await start(t, directory, '/nonexistent/mnt')
    assert.equal(await status, 1)
    assert.match(output(), /create it first/)
    assert.match(output(), /main\.js doctor/)
  })
})
