// Directory listings: packs entries into a READDIR or READDIRPLUS reply until it is full, and gives
// back the lookups of entries that did not fit.
import { countsLookup, encodeDirent, encodeDirentplus, sizes } from '../protocol/index.js'
import type { Dirent, Direntplus, NameEncoding } from '../protocol/index.js'

/** What libfuse says where it has no inode number. */
const UNKNOWN_INO = 0xffff_ffff

export class DirentWriter {
  readonly #bytes: Buffer
  readonly #view: DataView
  readonly #start: number
  readonly #limit: number
  readonly #plus: boolean
  readonly #encoding: NameEncoding
  readonly #giveBack: (nodeid: number) => void
  /** Nodeids that count as looked up, and 0 for none. */
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
    let taken = 0
    try {
      for (const entry of entries) {
        taken++
        if (this.#put(entry)) continue
        this.#refuse(entry)
        this.#refuseFrom(entries, taken)
        return this.#length(true)
      }
    } catch (error) {
      this.giveAllBack()
      this.#refuseFrom(entries, taken)
      throw error
    }
    return this.#length(false)
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

  /** The reply reaches nobody: gives back every lookup in it. */
  giveAllBack(): void {
    for (const nodeid of this.#given) if (nodeid !== 0) this.#giveBack(nodeid)
    this.#given.length = 0
  }

  /** A generator counts a lookup only when it is asked for the entry, an array has counted them all. */
  #refuseFrom(entries: Iterable<Dirent | Direntplus>, first: number): void {
    if (this.#plus && Array.isArray(entries))
      for (const entry of entries.slice(first) as Direntplus[]) this.#refuse(entry)
  }

  #length(full: boolean): number {
    return full && this.#at === this.#start ? -1 : this.#at - this.#start
  }

  /** Returns whether it fits. */
  #put(entry: Dirent | Direntplus): boolean {
    let size
    try {
      size = this.#encode(entry)
    } catch (error) {
      if (this.#plus) this.#given.push(lookupIn(entry as Direntplus))
      throw error
    }
    if (size === 0) return false
    this.#at += size
    this.#offset++
    if (this.#plus && countsLookup(entry as Direntplus)) this.#given.push((entry as Direntplus).nodeid)
    return true
  }

  #encode(entry: Dirent | Direntplus): number {
    const off = entry.off ?? this.#offset + 1
    const encode = this.#plus ? encodeDirentplus : encodeDirent
    const size = encode(
      this.#bytes,
      this.#view,
      this.#at,
      this.#limit,
      entry.name,
      off,
      entry as Dirent & Direntplus,
      this.#encoding,
    )
    if (size > 0) this.#showIno(this.#at + (this.#plus ? sizes.fuse_entry_out : 0))
    return size
  }

  /** readdir(3) of glibc leaves out entries whose inode number is 0. */
  #showIno(at: number): void {
    const view = this.#view
    if (view.getUint32(at, true) === 0 && view.getUint32(at + 4, true) === 0)
      view.setUint32(at, UNKNOWN_INO, true)
  }

  #refuse(entry: Dirent | Direntplus): void {
    if (!this.#plus) return
    const nodeid = lookupIn(entry as Direntplus)
    if (nodeid !== 0) this.#giveBack(nodeid)
  }
}

/** The nodeid that an entry counts as looked up; 0 for none, and where what is wrong with it hides that. */
function lookupIn(entry: Direntplus): number {
  try {
    const { nodeid } = entry
    return Number.isSafeInteger(nodeid) && countsLookup(entry) ? nodeid : 0
  } catch {
    return 0
  }
}
