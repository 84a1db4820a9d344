// The published package: packed, installed where there is no checkout, and a project made with `devfuse init`.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  cpSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { mountAt, root } from '../support/server.js'
import { attempt, missing, run as runProgram } from './command.js'

const COPIED = [
  'src',
  'native',
  'scripts',
  'template',
  'package.json',
  'tsconfig.base.json',
  'CHANGELOG.md',
  'README.md',
  'LICENSE',
]

describe('the package', { skip: missing('npm', 'cc'), timeout: 300_000 }, () => {
  let place: string
  let tarball: string
  const run = (command: readonly string[], cwd: string) =>
    runProgram(command, {
      cwd,
      timeout: 120_000,
      env: { npm_config_audit: 'false', npm_config_fund: 'false', npm_config_cache: `${place}/cache` },
    })
  const folder = (name: string): string => {
    mkdirSync(join(place, name))
    return join(place, name)
  }

  before(async () => {
    place = mkdtempSync(join(tmpdir(), 'devfuse-package-'))
    // Packing builds everything anew, which must not pull the rug from under the other tests.
    const checkout = folder('checkout')
    for (const name of COPIED) cpSync(join(root, name), join(checkout, name), { recursive: true })
    symlinkSync(join(root, 'node_modules'), join(checkout, 'node_modules'))
    // With it the tests of the project would report to this runner instead of printing.
    delete process.env['NODE_TEST_CONTEXT']
    await run(['npm', 'pack'], checkout)
    tarball = join(checkout, readdirSync(checkout).find((name) => name.endsWith('.tgz')) as string)
  })
  after(() => rmSync(place, { recursive: true, force: true }))

  it('makes a project that installs, tests itself and mounts, without a compiler', async () => {
    const host = folder('host')
    writeFileSync(join(host, 'package.json'), '{ "private": true }')
    await run(['npm', 'install', tarball], host)
    const { stdout } = await run(['npx', 'devfuse', 'init', '../My Filesystem'], host)
    assert.match(stdout, /made a filesystem in .*My Filesystem\n[^]*npm install\n[^]*npm test/)
    const project = join(place, 'My Filesystem')
    const manifest = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8')) as Record<
      string,
      unknown
    >
    assert.equal(manifest['name'], 'my-filesystem')
    assert.deepEqual(manifest['dependencies'], { devfuse: `file:${tarball}` })
    assert.ok(existsSync(join(project, '.gitignore')))

    await run(['npm', 'install'], project)
    const installed = join(project, 'node_modules/devfuse')
    assert.deepEqual(readdirSync(join(installed, 'prebuilds')).includes(`linux-${process.arch}.node`), true)
    const tested = await run(['npm', 'test'], project)
    assert.match(tested.stdout, /^. pass 6$/m)
    assert.match(tested.stdout, /^. fail 0$/m)
    assert.match(tested.stdout, /^. skipped 0$/m)
    assert.ok(!existsSync(join(installed, 'build')), 'nothing was compiled')
    await starts(project)
  })

  it('makes a project when it is run from the tarball, and refuses what is not empty', async () => {
    const elsewhere = folder('elsewhere')
    const init = (directory: string): string[] => [
      'npx',
      '--yes',
      `--package=${tarball}`,
      'devfuse',
      'init',
      directory,
    ]
    await run(init('a/b'), elsewhere)
    const manifest = JSON.parse(readFileSync(join(elsewhere, 'a/b/package.json'), 'utf8')) as {
      dependencies: object
    }
    assert.deepEqual(manifest.dependencies, { devfuse: `file:${tarball}` })
    await assert.rejects(
      run(init('a'), elsewhere),
      /status 1: devfuse: .*a is not empty \(b\); name a new directory, or an empty one/,
    )
    await run(init('.'), folder('empty'))
    assert.ok(existsSync(join(place, 'empty/src/filesystem.js')))
  })

  it('says how to build the addon where none fits, and builds it', async () => {
    const host = folder('from-source')
    writeFileSync(join(host, 'package.json'), '{ "private": true }')
    await run(['npm', 'install', tarball], host)
    const installed = join(host, 'node_modules/devfuse')
    for (const name of readdirSync(join(installed, 'prebuilds')).filter((file) => file.endsWith('.node')))
      rmSync(join(installed, 'prebuilds', name))
    const source = `import { syscalls } from 'devfuse/syscalls'; console.log(syscalls.openat(-100, '/', 0) > 0)`
    const load = () => attempt([process.execPath, '--input-type=module', '-e', source], { cwd: host })
    const failed = await load()
    const script = join(installed, 'scripts/build-native.mjs')
    assert.match(
      failed.stderr,
      new RegExp(`found no addon for linux-[^]*Build it \\(needs a C compiler\\): node ${script}`),
    )
    await run([process.execPath, script], host)
    const { stdout, stderr } = await load()
    assert.equal(stdout, 'true\n', stderr)
  })
})

async function starts(project: string): Promise<void> {
  const child = spawn(process.execPath, ['src/main.js'], {
    cwd: project,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const late = setTimeout(() => child.kill('SIGKILL'), 30_000)
  const [said] = (await once(child.stdout, 'data')) as [Buffer]
  assert.equal(said.toString(), `mounted; in another terminal: ls ${project}/mnt\n`)
  assert.equal((await runProgram(['ls', `${project}/mnt`])).stdout, 'hello.txt\nnotes\nnow.txt\n')
  child.kill('SIGINT')
  await once(child, 'exit')
  clearTimeout(late)
  assert.equal(mountAt(`${project}/mnt`), undefined)
}
