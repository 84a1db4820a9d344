// The typed system calls against the kernel, without any mount: results, errno, exact names, struct decoding.
import { strict as assert } from 'node:assert'
import {
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import * as sys from 'devfuse/syscalls'
import { StatxBuffer, makeSyscalls, syscalls } from 'devfuse/syscalls'

const ENOENT = -2
const EBADF = -9
const EEXIST = -17
const ENODATA = -61
const exact = makeSyscalls('latin1')
let dir: string
let dirfd: number

before(() => {
  dir = mkdtempSync(join(tmpdir(), 'devfuse-syscalls-'))
  dirfd = syscalls.openat(sys.AT_FDCWD, dir, sys.O_PATH | sys.O_DIRECTORY | sys.O_CLOEXEC)
})
after(() => {
  syscalls.close(dirfd)
  rmSync(dir, { recursive: true })
})

const open = (name: string, flags: number, mode = 0o644): number => {
  const fd = syscalls.openat(dirfd, name, flags | sys.O_CLOEXEC, mode)
  assert.ok(fd >= 0, `openat ${name}: ${fd}`)
  return fd
}

test('the constants of this architecture open what they say', () => {
  assert.equal(syscalls.openat(dirfd, 'none', sys.O_RDONLY), ENOENT)
  symlinkSync('nowhere', join(dir, 'symlink'))
  assert.equal(syscalls.openat(dirfd, 'symlink', sys.O_RDONLY | sys.O_NOFOLLOW), -40)
  writeFileSync(join(dir, 'plain'), '')
  assert.equal(syscalls.openat(dirfd, 'plain', sys.O_RDONLY | sys.O_DIRECTORY), -20)
  const unnamed = open('.', sys.O_TMPFILE | sys.O_RDWR)
  assert.equal(syscalls.linkat(-1, `/proc/self/fd/${unnamed}`, dirfd, 'named', sys.AT_SYMLINK_FOLLOW), 0)
  assert.equal(syscalls.close(unnamed), 0)
  assert.equal(syscalls.close(unnamed), EBADF)
  assert.ok(statSync(join(dir, 'named')).isFile())
})

test('openat2 refuses what `resolve` forbids', () => {
  mkdirSync(join(dir, 'jail'))
  const jail = open('jail', sys.O_PATH | sys.O_DIRECTORY)
  assert.equal(syscalls.openat2(jail, '../plain', { flags: sys.O_RDONLY, resolve: sys.RESOLVE_BENEATH }), -18)
  const fd = syscalls.openat2(jail, '../plain', { flags: sys.O_RDONLY | sys.O_CLOEXEC })
  assert.ok(fd >= 0)
  syscalls.close(fd)
  syscalls.close(jail)
})

test('statx agrees with node:fs in every field', () => {
  const path = join(dir, 'stat')
  writeFileSync(path, 'x'.repeat(5000))
  linkSync(path, join(dir, 'stat2'))
  const times = [-7, 123456789, 5_000_000_000, 1] as const
  assert.equal(syscalls.utimensat(dirfd, 'stat', ...times), 0)
  const stat = new StatxBuffer()
  assert.equal(syscalls.statx(dirfd, 'stat', 0, sys.STATX_BASIC_STATS | sys.STATX_BTIME, stat), 0)
  const expected = lstatSync(path, { bigint: true })
  const attr = stat.toAttr()
  assert.equal(BigInt(attr.ino), expected.ino)
  assert.equal(attr.size, 5000)
  assert.equal(BigInt(attr.blocks), expected.blocks)
  assert.equal(attr.nlink, 2)
  assert.equal(BigInt(attr.mode), expected.mode)
  assert.deepEqual([attr.atime, attr.atimensec, attr.mtime, attr.mtimensec], times)
  assert.equal(BigInt(attr.ctime) * 1_000_000_000n + BigInt(attr.ctimensec ?? 0), expected.ctimeNs)
  assert.equal(BigInt(stat.btimeSec) * 1_000_000_000n + BigInt(stat.btimeNsec), expected.birthtimeNs)
  assert.equal(syscalls.utimensat(dirfd, 'stat', 0, sys.UTIME_OMIT, 9, 8), 0)
  assert.equal(lstatSync(path, { bigint: true }).mtimeNs, 9_000_000_008n)
  assert.equal(lstatSync(path, { bigint: true }).atimeNs, expected.atimeNs)
})

test('device numbers keep 12 bits of major and 20 of minor', (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root')
  const rdev = (0x12345 & 0xff) | (0xabc << 8) | ((0x12345 & ~0xff) << 12)
  assert.equal(syscalls.mknodat(dirfd, 'device', sys.S_IFCHR | 0o600, rdev >>> 0), 0)
  const stat = new StatxBuffer()
  assert.equal(syscalls.statx(dirfd, 'device', 0, sys.STATX_BASIC_STATS, stat), 0)
  assert.deepEqual([stat.rdevMajor, stat.rdevMinor, stat.rdev], [0xabc, 0x12345, rdev >>> 0])
})

test('latin1 names are exact bytes, in directories and symlinks', () => {
  const name = '\xff\xfe byte \x01\x80'
  assert.equal(exact.mkdirat(dirfd, 'exact', 0o755), 0)
  const exactFd = exact.openat(dirfd, 'exact', sys.O_RDONLY | sys.O_CLOEXEC)
  assert.equal(exact.symlinkat(`${name}/target`, exactFd, name), 0)
  assert.equal(exact.readlinkat(exactFd, name), `${name}/target`)
  const link = exact.openat(exactFd, name, sys.O_PATH | sys.O_NOFOLLOW | sys.O_CLOEXEC)
  assert.equal(exact.readlinkat(link, ''), `${name}/target`)
  const entries = exact.getdents64(exactFd)
  assert.ok(typeof entries !== 'number')
  assert.deepEqual(entries.map((entry) => entry.name).toSorted(), ['.', '..', name].toSorted())
  assert.equal(entries.find((entry) => entry.name === name)?.type, sys.DT_LNK)
  assert.deepEqual(exact.getdents64(exactFd), [])
  assert.equal(exact.readlinkat(exactFd, 'none'), ENOENT)
  for (const fd of [link, exactFd]) exact.close(fd)
})

test('renameat2 knows NOREPLACE and EXCHANGE', () => {
  writeFileSync(join(dir, 'one'), '1')
  writeFileSync(join(dir, 'two'), 'twotwo')
  assert.equal(syscalls.renameat2(dirfd, 'one', dirfd, 'two', sys.RENAME_NOREPLACE), EEXIST)
  assert.equal(syscalls.renameat2(dirfd, 'one', dirfd, 'two', sys.RENAME_EXCHANGE), 0)
  assert.equal(statSync(join(dir, 'one')).size, 6)
})

test('xattrs by path, by descriptor and on a symlink', (t) => {
  if (process.getuid?.() !== 0) return t.skip('trusted.* needs root')
  const fd = open('xattr', sys.O_CREAT | sys.O_RDWR)
  const path = join(dir, 'xattr')
  assert.equal(syscalls.fsetxattr(fd, 'user.a', Buffer.from('value'), sys.XATTR_CREATE), 0)
  assert.equal(syscalls.setxattr(path, 'user.a', Buffer.from('v'), sys.XATTR_CREATE), EEXIST)
  assert.equal(syscalls.getxattr(path, 'user.a', null), 5)
  const value = Buffer.alloc(16)
  assert.equal(syscalls.fgetxattr(fd, 'user.a', value), 5)
  assert.equal(value.toString('latin1', 0, 5), 'value')
  assert.equal(syscalls.listxattr(path, value), 7)
  assert.equal(value.toString('latin1', 0, 7), 'user.a\0')
  assert.equal(syscalls.removexattr(path, 'user.a'), 0)
  assert.equal(syscalls.getxattr(path, 'user.a', value), ENODATA)
  symlinkSync('nowhere', join(dir, 'xattr-link'))
  assert.equal(syscalls.lsetxattr(join(dir, 'xattr-link'), 'trusted.a', Buffer.from('l')), 0)
  assert.equal(syscalls.lgetxattr(join(dir, 'xattr-link'), 'trusted.a', value), 1)
  syscalls.close(fd)
})

test('data calls: holes, fallocate, copies, and their asynchronous twins', async () => {
  const fd = open('data', sys.O_CREAT | sys.O_RDWR)
  const other = open('copy', sys.O_CREAT | sys.O_RDWR)
  assert.equal(await syscalls.pwriteAllAsync(fd, Buffer.alloc(8192, 'd'), 0), 8192)
  assert.equal(syscalls.pwrite64(fd, Buffer.from('end'), 1 << 20), 3)
  assert.equal(syscalls.lseek(fd, 0, sys.SEEK_HOLE), 8192)
  assert.equal(syscalls.lseek(fd, 8192, sys.SEEK_DATA), 1 << 20)
  assert.equal(
    await syscalls.fallocateAsync(fd, sys.FALLOC_FL_PUNCH_HOLE | sys.FALLOC_FL_KEEP_SIZE, 0, 4096),
    0,
  )
  const bytes = Buffer.alloc(8192)
  assert.equal(await syscalls.pread64Async(fd, bytes, 0), 8192)
  assert.deepEqual([bytes[0], bytes[4095], bytes[4096]], [0, 0, 'd'.charCodeAt(0)])
  assert.equal(await syscalls.copyFileRangeAsync(fd, 4096, other, 10, 100), 100)
  assert.equal(syscalls.pread64(other, bytes, 10), 100)
  assert.equal(bytes.toString('latin1', 0, 100), 'd'.repeat(100))
  for (const wait of [syscalls.fsyncAsync, syscalls.fdatasyncAsync, syscalls.syncfsAsync]) {
    assert.equal(await wait(fd), 0)
  }
  assert.equal(await syscalls.fsyncAsync(-1), EBADF)
  assert.equal(syscalls.ftruncate(fd, 5_000_000_000), 0)
  assert.equal(statSync(join(dir, 'data')).size, 5_000_000_000)
  for (const one of [fd, other]) syscalls.close(one)
})

test('locks conflict between open file descriptions, and waiting does not block the loop', async () => {
  const one = open('lock', sys.O_CREAT | sys.O_RDWR)
  const two = open('lock', sys.O_RDWR)
  const lock = { type: sys.F_WRLCK, start: 10, length: 5 }
  assert.equal(syscalls.fcntlLock(one, sys.F_OFD_SETLK, lock), 0)
  assert.equal(syscalls.fcntlLock(two, sys.F_OFD_SETLK, lock), -11)
  const inTheWay = syscalls.fcntlGetLock(two, sys.F_OFD_GETLK, { ...lock, start: 0, length: 0 })
  assert.ok(typeof inTheWay !== 'number')
  assert.deepEqual([inTheWay.type, inTheWay.start, inTheWay.length], [sys.F_WRLCK, 10, 5])
  const waiting = syscalls.fcntlLockAsync(two, sys.F_OFD_SETLKW, lock)
  assert.equal(syscalls.fcntlLock(one, sys.F_OFD_SETLK, { ...lock, type: sys.F_UNLCK }), 0)
  assert.equal(await waiting, 0)
  assert.equal(syscalls.flock(one, sys.LOCK_EX), 0)
  assert.equal(syscalls.flock(two, sys.LOCK_EX | sys.LOCK_NB), -11)
  for (const fd of [one, two]) syscalls.close(fd)
})

test('file handles lead back to the file', (t) => {
  if (process.getuid?.() !== 0) return t.skip('open_by_handle_at needs CAP_DAC_READ_SEARCH')
  writeFileSync(join(dir, 'handled'), 'here')
  const handle = syscalls.nameToHandleAt(dirfd, 'handled', 0)
  assert.ok(typeof handle !== 'number')
  const mount = open('.', sys.O_RDONLY)
  const fd = syscalls.openByHandleAt(mount, handle, sys.O_RDONLY | sys.O_CLOEXEC)
  assert.ok(fd >= 0, String(fd))
  const bytes = Buffer.alloc(4)
  assert.equal(syscalls.pread64(fd, bytes, 0), 4)
  assert.equal(bytes.toString(), 'here')
  for (const one of [fd, mount]) syscalls.close(one)
})

test('statfs, limits, memory files and ioctls', () => {
  const statistics = syscalls.statfs(dir)
  assert.ok(typeof statistics !== 'number')
  assert.ok(statistics.blocks > 0 && statistics.namelen >= 255)
  assert.deepEqual(syscalls.fstatfs(dirfd), syscalls.fstatfs(dirfd))
  const limit = syscalls.getrlimit(sys.RLIMIT_NOFILE)
  assert.ok(typeof limit !== 'number')
  assert.equal(syscalls.setrlimit(sys.RLIMIT_NOFILE, limit), 0)
  const fd = syscalls.memfdCreate('devfuse', sys.MFD_CLOEXEC)
  assert.ok(fd >= 0)
  assert.equal(syscalls.fcntl(fd, sys.F_GETFD), 1)
  assert.equal(syscalls.ioctl(fd, 0x5401, Buffer.alloc(64)), -25)
  syscalls.close(fd)
})

test('what is made as someone else is theirs, whatever the names are', (t) => {
  if (process.getuid?.() !== 0) return t.skip('needs root')
  const who = { uid: 1234, gid: 2345, umask: 0o027, groups: Uint32Array.of(77) }
  assert.equal(syscalls.mkdiratAs(who, dirfd, 'théirs', 0o777), 0)
  const made = statSync(join(dir, 'théirs'))
  assert.deepEqual([made.uid, made.gid, made.mode & 0o7777], [1234, 2345, 0o750])
  assert.equal(syscalls.mkdirat(dirfd, 'ours', 0o755), 0)
  assert.equal(statSync(join(dir, 'ours')).uid, 0)
})

test('a name that no file can have is refused, not cut', () => {
  assert.equal(syscalls.openat(dirfd, 'nul\0nul', sys.O_RDONLY), -22)
  assert.equal(syscalls.openat(dirfd, 'x'.repeat(5000), sys.O_RDONLY), -36)
  assert.equal(exact.openat(dirfd, 'Ω', sys.O_RDONLY), -84)
})
