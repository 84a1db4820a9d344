// Memory for small reads: cut from larger pieces, as allocating each on its own costs more than the read.

const PIECE = 256 * 1024
const LARGEST = 32 * 1024

export class Slab {
  #piece = Buffer.allocUnsafeSlow(PIECE)
  #at = 0

  /** `size` bytes that nobody else has; their content is undefined. */
  take(size: number): Buffer {
    if (size > LARGEST) return Buffer.allocUnsafeSlow(size)
    if (this.#at + size > PIECE) {
      this.#piece = Buffer.allocUnsafeSlow(PIECE)
      this.#at = 0
    }
    const part = this.#piece.subarray(this.#at, this.#at + size)
    this.#at += size
    return part
  }
}
