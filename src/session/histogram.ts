// Owns the counting of latencies: a histogram with logarithmic buckets, cheap enough to sit in the path of every request.

// 16 buckets per power of two keep the error below 1/32; eighths of a microsecond are the finest step.
const SUB_BITS = 4
const SUB_BUCKETS = 1 << SUB_BITS
const STEPS_PER_MICROSECOND = 8
const MAX_STEPS = 0x7fffffff
const BUCKETS = (31 - SUB_BITS) * SUB_BUCKETS + SUB_BUCKETS

const COUNT = 0
const SUM = 1
const MAX = 2
const TOTALS = 3

/** Memory of one histogram. */
export const HISTOGRAM_BYTES = TOTALS * 8 + BUCKETS * 4

function bucketOf(steps: number): number {
  if (steps < SUB_BUCKETS) return steps
  const shift = 31 - Math.clz32(steps) - SUB_BITS
  return shift * SUB_BUCKETS + (steps >>> shift)
}

/** The middle of a bucket in microseconds. */
function valueOf(bucket: number): number {
  if (bucket < 2 * SUB_BUCKETS) return (bucket + 0.5) / STEPS_PER_MICROSECOND
  const shift = Math.floor(bucket / SUB_BUCKETS) - 1
  const low = (bucket - shift * SUB_BUCKETS) * 2 ** shift
  return (low + 2 ** shift / 2) / STEPS_PER_MICROSECOND
}

/**
 * Latencies in microseconds, kept to within about 3 percent. Values from 268 seconds up share the last bucket; the
 * maximum is exact. `record` allocates nothing.
 */
export class Histogram {
  readonly #buckets: Uint32Array
  // Numbers with fractions in a plain field would be boxed again and again.
  readonly #totals: Float64Array

  /** In memory of its own, or in the {@link HISTOGRAM_BYTES} of `memory` from `offset`. */
  constructor(memory: ArrayBufferLike = new ArrayBuffer(HISTOGRAM_BYTES), offset = 0) {
    this.#totals = new Float64Array(memory, offset, TOTALS)
    this.#buckets = new Uint32Array(memory, offset + TOTALS * 8, BUCKETS)
  }

  /** Adds everything that another one has recorded. */
  add(other: Histogram): void {
    for (let bucket = 0; bucket < BUCKETS; bucket++) this.#buckets[bucket] += other.#buckets[bucket]
    this.#totals[COUNT] += other.#totals[COUNT]
    this.#totals[SUM] += other.#totals[SUM]
    this.#totals[MAX] = Math.max(this.#totals[MAX], other.#totals[MAX])
  }

  /** Adds one latency in microseconds; negative ones (a clock set back) count as 0. */
  record(microseconds: number): void {
    const value = microseconds > 0 ? microseconds : 0
    const steps = value * STEPS_PER_MICROSECOND
    this.#buckets[bucketOf(steps < MAX_STEPS ? Math.trunc(steps) : MAX_STEPS)]++
    this.#totals[COUNT]++
    this.#totals[SUM] += value
    if (value > this.#totals[MAX]) this.#totals[MAX] = value
  }

  /** How many latencies were recorded. */
  get count(): number {
    return this.#totals[COUNT]
  }

  /** The largest latency in microseconds; 0 without any. */
  get max(): number {
    return this.#totals[MAX]
  }

  /** The arithmetic mean in microseconds; 0 without any. */
  get mean(): number {
    return this.#totals[COUNT] === 0 ? 0 : this.#totals[SUM] / this.#totals[COUNT]
  }

  /** The latency in microseconds that `percent` (0..100) of the recorded ones do not exceed; 0 without any. */
  percentile(percent: number): number {
    const rank = Math.max(1, Math.ceil((this.#totals[COUNT] * percent) / 100))
    if (rank >= this.#totals[COUNT]) return this.#totals[MAX]
    let seen = 0
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      seen += this.#buckets[bucket]
      if (seen >= rank) return Math.min(valueOf(bucket), this.#totals[MAX])
    }
    return this.#totals[MAX]
  }

  /** Forgets everything recorded so far. */
  reset(): void {
    this.#buckets.fill(0)
    this.#totals.fill(0)
  }
}
