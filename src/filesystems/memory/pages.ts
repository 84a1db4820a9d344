// The memory of all files: pages of 4 KiB, cut from slabs that go back to the system when their last page is free. Counts
// what is used, so that a full filesystem says ENOSPC.

/** Bytes of a page, the unit of allocation. */
export const PAGE = 4096
const PAGES_PER_SLAB = 256
const SLAB = PAGE * PAGES_PER_SLAB

interface Slab {
  readonly bytes: Uint8Array
  /** Pages from here on were never used. */
  fresh: number
  /** Pages that were given back, with what was in them. */
  readonly free: number[]
}

const hasRoom = ({ fresh, free }: Slab): boolean => fresh < PAGES_PER_SLAB || free.length > 0

/** Hands out pages by number. Neighbours in time are neighbours in memory, so a file written in order is read without copies. */
export class PagePool {
  /** Bytes that may be used. */
  readonly limit: number
  readonly #slabs: (Slab | undefined)[] = []
  /** Numbers of slabs that are gone, to be used again. */
  readonly #vacant: number[] = []
  /** Slabs that may have room; some are full again, or gone. */
  readonly #roomy: number[] = []
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
    let slab = this.#slabs[this.#current]
    if (slab === undefined || !hasRoom(slab)) slab = this.#next()
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
    const was = hasRoom(slab)
    this.#used -= PAGE
    slab.free.push(page % PAGES_PER_SLAB)
    if (number === this.#current) return
    if (slab.free.length === slab.fresh) {
      this.#slabs[number] = undefined
      this.#vacant.push(number)
    } else if (!was) this.#roomy.push(number)
  }

  /** The bytes of `count` pages that follow each other in one slab, {@link row} at the most. */
  bytes(page: number, count = 1): Uint8Array {
    const slab = this.#slabs[Math.floor(page / PAGES_PER_SLAB)]!
    const start = (page % PAGES_PER_SLAB) * PAGE
    return slab.bytes.subarray(start, start + count * PAGE)
  }

  /** How many pages lie in a row in memory, beginning with `page`. */
  row(page: number): number {
    return PAGES_PER_SLAB - (page % PAGES_PER_SLAB)
  }

  #next(): Slab {
    for (let number = this.#roomy.pop(); number !== undefined; number = this.#roomy.pop()) {
      const slab = this.#slabs[number]
      if (slab === undefined || !hasRoom(slab)) continue
      this.#current = number
      return slab
    }
    const slab: Slab = { bytes: new Uint8Array(SLAB), fresh: 0, free: [] }
    this.#current = this.#vacant.pop() ?? this.#slabs.length
    this.#slabs[this.#current] = slab
    return slab
  }
}
