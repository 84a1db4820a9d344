// Writes to files that lie in the page cache: where they mostly do not wait, they run in the calling thread, else on the pool.
import { special } from '../native.js'
import type { Door } from './door.js'

/** Bytes. What takes longer than waking a thread of the pool, and copied there runs beside everything else. */
const MOST = 256 * 1024
/** Microseconds that a single write may wait. */
const LONG = 1000
/** So many of the last sixteen may wait for a shorter time. */
const OFTEN = 2
const FADING = 15 / 16
/** Milliseconds on the pool after a write that took so long, doubled each time. */
const SHORTEST_PAUSE = 100
const LONGEST_PAUSE = 10_000
/** So many writes in a row that did not wait end a time of long pauses. */
const CALM = 1000

/**
 * pwrite64(2) for a thread that should not wait. A small write to the page cache is over before a thread of the pool would have begun
 * with it, so it runs at once, until one has waited for more than a millisecond (for memory, for a full journal, for too many dirty pages),
 * or one in eight has waited at all (for the rest of a page that it writes to). Then the pool has all of them for a while, from 0.1 to 10 seconds.
 * Meant for files of `isLocalFilesystem` without O_SYNC. A write that waits for ever keeps the thread: a frozen filesystem does that.
 */
export class QuickWriter {
  readonly #door: Pick<Door, 'call' | 'callAsync'>
  readonly #now: () => number
  readonly #waited = new Uint32Array(1)
  #pause = SHORTEST_PAUSE
  #until = 0
  #calm = 0
  #waits = 0

  /** Use `makeSyscalls().quickWriter()`. `now`: milliseconds. */
  constructor(door: Pick<Door, 'call' | 'callAsync'>, now = () => performance.now()) {
    this.#door = door
    this.#now = now
  }

  /** Writes until all is written, or an error with nothing written: bytes written, or -errno; a promise of it from the pool. */
  write(fd: number, bytes: Uint8Array, offset: number): number | Promise<number> {
    const size = bytes.byteLength
    if (size > MOST || this.#now() < this.#until)
      return this.#door.callAsync(special.pwriteAll, fd, bytes, size, offset)
    const result = this.#door.call(special.pwriteTimed, fd, bytes, size, offset, this.#waited)
    const waited = this.#waited[0]
    this.#waits = this.#waits * FADING + (waited > 0 ? 1 : 0)
    if (waited > LONG || (waited > 0 && this.#waits > OFTEN)) {
      this.#calm = 0
      this.#until = this.#now() + this.#pause
      this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE)
    } else if (++this.#calm === CALM) {
      this.#pause = SHORTEST_PAUSE
    }
    return result
  }
}
