// Checks the latency histogram: accuracy over the whole range, extremes, and that recording allocates nothing.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Histogram } from '#dist/session/histogram.js'

describe('Histogram', () => {
  it('is empty at first and after reset', () => {
    const histogram = new Histogram()
    const empty = () =>
      assert.deepEqual(
        [histogram.count, histogram.max, histogram.mean, histogram.percentile(50)],
        [0, 0, 0, 0],
      )
    empty()
    histogram.record(5)
    histogram.reset()
    empty()
  })

  it('keeps a single value within 4 percent, from a quarter microsecond to minutes', () => {
    for (let value = 2; value < 200_000_000; value *= 1.37) {
      const histogram = new Histogram()
      histogram.record(value)
      histogram.record(value * 4)
      const got = histogram.percentile(50)
      assert.ok(Math.abs(got - value) / value < 0.04, `${value} became ${got}`)
      assert.equal(histogram.max, value * 4)
    }
  })

  it('gives the percentiles of a known distribution', () => {
    const histogram = new Histogram()
    for (let value = 1; value <= 10_000; value++) histogram.record(value)
    for (const percent of [1, 50, 90, 99]) {
      const expected = percent * 100
      const got = histogram.percentile(percent)
      assert.ok(Math.abs(got - expected) / expected < 0.04, `p${percent} is ${got}`)
    }
    assert.equal(histogram.percentile(100), 10_000)
    assert.equal(histogram.count, 10_000)
    assert.equal(histogram.mean, 5000.5)
  })

  it('never lets a smaller value land above a larger one', () => {
    let last = 0
    for (let value = 0; value < 5000; value += 0.25) {
      const histogram = new Histogram()
      histogram.record(value)
      histogram.record(1e9)
      const got = histogram.percentile(50)
      assert.ok(got >= last, `${value} gives ${got} after ${last}`)
      last = got
    }
  })

  it('takes what clocks can produce: zero, negative, huge', () => {
    const histogram = new Histogram()
    for (const value of [0, -3, 1e12]) histogram.record(value)
    assert.equal(histogram.count, 3)
    assert.equal(histogram.max, 1e12)
    assert.ok(histogram.percentile(50) < 0.2)
  })

  it('allocates nothing on record', () => {
    const histogram = new Histogram()
    const round = () => {
      for (let i = 0; i < 1_000_000; i++) histogram.record(i * 0.37)
    }
    for (let i = 0; i < 3; i++) round()
    const before = process.memoryUsage().heapUsed
    round()
    const grown = process.memoryUsage().heapUsed - before
    assert.ok(grown < 1 << 20, `a million records grew the heap by ${grown} bytes`)
  })
})
