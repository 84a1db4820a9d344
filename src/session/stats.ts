// Counters of one connection: requests, errors, bytes and latencies per operation. Written by dispatch
// on every answer, read by `session.stats()` and `devfuse stats`.
import { operations } from '../protocol/index.js'
import type { TransportStats } from '../device/transport.js'
import { HISTOGRAM_BYTES, Histogram } from './histogram.js'

/** Figures of one operation; latencies in microseconds from reading the request to writing its answer. */
export interface OperationStats {
  count: number
  errors: number
  /** Bytes of data that requests brought (WRITE, SETXATTR). */
  bytesIn: number
  /** Bytes of data that answers carried (READ, READDIR, GETXATTR). */
  bytesOut: number
  p50: number
  p90: number
  p99: number
  max: number
}

/** What `session.stats()` returns. */
export interface SessionStats {
  mountPoint: string
  pid: number
  /** Seconds since the mount. */
  uptime: number
  /** `device`, `ring` or `fake`, and why it was taken. */
  transport: string
  transportReason: string
  /**
   * Threads that serve the mount; one that has died counts no more where `addWorkers` or the option `workers` started it.
   * `operations` sums over all that ever did; `inFlight` and `device` are those of the first one.
   */
  threads: number
  /** The kernel's and the agreed protocol minor, 7.x. */
  kernelMinor: number
  minor: number
  /** Requests whose handlers have not settled yet. */
  inFlight: number
  /** Requests answered EDEADLK, because the thread that serves waited for them. */
  deadlocks: number
  passthrough: {
    agreed: boolean
    /** Why not, where it is not agreed. */
    unavailable: string | undefined
    /** Opens answered with a backing id since the mount. */
    opens: number
    /** Inodes that have a backing id right now. */
    backingIds: number
    /** Opens that asked for passthrough and were served by the library, by reason. */
    fallbacks: Record<string, number>
  }
  /** What the filesystem counts by itself; undefined where it has no method `stats`. */
  filesystem: Readonly<Record<string, number | string>> | undefined
  /** By operation in the kernel's spelling without the prefix: LOOKUP, GETATTR, ... */
  operations: Record<string, OperationStats>
  /** Counters of the transport: requests, batches, spins, ... */
  device: TransportStats
}

const OPCODES = 64
const SUMS = 4
const SHARED_BYTES = OPCODES * (SUMS * 8 + HISTOGRAM_BYTES)

export class Counters {
  readonly #count: Float64Array
  readonly #errors: Float64Array
  readonly #bytesIn: Float64Array
  readonly #bytesOut: Float64Array
  readonly #latency: (Histogram | undefined)[] = Array.from({ length: OPCODES })

  /** With `memory` from {@link Counters.share}, another thread reads them through Counters of its own. */
  constructor(memory?: SharedArrayBuffer) {
    const sums = memory ?? new ArrayBuffer(OPCODES * SUMS * 8)
    const row = (index: number): Float64Array => new Float64Array(sums, index * OPCODES * 8, OPCODES)
    this.#count = row(0)
    this.#errors = row(1)
    this.#bytesIn = row(2)
    this.#bytesOut = row(3)
    if (memory === undefined) return
    for (let opcode = 0; opcode < OPCODES; opcode++)
      this.#latency[opcode] = new Histogram(memory, OPCODES * SUMS * 8 + opcode * HISTOGRAM_BYTES)
  }

  /** Memory for counters that several threads can read, and one writes. */
  static share(): SharedArrayBuffer {
    return new SharedArrayBuffer(SHARED_BYTES)
  }

  /** One answer; the times of request and answer are in milliseconds of the same clock. */
  answered(opcode: number, since: number, now: number, error: number, bytesOut: number): void {
    if (opcode >= OPCODES) return
    this.#count[opcode]++
    if (error < 0) this.#errors[opcode]++
    this.#bytesOut[opcode] += bytesOut
    let histogram = this.#latency[opcode]
    if (histogram === undefined) this.#latency[opcode] = histogram = new Histogram()
    histogram.record((now - since) * 1000)
  }

  /** A request without an answer (FORGET, INTERRUPT). */
  received(opcode: number): void {
    if (opcode < OPCODES) this.#count[opcode]++
  }

  brought(opcode: number, bytes: number): void {
    if (opcode < OPCODES) this.#bytesIn[opcode] += bytes
  }

  /** The figures of this thread and of `others` together. */
  snapshot(others: readonly Counters[] = []): Record<string, OperationStats> {
    const result: Record<string, OperationStats> = {}
    const all = [this, ...others]
    for (let opcode = 0; opcode < OPCODES; opcode++) {
      const info = operations[opcode]
      const sum = (of: (one: Counters) => Float64Array): number =>
        all.reduce((total, one) => total + of(one)[opcode], 0)
      const count = sum((one) => one.#count)
      if (info === undefined || count === 0) continue
      const histogram = latencyOf(all.map((one) => one.#latency[opcode]))
      const at = (percent: number): number => round(histogram?.percentile(percent) ?? 0)
      result[kernelName(info.name)] = {
        count,
        errors: sum((one) => one.#errors),
        bytesIn: sum((one) => one.#bytesIn),
        bytesOut: sum((one) => one.#bytesOut),
        p50: at(50),
        p90: at(90),
        p99: at(99),
        max: round(histogram?.max ?? 0),
      }
    }
    return result
  }
}

function latencyOf(parts: readonly (Histogram | undefined)[]): Histogram | undefined {
  if (parts.length === 1) return parts[0]
  const sum = new Histogram()
  for (const part of parts) if (part !== undefined) sum.add(part)
  return sum
}

/** `copyFileRange64` as the kernel spells it: COPY_FILE_RANGE_64. */
export function kernelName(name: string): string {
  return name
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replace(/([a-z])(64)$/, '$1_$2')
    .toUpperCase()
}

function round(microseconds: number): number {
  return Math.round(microseconds * 10) / 10
}
