// Mounts of one filesystem below a source: each has its own rights, and a directory below two of them is two directories.
import { strict as assert } from 'node:assert'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { EROFS, EXDEV } from 'devfuse'
import { mirror } from 'devfuse/mirror'
import type { MirrorFilesystem } from 'devfuse/mirror'
import * as sys from 'devfuse/syscalls'
import { makeSyscalls, syscalls } from 'devfuse/syscalls'
import { Device } from '#dist/filesystems/mirror/devices.js'
import { MirrorInode } from '#dist/filesystems/mirror/inode.js'
import { resolveMirrorOptions } from '#dist/filesystems/mirror/options.js'
import { PathDescriptors } from '#dist/filesystems/mirror/path-descriptors.js'
import { cleanup } from '../support/mounting.js'
import { askOf as ask } from './asked.js'
import type { Answer } from './asked.js'
import { Mirrored, temporary } from './mounted.js'
import { skipStrong } from './strong-support.js'

const [major = 0, minor = 0] = fs
  .readFileSync('/proc/sys/kernel/osrelease', 'latin1')
  .split('.')
  .map((part) => parseInt(part, 10))
const skip =
  process.geteuid?.() !== 0
    ? 'mounting takes root'
    : (major < 5 || (major === 5 && minor < 8)) && 'needs Linux 5.8 (STATX_MNT_ID)'

/** The entry that a path leads to. */
function find(filesystem: MirrorFilesystem, path: string): Answer {
  let entry: Answer | undefined
  for (const name of path.split('/')) {
    const answer = ask(filesystem, 'lookup', { nodeid: entry?.nodeid ?? 1, name })
    assert.equal(typeof answer, 'object', `${path}: ${String(answer)}`)
    entry = answer as Answer
  }
  return entry!
}

/** A source with the directory `a`, and `b` for another mount of it. */
function sourceWithBind(t: TestContext): string {
  const src = temporary()
  for (const name of ['a/sub', 'b']) fs.mkdirSync(join(src, name), { recursive: true })
  fs.writeFileSync(join(src, 'a/sub/file'), 'text')
  cleanup(t, () => fs.rmSync(src, { recursive: true }))
  bind(t, join(src, 'a'), join(src, 'b'))
  return src
}

function bind(t: TestContext, from: string, to: string): void {
  assert.equal(syscalls.mount(from, to, null, sys.MS_BIND, null), 0)
  cleanup(t, () => assert.equal(syscalls.umount2(to, sys.MNT_DETACH), 0))
}

function mirrorOf(t: TestContext, src: string, options = {}): MirrorFilesystem {
  const filesystem = mirror(src, options)
  cleanup(t, () => filesystem.dispose())
  return filesystem
}

test('what a mount denies or covers stays so when the descriptors are gone', { skip }, (t) => {
  const src = sourceWithBind(t)
  fs.mkdirSync(join(src, 'a/sub/under'))
  for (let i = 0; i < 40; i++) fs.mkdirSync(join(src, `other${i}/x`), { recursive: true })
  const remounted = sys.MS_REMOUNT | sys.MS_BIND | sys.MS_RDONLY
  assert.equal(syscalls.mount(null, join(src, 'b'), null, remounted, null), 0)
  assert.equal(syscalls.mount('none', join(src, 'b/sub/under'), 'tmpfs', 0, null), 0)
  fs.writeFileSync(join(src, 'b/sub/under/on-tmpfs'), '')
  const filesystem = mirrorOf(t, src, { maxPathDescriptors: 16 })
  // Seen where everything is allowed before and after.
  find(filesystem, 'a/sub/file')
  const { nodeid } = find(filesystem, 'b/sub')
  const file = find(filesystem, 'b/sub/file')
  find(filesystem, 'a/sub/file')
  for (let i = 0; i < 40; i++) find(filesystem, `other${i}/x`)
  assert.equal(ask(filesystem, 'mkdir', { nodeid, name: 'new', mode: 0o755 }), EROFS)
  assert.equal(ask(filesystem, 'open', { nodeid: file.nodeid, flags: sys.O_RDWR }), EROFS)
  const under = ask(filesystem, 'lookup', { nodeid, name: 'under' }) as Answer
  assert.equal(typeof ask(filesystem, 'lookup', { nodeid: under.nodeid, name: 'on-tmpfs' }), 'object')
})

test('two mounts of one filesystem are told apart, though inode numbers are the same', { skip }, (t) => {
  const src = sourceWithBind(t)
  const filesystem = mirrorOf(t, src)
  for (const path of ['a', 'a/sub', 'a/sub/file']) {
    const one = find(filesystem, path)
    const other = find(filesystem, path.replace('a', 'b'))
    assert.notEqual(one.nodeid, other.nodeid, path)
    assert.equal(one.attr['ino'], other.attr['ino'], path)
    assert.equal(find(filesystem, path).nodeid, one.nodeid, path)
  }
  const [from, to] = [find(filesystem, 'a/sub').nodeid, find(filesystem, 'b/sub').nodeid]
  const request = { nodeid: from, name: 'file', newdir: to, newname: 'moved' }
  assert.equal(ask(filesystem, 'rename', request), EXDEV)
  const { nodeid: oldnodeid } = find(filesystem, 'a/sub/file')
  assert.equal(ask(filesystem, 'link', { nodeid: to, oldnodeid, newname: 'linked' }), EXDEV)
  assert.equal(
    (ask(filesystem, 'lookup', { nodeid: to, name: '..' }) as Answer).nodeid,
    find(filesystem, 'b').nodeid,
  )
})

test('a listing with attributes tells two mounts apart, too', { skip }, (t) => {
  const src = sourceWithBind(t)
  const filesystem = mirrorOf(t, src)
  const nodeids = ['a', 'b'].map((name) => {
    const { nodeid } = find(filesystem, name)
    const { fh } = ask(filesystem, 'opendir', { nodeid }) as Answer
    const listed = ask(filesystem, 'readdirplus', { nodeid, fh, offset: 0, size: 4096 })
    const entries = [...(listed as Iterable<Answer & { name: string }>)]
    ask(filesystem, 'releasedir', { nodeid, fh })
    return entries.find(({ name: entry }) => entry === 'sub')?.nodeid
  })
  assert.deepEqual(nodeids, [find(filesystem, 'a/sub').nodeid, find(filesystem, 'b/sub').nodeid])
  assert.notEqual(nodeids[0], nodeids[1])
})

test('a process stays where it is when its directory is seen by another mount', { skip }, async (t) => {
  const src = sourceWithBind(t)
  fs.mkdirSync(join(src, 'a/deep/up'), { recursive: true })
  bind(t, join(src, 'a'), join(src, 'a/deep/up'))
  const mnt = temporary()
  const mirrored = await Mirrored.start({}, { src, mnt })
  try {
    const fd = syscalls.openat(sys.AT_FDCWD, join(mnt, 'a/sub'), sys.O_PATH | sys.O_CLOEXEC)
    fs.statSync(join(mnt, 'b/sub/file'))
    assert.equal(fs.readlinkSync(`/proc/self/fd/${fd}`), join(mnt, 'a/sub'))
    syscalls.close(fd)
    assert.deepEqual(fs.readdirSync(join(mnt, 'a/deep/up')).toSorted(), ['deep', 'sub'])
  } finally {
    await mirrored.stop()
    fs.rmdirSync(mnt)
  }
})

test('no handle is kept of what was reached by another mount, where statx(2) tells none', () => {
  const fds = new Map([...Array(40).keys()].map((fd) => [fd, { mountId: fd % 2, type: 1, handle: `${fd}` }]))
  const calls = { ...makeSyscalls('latin1'), nameToHandleAt: (fd: number) => fds.get(fd)!, close: () => 0 }
  const stat = { dev: 1, mntId: 0, ino: 1, mode: sys.S_IFDIR, mask: 0, btimeSec: 0, btimeNsec: 0 }
  const device = new Device(stat, undefined, resolveMirrorOptions({}).cache)
  const descriptors = new PathDescriptors(calls, 16, device, 1)
  const root = new MirrorInode(device, stat, null, '')
  const inodes = [...fds.keys()].map((fd) => {
    const inode = new MirrorInode(device, { ...stat, ino: fd + 2 }, root, `${fd}`)
    descriptors.hold(inode, fd)
    return inode
  })
  const gone = inodes.filter(({ fd }) => fd < 0)
  assert.equal(gone.length, 24)
  for (const { handle, name } of gone) assert.equal(handle?.mountId, Number(name) % 2 === 1 ? 1 : undefined)
})

for (const passthrough of ['auto', 'off'] as const) {
  describe(`strong caching with passthrough ${passthrough}`, { skip: skipStrong }, () => {
    test('a change by one mount or on the source is seen by every mount', async (t) => {
      const src = sourceWithBind(t)
      const mnt = temporary()
      const mirrored = await Mirrored.start({ cache: 'strong', passthrough }, { src, mnt })
      cleanup(t, async () => {
        await mirrored.stop()
        fs.rmdirSync(mnt)
      })
      const places = [join(mnt, 'a/sub'), join(mnt, 'b/sub')]
      const look = () =>
        places.map((place) => {
          const file = join(place, 'file')
          const { mode, size, mtimeMs } = fs.statSync(file)
          assert.equal(mtimeMs, fs.statSync(join(src, 'a/sub/file')).mtimeMs)
          return [fs.readdirSync(place).join(), fs.readFileSync(file, 'latin1'), size, mode & 0o777]
        })
      const becomes = async (...wanted: unknown[]) => {
        for (const end = Date.now() + 5000; ; await sleep(2)) {
          try {
            return assert.deepEqual(look(), [wanted, wanted])
          } catch (error) {
            if (Date.now() > end) throw error
          }
        }
      }
      for (let round = 0; round < 3; round++) await becomes('file', 'text', 4, 0o644)
      for (const [at, place] of places.entries()) {
        const file = join(place, 'file')
        // Not truncated: the kernel tells of that by whichever mount it comes.
        const fd = fs.openSync(file, 'r+')
        fs.writeSync(fd, `tex${at}`, 0)
        fs.closeSync(fd)
        await becomes('file', `tex${at}`, 4, 0o644)
        fs.writeFileSync(file, place)
        await becomes('file', place, place.length, 0o644)
        fs.chmodSync(file, 0o600)
        await becomes('file', place, place.length, 0o600)
        fs.mkdirSync(join(place, 'new'))
        await becomes('file,new', place, place.length, 0o600)
        fs.rmdirSync(join(place, 'new'))
        fs.writeFileSync(join(src, 'a/sub/file'), 'text')
        fs.chmodSync(join(src, 'a/sub/file'), 0o644)
        await becomes('file', 'text', 4, 0o644)
      }
      assert.deepEqual((await mirrored.known()).warnings, [])
    })
  })
}
