// Stacks of filesystems: an overlayfs whose layers lie on a mirror, and a mirror of an overlayfs. Passthrough stays on in both.
import { strict as assert } from 'node:assert'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { mirror } from 'devfuse/mirror'
import { backing } from '../passthrough/filesystems.js'
import { cleanup, run, skip as skipMounts, temporary as place } from '../support/mounting.js'
import { Mirrored, temporary } from './mounted.js'

const OVERLAYFS_SUPER_MAGIC = 0x794c7630
const skip =
  process.geteuid?.() !== 0
    ? 'mounting overlayfs takes root'
    : fs.statfsSync(tmpdir()).type === OVERLAYFS_SUPER_MAGIC && 'temporary files lie on overlayfs themselves'

/** An overlayfs of `dir`/lower and `dir`/upper: where it is mounted. */
function overlay(t: TestContext, dir: string, at = temporary()): string {
  for (const name of ['lower', 'upper', 'work']) fs.mkdirSync(join(dir, name), { recursive: true })
  const layers = `lowerdir=${dir}/lower,upperdir=${dir}/upper,workdir=${dir}/work`
  execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', layers, at], { timeout: 20_000 })
  cleanup(t, () => {
    execFileSync('umount', ['-l', at], { timeout: 20_000 })
    fs.rmSync(at, { recursive: true })
  })
  return at
}

async function mirrorOf(t: TestContext, src: string): Promise<Mirrored> {
  const mirrored = await Mirrored.start({}, { src, mnt: temporary() })
  cleanup(t, async () => {
    await mirrored.stop()
    fs.rmdirSync(mirrored.mnt)
  })
  return mirrored
}

async function assertPassthrough(mirrored: Mirrored): Promise<void> {
  const { passthrough } = await mirrored.known()
  assert.ok(passthrough.opens > 0)
  assert.deepEqual(passthrough.fallbacks, {})
}

test('a mirror of a plain disk can be the layers of an overlayfs', { skip }, async (t) => {
  const mirrored = await Mirrored.start()
  cleanup(t, () => mirrored.stop())
  const { src, mnt } = mirrored
  fs.mkdirSync(join(src, 'lower/dir'), { recursive: true })
  fs.writeFileSync(join(src, 'lower/dir/file'), 'below')
  fs.writeFileSync(join(src, 'lower/gone'), 'below')
  const at = overlay(t, mnt)

  fs.appendFileSync(join(at, 'dir/file'), ', above')
  fs.rmSync(join(at, 'gone'))
  fs.writeFileSync(join(at, 'new'), 'new')
  fs.renameSync(join(at, 'new'), join(at, 'dir/moved'))
  assert.deepEqual(fs.readdirSync(at), ['dir'])
  assert.equal(fs.readFileSync(join(at, 'dir/file'), 'utf8'), 'below, above')
  assert.equal(fs.readFileSync(join(src, 'lower/dir/file'), 'utf8'), 'below')
  assert.equal(fs.readFileSync(join(src, 'upper/dir/file'), 'utf8'), 'below, above')
  assert.equal(fs.readFileSync(join(src, 'upper/dir/moved'), 'utf8'), 'new')
  assert.ok(fs.lstatSync(join(src, 'upper/gone')).isCharacterDevice())
  await assertPassthrough(mirrored)
})

test('a mirror of an overlayfs has its files read by the kernel, too', { skip }, async (t) => {
  const made = await backing('overlay')
  cleanup(t, () => made.remove())
  assert.equal(made.missing, '')
  const src = made.path
  const mirrored = await mirrorOf(t, src)
  fs.writeFileSync(join(mirrored.mnt, 'file'), 'text')
  assert.equal(fs.readFileSync(join(src, 'file'), 'utf8'), 'text')
  await assertPassthrough(mirrored)
})

test('so has a mirror of a plain disk with an overlayfs mounted below', { skip }, async (t) => {
  const dir = temporary()
  cleanup(t, () => fs.rmSync(dir, { recursive: true }))
  const src = join(dir, 'src')
  fs.mkdirSync(join(src, 'below'), { recursive: true })
  overlay(t, dir, join(src, 'below'))
  const mirrored = await mirrorOf(t, src)
  fs.writeFileSync(join(mirrored.mnt, 'below/file'), 'text')
  assert.equal(fs.readFileSync(join(dir, 'upper/file'), 'utf8'), 'text')
  fs.writeFileSync(join(mirrored.mnt, 'file'), 'text')
  await assertPassthrough(mirrored)
  // Its close(2) may have an error to tell, which that of the disk has not.
  assert.equal((await mirrored.known()).operations['FLUSH']?.count, 1)
})

test('a source without a path of its own may lie on anything', () => {
  const dir = temporary()
  const fd = fs.openSync(dir, 'r')
  fs.rmdirSync(dir)
  const filesystem = mirror(`/proc/self/fd/${fd}`)
  assert.equal(filesystem.mountOptions.maxStackDepth, 2)
  filesystem.dispose()
  fs.closeSync(fd)
})

test(
  'a file that gets the number of a deleted one is another file, without birth times, too',
  { skip: skipMounts },
  async (t) => {
    const src = place(t)
    const server = join(import.meta.dirname, 'numbering-server.js')
    const child = spawn('timeout', ['-s', 'KILL', '50', process.execPath, server, src], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const ended = once(child, 'exit')
    cleanup(t, () => {
      child.stdin.end()
      return ended
    })
    assert.equal(String((await once(child.stdout, 'data'))[0]), 'ready\n')
    const { mnt } = await mirrorOf(t, src)
    // The reader has the file that is replaced known, and no more than that.
    const client = `
      const fs = require('node:fs')
      const O_PATH = 0o10000000
      process.chdir(process.argv[1])
      for (const text of ['one', 'second', 'the third']) {
        fs.writeFileSync('lock', text)
        fs.renameSync('lock', 'file')
        console.log(fs.readFileSync('file', 'latin1'), fs.statSync('file').nlink, fs.statSync('file').size)
        // It stays known to the kernel, and thereby to the mirror, of which the server of the source hears nothing.
        fs.openSync('file', O_PATH)
      }`
    const { stdout, stderr } = await run(process.execPath, ['-e', client, mnt], { timeout: 20_000 })
    assert.deepEqual([stdout, stderr], ['one 1 3\nsecond 1 6\nthe third 1 9\n', ''])
  },
)
