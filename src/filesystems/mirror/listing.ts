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

/**
 * Filesystems' own positions need all 64 bits (ext4 hashes names), which a JavaScript number has not, so the kernel is given
 * indexes. Memory stays bounded: one window, and 8 bytes per entry of a directory that is larger than a window.
 */
export class Listing {
  readonly #sys: Syscalls
  #fd: number
  #bytes: Buffer | undefined
  /** Index of the first entry in the window; entries in it; their bytes; where each begins. */
  #first = 0
  #count = 0
  #length = 0
  readonly #starts: number[] = []
  #cookies: Uint32Array | undefined
  /** Entries whose cookies are known. */
  #known = 0

  constructor(sys: Syscalls, fd: number) {
    this.#sys = sys
    this.#fd = fd
  }

  /** Makes entry `index` current: 1, 0 at the end of the directory, or -errno. 0 begins anew. */
  seek(index: number): number {
    if (index === 0) {
      const result = this.#sys.lseek(this.#fd, 0, SEEK_SET)
      // What is known of the rest stays: positions from before a rewind are still asked for.
      return result < 0 ? result : this.#fill(0)
    }
    const end = this.#first + this.#count
    if (index >= this.#first && index < end) return 1
    if (index === end) return this.#fill(end)
    this.#remember()
    if (index > this.#known) return 0
    const low = this.#cookies![(index - 1) * COOKIE_WORDS]
    const high = this.#cookies![(index - 1) * COOKIE_WORDS + 1]
    // Two steps, because one number can't carry a 64-bit position. Kernel: directories seek from the current position, too.
    let result = this.#sys.lseek(this.#fd, high * TWO_32, SEEK_SET)
    if (result >= 0 && low > 0) result = this.#sys.lseek(this.#fd, low, SEEK_CUR)
    if (result < 0) return result
    return this.#fill(index)
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

  /** The descriptor is about to go; positions stay known. */
  park(): void {
    this.#remember()
    this.close()
  }

  /** Goes on with another descriptor of the same directory. */
  resume(fd: number): void {
    this.#fd = fd
  }

  /** Gives the window back. */
  close(): void {
    if (this.#bytes !== undefined && spare.length < SPARE_WINDOWS) spare.push(this.#bytes)
    this.#bytes = undefined
    this.#first = this.#count = 0
  }

  #fill(first: number): number {
    this.#remember()
    this.#bytes ??= spare.pop() ?? Buffer.allocUnsafeSlow(WINDOW)
    const length = this.#sys.getdents64Into(this.#fd, this.#bytes)
    this.#first = first
    this.#count = 0
    if (length <= 0) return length
    this.#length = length
    for (let at = 0; at + MIN_RECORD <= length; at += this.#bytes.readUInt16LE(at + 16)) {
      this.#starts[this.#count++] = at
    }
    return 1
  }

  /** Keeps the cookies of the window that is about to go. */
  #remember(): void {
    const end = this.#first + this.#count
    if (this.#count === 0) return
    let cookies = this.#cookies
    if (cookies === undefined || cookies.length < end * COOKIE_WORDS) {
      const grown = new Uint32Array(Math.max(end * COOKIE_WORDS * 2, 4096))
      if (cookies !== undefined) grown.set(cookies)
      this.#cookies = cookies = grown
    }
    for (let index = this.#first; index < end; index++) {
      const at = this.start(index)
      cookies[index * COOKIE_WORDS] = this.#bytes!.readUInt32LE(at + 8)
      cookies[index * COOKIE_WORDS + 1] = this.#bytes!.readUInt32LE(at + 12)
    }
    this.#known = Math.max(this.#known, end)
  }
}
