// `devfuse init`: what it writes, what it depends on, what it refuses.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { dependencyOn } from '#dist/cli/init.js'
import { run, temporary } from '../support/mounting.js'
import { root } from '../support/server.js'

const init = (directory: string) => run(process.execPath, [join(root, 'dist/cli/main.js'), 'init', directory])

describe('devfuse init', { skip: process.platform !== 'linux' && 'FUSE exists on Linux only' }, () => {
  it('writes a project that depends on this checkout', async (t) => {
    const target = join(temporary(t), 'My  Project!')
    const { code, stderr } = await init(target)
    assert.equal(code, 0, stderr)
    assert.deepEqual(readdirSync(target).toSorted(), [
      '.gitignore',
      'README.md',
      'jsconfig.json',
      'package.json',
      'src',
      'test',
    ])
    const manifest = JSON.parse(readFileSync(join(target, 'package.json'), 'utf8')) as Record<string, unknown>
    assert.equal(manifest['name'], 'my-project')
    assert.deepEqual(manifest['dependencies'], { devfuse: `file:${root}` })
  })

  it('says where no directory can be made', { timeout: 30_000 }, async () => {
    for (const directory of ['/proc/new', '/proc/new/below']) {
      const { code, stderr } = await init(directory)
      assert.equal(code, 1)
      assert.match(stderr, /^devfuse: cannot make \/proc\/new: ENOENT.*; name a directory elsewhere\n$/)
    }
  })

  it('refuses a directory that holds something, and a file', async (t) => {
    const target = temporary(t)
    writeFileSync(join(target, 'mine'), 'precious')
    const full = await init(target)
    assert.deepEqual([full.code, full.stdout], [1, ''])
    assert.match(full.stderr, /is not empty \(mine\); name a new directory, or an empty one/)
    const file = await init(join(target, 'mine'))
    assert.match(file.stderr, /mine is no directory/)
    assert.deepEqual(readdirSync(target), ['mine'])
    assert.equal(readFileSync(join(target, 'mine'), 'utf8'), 'precious')
    assert.match(
      (await run(process.execPath, [join(root, 'dist/cli/main.js'), 'init'])).stderr,
      /DIR is missing/,
    )
  })

  it('knows where it was installed from', async (t) => {
    const host = temporary(t)
    const folder = join(host, 'node_modules/devfuse')
    mkdirSync(folder, { recursive: true })
    assert.equal(await dependencyOn('/somewhere/devfuse', '1.2.3'), 'file:/somewhere/devfuse')
    assert.equal(await dependencyOn(folder, '1.2.3'), `file:${folder}`)
    const installed = async (entry: object): Promise<string> => {
      const lock = { packages: { 'node_modules/devfuse': entry } }
      writeFileSync(join(host, 'node_modules/.package-lock.json'), JSON.stringify(lock))
      return dependencyOn(folder, '1.2.3')
    }
    assert.equal(
      await installed({ resolved: 'https://registry.npmjs.org/devfuse/-/devfuse-1.2.3.tgz' }),
      '^1.2.3',
    )
    assert.equal(
      await installed({ resolved: 'http://mirror.local:4873/npm/devfuse/-/devfuse-1.2.3.tgz' }),
      '^1.2.3',
    )
    assert.equal(
      await installed({ resolved: 'file:../devfuse-1.2.3.tgz' }),
      `file:${join(host, '..')}/devfuse-1.2.3.tgz`,
    )
    const address = 'https://example.org/builds/devfuse.tgz'
    assert.equal(await installed({ resolved: address }), address)
    assert.equal(await installed({}), '^1.2.3')
  })
})
