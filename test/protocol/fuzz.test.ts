// Decoders against damaged messages: they never throw and never read outside the message, whatever the bytes say.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import type { DecodeContext, Decoder } from '#dist/protocol/index.js'
import { cuseInitDecoder, decoders, describeRequest, encodeRequest } from '#dist/protocol/index.js'
import { random as randomFrom } from '../support/random.js'
import { context } from './decode.js'

const ROUNDS = 40_000
const SIZE = 1024
const BEYOND = 512

/** What a decoder made, as text: two results are the same when their texts are. */
function textOf(result: ReturnType<Decoder['decode']>): string {
  if (typeof result === 'number') return String(result)
  const { context: _, ...fields } = result
  return `${describeRequest(result)} ${inspect(fields, { depth: null, maxArrayLength: null, maxStringLength: null })}`
}

const seeds = [
  encodeRequest('lookup', { nodeid: 1, name: 'some-name' }),
  encodeRequest('rename2', { nodeid: 1, newdir: 2, name: 'old', newname: 'new' }),
  encodeRequest('write', { nodeid: 1, data: Buffer.alloc(200, 1) }),
  encodeRequest('setxattr', { nodeid: 1, name: 'user.a', value: Buffer.alloc(50, 2) }),
  encodeRequest('batchForget', {
    items: Array.from({ length: 20 }, (_, nodeid) => ({ nodeid, nlookup: 1 })),
  }),
  encodeRequest('create', {
    name: 'new',
    extensions: { groups: [1, 2, 3], secctx: [{ name: 'security.selinux', value: Buffer.from('label') }] },
  }),
  encodeRequest('ioctl', { data: Buffer.alloc(16, 3) }),
  encodeRequest('init', { major: 7, minor: 45 }),
]

test('mutated messages, every decoder', () => {
  const all = [...decoders, cuseInitDecoder].filter((decoder) => decoder !== undefined)
  const encodings: readonly DecodeContext['encoding'][] = ['utf8', 'latin1', 'buffer']
  const random = randomFrom(20261122)
  let decoded = 0
  for (let round = 0; round < ROUNDS; round++) {
    const seed = seeds[random(seeds.length)]
    const length = random(4) === 0 ? random(SIZE) : Math.max(0, seed.length - random(12))
    const bytes = Buffer.alloc(length + BEYOND)
    seed.copy(bytes, 0, 0, length)
    for (let change = random(6); change > 0 && length > 0; change--) bytes[random(length)] = random(256)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const settings: DecodeContext = {
      ...context,
      encoding: encodings[round % 3],
      setxattrExt: round % 2 === 0,
    }
    const decoder = all[round % all.length]
    // What lies beyond the end must not make a difference.
    const [zeros, ones] = [0, 0xff].map((beyond) => {
      bytes.fill(beyond, length)
      const payload = 40 + decoder.size(settings)
      const label = `round ${round}, ${decoder.name}, ${bytes.toString('hex', 0, length)}`
      try {
        return textOf(decoder.decode(bytes, view, 0, 40, payload, length, settings))
      } catch (error) {
        throw new Error(label, { cause: error })
      }
    })
    assert.equal(zeros, ones, `round ${round}, ${decoder.name}, ${bytes.toString('hex', 0, length)}`)
    if (zeros.length > 1) decoded++
  }
  assert.ok(decoded > ROUNDS / 4, `only ${decoded} messages were accepted`)
})

test('offsets outside the memory', () => {
  const bytes = seeds[0]
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (const decoder of decoders) {
    if (!decoder) continue
    for (const place of [0, 20, 40, bytes.length, 2 * bytes.length]) {
      assert.doesNotThrow(() =>
        decoder.decode(bytes, view, place, place + 40, place + 80, 2 * bytes.length, context),
      )
      assert.doesNotThrow(() => decoder.decode(bytes, view, 0, place, place, bytes.length, context))
    }
  }
})
