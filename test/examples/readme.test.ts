// Checks that what the README promises to a newcomer runs: the first filesystem, the commands, the links.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { findMount } from '#dist/device/mountinfo.js'
import { attempt } from '../programs/command.js'

const root = dirname(fileURLToPath(import.meta.resolve('devfuse/package.json')))
const readme = readFileSync(join(root, 'README.md'), 'utf8')
const blocks = [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, code]) => ({
  language,
  code,
}))
const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  scripts: Record<string, string>
}

describe('README', () => {
  it('shows the filesystem of examples/hello.ts, word for word', () => {
    const shown = blocks.filter(({ language }) => language === 'ts').map(({ code }) => code)
    assert.ok(shown.includes(readFileSync(join(root, 'examples/hello.ts'), 'utf8')))
  })

  it('shows a filesystem that mounts and works', { timeout: 60_000 }, async (t) => {
    const mnt = mkdtempSync(join(tmpdir(), 'devfuse-hello-'))
    const child = spawn(process.execPath, [join(root, 'build/examples/hello.js'), mnt], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.after(async () => {
      child.kill('SIGKILL')
      if (findMount(mnt) !== undefined) await attempt(['umount', '-l', mnt], { timeout: 5000 })
      rmdirSync(mnt)
    })
    const exit = new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
      child.once('exit', (code, signal) => resolve([code, signal])),
    )
    const line = await new Promise<string>((resolve) => {
      child.stdout.once('data', (text: Buffer) => resolve(text.toString()))
    })
    assert.equal(line, `mounted; in another terminal: cat ${mnt}/hello\n`)
    const see = (...command: string[]) => attempt(command, { timeout: 10_000 })
    assert.equal((await see('cat', `${mnt}/hello`)).stdout, 'Hello from TypeScript!\n')
    assert.equal((await see('ls', '-A', mnt)).stdout, 'hello\n')
    assert.match((await see('cat', `${mnt}/other`)).stderr, /No such file/)
    assert.match((await see('touch', `${mnt}/new`)).stderr, /not permitted|not implemented/i)
    child.kill('SIGINT')
    const [code, signal] = await exit
    assert.ok(code === 0 || signal === 'SIGINT', `ended with ${code ?? signal}`)
    assert.equal(findMount(mnt), undefined)
  })

  it('gives exactly two commands to set up', () => {
    const setUp = blocks
      .flatMap(({ code }) => code.split('\n'))
      .filter((line) => line.startsWith('npm install'))
    assert.deepEqual(
      setUp.map((line) => line.replace(/\s+#.*/, '')),
      ['npm install && npm start', 'npm install && npm test'],
    )
  })

  it('names only scripts and files that exist', () => {
    for (const [, name] of readme.matchAll(/`npm run ([\w:]+)/g))
      assert.ok(name in scripts, `npm run ${name}`)
    for (const [, path] of readme.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      assert.ok(existsSync(join(root, path)), `link to ${path}`)
    }
  })
})
