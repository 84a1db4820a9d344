// What the threads of one mirror know together, in memory that they share: which inodes the kernel knows, and who owns an open
// descriptor. Everything else a thread finds again by inode number.
import { availableParallelism } from 'node:os'
import { FIRST_OTHER } from './inode-numbers.js'

const BUCKETS = 1 << 18
/** Inodes that the kernel can know at a time. Memory is taken as they are used. */
const MOST_INODES = 1 << 22
const MOST_FDS = 1 << 20
const SPINS = availableParallelism() > 1 ? 200 : 0

const LOCK = 0
const FREE = 1
const USED = 2
const SIZE = 3
const HEADER = 4

const SPARE = 0
const BY_NUMBER = 1
const BY_SLOT = 2

/** The memory of {@link SharedState}: plain data, to be sent to another thread. */
export interface SharedMemory {
  header: SharedArrayBuffer
  buckets: SharedArrayBuffer
  inodes: SharedArrayBuffer
  fds: SharedArrayBuffer
}

export function shareMemory(): SharedMemory {
  return {
    header: new SharedArrayBuffer(HEADER * 4),
    buckets: new SharedArrayBuffer(BUCKETS * 4),
    inodes: new SharedArrayBuffer(MOST_INODES * (2 * 8 + 4 * 4)),
    fds: new SharedArrayBuffer(MOST_FDS * (8 + 2 * 4)),
  }
}

/** The lookup counts of inodes by (inode number, generation), and what stands behind an `fh`, which is a descriptor. */
export class SharedState {
  readonly #header: Int32Array
  /** Slot + 1 of the first inode, 0 without. */
  readonly #buckets: Int32Array
  readonly #ino: Float64Array
  readonly #lookups: Float64Array
  readonly #generation: Uint32Array
  readonly #next: Int32Array
  readonly #state: Int32Array
  readonly #writers: Int32Array
  readonly #nodeidOf: Float64Array
  readonly #what: Int32Array
  readonly #users: Int32Array

  constructor({ header, buckets, inodes, fds }: SharedMemory) {
    this.#header = new Int32Array(header)
    this.#buckets = new Int32Array(buckets)
    const words = (row: number): [SharedArrayBuffer, number, number] => [
      inodes,
      MOST_INODES * (16 + 4 * row),
      MOST_INODES,
    ]
    this.#ino = new Float64Array(inodes, 0, MOST_INODES)
    this.#lookups = new Float64Array(inodes, MOST_INODES * 8, MOST_INODES)
    this.#generation = new Uint32Array(...words(0))
    this.#next = new Int32Array(...words(1))
    this.#state = new Int32Array(...words(2))
    this.#writers = new Int32Array(...words(3))
    this.#nodeidOf = new Float64Array(fds, 0, MOST_FDS)
    this.#what = new Int32Array(fds, MOST_FDS * 8, MOST_FDS)
    this.#users = new Int32Array(fds, MOST_FDS * 12, MOST_FDS)
  }

  /** Counts a reply that names the file: its nodeid, which is its number unless an older file has that still; 0 when full. */
  remember(ino: number, generation: number): number {
    return this.#locked(() => {
      let slot = this.#find(ino, generation)
      if (slot < 0) slot = this.#add(ino, generation)
      if (slot < 0) return 0
      this.#lookups[slot]++
      return this.#nodeid(slot)
    })
  }

  /** The nodeid of a file that the kernel knows, 0 for any other. */
  nodeidOf(ino: number, generation: number): number {
    return this.#locked(() => {
      const slot = this.#find(ino, generation)
      return slot < 0 ? 0 : this.#nodeid(slot)
    })
  }

  /** The file that the kernel knows by this nodeid. */
  get(nodeid: number): { ino: number; generation: number } | undefined {
    return this.#locked(() => {
      const slot = this.#slot(nodeid)
      return slot < 0 ? undefined : { ino: this.#ino[slot], generation: this.#generation[slot] }
    })
  }

  /** Whether the nodeid stands for that generation of its file. */
  is(nodeid: number, generation: number): boolean {
    return this.#locked(() => {
      const slot = this.#slot(nodeid)
      return slot >= 0 && this.#generation[slot] === generation
    })
  }

  /** Gives `nlookup` replies back: true when these were the last. */
  forget(nodeid: number, nlookup: number): boolean {
    return this.#locked(() => {
      const slot = this.#slot(nodeid)
      if (slot < 0) return false
      this.#lookups[slot] -= nlookup
      if (this.#lookups[slot] > 0) return false
      this.#remove(slot)
      return true
    })
  }

  /** Inodes in the table. */
  get size(): number {
    return this.#header[SIZE]
  }

  /** `fd` is an open of `nodeid`; `what` is not 0, and `writes` counts. */
  opened(fd: number, nodeid: number, what: number, writes: boolean): void {
    this.#nodeidOf[fd] = nodeid
    Atomics.store(this.#what, fd, what)
    if (writes) this.#count(nodeid, 1)
  }

  /** What was said of an open, 0 where there is none. */
  what(fd: number): number {
    return fd >= 0 && fd < MOST_FDS ? Atomics.load(this.#what, fd) : 0
  }

  /** The open ends; what was said of it, to one thread only. */
  closed(fd: number, writes: (what: number) => boolean): number {
    const what = fd >= 0 && fd < MOST_FDS ? Atomics.exchange(this.#what, fd, 0) : 0
    if (what !== 0 && writes(what)) this.#count(this.#nodeidOf[fd], -1)
    return what
  }

  /** One user more of a descriptor: an open, or a job under way. */
  hold(fd: number): void {
    Atomics.add(this.#users, fd, 1)
  }

  /** One user less: how many are left. Whoever hears 0 closes the descriptor. */
  drop(fd: number): number {
    return Atomics.sub(this.#users, fd, 1) - 1
  }

  /** Whether the inode is open for writing. */
  written(nodeid: number): boolean {
    return this.#locked(() => {
      const slot = this.#slot(nodeid)
      return slot >= 0 && this.#writers[slot] > 0
    })
  }

  /** Every open descriptor that `wanted` says yes to. */
  *fds(wanted: (what: number) => boolean): Generator<number> {
    for (let fd = 0; fd < MOST_FDS; fd++) if (this.#what[fd] !== 0 && wanted(this.#what[fd])) yield fd
  }

  #count(nodeid: number, change: number): void {
    this.#locked(() => {
      const slot = this.#slot(nodeid)
      if (slot >= 0) this.#writers[slot] += change
    })
  }

  #locked<Result>(work: () => Result): Result {
    const header = this.#header
    for (let tries = 0; Atomics.compareExchange(header, LOCK, 0, 1) !== 0; tries++)
      if (tries >= SPINS) Atomics.wait(header, LOCK, 1, 1)
    try {
      return work()
    } finally {
      Atomics.store(header, LOCK, 0)
      Atomics.notify(header, LOCK, 1)
    }
  }

  #bucket(ino: number): number {
    return (Math.imul(ino % 0x1_0000_0000, 0x9e3779b1) ^ Math.floor(ino / 0x1_0000_0000)) & (BUCKETS - 1)
  }

  #find(ino: number, generation: number): number {
    let slot = this.#buckets[this.#bucket(ino)] - 1
    while (slot >= 0 && (this.#ino[slot] !== ino || this.#generation[slot] !== generation))
      slot = this.#next[slot] - 1
    return slot
  }

  #slot(nodeid: number): number {
    if (nodeid >= FIRST_OTHER) {
      const slot = nodeid - FIRST_OTHER
      return this.#state[slot] === BY_SLOT ? slot : -1
    }
    let slot = this.#buckets[this.#bucket(nodeid)] - 1
    while (slot >= 0 && (this.#ino[slot] !== nodeid || this.#state[slot] !== BY_NUMBER))
      slot = this.#next[slot] - 1
    return slot
  }

  #nodeid(slot: number): number {
    return this.#state[slot] === BY_NUMBER ? this.#ino[slot] : FIRST_OTHER + slot
  }

  #add(ino: number, generation: number): number {
    const header = this.#header
    let slot = header[FREE] - 1
    if (slot >= 0) header[FREE] = this.#next[slot]
    else if (header[USED] < MOST_INODES) slot = header[USED]++
    else return -1
    const number = ino > 1 && ino < FIRST_OTHER && this.#slot(ino) < 0
    const bucket = this.#bucket(ino)
    this.#ino[slot] = ino
    this.#generation[slot] = generation
    this.#lookups[slot] = 0
    this.#writers[slot] = 0
    this.#state[slot] = number ? BY_NUMBER : BY_SLOT
    this.#next[slot] = this.#buckets[bucket]
    this.#buckets[bucket] = slot + 1
    header[SIZE]++
    return slot
  }

  #remove(slot: number): void {
    const bucket = this.#bucket(this.#ino[slot])
    if (this.#buckets[bucket] === slot + 1) this.#buckets[bucket] = this.#next[slot]
    else {
      let at = this.#buckets[bucket] - 1
      while (this.#next[at] !== slot + 1) at = this.#next[at] - 1
      this.#next[at] = this.#next[slot]
    }
    this.#state[slot] = SPARE
    this.#next[slot] = this.#header[FREE]
    this.#header[FREE] = slot + 1
    this.#header[SIZE]--
  }
}
