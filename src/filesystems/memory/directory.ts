// The names in one directory, and cookies by which a listing goes on where it stopped while names come and go.
import type { MemoryInode } from './inode.js'

/** A name in a directory. */
export interface DirectoryEntry {
  readonly name: string
  inode: MemoryInode
  /** Place in the listing: never given twice in a directory, and larger for younger names. */
  readonly cookie: number
  removed: boolean
}

export interface OpenDirectory {
  readonly inode: MemoryInode & { directory: Directory }
  /** The listing ends with this cookie: names that are made later are not for it. */
  last: number
}

/** Cookies of `.` and `..`; names follow. */
export const DOT = 1
export const DOT_DOT = 2

/** Listings skip over so many removed entries before they are swept out. */
const MIN_REMOVED = 64

export class Directory {
  readonly #names = new Map<string, DirectoryEntry>()
  /** By cookie, with some removed ones among them. */
  #order: DirectoryEntry[] = []
  #lastCookie = DOT_DOT

  get size(): number {
    return this.#names.size
  }

  /** Cookie of the youngest name. A listing that ends here does not run after names that are made while it goes on. */
  get lastCookie(): number {
    return this.#lastCookie
  }

  get(name: string): MemoryInode | undefined {
    return this.#names.get(name)?.inode
  }

  /** Lets `name` mean `inode`. A name that was there keeps its place, so a listing shows it once. */
  set(name: string, inode: MemoryInode): void {
    const entry = this.#names.get(name)
    if (entry !== undefined) {
      entry.inode = inode
      return
    }
    const added = { name, inode, cookie: ++this.#lastCookie, removed: false }
    this.#names.set(name, added)
    this.#order.push(added)
  }

  delete(name: string): void {
    const entry = this.#names.get(name)
    if (entry === undefined) return
    entry.removed = true
    this.#names.delete(name)
    const removed = this.#order.length - this.#names.size
    if (removed > MIN_REMOVED && removed > this.#names.size) {
      this.#order = this.#order.filter((one) => !one.removed)
    }
  }

  /** The entries behind `cookie`, up to and with `last`. */
  *after(cookie: number, last: number): Generator<DirectoryEntry> {
    const order = this.#order
    let [low, high] = [0, order.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (order[middle].cookie <= cookie) low = middle + 1
      else high = middle
    }
    for (let at = low; at < order.length && order[at].cookie <= last; at++) {
      if (!order[at].removed) yield order[at]
    }
  }
}
