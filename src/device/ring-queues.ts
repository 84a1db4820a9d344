// The entries of a ring: one queue per possible CPU, blocks of memory that grow with the requests that wait,
// and what all of it takes. Beside the requests of `ring.ts`.
import type { NativeRing } from '../native.js'
import { pinnedMemory } from '../syscalls/memory.js'
import type { TransportStats } from './transport.js'

/** Entries of one queue at the most: so many requests made on one CPU can wait for their answers at a time. */
export const MOST_PER_QUEUE = 1024

// Kernel: struct fuse_uring_req_header has 288 bytes. The payload begins in the same page: one page does for most requests.
const PAYLOAD_AT = 320
const PAGE = 4096
const ENOSPC = -28

/** A block of memory that entries lie in. */
export interface Arena {
  memory: Buffer
  view: DataView
}

/** The memory of one request. */
export interface Entry {
  readonly index: number
  readonly queue: number
  readonly arena: Arena
  /** Offsets in the arena. */
  readonly header: number
  readonly payload: number
  /** A handler still looks at the payload. */
  kept: boolean
  /** The errno that was answered meanwhile, or 0. */
  answered: number
}

const TWO_32 = 0x1_0000_0000

// Kernel: fields of fuse_in_header.
export const opcodeAt = ({ view }: Arena, header: number): number => view.getUint32(header + 4, true)
export const uniqueAt = ({ view }: Arena, header: number): number =>
  view.getUint32(header + 8, true) + (view.getUint32(header + 12, true) & 0x7fff_ffff) * TWO_32
export const nodeidAt = ({ view }: Arena, header: number): number =>
  view.getUint32(header + 16, true) + view.getUint32(header + 20, true) * TWO_32

// The memory of the last connection, for the next one.
const spare: ArrayBuffer[] = []

export class RingQueues {
  readonly #ring: NativeRing
  readonly #depth: number
  readonly #entries: Entry[] = []
  /** By queue: entries, and those that hold a request. */
  readonly #sizes: number[] = []
  readonly #taken: number[] = []
  readonly #blocks: ArrayBuffer[] = []
  #payloadSize = 0
  #queues = 0
  #most = 0

  constructor(ring: NativeRing, depth: number) {
    this.#ring = ring
    this.#depth = depth
  }

  /** Bytes of the largest payload. */
  get payloadSize(): number {
    return this.#payloadSize
  }

  /** Hands the first entries of `queues` to the kernel: 0 or -errno. Kernel: payloads hold 8192 bytes at least. */
  open(payloadSize: number, queues: readonly number[]): number {
    this.#payloadSize = Math.max(payloadSize, 8192)
    this.#queues = queues.length
    const opened = this.#ring.open(queues.length * MOST_PER_QUEUE)
    if (opened < 0) return opened
    for (const queue of queues) {
      this.#sizes[queue] = 0
      this.#taken[queue] = 0
      const added = this.#add(queue)
      if (added < 0) return added
    }
    return 0
  }

  entry(index: number): Entry {
    return this.#entries[index]
  }

  /** A request lies in the entry. */
  entered(entry: Entry): void {
    this.#taken[entry.queue]++
    this.#most = Math.max(this.#most, this.#taken[entry.queue])
  }

  /** Its answer is on the way. */
  left(entry: Entry): void {
    this.#taken[entry.queue]--
  }

  /**
   * Adds entries to a queue of which more than half wait for their handlers, before those that would end the wait find none.
   * Returns whether it did.
   */
  grow(queue: number): boolean {
    const size = this.#sizes[queue]
    if (this.#taken[queue] * 2 < size || size >= MOST_PER_QUEUE) return false
    return this.#add(queue) >= 0
  }

  stats(): TransportStats {
    const bytes = this.#blocks.reduce((sum, { byteLength }) => sum + byteLength, 0)
    return {
      ringQueues: this.#queues,
      ringEntries: this.#entries.length,
      /** Of address space; what no request ever touched takes no memory. */
      ringBytes: bytes,
      ringMostHeld: this.#most,
    }
  }

  close(): void {
    const left = this.#ring.close()
    if (left === 0) {
      spare.length = 0
      spare.push(...this.#blocks)
    }
  }

  #add(queue: number): number {
    const size = this.#sizes[queue]
    const count = Math.min(this.#depth, MOST_PER_QUEUE - size)
    const entrySize = Math.ceil((PAYLOAD_AT + this.#payloadSize) / PAGE) * PAGE
    const block = takeMemory(count * entrySize)
    if (block === undefined) return ENOSPC
    this.#blocks.push(block)
    const first = this.#ring.add(queue, block, count, entrySize, PAYLOAD_AT)
    if (first < 0) return first
    const arena = { memory: Buffer.from(block), view: new DataView(block) }
    for (let i = 0; i < count; i++) {
      const header = i * entrySize
      this.#entries[first + i] = {
        index: first + i,
        queue,
        arena,
        header,
        payload: header + PAYLOAD_AT,
        kept: false,
        answered: 0,
      }
    }
    this.#sizes[queue] += count
    return first
  }
}

function takeMemory(size: number): ArrayBuffer | undefined {
  const found = spare.findIndex(({ byteLength }) => byteLength === size)
  if (found >= 0) return spare.splice(found, 1)[0]
  try {
    return pinnedMemory(size)
  } catch {
    return undefined
  }
}
