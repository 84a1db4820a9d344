// Counters of one connection: requests, errors, bytes and latencies per operation. Written by dispatch
// on every answer, read by `session.stats()` and `devfuse stats`.
import { operations } from '../protocol/index.js'
import type { TransportStats } from '../device/transport.js'
import { Histogram } from './histogram.js'

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
  /** By operation in the kernel's spelling without the prefix: LOOKUP, GETATTR, ... */
  operations: Record<string, OperationStats>
  /** Counters of the transport: requests, batches, spins, ... */
  device: TransportStats
}

const OPCODES = 64

export class Counters {
  readonly #count = new Float64Array(OPCODES)
  readonly #errors = new Float64Array(OPCODES)
  readonly #bytesIn = new Float64Array(OPCODES)
  readonly #bytesOut = new Float64Array(OPCODES)
  readonly #latency: (Histogram | undefined)[] = Array.from({ length: OPCODES })

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

  snapshot(): Record<string, OperationStats> {
    const result: Record<string, OperationStats> = {}
    for (let opcode = 0; opcode < OPCODES; opcode++) {
      const info = operations[opcode]
      const count = this.#count[opcode] ?? 0
      if (info === undefined || count === 0) continue
      const histogram = this.#latency[opcode]
      const at = (percent: number): number => round(histogram?.percentile(percent) ?? 0)
      result[kernelName(info.name)] = {
        count,
        errors: this.#errors[opcode] ?? 0,
        bytesIn: this.#bytesIn[opcode] ?? 0,
        bytesOut: this.#bytesOut[opcode] ?? 0,
        p50: at(50),
        p90: at(90),
        p99: at(99),
        max: round(histogram?.max ?? 0),
      }
    }
    return result
  }
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
