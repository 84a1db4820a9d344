// Requests: from bytes to objects. Some messages are spelled out byte by byte, the others come from the kernel's side of the table.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  EIO,
  FATTR_KILL_SUIDGID,
  FATTR_MODE,
  FUSE_LK_FLOCK,
  FUSE_WRITE_KILL_SUIDGID,
  ILLEGAL_NAME,
  MALFORMED,
  OVERFLOW,
  decoders,
  describeRequest,
  encodeRequest,
  operations,
} from '#dist/protocol/index.js'
import { context, decode, decodeAs, spelled } from './decode.js'

const HEADER = { unique: 6, nodeid: 3, uid: 1000, gid: 100, pid: 4711 }

test('a LOOKUP, spelled out', () => {
  const message = Buffer.from(
    spelled(
      '2e000000 01000000 0600000000000000 0300000000000000 e8030000 64000000 67120000 0000 0000',
      '68656c6c6f00',
    ),
    'hex',
  )
  const request = decodeAs('lookup', message)
  assert.equal(request.name, 'hello')
  assert.deepEqual(Object.fromEntries(Object.entries(request).filter(([name]) => name !== 'context')), {
    unique: 6,
    nodeid: 3,
    uid: 1000,
    gid: 100,
    pid: 4711,
    resent: false,
    name: 'hello',
  })
  assert.deepEqual(encodeRequest('lookup', { ...HEADER, name: 'hello' }), message)
})

test('a READ, spelled out', () => {
  const message = Buffer.from(
    spelled(
      '50000000 0f000000 0800000000000000 0200000000000000 00000000 00000000 01000000 0000 0000',
      '0500000000000000 0000000001000000 00100000 02000000 ffffffffffffffff 00800000 00000000',
    ),
    'hex',
  )
  const request = decodeAs('read', message)
  assert.equal(request.fh, 5)
  assert.equal(request.offset, 2 ** 32)
  assert.equal(request.size, 4096)
  assert.equal(request.readFlags, 2)
  assert.equal(request.lockOwner, 0xffffffffffffffffn)
  assert.equal(request.flags, 0x8000)
})

test('every operation decodes what the kernel side of the table encodes', () => {
  for (const info of [...operations].filter((one) => one !== undefined)) {
    const fields: Record<string, unknown> = { ...HEADER }
    let next = 1
    for (const { name } of info.fields) {
      if (['extensions', 'items', 'lk'].includes(name)) continue
      const isName = ['name', 'newname', 'target'].includes(name)
      const isBytes = name === info.payload
      fields[name] = isName ? `n${next}` : isBytes ? Buffer.from(`b${next}`) : next
      next++
    }
    for (const size of ['size', 'inSize']) if (info.payload !== undefined && size in fields) fields[size] = 2
    const request = decodeAs(info.name === 'rename2' ? 'rename' : info.name, encodeRequest(info.name, fields))
    for (const [name, value] of Object.entries(fields)) {
      if (info.name === 'rename' && name === 'flags') continue
      const got: unknown = Reflect.get(request, name)
      assert.deepEqual(typeof got === 'bigint' ? Number(got) : got, value, `${info.name}.${name}`)
    }
  }
})

test('u64 numbers: exact up to 2^53-1, refused beyond', () => {
  const read = (offset: bigint) => decode(encodeRequest('read', { ...HEADER, offset }))
  const exact = read(2n ** 53n - 1n)
  assert.ok(typeof exact === 'object' && 'offset' in exact && exact.offset === 2 ** 53 - 1)
  assert.equal(read(2n ** 53n), OVERFLOW)
  assert.equal(read(2n ** 64n - 1n), OVERFLOW)
  assert.equal(decode(encodeRequest('getattr', { ...HEADER, nodeid: 2n ** 60n })), OVERFLOW)
})

test('signed numbers: times before 1970, offsets of lseek', () => {
  const request = decodeAs(
    'setattr',
    encodeRequest('setattr', { ...HEADER, atime: -1, mtime: -(2 ** 40), ctime: 5 }),
  )
  assert.deepEqual([request.atime, request.mtime, request.ctime], [-1, -(2 ** 40), 5])
  const far = { ...HEADER, atime: 2n ** 63n - 1n, mtime: -(2n ** 63n), ctime: 0 }
  const { atime, mtime } = decodeAs('setattr', encodeRequest('setattr', far))
  assert.deepEqual([atime, mtime], [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER])
  assert.equal(decodeAs('lseek', encodeRequest('lseek', { ...HEADER, offset: -7 })).offset, -7)
  // Natively ENXIO, however far below zero.
  const lowest = decodeAs('lseek', encodeRequest('lseek', { ...HEADER, offset: -(2n ** 63n) }))
  assert.equal(lowest.offset, Number.MIN_SAFE_INTEGER)
  assert.equal(decode(encodeRequest('lseek', { ...HEADER, offset: 2n ** 60n })), OVERFLOW)
})

test('the caller and the new owner of a SETATTR are not mixed up', () => {
  const valid = FATTR_MODE | FATTR_KILL_SUIDGID
  const request = decodeAs(
    'setattr',
    encodeRequest('setattr', { ...HEADER, valid, newUid: 7, newGid: 8, mode: 0o644 }),
  )
  assert.deepEqual([request.uid, request.gid, request.newUid, request.newGid], [1000, 100, 7, 8])
  assert.equal(request.killSuidgid, true)
  assert.equal(request.hasFh, false)
})

test('locks: to the end of the file, owners, flock', () => {
  const lk = { start: 10, end: Infinity, type: 1, pid: 12 }
  const request = decodeAs(
    'setlkw',
    encodeRequest('setlkw', { ...HEADER, owner: 2n ** 63n + 1n, lk, lkFlags: FUSE_LK_FLOCK }),
  )
  assert.deepEqual(request.lk, lk)
  assert.equal(request.owner, 2n ** 63n + 1n)
  assert.equal(request.flock, true)
  const bounded = decodeAs('getlk', encodeRequest('getlk', { ...HEADER, lk: { ...lk, end: 99 } }))
  assert.deepEqual([bounded.lk.end, bounded.flock], [99, false])
  assert.equal(decode(encodeRequest('getlk', { ...HEADER, lk: { ...lk, end: 2n ** 60n } })), OVERFLOW)
})

describe('names', () => {
  const lookup = (bytes: Buffer) => encodeRequest('lookup', { ...HEADER, name: bytes })

  test('UTF-8 is checked', () => {
    for (const name of ['a', 'grün', '日本語', '😀', 'with \ufffd inside', '\ufeffbom']) {
      assert.equal(decodeAs('lookup', lookup(Buffer.from(name))).name, name)
    }
    for (const bytes of [
      [0xff],
      [0x61, 0xc3],
      [0xc0, 0x80],
      [0xed, 0xa0, 0x80],
      [0xf0, 0x9f, 0x98],
      [0xef, 0xbf, 0xbd, 0x80],
    ]) {
      assert.equal(decode(lookup(Buffer.from(bytes))), ILLEGAL_NAME, bytes.join())
    }
  })

  test('latin1 and buffer are exact', () => {
    const bytes = Buffer.from([0x61, 0xff, 0x80, 0xc3])
    assert.equal(decodeAs('lookup', lookup(bytes), { encoding: 'latin1' }).name, bytes.toString('latin1'))
    const message = lookup(bytes)
    const { name } = decodeAs('lookup', message, { encoding: 'buffer' })
    message.fill(0)
    assert.deepEqual(name, bytes)
  })

  test('two names, and a name without an end', () => {
    const request = decodeAs('symlink', encodeRequest('symlink', { ...HEADER, name: 'l', target: '../t' }))
    assert.deepEqual([request.name, request.target], ['l', '../t'])
    const message = encodeRequest('symlink', { ...HEADER, name: 'l', target: '../t' })
    assert.equal(decode(message.subarray(0, -1)), MALFORMED)
  })
})

test('both renames become the same request', () => {
  const names = { newdir: 9, name: 'old', newname: 'new' }
  const plain = decodeAs('rename', encodeRequest('rename', { ...HEADER, ...names }))
  const flagged = decodeAs('rename', encodeRequest('rename2', { ...HEADER, ...names, flags: 2 }))
  assert.deepEqual([plain.newdir, plain.flags, plain.name, plain.newname], [9, 0, 'old', 'new'])
  assert.deepEqual([flagged.newdir, flagged.flags, flagged.name, flagged.newname], [9, 2, 'old', 'new'])
})

test('payloads are views, and may not run past the message', () => {
  const data = Buffer.from('payload')
  const message = encodeRequest('write', { ...HEADER, fh: 1, data, writeFlags: FUSE_WRITE_KILL_SUIDGID })
  const request = decodeAs('write', message)
  assert.deepEqual(Buffer.from(request.data), data)
  assert.equal(request.data.buffer, message.buffer)
  assert.equal(request.killSuidgid, true)
  assert.equal(decode(encodeRequest('write', { ...HEADER, data, size: 8 })), MALFORMED)
  assert.equal(decode(encodeRequest('write', { ...HEADER, data, size: 0xffffffff })), MALFORMED)
})

test('SETXATTR in both forms', () => {
  const fields = { ...HEADER, name: 'user.a', value: Buffer.from('v'), flags: 1, setxattrFlags: 1 }
  const long = decodeAs('setxattr', encodeRequest('setxattr', fields))
  assert.deepEqual([long.name, String(long.value), long.flags, long.aclKillSgid], ['user.a', 'v', 1, true])
  const message = encodeRequest('setxattr', { ...fields, setxattrExt: false })
  const short = decodeAs('setxattr', message, { setxattrExt: false })
  assert.deepEqual(
    [short.name, String(short.value), short.flags, short.aclKillSgid],
    ['user.a', 'v', 1, false],
  )
})

test('INIT of a kernel without flags2', () => {
  const message = encodeRequest('init', {
    ...HEADER,
    major: 7,
    minor: 31,
    maxReadahead: 131072,
    flags: 0x3fffffff,
    flags2: 7,
  })
  assert.equal(message.length, 104)
  assert.equal(decodeAs('init', message).flags2, 7)
  const old = decodeAs('init', message.subarray(0, 56))
  assert.deepEqual(
    [old.major, old.minor, old.maxReadahead, old.flags, old.flags2],
    [7, 31, 131072, 0x3fffffff, 0],
  )
  assert.equal(decode(message.subarray(0, 52)), MALFORMED)
})

test('BATCH_FORGET and REMOVEMAPPING carry lists', () => {
  const items = [
    { nodeid: 2, nlookup: 1 },
    { nodeid: 2 ** 40, nlookup: 3 },
  ]
  const message = encodeRequest('batchForget', { ...HEADER, items })
  assert.deepEqual(decodeAs('batchForget', message).items, items)
  message.writeUInt32LE(3, 40)
  assert.equal(decode(message), MALFORMED)
  const removal = encodeRequest('removemapping', { ...HEADER, items: [{ moffset: 4096, len: 8192 }] })
  assert.deepEqual(decodeAs('removemapping', removal).items, [{ moffset: 4096, len: 8192 }])
})

describe('extensions', () => {
  const secctx = [{ name: 'security.selinux', value: Buffer.from('system_u:object_r:tmp_t\0') }]

  test('groups and security contexts', () => {
    for (const name of ['mkdir', 'mknod', 'create', 'symlink', 'tmpfile'] as const) {
      const fields = { ...HEADER, name: 'n', target: 't', extensions: { groups: [5, 6], secctx } }
      const message = encodeRequest(name, fields)
      const request = decodeAs(name, message)
      assert.deepEqual(request.extensions, { groups: [5, 6], secctx }, name)
      if ('name' in request) assert.equal(request.name, 'n')
    }
  })

  test('none', () => {
    assert.equal(decodeAs('mkdir', encodeRequest('mkdir', { ...HEADER, name: 'n' })).extensions, undefined)
  })

  test('lengths that contradict each other', () => {
    const message = encodeRequest('mkdir', { ...HEADER, name: 'n', extensions: { groups: [5], secctx } })
    const damaged = (at: number, value: number): unknown => {
      const copy = Buffer.from(message)
      copy.writeUInt16LE(value, at)
      return decode(copy)
    }
    const start = 50
    assert.equal(damaged(36, 0xffff), MALFORMED)
    assert.equal(damaged(start, 4), MALFORMED)
    assert.equal(damaged(start, 0xffff), MALFORMED)
    assert.equal(damaged(start + 4, 9), MALFORMED)
    assert.equal(damaged(start + 8, 0xffff), MALFORMED)
    assert.equal(damaged(message.length - 8, 0xffff), MALFORMED)
  })
})

test('a resent request', () => {
  const request = decodeAs(
    'getattr',
    encodeRequest('getattr', { ...HEADER, unique: 2 ** 40 + 2, resent: true }),
  )
  assert.equal(request.unique, 2 ** 40 + 2)
  assert.equal(request.resent, true)
  const interrupt = decodeAs(
    'interrupt',
    encodeRequest('interrupt', { ...HEADER, unique: 7, interrupted: 2n ** 63n + 6n }),
  )
  assert.deepEqual([interrupt.unique, interrupt.interrupted, interrupt.resent], [7, 6, false])
})

test('parts in different places, with a stale operation area', () => {
  const memory = Buffer.alloc(1024, 0xee)
  const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength)
  const message = encodeRequest('mkdir', { ...HEADER, mode: 0o755, umask: 0o22, name: 'ring' })
  message.copy(memory, 512, 0, 40)
  message.copy(memory, 640, 40, 48)
  message.copy(memory, 16, 48)
  const request = decoders[9]?.decode(memory, view, 512, 640, 16, 16 + message.length - 48, context)
  assert.ok(typeof request === 'object' && request.operation === 'mkdir')
  assert.deepEqual([request.nodeid, request.mode, request.umask, request.name], [3, 0o755, 0o22, 'ring'])
})

test('the signal and the groups are asked of the session', () => {
  const request = decodeAs('getattr', encodeRequest('getattr', HEADER))
  assert.equal(request.signal.reason, 'asked')
  assert.deepEqual(request.groups, [4, 5])
})

test('one line for a request', () => {
  const setattr = encodeRequest('setattr', { ...HEADER, valid: 0x11, mode: 0o644, lockOwner: 0xabcn })
  assert.match(
    describeRequest(decodeAs('setattr', setattr)),
    /^setattr unique=6 nodeid=3 uid=1000 gid=100 pid=4711 valid=FATTR_MODE\|FATTR_ATIME .*lockOwner=0xabc .*mode=420/,
  )
  const write = encodeRequest('write', { ...HEADER, data: Buffer.alloc(9) })
  assert.match(describeRequest(decodeAs('write', write)), /data=<9 bytes>$/)
  const name = encodeRequest('lookup', { ...HEADER, name: 'a\nb', resent: true })
  assert.match(describeRequest(decodeAs('lookup', name)), / resent name="a\\nb"$/)
  const lock = encodeRequest('setlk', { ...HEADER, lk: { start: 0, end: Infinity, type: 1, pid: 1 } })
  assert.match(describeRequest(decodeAs('setlk', lock)), /lk={"start":0,"end":"Infinity"/)
})

test('facts of the operations', () => {
  assert.equal(EIO, -5)
  for (const [opcode, info] of operations.entries()) {
    if (!info) continue
    assert.equal(info.opcode, opcode)
    assert.equal(decoders[opcode]?.name, info.name)
  }
  assert.equal(operations[45]?.handler, 'rename')
  assert.equal(operations[53]?.handler, 'copyFileRange')
  assert.equal(operations[42]?.handler, 'forget')
  assert.equal(operations[16]?.payload, 'data')
})
