// The bytes of one regular file. Holes cost nothing; what lies behind the end of the file is zero, always.
import { ENOSPC, ENXIO } from '../../protocol/index.js'
import type { Errno } from '../../protocol/index.js'
import { PageTable } from './page-table.js'
import { PAGE } from './pages.js'
import type { PagePool } from './pages.js'

export class Content {
  /** Bytes. */
  size = 0
  readonly #pool: PagePool
  readonly #table = new PageTable()

  constructor(pool: PagePool) {
    this.#pool = pool
  }

  /** Bytes of memory taken. */
  get allocated(): number {
    return this.#table.count * PAGE
  }

  /** At most `size` bytes from `offset`: a view of the memory where it lies in one piece, which no other file will write to. */
  read(offset: number, size: number): Uint8Array {
    return this.#bytes(offset, size, true)
  }

  #bytes(offset: number, size: number, lend: boolean): Uint8Array {
    const end = Math.min(offset + size, this.size)
    if (end <= offset) return NOTHING
    const first = Math.floor(offset / PAGE)
    const last = Math.floor((end - 1) / PAGE)
    const page = this.#table.get(first)
    if (page >= 0 && this.#runFrom(first, last) > last) {
      const start = offset - first * PAGE
      if (lend) this.#pool.lend(page, last - first + 1)
      return this.#pool.bytes(page, last - first + 1).subarray(start, start + end - offset)
    }
    const bytes = new Uint8Array(end - offset)
    for (let index = first; index <= last;) {
      const here = this.#table.get(index)
      const next = here < 0 ? index + 1 : this.#runFrom(index, last)
      if (here >= 0) {
        const start = Math.max(offset, index * PAGE)
        const run = this.#pool.bytes(here, next - index)
        bytes.set(
          run.subarray(start - index * PAGE, Math.min(end, next * PAGE) - index * PAGE),
          start - offset,
        )
      }
      index = next
    }
    return bytes
  }

  /** Writes bytes at `offset`: how many, fewer where memory runs out, or ENOSPC for none. */
  write(bytes: Uint8Array, offset: number): number {
    if (bytes.byteLength === 0) return 0
    const wanted = offset + bytes.byteLength
    const first = Math.floor(offset / PAGE)
    const end = Math.min(wanted, this.#take(first, Math.ceil(wanted / PAGE)) * PAGE)
    if (end <= offset) return ENOSPC
    const last = Math.floor((end - 1) / PAGE)
    for (let index = first; index <= last;) {
      const next = this.#runFrom(index, last)
      const start = Math.max(offset, index * PAGE)
      const run = this.#pool.bytes(this.#table.get(index), next - index)
      run.set(bytes.subarray(start - offset, Math.min(end, next * PAGE) - offset), start - index * PAGE)
      index = next
    }
    this.size = Math.max(this.size, end)
    return end - offset
  }

  /** Takes memory for a range, all of it or none: 0 or ENOSPC. The size stays. */
  allocate(offset: number, length: number): 0 | Errno {
    const end = Math.ceil((offset + length) / PAGE)
    const start = Math.floor(offset / PAGE)
    // What is longer than all memory need not be counted hole by hole.
    if ((end - start) * PAGE > this.#pool.limit) return ENOSPC
    if (this.#table.holes(start, end) * PAGE > this.#pool.left) return ENOSPC
    this.#take(start, end)
    return 0
  }

  /** Fills holes from one page to before another as far as memory reaches: the first page that is still a hole, or `end`. */
  #take(start: number, end: number): number {
    for (let at = this.#table.nextHole(start, end); at < end; at = this.#table.nextHole(at + 1, end)) {
      if (this.#pool.left < PAGE) return at
      this.#table.set(at, this.#pool.take())
    }
    return end
  }

  /** Makes a range read as zeros and gives back its whole pages. */
  punch(offset: number, length: number): void {
    const end = offset + length
    const firstWhole = Math.ceil(offset / PAGE)
    const lastWhole = Math.floor(end / PAGE)
    if (firstWhole > lastWhole) return this.#zero(offset, end)
    this.#zero(offset, firstWhole * PAGE)
    this.#free(firstWhole, lastWhole)
    this.#zero(lastWhole * PAGE, end)
  }

  /** Zeroes a range and takes memory for it: 0 or ENOSPC. */
  zeroRange(offset: number, length: number): 0 | Errno {
    const result = this.allocate(offset, length)
    if (result < 0) return result
    const end = offset + length
    for (let at = offset; at < end;) {
      const next = Math.min(end, (Math.floor(at / PAGE) + 1) * PAGE)
      this.#zero(at, next)
      at = next
    }
    return 0
  }

  /** Copies a range of another place or file; holes stay holes. Bytes copied, fewer where memory runs out, or ENOSPC for none. */
  copyFrom(source: Content, offset: number, target: number, length: number): number {
    const end = offset + length
    const shift = target - offset
    for (let at = offset; at < end;) {
      const found = source.nextData(at)
      const from = found < 0 ? end : Math.min(found, end)
      if (from > at) {
        this.punch(at + shift, from - at)
        this.size = Math.max(this.size, from + shift)
      }
      if (from === end) break
      const to = source.nextHole(from, end)
      const written = this.write(source.#bytes(from, to - from, false), from + shift)
      if (written < to - from) {
        const copied = from - offset + Math.max(0, written)
        return copied > 0 ? copied : ENOSPC
      }
      at = to
    }
    return length
  }

  /** Cuts the file off at `size`, or extends it by a hole. */
  truncate(size: number): void {
    this.#free(Math.ceil(size / PAGE), Infinity)
    if (size < this.size) this.#zero(size, Math.ceil(size / PAGE) * PAGE)
    this.size = size
  }

  /** SEEK_DATA: the first byte from `offset` on that lies in memory, or ENXIO. */
  nextData(offset: number): number {
    const found = this.#table.nextPage(Math.floor(offset / PAGE)) * PAGE
    return found >= this.size ? ENXIO : Math.max(found, offset)
  }

  /** SEEK_HOLE: the first byte from `offset` on that lies in no memory, `end` at the latest; the file's end counts as a hole. */
  nextHole(offset: number, end = this.size): number {
    const last = Math.min(end, this.size)
    const found = this.#table.nextHole(Math.floor(offset / PAGE), Math.ceil(last / PAGE)) * PAGE
    return Math.min(Math.max(found, offset), last)
  }

  /** The first index after `index`, at most `last + 1`, whose page is not the neighbour in memory of the one before. */
  #runFrom(index: number, last: number): number {
    return Math.min(this.#table.endOfRun(index, last + 1), index + this.#pool.row(this.#table.get(index)))
  }

  #free(start: number, end: number): void {
    this.#table.remove(start, end, (page) => this.#pool.give(page))
  }

  /** Zeroes bytes of a single page, if it is there. */
  #zero(start: number, end: number): void {
    const index = Math.floor(start / PAGE)
    const page = start < end ? this.#table.get(index) : -1
    if (page >= 0) this.#pool.bytes(page).fill(0, start - index * PAGE, end - index * PAGE)
  }
}

const NOTHING = new Uint8Array(0)
