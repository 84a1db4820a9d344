// System calls through the addon: arguments, strings, views, results, misuse.
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { special } from '#dist/native.js'
import type { SyscallArg } from '#dist/native.js'
import {
  AT_FDCWD,
  EBADF,
  EILSEQ,
  EINVAL,
  ENAMETOOLONG,
  ENOENT,
  EFAULT,
  ENOSYS,
  NR,
  closeAll,
  native,
  pipe,
} from './calls.js'

const folder = mkdtempSync(join(tmpdir(), 'devfuse-native-'))
after(() => rmSync(folder, { recursive: true }))

const everyWay = {
  syscallUtf8: native.syscallUtf8,
  syscallLatin1: native.syscallLatin1,
  syscallAsyncUtf8: native.syscallAsyncUtf8,
  syscallAsyncLatin1: native.syscallAsyncLatin1,
  syscallAs: (nr: number, ...args: SyscallArg[]) => native.syscallAs(0, 0, -1, 0, null, nr, ...args),
}

for (const [name, call] of Object.entries(everyWay)) {
  describe(name, () => {
    it('returns the result', async () => {
      assert.equal(await call(NR.getpid), process.pid)
    })

    it('returns the negative errno', async () => {
      assert.equal(await call(NR.openat, AT_FDCWD, '/nowhere/at/all', 0), ENOENT)
      assert.equal(await call(NR.write, -1, new Uint8Array(1), 1), EBADF)
    })

    it('refuses a string with a NUL, and one that is too long', async () => {
      assert.equal(await call(NR.openat, AT_FDCWD, '/etc/passwd\0', 0), EINVAL)
      assert.equal(await call(NR.openat, AT_FDCWD, '\0', 0), EINVAL)
      assert.equal(await call(NR.openat, AT_FDCWD, 'x'.repeat(4096), 0), ENAMETOOLONG)
      assert.equal(await call(NR.openat, AT_FDCWD, 'x'.repeat(1e6), 0), ENAMETOOLONG)
      assert.equal(await call(NR.openat, AT_FDCWD, './'.repeat(2047) + 'x', 0), ENOENT)
    })

    it('passes six strings of the greatest length', async () => {
      const path = 'x/'.repeat(2047) + 'x'
      const result = await call(special.umount - 1000, path, path, path, path, path, path)
      assert.equal(result, ENOSYS)
    })

    it('reads into and writes from views, at their own offset', async () => {
      const [output, input] = pipe()
      const bytes = Buffer.from('..hello..')
      assert.equal(await call(NR.write, input, bytes.subarray(2, 7), 5), 5)
      const memory = new ArrayBuffer(32)
      assert.equal(await call(NR.read, output, new DataView(memory, 8, 5), 5), 5)
      assert.equal(Buffer.from(memory, 8, 5).toString(), 'hello')
      assert.deepEqual(Buffer.from(memory, 0, 8), Buffer.alloc(8))
      closeAll(output, input)
    })

    it('passes 64-bit numbers', async () => {
      const path = join(folder, `long-${name}`)
      writeFileSync(path, '')
      const fd = await call(NR.openat, AT_FDCWD, path, 2)
      const far = 2 ** 42 + 3
      assert.equal(await call(special.pwriteAll, fd, Buffer.from('!'), 1, far), 1)
      const back = Buffer.alloc(8)
      assert.equal(await call(special.preadAll, fd, back, 8, far - 1), 2)
      assert.deepEqual([...back.subarray(0, 2)], [0, 33])
      assert.equal(await call(NR.write, fd, 0, 0), 0)
      closeAll(fd)
    })

    it('throws on misuse only', () => {
      const loose = call as (...args: unknown[]) => unknown
      assert.throws(() => loose(), TypeError)
      assert.throws(() => loose('read'), TypeError)
      assert.throws(() => loose(NR.read, {}), TypeError)
      assert.throws(() => loose(NR.read, undefined), TypeError)
      // It would be descriptor 0.
      assert.throws(() => loose(NR.read, null), TypeError)
      assert.throws(() => loose(NR.read, 0.5), TypeError)
      assert.throws(() => loose(NR.read, 1n), TypeError)
      assert.throws(() => loose(NR.read, Number.NaN), TypeError)
      assert.throws(() => loose(NR.read, 2 ** 63), TypeError)
      assert.throws(() => loose(NR.read, 1, 2, 3, 4, 5, 6, 7), TypeError)
    })
  })
}

describe('names', () => {
  const O_CREAT = 0o100
  const O_WRONLY = 1

  it('are byte-exact as latin1', () => {
    const name = Array.from({ length: 255 }, (_, i) => i + 1)
      .filter((code) => code !== 0x2f)
      .map((code) => String.fromCharCode(code))
      .join('')
    for (const part of [name.slice(0, 127), name.slice(127)]) {
      const fd = native.syscallLatin1(NR.openat, AT_FDCWD, `${folder}/${part}`, O_CREAT | O_WRONLY, 0o600)
      assert.ok(fd >= 0)
      closeAll(fd)
      const found = readdirSync(folder, 'latin1')
      assert.ok(found.includes(part))
    }
  })

  it('are refused as latin1 beyond U+00FF', async () => {
    assert.equal(native.syscallLatin1(NR.openat, AT_FDCWD, '/tmp/\u0151', 0), EILSEQ)
    assert.equal(await native.syscallAsyncLatin1(NR.openat, AT_FDCWD, '/tmp/\u0100', 0), EILSEQ)
  })

  it('are UTF-8 otherwise', () => {
    const fd = native.syscallUtf8(
      NR.openat,
      AT_FDCWD,
      join(folder, 'árvíztűrő 🙂'),
      O_CREAT | O_WRONLY,
      0o600,
    )
    assert.ok(fd >= 0)
    closeAll(fd)
    assert.equal(readFileSync(join(folder, 'árvíztűrő 🙂'), 'utf8'), '')
  })
})

describe('special calls', () => {
  it('read all of what is there, and answer the error of the first read', () => {
    const path = join(folder, 'short')
    writeFileSync(path, 'abc')
    const fd = native.syscallUtf8(NR.openat, AT_FDCWD, path, 0)
    const bytes = Buffer.alloc(10)
    assert.equal(native.syscallUtf8(special.preadAll, fd, bytes, 10, 0), 3)
    assert.equal(native.syscallUtf8(special.preadAll, fd, bytes, 10, 3), 0)
    assert.equal(native.syscallUtf8(special.preadNowait, fd, bytes, 10, 1), 2)
    assert.equal(native.syscallUtf8(special.preadAll, -1, bytes, 10, 0), EBADF)
    for (const name of ['preadNowait', 'preadAll', 'pwriteAll'] as const)
      assert.equal(native.syscallUtf8(special[name], fd, bytes, 10, -1), EINVAL, name)
    assert.equal(native.syscallUtf8(special.pwriteAll, fd, bytes, 10, 0), EBADF)
    closeAll(fd)
  })

  it('tell a write that waits from one that does not', () => {
    const waited = new Uint32Array(1)
    const timed = (fd: number, bytes: Uint8Array) =>
      native.syscallUtf8(special.pwriteTimed, fd, bytes, bytes.byteLength, 0, waited)
    const path = join(folder, 'timed')
    const fd = native.syscallUtf8(NR.openat, AT_FDCWD, path, 0o102, 0o600)
    const told = [...Array(20).keys()].map((i) => {
      waited[0] = 7
      assert.equal(timed(fd, Buffer.from(`text ${i % 10}`)), 6)
      return waited[0]
    })
    assert.ok(told.includes(0))
    assert.equal(readFileSync(path, 'latin1'), 'text 9')
    closeAll(fd)
    assert.equal(timed(fd, Buffer.from('text')), EBADF)
    assert.equal(native.syscallUtf8(special.pwriteTimed, 0, Buffer.alloc(1), 1, 0), EFAULT)
  })

  it('refuse to list into nowhere', () => {
    assert.equal(native.syscallUtf8(special.listing, AT_FDCWD), EFAULT)
  })

  it('have no further numbers', () => {
    assert.equal(native.syscallUtf8(Math.min(...Object.values(special)) - 1), ENOSYS)
    assert.equal(native.syscallUtf8(Number.MIN_SAFE_INTEGER), ENOSYS)
  })
})
