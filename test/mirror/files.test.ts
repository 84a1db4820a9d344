// Files through a real mount behave as on the source: open and deleted, linked, renamed, special, sparse, deep.
import { strict as assert } from 'node:assert'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import * as sys from 'devfuse/syscalls'
import { StatxBuffer, syscalls } from 'devfuse/syscalls'
import { compiled } from '../support/mounting.js'
import { Mirrored, temporary } from './mounted.js'

let mirrored: Mirrored
let src: string
let mnt: string

before(async () => {
  mirrored = await Mirrored.start()
  ;({ src, mnt } = mirrored)
})
after(() => mirrored.stop())

const big = { bigint: true } as const

test('what is written through the mirror is on the source, and the kernel serves it', async () => {
  fs.writeFileSync(join(mnt, 'data'), 'x'.repeat(100_000))
  assert.equal(fs.readFileSync(join(src, 'data'), 'latin1'), 'x'.repeat(100_000))
  assert.equal(fs.readFileSync(join(mnt, 'data'), 'latin1').length, 100_000)
  const { operations, passthrough } = await mirrored.known()
  assert.equal(operations['READ']?.count ?? 0, 0)
  assert.equal(operations['WRITE']?.count ?? 0, 0)
  assert.ok(passthrough.opens >= 2)
  assert.deepEqual(passthrough.fallbacks, {})
})

test('without passthrough only files open for writing are flushed when they are closed', async () => {
  const served = await Mirrored.start({ passthrough: 'off' })
  try {
    fs.writeFileSync(join(served.src, 'a'), 'read')
    assert.equal(fs.readFileSync(join(served.mnt, 'a'), 'utf8'), 'read')
    assert.equal((await served.known()).operations['FLUSH'], undefined)
    fs.appendFileSync(join(served.mnt, 'a'), ' and written')
    assert.equal((await served.known()).operations['FLUSH']?.count, 1)
  } finally {
    await served.stop()
  }
})

test('a deleted file lives on while it is open, and can be opened again through /proc', () => {
  const fd = fs.openSync(join(mnt, 'gone'), 'wx+')
  fs.writeSync(fd, 'hello')
  fs.unlinkSync(join(mnt, 'gone'))
  assert.deepEqual([fs.fstatSync(fd).nlink, fs.fstatSync(fd).size], [0, 5])
  fs.fchmodSync(fd, 0o600)
  fs.ftruncateSync(fd, 2)
  fs.futimesSync(fd, 1, 2)
  assert.deepEqual([fs.fstatSync(fd).mode & 0o777, fs.fstatSync(fd).mtimeMs], [0o600, 2000])
  const again = fs.openSync(`/proc/self/fd/${fd}`, 'r')
  fs.closeSync(fd)
  assert.equal(fs.readFileSync(again, 'latin1'), 'he')
  fs.closeSync(again)
})

test('a deleted file that is held without being open still has attributes', async () => {
  fs.writeFileSync(join(mnt, 'path-only'), 'abc')
  const fd = syscalls.openat(sys.AT_FDCWD, join(mnt, 'path-only'), sys.O_PATH | sys.O_CLOEXEC)
  fs.unlinkSync(join(mnt, 'path-only'))
  await sleep(1100)
  const stat = new StatxBuffer()
  assert.equal(syscalls.fstatx(fd, sys.STATX_BASIC_STATS, stat), 0)
  assert.deepEqual([stat.size, stat.nlink], [3, 0])
  syscalls.close(fd)
})

test('a removed directory lives on while it is open', () => {
  fs.mkdirSync(join(mnt, 'cwd'))
  const fd = fs.openSync(join(mnt, 'cwd'), sys.O_RDONLY | sys.O_DIRECTORY)
  fs.rmdirSync(join(mnt, 'cwd'))
  // Natively, too: a removed directory lists nothing, not even itself.
  assert.equal(syscalls.getdents64(fd), -2)
  assert.equal(fs.fstatSync(fd).nlink, 0)
  fs.closeSync(fd)
})

test('hard links are one file', () => {
  fs.writeFileSync(join(mnt, 'link1'), 'one')
  fs.linkSync(join(mnt, 'link1'), join(mnt, 'link2'))
  assert.equal(fs.statSync(join(mnt, 'link1')).ino, fs.statSync(join(mnt, 'link2')).ino)
  assert.equal(fs.statSync(join(mnt, 'link1')).nlink, 2)
  assert.equal(fs.statSync(join(mnt, 'link1')).ino, fs.statSync(join(src, 'link2')).ino)
  fs.unlinkSync(join(mnt, 'link1'))
  assert.equal(fs.statSync(join(mnt, 'link2')).nlink, 1)
  fs.appendFileSync(join(mnt, 'link2'), 'more')
  assert.equal(fs.readFileSync(join(src, 'link2'), 'latin1'), 'onemore')
})

test('rename: over an open file, NOREPLACE, EXCHANGE, WHITEOUT, directories', () => {
  const at = sys.AT_FDCWD
  const rename = (from: string, to: string, flags: number) =>
    syscalls.renameat2(at, join(mnt, from), at, join(mnt, to), flags)
  fs.writeFileSync(join(mnt, 'a'), 'a')
  fs.writeFileSync(join(mnt, 'b'), 'bb')
  const fd = fs.openSync(join(mnt, 'b'), 'r')
  assert.equal(rename('a', 'b', sys.RENAME_NOREPLACE), -17)
  assert.equal(rename('a', 'b', 0), 0)
  assert.deepEqual([fs.fstatSync(fd).nlink, fs.readFileSync(fd, 'latin1')], [0, 'bb'])
  fs.closeSync(fd)
  assert.equal(fs.readFileSync(join(mnt, 'b'), 'latin1'), 'a')
  fs.mkdirSync(join(mnt, 'dir'))
  assert.equal(rename('b', 'dir', sys.RENAME_EXCHANGE), 0)
  assert.ok(fs.statSync(join(mnt, 'b')).isDirectory())
  fs.writeFileSync(join(mnt, 'b/inside'), 'in')
  assert.equal(rename('b', 'moved', 0), 0)
  assert.equal(fs.readFileSync(join(mnt, 'moved/inside'), 'latin1'), 'in')
  assert.equal(rename('dir', 'white', sys.RENAME_WHITEOUT), 0)
  assert.ok(fs.statSync(join(mnt, 'dir')).isCharacterDevice())
})

test('changes on the source are seen: replaced, deleted and moved behind the mirror', async () => {
  fs.writeFileSync(join(src, 'r'), 'old')
  assert.equal(fs.readFileSync(join(mnt, 'r'), 'latin1'), 'old')
  fs.writeFileSync(join(src, 'r2'), 'newer')
  fs.renameSync(join(src, 'r2'), join(src, 'r'))
  assert.equal(fs.readFileSync(join(mnt, 'r'), 'latin1'), 'newer')
  fs.unlinkSync(join(src, 'r'))
  assert.throws(() => fs.readFileSync(join(mnt, 'r')), { code: 'ENOENT' })
  fs.mkdirSync(join(src, 'd1/d2'), { recursive: true })
  fs.writeFileSync(join(src, 'd1/d2/f'), '1')
  assert.equal(fs.statSync(join(mnt, 'd1/d2/f')).size, 1)
  fs.renameSync(join(src, 'd1'), join(src, 'd3'))
  assert.equal(fs.readFileSync(join(mnt, 'd3/d2/f'), 'latin1'), '1')
  await sleep(1100)
  assert.equal(fs.existsSync(join(mnt, 'd1')), false)
})

test('names and symlink targets are exact bytes', () => {
  const name = Buffer.from([0xff, 0xfe, 0x80, 0x20, 0x0a])
  const target = Buffer.from([0xc3, 0x28, 0xff])
  fs.writeFileSync(Buffer.concat([Buffer.from(`${mnt}/`), name]), 'x')
  assert.ok(fs.readdirSync(src, { encoding: 'buffer' }).some((one) => one.equals(name)))
  assert.ok(fs.readdirSync(mnt, { encoding: 'buffer' }).some((one) => one.equals(name)))
  fs.symlinkSync(target, join(mnt, 'symlink'))
  assert.deepEqual(fs.readlinkSync(join(mnt, 'symlink'), 'buffer'), target)
  assert.deepEqual(fs.readlinkSync(join(src, 'symlink'), 'buffer'), target)
})

test('times: nanoseconds, before 1970, of a symlink itself', () => {
  fs.writeFileSync(join(mnt, 'times'), '')
  const times = [-5, 3, 4_000_000_000, 999_999_999] as const
  assert.equal(syscalls.utimensat(sys.AT_FDCWD, join(mnt, 'times'), ...times), 0)
  for (const root of [src, mnt]) {
    const stat = fs.statSync(join(root, 'times'), big)
    assert.deepEqual([stat.atimeNs, stat.mtimeNs], [-4_999_999_997n, 4_000_000_000_999_999_999n])
  }
  // What no filesystem can keep is clamped by the source, not refused on the way to it.
  execFileSync('touch', ['-d', '@9223372036854775807', join(mnt, 'times')])
  execFileSync('touch', ['-d', '@-9223372036854775808', join(mnt, 'times')])
  fs.symlinkSync('nowhere', join(mnt, 'timed-link'))
  fs.lutimesSync(join(mnt, 'timed-link'), 10, 20)
  assert.equal(fs.lstatSync(join(src, 'timed-link')).mtimeMs, 20_000)
})

test('special files, and extended attributes on every type', () => {
  const at = sys.AT_FDCWD
  assert.equal(syscalls.mknodat(at, join(mnt, 'fifo'), sys.S_IFIFO | 0o600, 0), 0)
  assert.equal(syscalls.mknodat(at, join(mnt, 'null'), sys.S_IFCHR | 0o600, (1 << 8) | 3), 0)
  assert.equal(fs.readFileSync(join(mnt, 'null')).length, 0)
  fs.symlinkSync('nowhere', join(mnt, 'xattr-link'))
  fs.mkdirSync(join(mnt, 'xattr-dir'))
  fs.writeFileSync(join(mnt, 'xattr-file'), '')
  const value = Buffer.alloc(64)
  for (const name of ['fifo', 'null', 'xattr-link', 'xattr-dir', 'xattr-file']) {
    const path = join(mnt, name)
    assert.equal(syscalls.lsetxattr(path, 'trusted.devfuse', Buffer.from(name)), 0, name)
    assert.equal(syscalls.lgetxattr(join(src, name), 'trusted.devfuse', value), name.length)
    assert.equal(syscalls.lgetxattr(path, 'trusted.devfuse', null), name.length)
    assert.ok(syscalls.llistxattr(path, value) >= 16)
    assert.equal(syscalls.lremovexattr(path, 'trusted.devfuse'), 0)
    assert.equal(syscalls.lgetxattr(path, 'trusted.devfuse', value), -61)
  }
})

test('holes, fallocate, copies and O_TMPFILE', () => {
  const fd = fs.openSync(join(mnt, 'holes'), 'w+')
  fs.writeSync(fd, 'end', 1 << 20)
  assert.equal(syscalls.lseek(fd, 0, sys.SEEK_HOLE), 0)
  assert.equal(syscalls.lseek(fd, 0, sys.SEEK_DATA), 1 << 20)
  assert.equal(syscalls.fallocate(fd, 0, 0, 8192), 0)
  assert.equal(syscalls.fallocate(fd, sys.FALLOC_FL_PUNCH_HOLE | sys.FALLOC_FL_KEEP_SIZE, 0, 8192), 0)
  assert.equal(syscalls.copyFileRange(fd, 1 << 20, fd, 100, 3), 3)
  assert.equal(fs.readFileSync(join(src, 'holes')).toString('latin1', 100, 103), 'end')
  fs.fsyncSync(fd)
  fs.fdatasyncSync(fd)
  fs.closeSync(fd)
  const unnamed = fs.openSync(mnt, sys.O_TMPFILE | sys.O_RDWR, 0o640)
  fs.writeSync(unnamed, 'tmp')
  const at = sys.AT_FDCWD
  const proc = `/proc/self/fd/${unnamed}`
  assert.equal(syscalls.linkat(at, proc, at, join(mnt, 'tmpfile'), sys.AT_SYMLINK_FOLLOW), 0)
  assert.equal(fs.readFileSync(join(src, 'tmpfile'), 'latin1'), 'tmp')
  fs.closeSync(unnamed)
})

test('birth times and inode flags are those of the source', () => {
  fs.writeFileSync(join(mnt, 'born'), '')
  assert.equal(
    fs.statSync(join(mnt, 'born'), big).birthtimeNs,
    fs.statSync(join(src, 'born'), big).birthtimeNs,
  )
  const FS_IOC_GETFLAGS = 0x80086601
  const flags = [src, mnt].map((root) => {
    const fd = fs.openSync(join(root, 'born'), 'r')
    const bytes = Buffer.alloc(8)
    const result = syscalls.ioctl(fd, FS_IOC_GETFLAGS, bytes)
    fs.closeSync(fd)
    return [result, bytes.readUInt32LE(0)]
  })
  assert.deepEqual(flags[0], flags[1])
})

test('a source whose path is longer than the name of a mount can be is named by its end', async () => {
  const dir = temporary()
  const place = join(dir, 'é'.repeat(70), 'n'.repeat(201))
  const long = await Mirrored.start({}, { src: place })
  try {
    fs.writeFileSync(join(place, 'file'), 'text')
    assert.equal(fs.readFileSync(join(long.mnt, 'file'), 'latin1'), 'text')
    const line = fs
      .readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .find((one) => one.includes(long.mnt))
    const name = line?.split(' - ')[1].split(' ')[1] ?? ''
    assert.match(name, /^\.\.\.é+\/n{201}$/)
    assert.ok(Buffer.byteLength(name) <= 255)
  } finally {
    await long.stop()
    fs.rmSync(dir, { recursive: true })
  }
})

test('what the kernel makes up is read through a mirror of procfs as there', async () => {
  for (const passthrough of ['auto', 'off'] as const) {
    const proc = await Mirrored.start({ passthrough }, { src: '/proc/sys/kernel' })
    try {
      for (const name of ['ostype', 'osrelease'])
        assert.equal(
          fs.readFileSync(join(proc.mnt, name), 'latin1'),
          fs.readFileSync(join('/proc/sys/kernel', name), 'latin1'),
        )
    } finally {
      await proc.stop()
    }
  }
})

test('who waits for a lock can be interrupted and killed, and a lock goes with its holder', async () => {
  const path = join(mnt, 'locked')
  fs.writeFileSync(path, '')
  const program = compiled('test/mount/locks.c')
  for (const wait of ['flock 0 x', 'wait 0 w 0 0', 'ofdwait 0 w 0 0']) {
    const input = `open 0 ${path}\n${wait}\n`
    const holder = spawn(program)
    const got = once(createInterface(holder.stdout), 'line')
    holder.stdin.write(input.replace('wait', 'set'))
    await got
    await sleep(50)
    const interrupted = spawnSync(program, { input: `open 0 ${path}\nalarm 1\n${wait}\n`, timeout: 10_000 })
    assert.equal(String(interrupted.stdout), 'ok\nok\nEINTR\n', wait)
    const killed = spawnSync(program, { input, timeout: 300, killSignal: 'SIGKILL' })
    assert.deepEqual([killed.signal, String(killed.stdout)], ['SIGKILL', 'ok\n'], wait)
    holder.kill('SIGKILL')
    assert.equal(String(spawnSync(program, { input, timeout: 10_000 }).stdout), 'ok\nok\n', wait)
  }
})

test('a tree deeper than PATH_MAX', () => {
  const levels = 2500
  let fd = fs.openSync(mnt, sys.O_RDONLY | sys.O_DIRECTORY)
  for (let i = 0; i < levels; i++) {
    assert.equal(syscalls.mkdirat(fd, 'deep', 0o755), 0)
    const next = syscalls.openat(fd, 'deep', sys.O_RDONLY | sys.O_DIRECTORY | sys.O_CLOEXEC)
    fs.closeSync(fd)
    fd = next
  }
  fs.writeFileSync(`/proc/self/fd/${fd}/bottom`, 'deep')
  assert.equal(fs.statSync(`/proc/self/fd/${fd}/bottom`).size, 4)
  fs.closeSync(fd)
  execFileSync('rm', ['-rf', join(mnt, 'deep')], { timeout: 60_000 })
  assert.equal(fs.existsSync(join(src, 'deep')), false)
})

test('sizes and times of a mapped file are live while it is open for writing', async () => {
  const fd = fs.openSync(join(mnt, 'live'), 'w+')
  fs.writeSync(fd, 'x'.repeat(4096))
  const mtime = fs.fstatSync(fd, big).mtimeNs
  await sleep(20)
  // A write to the source stands for one through a mapping: the kernel hears of neither.
  fs.writeFileSync(join(src, 'live'), 'y'.repeat(5000))
  assert.equal(fs.statSync(join(mnt, 'live')).size, 5000)
  assert.ok(fs.fstatSync(fd, big).mtimeNs > mtime)
  fs.closeSync(fd)
})
