// The memory of all files: pages of 4 KiB, cut from slabs that go back to the system when their last page is free. Counts
// what is used, so that a full filesystem says ENOSPC.

/** Bytes of a page, the unit of allocation. */
export const PAGE = 4096
const PAGES_PER_SLAB = 256
const SLAB = PAGE * PAGES_PER_SLAB

interface Slab {
  bytes: Uint8Array
  /** Pages from here on were never used. */
  fresh: number
  /** Pages that were given back, with what was in them. */
  readonly free: number[]
  /** Those that somebody may look at still, and that must stay as they are. */
  readonly stale: number[]
  /** 1 for each page that was lent. */
  readonly lent: Uint8Array
}

/** So many stale pages make it worth to copy the rest of their slab. */
const WORTH_COPYING = PAGES_PER_SLAB / 2

const givenBack = ({ free, stale }: Slab): number => free.length + stale.length

/**
 * Hands out pages by number. Neighbours in time are neighbours in memory, so a file written in order is read without copies.
 *
 * What was {@link lend lent} is never used for anything else, however long somebody looks at it: before such pages are taken again,
 * their slab gets other memory.
 */
export class PagePool {
  /** Bytes that may be used. */
  readonly limit: number
  readonly #slabs: (Slab | undefined)[] = []
  /** Numbers of slabs that are gone, to be used again. */
  readonly #vacant: number[] = []
  /** Slabs with pages that were given back; some are full again, or gone. */
  #roomy: number[] = []
  /** The slab whose pages are taken, -1 for none. Others have no fresh pages. */
  #current = -1
  #used = 0

  constructor(limit: number) {
    this.limit = limit
  }

  /** Bytes in use. */
  get used(): number {
    return this.#used
  }

  /** Bytes left. */
  get left(): number {
    return Math.max(0, this.limit - this.#used)
  }

  /** Counts bytes that are kept elsewhere, or fewer again: false where they are too many. */
  charge(bytes: number): boolean {
    if (bytes > 0 && bytes > this.left) return false
    this.#used += bytes
    return true
  }

  /** A page of zeros. Ask for {@link left} first. */
  take(): number {
    const slab = this.#slabWithRoom()
    this.#used += PAGE
    const first = this.#current * PAGES_PER_SLAB
    const used = slab.free.pop()
    if (used === undefined) return first + slab.fresh++
    this.bytes(first + used).fill(0)
    return first + used
  }

  /** Gives a page back. */
  give(page: number): void {
    const number = Math.floor(page / PAGES_PER_SLAB)
    const slab = this.#slabs[number]!
    this.#used -= PAGE
    const place = page % PAGES_PER_SLAB
    ;(slab.lent[place] === 1 ? slab.stale : slab.free).push(place)
    if (number === this.#current) return
    const count = givenBack(slab)
    if (count === PAGES_PER_SLAB) this.#drop(number)
    else if (count === 1) this.#roomy.push(number)
  }

  /** The bytes of `count` pages that follow each other in one slab, {@link row} at the most. For now only: see {@link lend}. */
  bytes(page: number, count = 1): Uint8Array {
    const slab = this.#slabs[Math.floor(page / PAGES_PER_SLAB)]!
    const start = (page % PAGES_PER_SLAB) * PAGE
    return slab.bytes.subarray(start, start + count * PAGE)
  }

  /** From now on somebody else looks at these pages of one slab, nobody knows how long. */
  lend(page: number, count: number): void {
    const start = page % PAGES_PER_SLAB
    this.#slabs[Math.floor(page / PAGES_PER_SLAB)]!.lent.fill(1, start, start + count)
  }

  /** How many pages lie in a row in memory, beginning with `page`. */
  row(page: number): number {
    return PAGES_PER_SLAB - (page % PAGES_PER_SLAB)
  }

  #slabWithRoom(): Slab {
    const slab = this.#slabs[this.#current]
    if (slab !== undefined) {
      if (slab.fresh < PAGES_PER_SLAB || slab.free.length > 0) return slab
      if (slab.stale.length === PAGES_PER_SLAB) this.#drop(this.#current)
      else if (slab.stale.length > 0) this.#roomy.push(this.#current)
    }
    this.#current = this.#next()
    return this.#slabs[this.#current]!
  }

  #drop(number: number): void {
    this.#slabs[number] = undefined
    this.#vacant.push(number)
  }

  /** The number of another slab that has room. */
  #next(): number {
    const stale: number[] = []
    let found: number | undefined
    while (found === undefined && this.#roomy.length > 0) {
      const number = this.#roomy.pop()!
      const slab = this.#slabs[number]
      if (slab === undefined || givenBack(slab) === 0) continue
      if (slab.free.length > 0 || slab.stale.length >= WORTH_COPYING) found = number
      else stale.push(number)
    }
    const slabs = this.#slabs.length - this.#vacant.length
    // Stale pages are no reason to take more than `limit` from the system.
    if (found === undefined && (slabs + 1) * SLAB > this.limit) found = stale.pop()
    for (const number of stale) this.#roomy.push(number)
    if (found !== undefined) {
      renew(this.#slabs[found]!)
      return found
    }
    const number = this.#vacant.pop() ?? this.#slabs.length
    const lent = new Uint8Array(PAGES_PER_SLAB)
    this.#slabs[number] = { bytes: new Uint8Array(SLAB), fresh: 0, free: [], stale: [], lent }
    return number
  }
}

/** Gives a slab without free pages memory that nobody looks at, so that its stale ones are free. */
function renew(slab: Slab): void {
  if (slab.free.length > 0) return
  slab.bytes = slab.bytes.slice()
  slab.lent.fill(0)
  slab.free.push(...slab.stale.splice(0))
}
