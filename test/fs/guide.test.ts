// Every snippet of the guide, as it stands there: run, and where it mounts, with the command that its last comments show.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { findMount } from '#dist/device/mountinfo.js'
import { cleanup, run, skip, temporary } from '../support/mounting.js'

const root = dirname(fileURLToPath(import.meta.resolve('devfuse/package.json')))
const guide = readFileSync(join(root, 'docs/from-an-object-to-a-mount.md'), 'utf8')
const snippets = [...guide.matchAll(/^```js\n(.*?)^```$/gms)].map(([, code]) => code)

describe('the guide from an object to a mount', () => {
  it('has snippets', () => assert.ok(snippets.length >= 6))

  for (const [at, snippet] of snippets.entries()) {
    const mounts = snippet.includes("'/mnt'")
    it(`snippet ${at + 1}`, { skip: mounts && skip, timeout: 30_000 }, async (t) => {
      const dir = temporary(t)
      const [mnt, srv] = [join(dir, 'mnt'), join(dir, 'srv')]
      for (const one of [mnt, srv]) mkdirSync(one)
      const here = (text: string): string => text.replaceAll('/mnt', mnt).replaceAll('/srv', srv)
      // Where it lies decides which packages it finds.
      const file = join(import.meta.dirname, `guide-${process.pid}-${at}.mjs`)
      cleanup(t, () => rmSync(file))
      writeFileSync(file, `${here(snippet)}\nconsole.log('ready')\n`)
      if (!mounts) {
        const { status, stdout } = spawnSync(process.execPath, [file], { encoding: 'utf8', timeout: 20_000 })
        assert.deepEqual([status, stdout], [0, "[ 'a' ] x\nready\n"])
        return
      }
      const child = spawn('timeout', ['-s', 'KILL', '25', process.execPath, file], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const ended = new Promise((resolve) => child.once('exit', resolve))
      cleanup(t, async () => {
        child.kill('SIGTERM')
        await ended
        if (findMount(mnt) !== undefined) await run('umount', ['-l', mnt])
      })
      await new Promise((resolve) => child.stdout.once('data', resolve))
      const [command, ...shown] = snippet
        .split('\n')
        .filter((line) => line.startsWith('// '))
        .map((line) => line.slice(3))
      const { stdout, stderr } = await run('sh', ['-c', here(command)], { timeout: 10_000 })
      assert.equal(stderr, '')
      assert.equal(stdout.trimEnd(), shown.join('\n'))
    })
  }
})
