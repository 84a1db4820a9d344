// The bytes of files in memory against a plain buffer: random changes, holes, and what they take.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ENOSPC, ENXIO } from 'devfuse'
import { Content } from '#dist/filesystems/memory/content.js'
import { PAGE, PagePool } from '#dist/filesystems/memory/pages.js'
import { random } from '../support/random.js'

const MAX = 40 * PAGE

/** A file that is nothing but a buffer. */
class Plain {
  bytes = Buffer.alloc(0)

  resize(size: number): void {
    const resized = Buffer.alloc(size)
    this.bytes.copy(resized)
    this.bytes = resized
  }

  write(data: Buffer, offset: number): void {
    this.resize(Math.max(this.bytes.byteLength, offset + data.byteLength))
    this.bytes.set(data, offset)
  }

  zero(offset: number, length: number): void {
    this.bytes.subarray(offset, offset + length).fill(0)
  }
}

describe('content in memory', () => {
  for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
    it(`is what a plain buffer would hold (seed ${seed})`, () => {
      const pick = random(seed)
      const pool = new PagePool(1000 * PAGE)
      const files = [new Content(pool), new Content(pool)]
      const plain = [new Plain(), new Plain()]
      for (let step = 0; step < 600; step++) {
        const which = pick(2)
        const [file, model] = [files[which], plain[which]]
        const offset = pick(3) === 0 ? pick(40) * PAGE : pick(MAX)
        const length = pick(2) === 0 ? pick(3) * PAGE : pick(3 * PAGE)
        const what = pick(6)
        if (what <= 1) {
          const data = Buffer.alloc(length, 1 + pick(255))
          assert.equal(file.write(data, offset), length)
          if (length > 0) model.write(data, offset)
        } else if (what === 2) {
          file.truncate(offset)
          model.resize(offset)
        } else if (what === 3) {
          file.punch(offset, length)
          model.zero(offset, length)
        } else if (what === 4) {
          assert.equal(file.zeroRange(offset, length), 0)
          model.zero(offset, length)
        } else {
          const source = plain[1 - which].bytes.subarray(offset, offset + length)
          const target = pick(MAX)
          if (source.byteLength === 0) continue
          assert.equal(file.copyFrom(files[1 - which], offset, target, source.byteLength), source.byteLength)
          model.write(Buffer.from(source), target)
        }
        assert.equal(file.size, model.bytes.byteLength)
        const [from, size] = [pick(MAX), pick(MAX)]
        assert.ok(model.bytes.subarray(from, from + size).equals(file.read(from, size)), `step ${step}`)
        assertSparse(file, model.bytes)
      }
      for (const file of files) file.truncate(0)
      assert.equal(pool.used, 0)
    })
  }

  it('takes memory for what was written only, far beyond 4 GiB', () => {
    const pool = new PagePool(10 * PAGE)
    const file = new Content(pool)
    const far = 2 ** 52 + 5
    assert.equal(file.write(Buffer.from('far'), far), 3)
    assert.equal(file.allocated, PAGE)
    assert.equal(file.nextData(0), far - 5)
    assert.equal(file.nextHole(far), file.size)
    assert.equal(file.nextHole(0), 0)
    assert.equal(Buffer.from(file.read(far - 2, 100)).toString('latin1'), '\0\0far')
    file.punch(0, far - 5 + PAGE)
    assert.deepEqual([file.allocated, file.nextData(0)], [0, ENXIO])
  })

  it('writes what fits, and says how much that was', () => {
    const pool = new PagePool(3 * PAGE)
    const file = new Content(pool)
    assert.equal(file.write(Buffer.alloc(4 * PAGE, 1), 100), 3 * PAGE - 100)
    assert.equal(file.size, 3 * PAGE)
    assert.equal(file.write(Buffer.alloc(2 * PAGE, 2), 2 * PAGE), PAGE)
    assert.equal(file.write(Buffer.alloc(2 * PAGE, 2), 3 * PAGE), ENOSPC)
    assert.equal(file.size, 3 * PAGE)
    assert.equal(file.read(2 * PAGE - 1, 2).join(), '1,2')
  })

  it('copies what fits, and does not extend a file by what does not', () => {
    const pool = new PagePool(6 * PAGE)
    const [source, target] = [new Content(pool), new Content(pool)]
    source.write(Buffer.alloc(4 * PAGE, 1), 2 * PAGE)
    assert.equal(target.copyFrom(source, 0, 0, 6 * PAGE), 4 * PAGE)
    assert.equal(target.size, 4 * PAGE)
    assert.equal(target.copyFrom(source, 2 * PAGE, 100 * PAGE, 2 * PAGE), ENOSPC)
    assert.equal(target.size, 4 * PAGE)
  })

  it('allocates a range as a whole, and gives memory back', () => {
    const pool = new PagePool(3 * PAGE)
    const file = new Content(pool)
    assert.equal(file.allocate(0, 4 * PAGE), ENOSPC)
    assert.equal(pool.used, 0)
    assert.equal(file.write(Buffer.alloc(2 * PAGE, 1), 0), 2 * PAGE)
    assert.equal(file.allocate(0, 4 * PAGE), ENOSPC)
    assert.equal(file.allocate(2 ** 50, 2 ** 40), ENOSPC)
    assert.equal(file.allocate(0, 3 * PAGE), 0)
    assert.equal(pool.left, 0)
    assert.equal(file.write(Buffer.alloc(1), 3 * PAGE), ENOSPC)
    file.punch(0, PAGE)
    assert.equal(file.write(Buffer.alloc(1, 9), 3 * PAGE), 1)
    assert.equal(file.read(3 * PAGE, 10)[0], 9)
  })

  it('never writes what others hold to bytes that were read, however long they are looked at', () => {
    const pool = new PagePool(300 * PAGE)
    const pick = random(1)
    const files: Content[] = []
    const read: { bytes: Uint8Array; value: number }[] = []
    for (let step = 0; step < 3000; step++) {
      const value = 1 + (step % 255)
      const file = new Content(pool)
      const data = Buffer.alloc((1 + pick(3)) * PAGE, value)
      while (data.byteLength > pool.left) files.splice(pick(files.length), 1)[0].truncate(0)
      assert.equal(file.write(data, 0), data.byteLength)
      files.push(file)
      if (pick(3) === 0) read.push({ bytes: file.read(0, PAGE), value })
      if (read.length > 100) read.shift()
      if (pick(2) === 0) files.splice(pick(files.length), 1)[0].truncate(0)
      if (step % 100 === 0)
        for (const { bytes, value: kept } of read) assert.ok(bytes.every((byte) => byte === kept))
    }
    for (const file of files) file.truncate(0)
    assert.equal(pool.used, 0)
  })

  it('hands out zeros again after use, and lets go of whole slabs', () => {
    const pool = new PagePool(2000 * PAGE)
    const [a, b] = [new Content(pool), new Content(pool)]
    for (let i = 0; i < 700; i++) {
      a.write(Buffer.alloc(PAGE, 7), i * PAGE)
      b.write(Buffer.alloc(PAGE, 8), i * PAGE)
    }
    a.truncate(0)
    assert.equal(a.allocate(0, 700 * PAGE), 0)
    a.size = 700 * PAGE
    assert.ok(a.read(0, a.size).every((byte) => byte === 0))
    assert.ok(b.read(0, b.size).every((byte) => byte === 8))
    b.truncate(0)
    a.truncate(0)
    assert.equal(pool.used, 0)
  })
})

/** SEEK_DATA and SEEK_HOLE take turns through the file, and between data there are zeros only. */
function assertSparse(file: Content, bytes: Buffer): void {
  for (let at = 0; at < file.size;) {
    const data = file.nextData(at)
    const end = data === ENXIO ? file.size : data
    assert.ok(bytes.subarray(at, end).every((byte) => byte === 0))
    if (data === ENXIO) return
    at = file.nextHole(data)
    assert.ok(at > data)
  }
}
