// Requests that wait in the kernel for an entry of a ring: fetched for by having entries answered. Needed only where a
// burst of requests found none free, which then all wait for their handlers.
import type { NativeRing } from '../native.js'
import { nodeidAt, uniqueAt } from './ring-queues.js'
import type { Entry } from './ring-queues.js'

// Kernel: a NOTIFY_REPLY has the unique that we chose, and its answer is looked up by it among the requests, whose
// uniques count up from 2 by two. Those of the session's retrievals begin where these end.
const FIRST = 2 ** 51
const END = 2 ** 52

const AT_ONCE = 8
/** Inodes that it is tried with. */
const MOST_ASKED = 16

/**
 * Kernel: an entry takes a request that waits as it is answered, not as it is added. So we have entries answered, by asking
 * for cached data of a file, of which no data is wanted, on the CPU of the queue.
 */
export class RingKicks {
  readonly #ring: NativeRing
  readonly #held: ReadonlyMap<number, Entry>
  /** Kicks of this batch that have fetched a request, by queue. */
  readonly #again = new Map<number, number>()
  #sent = 0

  /** `held` tells which inodes there are. */
  constructor(ring: NativeRing, held: ReadonlyMap<number, Entry>) {
    this.#ring = ring
    this.#held = held
  }

  /** Kicks sent so far. */
  get sent(): number {
    return this.#sent
  }

  /** Whether a NOTIFY_REPLY with this unique is a kick that comes back. */
  has(unique: number): boolean {
    return unique >= FIRST && unique < END
  }

  /** Fetches for whatever waits at a queue that has got new entries. */
  start(queue: number): void {
    this.#send(queue, AT_ONCE)
  }

  /** The kick in `entry` was answered, and the answer submitted: where it has fetched a request, there may be more. */
  back({ queue, index, arena, header }: Entry): void {
    // One that has waited itself fetches on its own; together they must not become more.
    if (!this.#ring.fetched(index) || this.has(uniqueAt(arena, header))) return
    this.#again.set(queue, (this.#again.get(queue) ?? 0) + 1)
  }

  /** Ends a batch: sends one more for each that has fetched a request. */
  goOn(): void {
    if (this.#again.size === 0) return
    for (const [queue, count] of this.#again) this.#send(queue, count)
    this.#again.clear()
  }

  #send(queue: number, count: number): void {
    const unique = FIRST + 2 * this.#sent
    const asked = new Set<number>()
    for (const { arena, header } of this.#held.values()) {
      const nodeid = nodeidAt(arena, header)
      if (asked.has(nodeid)) continue
      if (asked.size === MOST_ASKED) return
      asked.add(nodeid)
      const sent = this.#ring.kick(queue, unique, nodeid, count)
      if (sent <= 0) continue
      this.#sent += sent
      return
    }
  }
}
