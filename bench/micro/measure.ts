// Measures one request: nanoseconds, and bytes that it leaves on the heap of V8 and outside of it.
import { GCProfiler, getHeapStatistics } from 'node:v8'
import { nobody } from './replay.js'
import type { ReplayTransport } from './replay.js'

/** What one request costs, without the replay itself. */
export interface Figure {
  /** Median and least of the rounds. */
  ns: number
  leastNs: number
  /** Allocated on the heap. */
  bytes: number
  /** Allocated outside of it: memory of ArrayBuffers. */
  externalBytes: number
}

export interface Plan {
  rounds: number
  /** Requests of one round. */
  requests: number
}

/** The smallest young generation, in bytes, that takes what is measured without a collection: `node --min-semi-space-size=64`. */
const YOUNG = 64 * 1024 * 1024
const PILOT = 200
/** Requests that allocations are counted over, in rounds of those that are timed. */
const ALLOCATING_ROUNDS = 5
/** Measurements of allocations that are compared, and attempts at them. */
const CLEAN_RUNS = 3
const MOST_RUNS = 20

interface Space {
  heap: number
  external: number
}

/** Bytes in use right now; the answer itself counts each time alike. */
function used(): Space {
  const { used_heap_size: heap, external_memory: external } = getHeapStatistics()
  return { heap, external }
}

/**
 * Bytes that `run(count)` allocates: the difference of what is in use, with garbage. Undefined where garbage was collected
 * meanwhile.
 */
function allocated(run: (count: number) => void, count: number): Space | undefined {
  globalThis.gc?.({ type: 'minor', execution: 'sync' })
  const collections = new GCProfiler()
  collections.start()
  const first = used()
  const second = used()
  run(count)
  const third = used()
  if ((collections.stop()?.statistics ?? []).length > 0) return undefined
  return {
    heap: third.heap - second.heap - (second.heap - first.heap),
    external: third.external - second.external - (second.external - first.external),
  }
}

/** The least of several: compilers and counters of V8 allocate, too, now and then. */
function leastAllocated(run: (count: number) => void, count: number): Space {
  const spaces: Space[] = []
  for (let attempt = 0; spaces.length < CLEAN_RUNS && attempt < MOST_RUNS; attempt++) {
    const space = allocated(run, count)
    if (space !== undefined) spaces.push(space)
  }
  if (spaces.length === 0) throw new Error(`${count} requests cannot be played without a collection`)
  return {
    heap: Math.min(...spaces.map(({ heap }) => heap)),
    external: Math.min(...spaces.map(({ external }) => external)),
  }
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]
}

function timed(run: (count: number) => void, { rounds, requests }: Plan): { ns: number; leastNs: number } {
  const times = Array.from({ length: rounds }, () => {
    const since = process.hrtime.bigint()
    run(requests)
    return Number(process.hrtime.bigint() - since) / requests
  })
  return { ns: median(times), leastNs: Math.min(...times) }
}

/** Throws where node was started without what measuring allocations takes. */
export function checkRuntime(): void {
  const young = process.execArgv.some((arg) => arg.startsWith('--min-semi-space-size'))
  if (globalThis.gc === undefined || !young)
    throw new Error('start it with `npm run bench:micro`: it takes --expose-gc and --min-semi-space-size=64')
}

/** Measures what `transport` has loaded. */
export function measure(transport: ReplayTransport, plan: Plan): Figure {
  const { receiver } = transport
  const served = (count: number): void => transport.play(count, receiver)
  const empty = (count: number): void => transport.play(count, nobody)
  const pilot = leastAllocated(served, PILOT)
  // Half of the young generation at the most, so that no collection falls into the measurement.
  const most = Math.floor(YOUNG / 2 / Math.max(1, pilot.heap / PILOT))
  const count = Math.min(plan.requests * ALLOCATING_ROUNDS, most)
  const space = leastAllocated(served, count)
  const own = timed(empty, plan)
  const { ns, leastNs } = timed(served, plan)
  return {
    ns: ns - own.ns,
    leastNs: leastNs - own.leastNs,
    bytes: space.heap / count,
    externalBytes: space.external / count,
  }
}
