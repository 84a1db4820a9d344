// Reads at any position from an object that only gives streams: goes on where it is, and begins anew elsewhere.
import type { Caller, Chunk, ContentLike } from './path-filesystem.js'
import { bytesOf, chunkOf, chunksOf } from './content.js'

/** Begins a stream at a position. */
export type Begin = (start: number, caller: Caller) => ContentLike | PromiseLike<ContentLike>

/** Kernel: readahead sends several reads at once, which may arrive in any order. So much of what was read is kept. */
const KEPT = 4 * 1024 * 1024
/** So much is rather read and thrown away than a stream begun anew. */
const SKIPPED = 1024 * 1024

export class StreamReader {
  readonly #begin: Begin
  #source: AsyncIterator<Chunk> | Iterator<Chunk> | undefined
  /** What is here: bytes from `#start` on. */
  #chunks: Buffer[] = []
  #start = 0
  #end = 0
  #ended = false
  #last: Promise<unknown> = Promise.resolve()

  constructor(begin: Begin) {
    this.#begin = begin
  }

  /** At most `size` bytes from `offset` on; fewer only at the end. One read after the other. */
  read(offset: number, size: number, caller: Caller): Promise<Buffer> {
    const read = this.#last.then(() => this.#read(offset, size, caller))
    this.#last = read.catch(() => undefined)
    return read
  }

  /** Ends the stream. */
  async close(): Promise<void> {
    const source = this.#source
    this.#source = undefined
    await source?.return?.()
  }

  async #read(offset: number, size: number, caller: Caller): Promise<Buffer> {
    const tooFar = offset > this.#end + SKIPPED
    if (offset < this.#start || (tooFar && !this.#ended) || (this.#source === undefined && !this.#ended))
      await this.#beginAt(offset, caller)
    while (this.#end < offset + size && !this.#ended) await this.#pull(offset)
    if (offset >= this.#end) return Buffer.alloc(0)
    return this.#cut(offset, Math.min(offset + size, this.#end))
  }

  async #beginAt(offset: number, caller: Caller): Promise<void> {
    await this.close()
    this.#chunks = []
    this.#start = this.#end = offset
    this.#ended = false
    const content = await this.#begin(offset, caller)
    const whole = bytesOf(content)
    this.#source = whole === undefined ? chunksOf(content) : [whole][Symbol.iterator]()
  }

  async #pull(wanted: number): Promise<void> {
    let step: IteratorResult<Chunk>
    try {
      step = await this.#source!.next()
    } catch (error) {
      // What failed is begun anew by the next read.
      this.#source = undefined
      throw error
    }
    if (step.done) {
      this.#ended = true
      return
    }
    const chunk = chunkOf(step.value)
    this.#chunks.push(chunk)
    this.#end += chunk.byteLength
    while (this.#chunks.length > 1 && this.#start + this.#chunks[0].byteLength < wanted - KEPT)
      this.#start += this.#chunks.shift()!.byteLength
  }

  #cut(from: number, to: number): Buffer {
    const parts: Buffer[] = []
    let at = this.#start
    for (const chunk of this.#chunks) {
      if (at + chunk.byteLength > from && at < to)
        parts.push(chunk.subarray(Math.max(0, from - at), Math.min(chunk.byteLength, to - at)))
      at += chunk.byteLength
    }
    return parts.length === 1 ? parts[0] : Buffer.concat(parts)
  }
}
