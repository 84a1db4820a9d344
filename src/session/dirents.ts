// Directory listings: packs entries into a READDIR or READDIRPLUS reply until it is full, and gives
// back the lookups of entries that did not fit.
import { countsLookup, encodeDirent, encodeDirentplus } from '../protocol/index.js'
import type { Dirent, Direntplus, NameEncoding } from '../protocol/index.js'

export class DirentWriter {
  readonly #bytes: Buffer
  readonly #view: DataView
  readonly #start: number
  readonly #limit: number
  readonly #plus: boolean
  readonly #encoding: NameEncoding
  readonly #giveBack: (nodeid: number) => void
  readonly #given: number[] = []
  #at: number
  #offset: number

  /** Packs into `size` bytes from `start`; `offset` is the request's, from which missing `off` are counted. */
  constructor(
    bytes: Buffer,
    start: number,
    size: number,
    offset: number,
    plus: boolean,
    encoding: NameEncoding,
    giveBack: (nodeid: number) => void,
  ) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#start = this.#at = start
    this.#limit = start + size
    this.#offset = offset
    this.#plus = plus
    this.#encoding = encoding
    this.#giveBack = giveBack
  }

  /** Takes entries while they fit: the bytes written, or -1 where not even the first one did. */
  take(entries: Iterable<Dirent | Direntplus>): number {
    let full = false
    try {
      for (const entry of entries) {
        if (!full && this.#put(entry)) continue
        full = true
        this.#refuse(entry)
        // A generator counts a lookup only when it is asked for the entry, an array has counted them all.
        if (!this.#plus || !Array.isArray(entries)) break
      }
    } catch (error) {
      this.giveAllBack()
      throw error
    }
    return this.#length(full)
  }

  /** The same for entries that have to be waited for. */
  async takeAsync(entries: AsyncIterable<Dirent | Direntplus>): Promise<number> {
    try {
      for await (const entry of entries) {
        if (this.#put(entry)) continue
        this.#refuse(entry)
        return this.#length(true)
      }
    } catch (error) {
      this.giveAllBack()
      throw error
    }
    return this.#length(false)
  }

  /** The reply reached nobody: gives back every lookup in it. */
  giveAllBack(): void {
    for (const nodeid of this.#given) this.#giveBack(nodeid)
    this.#given.length = 0
  }

  #length(full: boolean): number {
    return full && this.#at === this.#start ? -1 : this.#at - this.#start
  }

  #put(entry: Dirent | Direntplus): boolean {
    const off = entry.off ?? this.#offset + 1
    const encode = this.#plus ? encodeDirentplus : encodeDirent
    const { name } = entry
    const size = encode(
      this.#bytes,
      this.#view,
      this.#at,
      this.#limit,
      name,
      off,
      entry as Dirent & Direntplus,
      this.#encoding,
    )
    if (size === 0) return false
    this.#at += size
    this.#offset++
    if (this.#plus && countsLookup(entry as Direntplus)) this.#given.push((entry as Direntplus).nodeid)
    return true
  }

  #refuse(entry: Dirent | Direntplus): void {
    if (this.#plus && countsLookup(entry as Direntplus)) this.#giveBack((entry as Direntplus).nodeid)
  }
}
