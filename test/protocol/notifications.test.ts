// Notifications as bytes, and flags by name.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  FUSE_EXPIRE_ONLY,
  decodeNotification,
  describeFlags,
  encodeNotifyDelete,
  encodeNotifyIncEpoch,
  encodeNotifyInvalEntry,
  encodeNotifyInvalInode,
  encodeNotifyPoll,
  encodeNotifyPrune,
  encodeNotifyResend,
  encodeNotifyRetrieve,
  encodeNotifyStore,
  initFlags,
} from '#dist/protocol/index.js'
import { spelled } from './decode.js'

const bytes = Buffer.alloc(512, 0xee)
const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

function written(length: number): ReturnType<typeof decodeNotification> {
  return decodeNotification(bytes.subarray(0, length))
}

test('INVAL_INODE, spelled out', () => {
  const length = encodeNotifyInvalInode(view, 0, { nodeid: 5, off: -1, len: 0 })
  assert.equal(
    bytes.toString('hex', 0, length),
    spelled('28000000 02000000 0000000000000000 0500000000000000 ffffffffffffffff 0000000000000000'),
  )
})

test('every notification reads back', () => {
  assert.deepEqual(written(encodeNotifyPoll(view, 0, { kh: 2n ** 63n })), { kind: 'poll', kh: 2n ** 63n })
  const inode = { nodeid: 2 ** 40, off: 4096, len: -1 }
  assert.deepEqual(written(encodeNotifyInvalInode(view, 0, inode)), { kind: 'invalInode', ...inode })
  const entry = written(encodeNotifyInvalEntry(view, 0, { parent: 1, name: 'grün', flags: FUSE_EXPIRE_ONLY }))
  assert.deepEqual(entry, { kind: 'invalEntry', parent: 1, namelen: 5, flags: 1, name: 'gr\xc3\xbcn' })
  const gone = written(encodeNotifyDelete(view, 0, { parent: 1, child: 7, name: Buffer.from('x') }))
  assert.deepEqual(gone, { kind: 'delete', parent: 1, child: 7, namelen: 1, name: 'x' })
  const wanted = { notifyUnique: 77, nodeid: 3, offset: 8192, size: 4096 }
  assert.deepEqual(written(encodeNotifyRetrieve(view, 0, wanted)), { kind: 'retrieve', ...wanted })
  assert.deepEqual(written(encodeNotifyResend(view, 0)), { kind: 'resend' })
  assert.deepEqual(written(encodeNotifyIncEpoch(view, 0)), { kind: 'incEpoch' })
  assert.deepEqual(written(encodeNotifyPrune(view, 0, { nodeids: [4, 5, 2 ** 33] })), {
    kind: 'prune',
    count: 3,
    nodeids: [4, 5, 2 ** 33],
  })
})

test('STORE leaves its data to the writer, and counts it', () => {
  const head = encodeNotifyStore(view, 0, { nodeid: 3, offset: 10, size: 4 })
  assert.equal(head, 40)
  bytes.write('data', head, 'latin1')
  const { kind, size, data } = written(head + 4)
  assert.deepEqual([kind, size, String(data)], ['store', 4, 'data'])
})

test('INIT flags stand at their bits, beyond 32 too', () => {
  for (const [index, { bit, value }] of initFlags.entries()) {
    assert.equal(index, bit)
    assert.equal(value, 2 ** bit)
  }
})

test('flags by name', () => {
  assert.equal(describeFlags('fopen', 0), '0')
  assert.equal(describeFlags('fopen', 0x1000082), 'FOPEN_KEEP_CACHE|FOPEN_PASSTHROUGH|0x1000000')
  assert.equal(describeFlags('initFlags', 2 ** 37 + 1), 'FUSE_ASYNC_READ|FUSE_PASSTHROUGH')
})
