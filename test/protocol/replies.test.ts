// Replies: from what a handler returns to bytes, and back as the kernel reads them.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Attr, OperationName } from '#dist/protocol/index.js'
import {
  EDEADLK,
  EAGAIN,
  ENOENT,
  EOPNOTSUPP,
  OUT_HEADER_SIZE,
  decodeDirents,
  decodeReply,
  describeErrno,
  encodeDirent,
  encodeDirentplus,
  encodeEntry,
  errnoName,
  errnoOf,
  operations,
  operationsByName,
  outHeader,
} from '#dist/protocol/index.js'
import { spelled } from './decode.js'

const attr: Attr = {
  ino: 2,
  size: 5,
  blocks: 8,
  atime: 1,
  mtime: 2,
  ctime: 3,
  mode: 0o100644,
  nlink: 1,
  uid: 10,
  gid: 20,
}
const fullAttr = { ...attr, atimensec: 0, mtimensec: 0, ctimensec: 0, rdev: 0, blksize: 0, flags: 0 }

function memory(size = 4096): { bytes: Buffer; view: DataView } {
  const bytes = Buffer.alloc(size, 0xee)
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) }
}

/** Encodes a value as the reply of an operation, and reads it back. */
function roundTrip(name: OperationName, value: unknown): Record<string, unknown> {
  const { bytes, view } = memory()
  const length = OUT_HEADER_SIZE + operationsByName[name].encode(view, OUT_HEADER_SIZE, value)
  outHeader(view, 0, length, 0, 8)
  const { unique, resent, error, ...fields } = decodeReply(name, bytes.subarray(0, length))
  assert.deepEqual([unique, resent, error], [8, false, 0])
  return fields
}

test('a GETATTR reply, spelled out', () => {
  const { bytes, view } = memory()
  const value = {
    attrValid: 1.5,
    attr: { ...attr, ino: 2n ** 64n - 1n, mtime: -1, mtimensec: 7, rdev: 9, blksize: 512, flags: 2 },
  }
  assert.equal(operationsByName.getattr.encode(view, 0, value), 104)
  assert.equal(
    bytes.toString('hex', 0, 104),
    spelled(
      '0100000000000000 0065cd1d 00000000 ffffffffffffffff 0500000000000000 0800000000000000',
      '0100000000000000 ffffffffffffffff 0300000000000000 00000000 07000000 00000000 a4810000',
      '01000000 0a000000 14000000 09000000 00020000 02000000',
    ),
  )
  assert.equal(bytes[104], 0xee)
})

test('entries', () => {
  const entry = { nodeid: 2 ** 40, generation: 1, entryValid: 0.25, attrValid: 60, attr: fullAttr }
  for (const name of ['lookup', 'mknod', 'mkdir', 'symlink', 'link'] as const) {
    assert.deepEqual(roundTrip(name, entry), entry)
  }
  const plain = roundTrip('lookup', { nodeid: 7, attr })
  assert.deepEqual(plain, { nodeid: 7, generation: 0, entryValid: 0, attrValid: 0, attr: fullAttr })
})

test('a negative entry has no attributes; any other must', () => {
  const { nodeid, entryValid, attr: none } = roundTrip('lookup', { nodeid: 0, entryValid: 3 })
  assert.deepEqual([nodeid, entryValid], [0, 3])
  assert.deepEqual(new Set(Object.values(none as object)), new Set([0]))
  const { view } = memory()
  assert.throws(() => encodeEntry(view, 0, { nodeid: 5 } as never), TypeError)
})

test('times to live are bounded', () => {
  const valid = (attrValid: number): unknown => roundTrip('getattr', { attrValid, attr }).attrValid
  assert.equal(valid(Infinity), 0xffffffff)
  assert.equal(valid(-1), 0)
  assert.equal(valid(Number.NaN), 0)
  assert.equal(valid(0.000000001), 1e-9)
})

test('open, create, tmpfile', () => {
  assert.deepEqual(roundTrip('open', {}), { fh: 0, openFlags: 0, backingId: 0 })
  const open = { fh: 2 ** 50, openFlags: 0x80, backingId: 3 }
  assert.deepEqual(roundTrip('opendir', open), open)
  const create = { nodeid: 3, generation: 0, entryValid: 1, attrValid: 1, attr: fullAttr, ...open }
  assert.deepEqual(roundTrip('create', create), create)
  assert.deepEqual(roundTrip('tmpfile', create), create)
})

test('numbers', () => {
  for (const name of ['write', 'copyFileRange', 'copyFileRange64', 'lseek', 'bmap', 'poll'] as const) {
    assert.deepEqual(roundTrip(name, 4097), { value: 4097 }, name)
  }
  assert.deepEqual(roundTrip('lseek', 2 ** 52), { value: 2 ** 52 })
  assert.deepEqual(roundTrip('copyFileRange64', 2 ** 33), { value: 2 ** 33 })
})

test('statfs, locks, statx', () => {
  const defaults = {
    blocks: 0,
    bfree: 0,
    bavail: 0,
    files: 0,
    ffree: 0,
    bsize: 4096,
    namelen: 255,
    frsize: 4096,
  }
  assert.deepEqual(roundTrip('statfs', {}), defaults)
  assert.deepEqual(roundTrip('statfs', { blocks: 9, namelen: 14 }), { ...defaults, blocks: 9, namelen: 14 })
  const lock = { start: 1, end: Infinity, type: 1, pid: 3 }
  assert.deepEqual(roundTrip('getlk', lock), lock)
  assert.deepEqual(roundTrip('getlk', { ...lock, end: 2 ** 40 }), { ...lock, end: 2 ** 40 })
  const time = (tvSec: number) => ({ tvSec, tvNsec: 5 })
  const times = { atime: time(1), btime: time(-2), ctime: time(3), mtime: time(4) }
  const devices = { rdevMajor: 1, rdevMinor: 2, devMajor: 3, devMinor: 4 }
  const shared = {
    mask: 0xfff,
    blksize: 512,
    attributes: 0,
    attributesMask: 0,
    nlink: 1,
    uid: 2,
    gid: 3,
    mode: 0o40755,
  }
  const stat = { ...shared, ino: 9, size: 10, blocks: 1, ...times, ...devices }
  assert.deepEqual(roundTrip('statx', { attrValid: 2, stat }), { attrValid: 2, flags: 0, stat })
})

test('empty replies, and replies of other kinds', () => {
  for (const info of operations) {
    if (info?.reply === 'empty') assert.deepEqual(roundTrip(info.name, undefined), {})
  }
  const { view } = memory()
  assert.equal(operationsByName.getxattr.encode(view, 0, 300), 8)
  assert.equal(view.getUint32(0, true), 300)
  assert.equal(operationsByName.read.encode(view, 0, undefined), 0)
  assert.deepEqual(roundTrip('ioctl', { result: -3 }), {
    result: -3,
    flags: 0,
    inIovs: 0,
    outIovs: 0,
    data: Buffer.alloc(0),
  })
})

test('INIT', () => {
  const init = {
    major: 7,
    minor: 45,
    maxReadahead: 131072,
    flags: 0x40000001,
    maxWrite: 1 << 20,
    flags2: 32,
    maxStackDepth: 2,
  }
  const rest = {
    maxBackground: 12,
    congestionThreshold: 9,
    maxPages: 256,
    mapAlignment: 0,
    requestTimeout: 30,
    timeGran: 1,
  }
  assert.deepEqual(roundTrip('init', { ...init, ...rest }), { ...init, ...rest })
})

test('the header of a reply', () => {
  const { bytes, view } = memory(32)
  outHeader(view, 0, 16, ENOENT, 2 ** 40 + 6)
  assert.equal(bytes.toString('hex', 0, 16), spelled('10000000 feffffff 0600000000010000'))
  outHeader(view, 0, 16, 0, 6, true)
  assert.equal(bytes.toString('hex', 8, 16), '0600000000000080')
  assert.deepEqual(decodeReply('unlink', bytes.subarray(0, 16)), { unique: 6, resent: true, error: 0 })
})

describe('directory records', () => {
  test('packed until full, padded to 8', () => {
    const { bytes, view } = memory()
    const names = ['a', 'exactly8', 'grün', '日本語']
    let at = 0
    for (const [index, name] of names.entries()) {
      at += encodeDirent(bytes, view, at, 4096, name, index + 1, { ino: index + 10, type: 8 })
    }
    assert.equal(at, 32 + 32 + 32 + 40)
    const entries = decodeDirents(bytes.subarray(0, at), false)
    assert.deepEqual(
      entries.map(({ name, ino, off, type }) => [
        Buffer.from(name as string, 'latin1').toString(),
        ino,
        off,
        type,
      ]),
      names.map((name, index) => [name, index + 10, index + 1, 8]),
    )
    assert.equal(encodeDirent(bytes, view, 0, 31, 'a', 1, { ino: 1, type: 8 }), 0)
    assert.equal(encodeDirent(bytes, view, 0, 32, 'a', 1, { ino: 1, type: 8 }), 32)
    assert.equal(encodeDirent(bytes, view, 0, 32, 'a-long-name', 1, { ino: 1, type: 8 }), 0)
  })

  test('names as bytes and as latin1', () => {
    const { bytes, view } = memory()
    const raw = Buffer.from([0xff, 0x61])
    let at = encodeDirent(bytes, view, 0, 4096, raw, 1, { ino: 1n, type: 8 })
    at += encodeDirent(bytes, view, at, 4096, raw.toString('latin1'), 2, { ino: 2, type: 8 }, 'latin1')
    const names = decodeDirents(bytes.subarray(0, at), false).map(({ name }) => name)
    assert.deepEqual(names, ['\xffa', '\xffa'])
  })

  test('with entries; number and type follow from the attributes', () => {
    const { bytes, view } = memory()
    const entry = { nodeid: 4, attr, entryValid: 1 }
    let at = encodeDirentplus(bytes, view, 0, 4096, 'file', 1, entry)
    assert.equal(at, 128 + 32)
    at += encodeDirentplus(bytes, view, at, 4096, '.', 2, { nodeid: 0, ino: 1, type: 4 })
    const entries = decodeDirents(bytes.subarray(0, at), true)
    assert.deepEqual(
      entries.map(({ name, nodeid, ino, type }) => [name, nodeid, ino, type]),
      [
        ['file', 4, 2, 8],
        ['.', 0, 1, 4],
      ],
    )
    assert.equal(encodeDirentplus(bytes, view, 0, 159, 'file', 1, entry), 0)
  })

  test('names the kernel would not take', () => {
    const { bytes, view } = memory()
    for (const name of ['', 'a/b', 'a\0', 'ü/', Buffer.alloc(0), Buffer.from('a/b')]) {
      assert.throws(() => encodeDirent(bytes, view, 0, 4096, name, 1, { ino: 1, type: 8 }), TypeError)
    }
  })
})

test('errno by name and number', () => {
  assert.equal(errnoName(ENOENT), 'ENOENT')
  assert.equal(errnoName(2), 'ENOENT')
  assert.equal(errnoName(-524), undefined)
  assert.equal(describeErrno(-524), 'errno 524')
  assert.equal(describeErrno(ENOENT), 'ENOENT')
  assert.equal(errnoOf('ENOENT'), -2)
  assert.equal(errnoOf('ENOTSUP'), EOPNOTSUPP)
  assert.equal(errnoOf('EWOULDBLOCK'), EAGAIN)
  assert.equal(errnoOf('EDEADLOCK'), EDEADLK)
  assert.equal(errnoOf('toString'), undefined)
})
