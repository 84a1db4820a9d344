// File handles of the mount, as an NFS server keeps them: they outlive the kernel's caches and the server, and lead nowhere else.
import { strict as assert } from 'node:assert'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import * as sys from 'devfuse/syscalls'
import { syscalls } from 'devfuse/syscalls'
import type { FileHandle } from 'devfuse/syscalls'
import { cleanup, run, sh } from '../support/mounting.js'
import { Mirrored, temporary } from './mounted.js'

const ESTALE = -116

/** A filesystem of its own, all of it mirrored: a loop device of each type that the machine can make. */
const types = ['ext4', 'xfs', 'btrfs'] as const

function handleOf(path: string): FileHandle {
  const handle = syscalls.nameToHandleAt(sys.AT_FDCWD, path, 0)
  assert.ok(typeof handle === 'object', `${path}: ${JSON.stringify(handle)}`)
  return handle
}

/** Opens handles of the mount: what each file holds, or -errno. */
function contents(mnt: string, handles: FileHandle[]): (string | number)[] {
  const mount = fs.openSync(mnt, 'r')
  const found = handles.map((handle) => {
    const fd = syscalls.openByHandleAt(mount, handle, sys.O_RDONLY | sys.O_CLOEXEC)
    if (fd < 0) return fd
    const text = fs.readFileSync(fd, 'latin1')
    fs.closeSync(fd)
    return text
  })
  fs.closeSync(mount)
  return found
}

for (const type of types) {
  const dir = temporary()
  const src = join(dir, 'src')
  const mnt = join(dir, 'mnt')
  let missing = ''
  before(async () => {
    fs.mkdirSync(src)
    fs.mkdirSync(mnt)
    const image = join(dir, 'image')
    const made = await run('sh', [
      '-ec',
      `truncate -s 512M ${image} && mkfs.${type} -q ${image} && mount -o loop ${image} ${src}`,
    ])
    if (made.code !== 0) missing = `no ${type} here: ${made.stderr.trim()}`
  })
  after(async () => {
    await sh(`umount -l ${src} 2>/dev/null || true`)
    fs.rmSync(dir, { recursive: true })
  })

  test(`${type}: handles of files and directories survive a restart of the server`, async (t) => {
    if (missing !== '') return t.skip(missing)
    fs.mkdirSync(join(src, 'a/b'), { recursive: true })
    fs.writeFileSync(join(src, 'top'), 'top')
    fs.writeFileSync(join(src, 'a/b/deep'), 'deep')
    let mirrored = await Mirrored.start({}, { src, mnt })
    cleanup(t, () => mirrored.stop())
    const handles = ['top', 'a/b/deep'].map((name) => handleOf(join(mnt, name)))
    const directory = handleOf(join(mnt, 'a/b'))
    const again = async () => {
      await mirrored.stop()
      mirrored = await Mirrored.start({}, { src, mnt })
    }
    await again()
    assert.deepEqual(contents(mnt, handles), ['top', 'deep'])
    // A directory is connected to the root by its parents' names before it is opened.
    await again()
    const mount = fs.openSync(mnt, 'r')
    const fd = syscalls.openByHandleAt(mount, directory, sys.O_RDONLY | sys.O_DIRECTORY)
    assert.ok(fd >= 0, String(fd))
    assert.equal(fs.readlinkSync(`/proc/self/fd/${fd}`), join(mnt, 'a/b'))
    assert.deepEqual(fs.readdirSync(`/proc/self/fd/${fd}`), ['deep'])
    fs.closeSync(fd)
    // A file that was deleted, and one that took its number, are not the file.
    fs.closeSync(mount)
    await again()
    fs.renameSync(join(src, 'a/b/deep'), join(src, 'moved'))
    fs.unlinkSync(join(src, 'top'))
    for (let i = 0; i < 20; i++) fs.writeFileSync(join(src, `new-${i}`), 'another')
    assert.deepEqual(contents(mnt, handles), [ESTALE, 'deep'])
  })

  test(`${type}: nothing outside the source can be reached by a handle`, async (t) => {
    if (missing !== '') return t.skip(missing)
    const inside = join(src, 'inside')
    fs.mkdirSync(inside)
    fs.writeFileSync(join(src, 'outside'), 'secret')
    fs.writeFileSync(join(inside, 'file'), 'file')
    const whole = await Mirrored.start({}, { src, mnt })
    const forged = handleOf(join(mnt, 'outside'))
    const good = handleOf(join(mnt, 'inside/file'))
    await whole.stop()
    const mirrored = await Mirrored.start({}, { src: inside, mnt })
    cleanup(t, () => mirrored.stop())
    // A part of a filesystem answers for what was seen inside it, and for nothing else.
    assert.deepEqual(contents(mnt, [forged, good]), [ESTALE, ESTALE])
    fs.statSync(join(mnt, 'file'))
    assert.deepEqual(contents(mnt, [forged, good]), [ESTALE, 'file'])
  })
}

test('a source whose files cannot be found by number: handles work while they are known, and are stale after', async (t) => {
  const src = temporary()
  await sh(`mount -t tmpfs tmpfs ${src}`)
  cleanup(t, () => sh(`umount -l ${src}; rmdir ${src}`))
  const mnt = temporary()
  cleanup(t, () => fs.rmSync(mnt, { recursive: true }))
  fs.writeFileSync(join(src, 'file'), 'text')
  let mirrored = await Mirrored.start({}, { src, mnt })
  cleanup(t, () => mirrored.stop())
  const handle = handleOf(join(mnt, 'file'))
  assert.deepEqual(contents(mnt, [handle]), ['text'])
  await mirrored.stop()
  mirrored = await Mirrored.start({}, { src, mnt })
  assert.deepEqual(contents(mnt, [handle]), [ESTALE])
})
