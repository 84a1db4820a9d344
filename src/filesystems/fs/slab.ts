// Memory for reads: for small ones cut from larger pieces, as allocating each on its own costs more than the read. All of it
// is zeros, so that a handle which fills less than it says shows nothing of this process.

const PIECE = 256 * 1024
const LARGEST = 32 * 1024

export class Slab {
  #piece = Buffer.alloc(PIECE)
  #at = 0

  /** `size` bytes that nobody else has, all zeros. */
  take(size: number): Buffer {
    if (size > LARGEST) return Buffer.alloc(size)
    if (this.#at + size > PIECE) {
      this.#piece = Buffer.alloc(PIECE)
      this.#at = 0
    }
    const part = this.#piece.subarray(this.#at, this.#at + size)
    this.#at += size
    return part
  }
}
