// Which page holds which part of a file: what was never written, or punched, has none. Sparse, in order, cheap for small files.

/** Pages per chunk of the table. */
const CHUNK = 512
/** Numbers in a chunk are one more than the page, so that 0 can mean a hole. */
const HOLE = 0

/** Page numbers by their place in the file (`index`, in pages). */
export class PageTable {
  readonly #chunks = new Map<number, number[]>()
  /** Keys of `#chunks`, ascending. */
  readonly #order: number[] = []
  #count = 0

  /** Pages in the table. */
  get count(): number {
    return this.#count
  }

  /** The page at `index`, -1 for a hole. */
  get(index: number): number {
    const chunk = this.#chunks.get(Math.floor(index / CHUNK))
    return (chunk?.[index % CHUNK] ?? HOLE) - 1
  }

  /** Puts a page into a hole. */
  set(index: number, page: number): void {
    const key = Math.floor(index / CHUNK)
    let chunk = this.#chunks.get(key)
    if (chunk === undefined) {
      this.#chunks.set(key, (chunk = []))
      this.#order.splice(this.#place(key), 0, key)
    }
    while (chunk.length <= index % CHUNK) chunk.push(HOLE)
    chunk[index % CHUNK] = page + 1
    this.#count++
  }

  /** Makes holes of all pages from `start` to before `end`; yields those that were there. */
  *remove(start: number, end: number): Generator<number> {
    const first = this.#place(Math.floor(start / CHUNK))
    for (const key of this.#order.slice(first)) {
      const base = key * CHUNK
      if (base >= end) break
      const chunk = this.#chunks.get(key)!
      for (let at = Math.max(0, start - base); at < chunk.length && base + at < end; at++) {
        if (chunk[at] === HOLE) continue
        yield chunk[at] - 1
        chunk[at] = HOLE
        this.#count--
      }
      while (chunk.length > 0 && chunk.at(-1) === HOLE) chunk.pop()
      if (chunk.length > 0) continue
      this.#chunks.delete(key)
      this.#order.splice(this.#place(key), 1)
    }
  }

  /** The first index from `start` on that has a page; Infinity where none has. */
  nextPage(start: number): number {
    for (let at = this.#place(Math.floor(start / CHUNK)); at < this.#order.length; at++) {
      const base = this.#order[at] * CHUNK
      const chunk = this.#chunks.get(this.#order[at])!
      for (let index = Math.max(0, start - base); index < chunk.length; index++) {
        if (chunk[index] !== HOLE) return base + index
      }
    }
    return Infinity
  }

  /** The first index from `start` on that is a hole. */
  nextHole(start: number): number {
    let index = start
    while (this.get(index) >= 0) index++
    return index
  }

  /** How many indexes from `start` to before `end` are holes. */
  holes(start: number, end: number): number {
    let holes = 0
    for (let at = start; at < end;) {
      const next = Math.min(this.nextPage(at), end)
      holes += next - at
      at = next + 1
    }
    return holes
  }

  /** Place of `key`, or where it would go, in the order of chunks. */
  #place(key: number): number {
    const order = this.#order
    // Files grow at their end.
    if (order.length === 0 || key > order.at(-1)!) return order.length
    let [low, high] = [0, order.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (order[middle] < key) low = middle + 1
      else high = middle
    }
    return low
  }
}
