// Listings that a filesystem has encoded itself: sent as they are, checked for their size, and taken back where nobody receives them.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EIO, EncodedDirents } from 'devfuse'
import type { Direntplus } from 'devfuse'
import { encodeDirentplus } from 'devfuse/protocol'
import { attr, serve } from '../support/fake-session.js'

function records(...entries: Direntplus[]): Uint8Array {
  const bytes = Buffer.alloc(4096)
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  let at = 0
  for (const [index, entry] of entries.entries())
    at += encodeDirentplus(bytes, view, at, bytes.length, entry.name, index + 1, entry)
  return bytes.subarray(0, at)
}

const three = (): Uint8Array =>
  records(
    { name: '.', nodeid: 1, attr },
    { name: 'grün', nodeid: 5, attr },
    { name: 'gone', nodeid: 0, ino: 9, type: 8 },
    { name: 'b', nodeid: 6, attr },
  )

describe('an encoded listing', () => {
  it('goes out as it is, and its memory is free afterwards', async () => {
    let free = 0
    const { kernel } = await serve({
      readdirplus: () => new EncodedDirents(three(), 'direntplus', 'utf8', { sent: () => free++ }),
      readdir: () => new EncodedDirents(new Uint8Array(0), 'dirent', 'utf8'),
    })
    const reply = await kernel.request('readdirplus', { fh: 0, offset: 0, size: 4096 })
    assert.deepEqual(reply['data'], three())
    assert.equal(free, 1)
    assert.deepEqual((await kernel.request('readdir', { fh: 0, offset: 0, size: 4096 }))['entries'], [])
  })

  it('that is too long or of the wrong kind is EIO, and its lookups are given back', async () => {
    const gone: number[] = []
    let kind: 'dirent' | 'direntplus' = 'direntplus'
    const { kernel, warnings } = await serve({
      readdirplus: () => new EncodedDirents(three(), kind, 'utf8') as never,
      forget: ({ nodeid }) => void gone.push(nodeid),
    })
    assert.equal((await kernel.request('readdirplus', { fh: 0, offset: 0, size: 100 })).error, EIO)
    assert.deepEqual(gone.splice(0), [5, 6])
    kind = 'dirent'
    assert.equal((await kernel.request('readdirplus', { fh: 0, offset: 0, size: 4096 })).error, EIO)
    assert.match(
      warnings.join('\n'),
      /listing of 100 bytes at most, not \d+, is needed\n.*a listing of direntplus is/,
    )
  })

  it('that nobody waits for gives its lookups back', async () => {
    const gone: number[] = []
    let answer: () => void = () => undefined
    const { kernel } = await serve({
      readdirplus: () =>
        new Promise((resolve) => (answer = () => resolve(new EncodedDirents(three(), 'direntplus', 'utf8')))),
      forget: ({ nodeid }) => void gone.push(nodeid),
    })
    const { unique } = kernel.post('readdirplus', { fh: 0, offset: 0, size: 4096 })
    kernel.drop(unique)
    answer()
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(gone, [5, 6])
  })

  it('can be looked at: exact names, and what is not taken is given back', () => {
    const gone: number[] = []
    const listing = (encoding: 'utf8' | 'latin1') =>
      new EncodedDirents(three(), 'direntplus', encoding, { forget: (nodeid) => gone.push(nodeid) })
    const [dot, green, missing, last] = [...listing('utf8')]
    assert.deepEqual([dot.nodeid, missing.nodeid, last.nodeid], [1, 0, 6])
    assert.equal(Buffer.from(green.name as Uint8Array).toString('utf8'), 'grün')
    assert.deepEqual([missing.ino, missing.type, missing.attr], [9, 8, undefined])
    assert.deepEqual(gone, [])
    for (const { name } of listing('latin1')) if (name === 'gr\u00c3\u00bcn') break
    assert.deepEqual(gone, [6])
  })
})
