// Which pages hold which part of a file: what was never written, or punched, has none. Kept as extents, in order, so that
// neither long files nor sparse ones cost much, and no change has to move more than a few hundred of them.

/** `count` pages in a row: the one at `start` in the file is `page`, the next ones follow it in the file and in number. */
interface Extent {
  start: number
  page: number
  count: number
}

/** Most extents in one leaf. */
const LEAF = 256

/** Page numbers by their place in the file (`index`, in pages). */
export class PageTable {
  /** In order, none empty. */
  readonly #leaves: Extent[][] = []
  #count = 0

  /** Pages in the table. */
  get count(): number {
    return this.#count
  }

  /** The page at `index`, -1 for a hole. */
  get(index: number): number {
    const extent = this.#before(index)
    return extent !== undefined && index < endOf(extent) ? extent.page + index - extent.start : -1
  }

  /** The first index behind `index` whose page is not the next number, at most `end`; `index` itself is no hole. */
  endOfRun(index: number, end: number): number {
    return Math.min(endOf(this.#before(index)!), end)
  }

  /** Puts a page into a hole. */
  set(index: number, page: number): void {
    this.#count++
    const number = this.#leafOf(index)
    const leaf = this.#leaves[number]
    if (leaf === undefined) {
      this.#leaves.push([{ start: index, page, count: 1 }])
      return
    }
    const at = place(leaf, index)
    const [before, after] = [leaf[at], leaf[at + 1]]
    const continues = before !== undefined && endOf(before) === index && before.page + before.count === page
    const precedes = after !== undefined && after.start === index + 1 && after.page === page + 1
    if (continues) {
      before.count += precedes ? 1 + after.count : 1
      if (precedes) leaf.splice(at + 1, 1)
    } else if (precedes) {
      after.start = index
      after.page = page
      after.count++
    } else this.#insert(number, at + 1, { start: index, page, count: 1 })
  }

  /**
   * Makes holes of all pages from `start` to before `end`, and hands over those that were there, the last one first: whoever
   * takes pages again takes the youngest, and so gets them in order.
   */
  remove(start: number, end: number, give: (page: number) => void): void {
    if (this.#leaves.length === 0 || end <= start) return
    const first = this.#leafOf(start)
    const last = this.#leafOf(end - 1)
    let [empty, emptied] = [first, 0]
    for (let number = last; number >= first; number--) {
      const leaf = this.#leaves[number]
      this.#removeIn(leaf, start, end, give)
      if (leaf.length > LEAF) this.#leaves.splice(number + 1, 0, leaf.splice(LEAF / 2))
      if (leaf.length > 0) continue
      empty = number
      emptied++
    }
    // Those between the first and the last one are all empty, so the empty ones follow each other.
    this.#leaves.splice(empty, emptied)
  }

  /** The first index from `start` on that has a page; Infinity where none has. */
  nextPage(start: number): number {
    const number = this.#leafOf(start)
    const leaf = this.#leaves[number]
    if (leaf === undefined) return Infinity
    const at = place(leaf, start)
    if (at >= 0 && start < endOf(leaf[at])) return start
    return (leaf[at + 1] ?? this.#leaves[number + 1]?.[0])?.start ?? Infinity
  }

  /** The first index from `start` on that is a hole, at most `end`. */
  nextHole(start: number, end: number): number {
    let index = start
    for (const extent of this.#from(start)) {
      if (extent.start > index || index >= end) break
      index = Math.max(index, endOf(extent))
    }
    return Math.min(index, end)
  }

  /** How many indexes from `start` to before `end` are holes. */
  holes(start: number, end: number): number {
    let holes = end - start
    for (const extent of this.#from(start)) {
      if (extent.start >= end) break
      holes -= Math.max(0, Math.min(endOf(extent), end) - Math.max(extent.start, start))
    }
    return holes
  }

  /** The last extent that does not begin behind `index`. */
  #before(index: number): Extent | undefined {
    const leaf = this.#leaves[this.#leafOf(index)]
    return leaf?.[place(leaf, index)]
  }

  /** Extents in order, beginning with the one that has `start`, or the last one before it. */
  *#from(start: number): Generator<Extent> {
    let number = this.#leafOf(start)
    let leaf = this.#leaves[number]
    for (let at = leaf === undefined ? 0 : Math.max(0, place(leaf, start)); leaf !== undefined; at++) {
      if (at < leaf.length) yield leaf[at]
      else [leaf, at] = [this.#leaves[++number], -1]
    }
  }

  /** The last leaf that does not begin behind `index`, or the first one. */
  #leafOf(index: number): number {
    const leaves = this.#leaves
    let [low, high] = [0, leaves.length - 1]
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (leaves[middle][0].start <= index) low = middle
      else high = middle - 1
    }
    return low
  }

  #insert(number: number, at: number, extent: Extent): void {
    const leaf = this.#leaves[number]
    if (leaf.length < LEAF) {
      leaf.splice(at, 0, extent)
    } else if (at === leaf.length) {
      // Files grow at their end: full leaves stay full.
      this.#leaves.splice(number + 1, 0, [extent])
    } else {
      const half = leaf.splice(LEAF / 2)
      this.#leaves.splice(number + 1, 0, half)
      if (at <= leaf.length) leaf.splice(at, 0, extent)
      else half.splice(at - leaf.length, 0, extent)
    }
  }

  #removeIn(leaf: Extent[], start: number, end: number, give: (page: number) => void): void {
    const left: Extent[] = []
    const last = place(leaf, end - 1)
    let at = last
    for (; at >= 0 && endOf(leaf[at]) > start; at--) {
      const extent = leaf[at]
      const from = Math.max(extent.start, start)
      const to = Math.min(endOf(extent), end)
      const firstPage = extent.page + from - extent.start
      for (let page = firstPage + to - from - 1; page >= firstPage; page--) give(page)
      this.#count -= to - from
      if (to < endOf(extent))
        left.unshift({ start: to, page: firstPage + to - from, count: endOf(extent) - to })
      if (extent.start < from) left.unshift({ ...extent, count: from - extent.start })
    }
    leaf.splice(at + 1, last - at, ...left)
  }
}

function endOf({ start, count }: Extent): number {
  return start + count
}

/** Place of the last extent that does not begin behind `index`; -1 where there is none. */
function place(leaf: readonly Extent[], index: number): number {
  let [low, high] = [-1, leaf.length - 1]
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (leaf[middle].start <= index) low = middle
    else high = middle - 1
  }
  return low
}
