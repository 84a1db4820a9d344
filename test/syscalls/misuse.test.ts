// Values that are no descriptors, ids, times or records: refused, never taken for others.
import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { BackingId } from 'devfuse'
import { AT_FDCWD, ByteReader, decodeDirents, syscalls } from 'devfuse/syscalls'

const dir = mkdtempSync(join(tmpdir(), 'devfuse-misuse-'))
after(() => rmSync(dir, { recursive: true }))

test('ids that are none make nothing as root', () => {
  for (const id of [-1, 2 ** 32 - 1, 2 ** 32, 0.5, NaN]) {
    for (const ids of [
      { uid: id, gid: 1 },
      { uid: 1, gid: id },
    ])
      assert.throws(
        () => syscalls.mkdiratAs({ ...ids, umask: -1, groups: null }, AT_FDCWD, join(dir, 'made'), 0o755),
        { name: 'TypeError', message: /uid and gid/ },
      )
  }
  for (const umask of [-2, 0o1000, NaN])
    assert.throws(
      () => syscalls.mkdiratAs({ uid: 1, gid: 1, umask, groups: null }, AT_FDCWD, join(dir, 'made'), 0o755),
      TypeError,
    )
  assert.deepEqual(readdirSync(dir), [])
})

test('null is no descriptor', () => {
  const none = null as unknown as number
  assert.throws(() => syscalls.fcntl(none, 1), TypeError)
  assert.throws(() => syscalls.flistxattr(none, null), TypeError)
  assert.ok(syscalls.listxattr(dir, null) >= 0)
})

test('a reader owns descriptors only', () => {
  for (const fd of [NaN, -1, 2 ** 32, 0.5])
    assert.throws(
      () =>
        new ByteReader(
          fd,
          16,
          () => {},
          () => {},
        ),
      RangeError,
    )
})

test('a backing id has 31 bits', () => {
  for (const id of [0, -1, NaN, 0.5, 2 ** 31, 2 ** 32 + 1])
    assert.throws(() => BackingId.closeRaw(9999, id), { name: 'TypeError', message: /a backing id/ })
})

test('bytes that are no directory records end', () => {
  assert.throws(() => decodeDirents(Buffer.alloc(64), 64, 'utf8'), RangeError)
  assert.throws(() => decodeDirents(Buffer.alloc(64, 0xff), 64, 'utf8'), RangeError)
  assert.throws(() => decodeDirents(Buffer.alloc(64), 10, 'utf8'), RangeError)
  assert.deepEqual(decodeDirents(Buffer.alloc(64), 0, 'utf8'), [])
})

test('the unique id of a mount has room', () => {
  const AT_HANDLE_MNT_ID_UNIQUE = 1
  const plain = syscalls.nameToHandleAt(AT_FDCWD, dir, 0)
  const unique = syscalls.nameToHandleAt(AT_FDCWD, dir, AT_HANDLE_MNT_ID_UNIQUE)
  if (typeof plain === 'number' || typeof unique === 'number') return
  assert.ok(plain.mountId > 0 && plain.mountId < 2 ** 31)
  // Kernel: they begin above all others.
  assert.ok(unique.mountId >= 2 ** 31, `${unique.mountId}`)
})

test('a pair of sockets takes two elements', () => {
  const three = new Int32Array(3)
  assert.throws(() => syscalls.socketpair(1, 1, 0, three.subarray(0, 1)), RangeError)
  assert.deepEqual([...three], [0, 0, 0])
})

test('times are whole numbers', () => {
  const path = join(dir, 'file')
  writeFileSync(path, '')
  const before = statSync(path).mtimeMs
  for (const odd of [-0.5, 1.5, NaN, Infinity]) {
    assert.throws(() => syscalls.utimensat(AT_FDCWD, path, odd, 0, 0, 0), RangeError)
    assert.throws(() => syscalls.utimensat(AT_FDCWD, path, 0, 0, 0, odd), RangeError)
  }
  assert.equal(statSync(path).mtimeMs, before)
  assert.equal(syscalls.utimensat(AT_FDCWD, path, -3, 0, -3, 0), 0)
  assert.equal(statSync(path).mtimeMs, -3000)
})

test('a read without waiting has a position', () => {
  const path = join(dir, 'digits')
  writeFileSync(path, '0123456789')
  const fd = openSync(path, 'r')
  assert.equal(syscalls.preadNowait(fd, Buffer.alloc(4), -1), -22)
  closeSync(fd)
})
