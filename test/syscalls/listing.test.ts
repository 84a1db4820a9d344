// Listings that the addon encodes, held against the encoder of the table, byte for byte.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { EncodedDirents } from 'devfuse'
import type { Direntplus } from 'devfuse'
import { encodeDirent, encodeDirentplus } from 'devfuse/protocol'
import { AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW } from 'devfuse/syscalls'
import { STATX_BASIC_STATS, STATX_BTIME, STATX_MNT_ID } from 'devfuse/syscalls'
import { StatxBuffer, decodeDirents, makeSyscalls } from 'devfuse/syscalls'

const sys = makeSyscalls('latin1')
const WINDOW = 65536
const MASK = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID
const IDENTITY = ['ino', 'dev', 'mntId', 'mode', 'mask', 'btimeSec', 'btimeNsec'] as const
const OTHERS = ['uid', 'gid', 'nlink', 'size', 'mtimeSec', 'mtimeNsec', 'ctimeSec', 'ctimeNsec'] as const
let dir: string
let fd: number
let filled: number
const window = Buffer.alloc(WINDOW)

before(() => {
  dir = mkdtempSync(join(tmpdir(), 'listing-'))
  for (const name of ['a', 'seven77', 'eight888', 'nine99999', 'grün', 'x'.repeat(255)])
    writeFileSync(join(dir, name), name)
  mkdirSync(join(dir, 'directory'))
  symlinkSync('nowhere', join(dir, 'link'))
  linkSync(join(dir, 'a'), join(dir, 'hard'))
  utimesSync(join(dir, 'a'), -5.5, -(2 ** 31))
  execFileSync('mkfifo', [join(dir, 'fifo')])
  fd = openSync(dir, 'r')
  filled = sys.getdents64Into(fd, window)
})

after(() => {
  closeSync(fd)
  rmSync(dir, { recursive: true })
})

/** The reply that the encoders of the table make. */
function expected(plus: boolean, offset: number, nodeid: number): Buffer {
  const bytes = Buffer.alloc(WINDOW)
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const found = new StatxBuffer()
  let at = 0
  let off = offset
  for (const { name, ino, type } of decodeDirents(window, filled, 'latin1')) {
    off++
    const dots = name === '.' || name === '..'
    const flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT
    if (plus && !dots) {
      assert.equal(sys.statx(fd, name, flags, MASK, found), 0)
      const entry = {
        nodeid,
        generation: 2 ** 40 + 3,
        entryValid: 1.5,
        attrValid: 0.25,
        attr: found.toAttr(),
      }
      at += encodeDirentplus(bytes, view, at, WINDOW, name, off, entry, 'latin1')
    } else if (plus) {
      at += encodeDirentplus(bytes, view, at, WINDOW, name, off, { nodeid: 0, ino, type }, 'latin1')
    } else {
      at += encodeDirent(bytes, view, at, WINDOW, name, off, { ino, type }, 'latin1')
    }
  }
  return bytes.subarray(0, at)
}

test('READDIR records are those of the table', () => {
  const encoder = sys.listingEncoder(false)
  encoder.begin(WINDOW, 2 ** 33)
  assert.equal(encoder.append(fd, window, 0, filled), 12)
  assert.deepEqual(encoder.reply, expected(false, 2 ** 33, 0))
})

test('READDIRPLUS records are those of the table, in memory that was used before', () => {
  const encoder = sys.listingEncoder(true)
  for (const nodeid of [7, 2 ** 52 + 1]) {
    encoder.begin(WINDOW, 5, 1.5, 0.25)
    const count = encoder.append(fd, window, 0, filled)
    assert.equal(count, 12)
    for (let index = 0; index < count; index++) {
      encoder.select(index)
      assert.equal(encoder.found, encoder.name !== '.' && encoder.name !== '..')
      if (encoder.found) encoder.setNodeid(nodeid, 2 ** 40 + 3)
    }
    assert.deepEqual(encoder.reply, expected(true, 5, nodeid))
    encoder.reply.fill(0xff)
    encoder.reuse()
  }
})

test('what the getters tell of a file is that of statx(2)', () => {
  const encoder = sys.listingEncoder(true)
  const found = new StatxBuffer()
  encoder.begin(WINDOW, 0)
  const count = encoder.append(fd, window, 0, filled)
  for (let index = 0; index < count; index++) {
    encoder.select(index)
    if (!encoder.found) continue
    sys.statx(fd, encoder.name, AT_SYMLINK_NOFOLLOW, MASK, found)
    for (const key of [...IDENTITY, ...OTHERS])
      assert.equal(encoder[key], found[key], `${encoder.name}: ${key}`)
  }
})

test('a reply ends with the last record that fits, and goes on from there', () => {
  const whole = expected(false, 0, 0)
  const encoder = sys.listingEncoder(false)
  const starts: number[] = []
  for (let at = 0; at < filled; at += window.readUInt16LE(at + 16)) starts.push(at)
  let reply = Buffer.alloc(0)
  for (let first = 0; first < starts.length;) {
    encoder.begin(320, first)
    const count = encoder.append(fd, window, starts[first], filled)
    assert.ok(count > 0 && encoder.used <= 320)
    reply = Buffer.concat([reply, encoder.reply])
    first += count
  }
  assert.deepEqual(reply, whole)
  encoder.begin(40, 0)
  assert.equal(encoder.append(fd, window, starts[0], filled), 1)
  encoder.begin(23, 0)
  assert.equal(encoder.append(fd, window, starts[0], filled), 0)
})

test('a file that has gone since is listed without attributes; damaged records and a wrong range are refused', () => {
  const gone = join(dir, 'gone')
  writeFileSync(gone, '')
  const again = openSync(dir, 'r')
  const fresh = Buffer.alloc(WINDOW)
  const length = sys.getdents64Into(again, fresh)
  rmSync(gone)
  const encoder = sys.listingEncoder(true)
  encoder.begin(WINDOW, 0)
  encoder.append(again, fresh, 0, length)
  const entries = [...new EncodedDirents<'direntplus'>(encoder.reply, 'direntplus', 'latin1')]
  const entry = entries.find(({ name }) => name === 'gone') as Direntplus
  assert.deepEqual([entry.nodeid, entry.type, 'attr' in entry], [0, 8, false])
  fresh.writeUInt16LE(0, 16)
  encoder.begin(WINDOW, 0)
  assert.equal(encoder.append(again, fresh, 0, length), -5)
  assert.throws(() => encoder.append(again, fresh, 0, WINDOW + 1), RangeError)
  closeSync(again)
})

test('a size that is none, a range that is none, and memory that has gone are refused', () => {
  const encoder = sys.listingEncoder(true)
  encoder.begin(16, 0)
  for (const size of [-1, 0.5, NaN, Infinity, 2 ** 31 - 7, 2 ** 32 + 8])
    assert.throws(() => encoder.begin(size, 0), { name: 'RangeError', message: /the size of a reply/ })
  encoder.begin(WINDOW, 0)
  for (const [from, to] of [
    [0, -1],
    [-1, 0],
    [NaN, 8],
    [0, NaN],
    [0.5, 8],
    [16, 8],
  ])
    assert.throws(() => encoder.append(fd, window, from, to), RangeError)
  // A record whose head is cut off at the end of the window.
  const short = window.subarray(0, 10)
  assert.equal(encoder.append(fd, short, 0, 10), -5)
  assert.equal(encoder.append(fd, window, 0, 0), 0)
  const buffer = encoder.reply.buffer as ArrayBuffer
  structuredClone(buffer, { transfer: [buffer] })
  assert.ok(encoder.append(fd, window, 0, filled) <= 0)
})
