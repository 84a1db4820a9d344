// What a mirror may take and where it ends: descriptors, big directories, the edge of the source, mounts in it.
import { strict as assert } from 'node:assert'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { mountMirror } from 'devfuse/mirror'
import * as sys from 'devfuse/syscalls'
import { syscalls } from 'devfuse/syscalls'
import { Mirrored, temporary } from './mounted.js'

test('thousands of directories and many open files under RLIMIT_NOFILE 256', async () => {
  const mirrored = await Mirrored.start({}, { prefix: ['prlimit', '--nofile=256'] })
  const { src, mnt } = mirrored
  try {
    for (let i = 0; i < 2000; i++) {
      fs.mkdirSync(join(src, `d${i % 50}/e${i}`), { recursive: true })
      fs.writeFileSync(join(src, `d${i % 50}/e${i}/file`), String(i))
    }
    const open: number[] = []
    for (let i = 0; i < 2000; i++) {
      const fd = fs.openSync(join(mnt, `d${i % 50}/e${i}/file`), 'r')
      assert.equal(fs.readFileSync(fd, 'latin1'), String(i))
      if (i % 16 === 0) open.push(fd)
      else fs.closeSync(fd)
    }
    const found = execFileSync('find', [mnt, '-type', 'f'], { timeout: 60_000, encoding: 'utf8' })
    assert.equal(found.split('\n').length - 1, 2000)
    const known = await mirrored.known()
    assert.ok(known.inodes > 4000)
    assert.ok(known.pathDescriptors <= 64, String(known.pathDescriptors))
    // More than it can hold besides: the path descriptors make room.
    for (let i = 0; i < 80; i++) open.push(fs.openSync(join(mnt, `d${i % 50}/e${i}/file`), 'r+'))
    for (const fd of open) fs.closeSync(fd)
    assert.deepEqual((await mirrored.known()).warnings, [])
  } finally {
    await mirrored.stop()
  }
})

test('a directory renamed behind the mirror is found by its handle after its descriptor went', async () => {
  const mirrored = await Mirrored.start({ maxPathDescriptors: 16, cache: { entryValid: 60, attrValid: 0 } })
  const { src, mnt } = mirrored
  try {
    fs.mkdirSync(join(src, 'kept/inner'), { recursive: true })
    fs.writeFileSync(join(src, 'kept/inner/file'), 'here')
    const fd = syscalls.openat(sys.AT_FDCWD, join(mnt, 'kept/inner'), sys.O_PATH | sys.O_CLOEXEC)
    for (let i = 0; i < 200; i++) fs.mkdirSync(join(mnt, `other${i}/x`), { recursive: true })
    fs.renameSync(join(src, 'kept'), join(src, 'moved'))
    assert.equal(fs.readFileSync(`/proc/self/fd/${fd}/file`, 'latin1'), 'here')
    syscalls.close(fd)
  } finally {
    await mirrored.stop()
  }
})

test('a big directory: complete, seekable, deletable while it is read', async () => {
  const mirrored = await Mirrored.start()
  const { src, mnt } = mirrored
  try {
    fs.mkdirSync(join(src, 'many'))
    for (let i = 0; i < 5000; i++) fs.writeFileSync(join(src, `many/${i}-${'n'.repeat(i % 90)}`), '')
    assert.deepEqual(
      fs.readdirSync(join(mnt, 'many')).toSorted(),
      fs.readdirSync(join(src, 'many')).toSorted(),
    )
    const fd = fs.openSync(join(mnt, 'many'), sys.O_RDONLY | sys.O_DIRECTORY)
    const all: { name: string; off: number | bigint }[] = []
    for (;;) {
      const entries = syscalls.getdents64(fd, 1000)
      assert.ok(typeof entries !== 'number')
      if (entries.length === 0) break
      all.push(...entries)
    }
    assert.equal(all.length, 5002)
    assert.equal(new Set(all.map(({ name }) => name)).size, 5002)
    for (const at of [3000, 10, 4999, 0, 2500, 5000]) {
      assert.equal(syscalls.lseek(fd, Number(all[at].off), sys.SEEK_SET), Number(all[at].off))
      const entries = syscalls.getdents64(fd, 1000)
      assert.ok(typeof entries !== 'number')
      assert.equal(entries[0]?.name, all[at + 1]?.name)
    }
    fs.closeSync(fd)
    const reader = fs.opendirSync(join(mnt, 'many'))
    let seen = 0
    for (let entry = reader.readSync(); entry !== null; entry = reader.readSync()) {
      fs.unlinkSync(join(mnt, 'many', entry.name))
      seen++
    }
    reader.closeSync()
    assert.equal(seen, 5000)
    assert.deepEqual(fs.readdirSync(join(src, 'many')), [])
  } finally {
    await mirrored.stop()
  }
})

test('a directory swapped for a symlink behind the mirror never leads outside', async () => {
  const mirrored = await Mirrored.start({ cache: { entryValid: 60, attrValid: 60 }, maxPathDescriptors: 16 })
  const { src, mnt } = mirrored
  const outside = temporary()
  fs.writeFileSync(join(outside, 'file'), 'outside')
  fs.mkdirSync(join(src, 'real/dir'), { recursive: true })
  fs.writeFileSync(join(src, 'real/dir/file'), 'inside')
  const swap =
    'while :; do mv -T real/dir real/kept; ln -s "$1" real/dir; rm real/dir; mv -T real/kept real/dir; done'
  const swapper = spawn('timeout', ['20', 'sh', '-c', swap, 'sh', outside], { cwd: src, stdio: 'ignore' })
  try {
    const results = new Set<string>()
    const end = Date.now() + 3000
    while (Date.now() < end) {
      for (let i = 0; i < 20; i++) fs.mkdirSync(join(mnt, `fill${i}/x`), { recursive: true })
      try {
        // The kernel follows a symlink that it sees by itself, so only what is named below the directory is asked for.
        const dir = syscalls.openat(
          sys.AT_FDCWD,
          join(mnt, 'real/dir'),
          sys.O_RDONLY | sys.O_NOFOLLOW | sys.O_DIRECTORY,
        )
        if (dir < 0) continue
        const fd = syscalls.openat(dir, 'file', sys.O_RDONLY)
        syscalls.close(dir)
        if (fd < 0) continue
        results.add(fs.readFileSync(fd, 'latin1'))
        syscalls.close(fd)
      } finally {
        await sleep(1)
      }
    }
    assert.ok(!results.has('outside'), [...results].join())
  } finally {
    swapper.kill()
    await sleep(50)
    await mirrored.stop()
    fs.rmSync(outside, { recursive: true })
  }
})

test('appends of two processes, one through the mirror and one on the source, lose nothing', async () => {
  const mirrored = await Mirrored.start()
  const { src, mnt } = mirrored
  try {
    const writer = (root: string, letter: string) =>
      spawn('sh', ['-c', `i=0; while [ $i -lt 1500 ]; do echo ${letter}$i; i=$((i+1)); done >> ${root}/log`])
    const ends = [writer(src, 's'), writer(mnt, 'm')].map(
      (child) => new Promise((resolve) => child.once('exit', resolve)),
    )
    assert.deepEqual(await Promise.all(ends), [0, 0])
    const lines = fs.readFileSync(join(src, 'log'), 'latin1').trimEnd().split('\n')
    assert.equal(new Set(lines).size, 3000)
  } finally {
    await mirrored.stop()
  }
})

test('a mount below the source is mirrored, and our own inside it is harmless', async () => {
  const dir = temporary()
  const src = join(dir, 'src')
  for (const name of ['sub', 'mnt']) fs.mkdirSync(join(src, name), { recursive: true })
  assert.equal(syscalls.mount('none', join(src, 'sub'), 'tmpfs', 0, null), 0)
  fs.writeFileSync(join(src, 'sub/file'), 'on tmpfs')
  const mirrored = await Mirrored.start({}, { src, mnt: join(src, 'mnt') })
  try {
    assert.equal(fs.readFileSync(join(src, 'mnt/sub/file'), 'latin1'), 'on tmpfs')
    assert.deepEqual(fs.readdirSync(join(src, 'mnt/mnt')), [])
    fs.writeFileSync(join(src, 'mnt/sub/new'), 'new')
    assert.equal(fs.readFileSync(join(src, 'sub/new'), 'latin1'), 'new')
  } finally {
    await mirrored.stop()
    assert.equal(syscalls.umount2(join(src, 'sub'), sys.MNT_DETACH), 0)
    fs.rmSync(dir, { recursive: true })
  }
})

test('a mirror over its own source shows what was there', async () => {
  const dir = temporary()
  fs.writeFileSync(join(dir, 'file'), 'still here')
  const mirrored = await Mirrored.start({}, { src: dir, mnt: dir })
  try {
    assert.equal(fs.readFileSync(join(dir, 'file'), 'latin1'), 'still here')
    fs.writeFileSync(join(dir, 'new'), '')
  } finally {
    await mirrored.stop()
    assert.deepEqual(fs.readdirSync(dir).toSorted(), ['file', 'new'])
    fs.rmSync(dir, { recursive: true })
  }
})

test('without privileges a mount point inside the source is refused, with the fix', () => {
  const dir = temporary()
  fs.mkdirSync(join(dir, 'src/mnt'), { recursive: true })
  const script = `import('devfuse/mirror').then((m) => m.mountMirror(${JSON.stringify(join(dir, 'src'))}, ${JSON.stringify(join(dir, 'src/mnt'))}))`
  const { status, stderr } = spawnSync(
    'setpriv',
    [
      '--reuid',
      '65534',
      '--regid',
      '65534',
      '--clear-groups',
      process.execPath,
      '--input-type=module',
      '-e',
      script,
    ],
    { cwd: import.meta.dirname, encoding: 'utf8', timeout: 20_000 },
  )
  assert.notEqual(status, 0)
  assert.match(stderr, /lies inside the source .* choose a mount point outside the source/)
  fs.rmSync(dir, { recursive: true })
})

let unused: string
before(() => {
  unused = temporary()
})
after(() => fs.rmSync(unused, { recursive: true }))

test('a source that is not there, or no directory, is refused by name', async () => {
  await assert.rejects(mountMirror(join(unused, 'none'), unused), { code: 'ENOENT', syscall: 'openat' })
  fs.writeFileSync(join(unused, 'file'), '')
  await assert.rejects(mountMirror(join(unused, 'file'), unused), { code: 'ENOTDIR' })
})
