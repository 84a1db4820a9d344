// The table of pages against a plain map, and with more pieces than a change may look at one by one.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PageTable } from '#dist/filesystems/memory/page-table.js'
import { random } from '../support/random.js'

/** Indexes of the random test: enough for several leaves of single pages. */
const RANGE = 3000
// What looks at all of them for each one does not end within the time that a test file has.
const MANY = 1_000_000
/** In pages: pieces that no chunk of a table has in common. */
const APART = 512

function check(table: PageTable, model: Map<number, number>, start: number, end: number): void {
  let holes = 0
  for (let index = start; index < end; index++) {
    assert.equal(table.get(index), model.get(index) ?? -1)
    if (!model.has(index)) holes++
  }
  const indexes = Array.from({ length: RANGE - start }, (_, i) => start + i)
  assert.equal(table.holes(start, end), holes)
  assert.equal(table.nextPage(start), indexes.find((index) => model.has(index)) ?? Infinity)
  assert.equal(table.nextHole(start, RANGE), indexes.find((index) => !model.has(index)) ?? RANGE)
  assert.equal(table.nextHole(start, end), Math.min(end, table.nextHole(start, RANGE)))
  assert.equal(table.count, model.size)
  if (!model.has(start)) return
  let run = start + 1
  while (run < end && model.get(run) === model.get(run - 1)! + 1) run++
  // A run may be told in pieces.
  assert.ok(table.endOfRun(start, end) <= run && table.endOfRun(start, end) > start)
}

describe('the table of pages', () => {
  for (const seed of [1, 2, 3, 4]) {
    it(`is what a map would be (seed ${seed})`, () => {
      const pick = random(seed)
      const table = new PageTable()
      const model = new Map<number, number>()
      let next = 0
      for (let step = 0; step < 6000; step++) {
        const index = pick(RANGE)
        const end = Math.min(RANGE, index + 1 + pick(pick(200) === 0 ? RANGE : 4))
        if (pick(4) > 0) {
          // Now and then pages out of order, so that neighbours in the file are none in number.
          for (let at = index; at < end; at++) {
            if (model.has(at)) continue
            next += pick(3) === 0 ? 2 : 1
            table.set(at, next)
            model.set(at, next)
          }
        } else {
          const given: number[] = []
          table.remove(index, end, (page) => given.push(page))
          const expected: number[] = []
          for (let at = end - 1; at >= index; at--) {
            const page = model.get(at)
            if (page !== undefined) expected.push(page)
            model.delete(at)
          }
          assert.deepEqual(given, expected)
        }
        const from = pick(RANGE)
        check(table, model, from, Math.min(RANGE, from + 50))
      }
      check(table, model, 0, RANGE)
      table.remove(0, Infinity, () => {})
      check(table, new Map(), 0, RANGE)
    })
  }

  for (const [order, place] of [
    ['in order', (i: number) => i],
    ['backwards', (i: number) => MANY - i],
  ] as const) {
    it(`takes pages that lie apart ${order}, and gives all of them back`, () => {
      const table = new PageTable()
      for (let i = 0; i < MANY; i++) table.set(place(i) * APART, i)
      assert.equal(table.count, MANY)
      let given = 0
      table.remove(0, Infinity, () => given++)
      assert.deepEqual([given, table.count], [MANY, 0])
    })
  }
})
