// One open directory: a window of raw getdents64(2) records, and offsets that are indexes into the listing.
import { SEEK_CUR, SEEK_SET } from '../../syscalls/index.js'
import type { Syscalls } from '../../syscalls/index.js'

const WINDOW = 32768
/** The smallest record: 19 bytes before the name, a name of one byte, its NUL, padded to 8. */
const MIN_RECORD = 24
const SPARE_WINDOWS = 16
const TWO_32 = 0x1_0000_0000

/** What is kept per entry that has left the window: its `off` cookie, two words, so that a later seek finds it again. */
const COOKIE_WORDS = 2

const spare: Buffer[] = []

function giveBack(window: Buffer | undefined): void {
  if (window !== undefined && spare.length < SPARE_WINDOWS) spare.push(window)
}

/**
 * Filesystems' own positions need all 64 bits (ext4 hashes names), which a JavaScript number has not, so the kernel is given
 * indexes. Memory stays bounded: one window, and 8 bytes per entry of a directory that is larger than a window. Where no cookie
 * is kept for an index, entries are counted up to it: the right place unless names came and went before it.
 */
export class Listing {
  readonly #sys: Syscalls
  readonly #lost: number
  #fd: number
  #bytes: Buffer | undefined
  /** Index of the first entry in the window; entries in it; their bytes; where each begins. */
  #first = 0
  #count = 0
  #length = 0
  readonly #starts: number[] = []
  #cookies: Uint32Array | undefined
  /** Entries whose cookies are known: from the one up to the other, which is not among them. */
  #from = 0
  #known = 0
  /** What was asked for last. */
  #at = 0
  /** The descriptor stands at the beginning. */
  #fresh = true

  /** `lost` is what {@link seek} says of an index that lies beyond the end of the directory: 0 or -errno. */
  constructor(sys: Syscalls, fd: number, lost = 0) {
    this.#sys = sys
    this.#fd = fd
    this.#lost = lost
  }

  /** Makes entry `index` current: 1, 0 at the end of the directory, or -errno. 0 begins anew. */
  seek(index: number): number {
    this.#at = index
    const end = this.#first + this.#count
    if (index > 0) {
      if (index >= this.#first && index < end) return 1
      if (index === end) return this.#fill(end)
    }
    this.#remember()
    if (this.#from > 0 && index <= this.#from) this.#from = this.#known = 0
    // What is known of the rest stays after a rewind: positions from before it are still asked for.
    let at = Math.min(index, this.#known)
    let result = this.#moveTo(at)
    if (result < 0) return result
    while ((result = this.#fill(at)) > 0 && index >= this.#first + this.#count) at = this.#first + this.#count
    return result === 0 && at < index ? this.#lost : result
  }

  /** The window, as getdents64(2) filled it. Only while an entry is current. */
  get window(): Buffer {
    return this.#bytes!
  }

  /** Where in the window the entry `index` begins. Only for a current entry. */
  start(index: number): number {
    return this.#starts[index - this.#first]
  }

  /** Where in the window the last entry ends. */
  get end(): number {
    return this.#length
  }

  /** Memory that known positions take. */
  get bytes(): number {
    return this.#cookies?.byteLength ?? 0
  }

  /** The descriptor is about to go; positions stay known. */
  park(): void {
    this.#remember()
    this.#keep(this.#from, this.#known)
    this.close()
  }

  /** Forgets all positions but the one that was asked for last, which is where a reader goes on. */
  thin(): void {
    this.#remember()
    const at = Math.min(this.#at, this.#known)
    // A reader that went back stands where nothing is known any more.
    if (at <= this.#from) this.#keep(0, 0)
    else this.#keep(at - 1, at)
  }

  /** Goes on with another descriptor of the same directory. */
  resume(fd: number): void {
    this.#fd = fd
  }

  /** Gives the window back. */
  close(): void {
    giveBack(this.#bytes)
    this.#bytes = undefined
    this.#starts.length = 0
    this.#first = this.#count = 0
  }

  /** To the position of entry `index`, whose predecessor has a cookie: 0 or -errno. */
  #moveTo(index: number): number {
    // Wherever this ends, the descriptor no longer stands at the end of the window.
    this.#first = this.#count = 0
    if (index === 0) return this.#fresh ? 0 : Math.min(this.#sys.lseek(this.#fd, 0, SEEK_SET), 0)
    const word = (index - 1 - this.#from) * COOKIE_WORDS
    const low = this.#cookies![word]
    const high = this.#cookies![word + 1]
    // Two steps, because one number can't carry a 64-bit position. Kernel: directories seek from the current position, too.
    let result = this.#sys.lseek(this.#fd, high * TWO_32, SEEK_SET)
    if (result >= 0 && low > 0) result = this.#sys.lseek(this.#fd, low, SEEK_CUR)
    return Math.min(result, 0)
  }

  #fill(first: number): number {
    const bytes = spare.pop() ?? Buffer.allocUnsafeSlow(WINDOW)
    this.#fresh = false
    const length = this.#sys.getdents64Into(this.#fd, bytes)
    if (length <= 0) {
      // At the end, the last window stays.
      giveBack(bytes)
      return length
    }
    this.#remember()
    giveBack(this.#bytes)
    this.#bytes = bytes
    this.#first = first
    this.#count = 0
    this.#length = length
    for (let at = 0; at + MIN_RECORD <= length; at += bytes.readUInt16LE(at + 16)) {
      this.#starts[this.#count++] = at
    }
    return 1
  }

  /** Keeps the cookies of the window that is about to go. */
  #remember(): void {
    const begin = Math.max(this.#first, this.#from)
    const end = this.#first + this.#count
    if (begin >= end) return
    let cookies = this.#cookies
    const words = (end - this.#from) * COOKIE_WORDS
    if (cookies === undefined || cookies.length < words) {
      const grown = new Uint32Array(Math.max(words * 2, 4096))
      if (cookies !== undefined) grown.set(cookies)
      this.#cookies = cookies = grown
    }
    for (let index = begin; index < end; index++) {
      const at = this.start(index)
      const word = (index - this.#from) * COOKIE_WORDS
      cookies[word] = this.#bytes!.readUInt32LE(at + 8)
      cookies[word + 1] = this.#bytes!.readUInt32LE(at + 12)
    }
    this.#known = Math.max(this.#known, end)
  }

  /** Keeps no other cookies, and no room for more. */
  #keep(from: number, known: number): void {
    this.#cookies =
      known > from
        ? this.#cookies!.slice((from - this.#from) * COOKIE_WORDS, (known - this.#from) * COOKIE_WORDS)
        : undefined
    this.#from = from
    this.#known = known
  }
}
