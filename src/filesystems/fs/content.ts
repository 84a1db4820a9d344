// Content in memory, for objects that give and take files whole: shared by all who have the file open, filled from bytes or
// a stream, written back as one.
import { types } from 'node:util'
import type { Awaitable, Caller, Chunk, ContentLike } from './path-filesystem.js'
import { isPromise, run, then, wait } from './awaitable.js'
import type { Steps } from './awaitable.js'
import { describe, failure } from './failure.js'
import type { PathNode } from './path-node.js'
import type { Tree } from './tree.js'

const EMPTY = Buffer.alloc(0)
/** Capacity grows by half, to a multiple of this. */
const STEP = 64 * 1024
/** As much as a buffer holds in every version of Node. */
const LARGEST = 2 ** 32

type Chunks = Iterator<Chunk> | AsyncIterator<Chunk>

export class Content {
  /** Bytes that are here; all of them once `loaded`. */
  size = 0
  loaded = false
  /** Changed, and not written back. */
  dirty = false
  /** Last change, milliseconds since 1970. */
  mtime = 0
  readonly #tree: Tree
  readonly #node: PathNode
  /** How many have it open. */
  #users = 0
  #bytes: Buffer = EMPTY
  /** Bytes that the object gave are its own: they are copied before they are changed. */
  #owned = true
  #source: Chunks | undefined
  /** Why the rest of a stream never came: what is missing must not look like the end. */
  #lost: { error: unknown } | undefined
  #version = 0
  /** What has to end before the next load or write-back may begin. */
  #busy: Promise<unknown> | undefined

  private constructor(tree: Tree, node: PathNode) {
    this.#tree = tree
    this.#node = node
  }

  /** The content of a node, the same for all who use it, until each of them has called {@link leave}. */
  static join(tree: Tree, node: PathNode): Content {
    const content = (node.content ??= new Content(tree, node))
    content.#users++
    return content
  }

  leave(): void {
    if (--this.#users > 0) return
    this.#stopSource()
    this.#bytes = EMPTY
    this.#node.content = undefined
  }

  /** Asks the object for the content; a stream is read when needed. What is being written stays. */
  open(caller: Caller): Awaitable<void> {
    if (this.#busy !== undefined) return this.#busy.then(() => this.open(caller))
    if (this.dirty) return undefined
    const path = this.#node.path
    const { fs } = this.#tree
    const given =
      fs.readFile !== undefined
        ? fs.readFile(path, caller)
        : fs.createReadStream !== undefined
          ? fs.createReadStream(path, { start: 0 }, caller)
          : EMPTY
    if (!isPromise(given)) return this.#take(given)
    const version = this.#version
    return this.#exclusive(
      Promise.resolve(given).then((content) => {
        // What was written meanwhile is newer than what the object had.
        if (this.#version === version) this.#take(content)
      }),
    )
  }

  /** It is empty from now on, whatever the object has. */
  clear(): void {
    this.#stopSource()
    this.#bytes = EMPTY
    this.size = 0
    this.loaded = true
    this.#changed()
  }

  /** A new file: empty, as the object has it. */
  fresh(): void {
    this.loaded = true
  }

  /** Makes sure that the bytes up to `end` are here, where there are so many. */
  need(end: number): Awaitable<void> {
    if (this.loaded || this.size >= end) return undefined
    // Readers wait for each other: a stream goes one way only.
    if (this.#busy !== undefined) return this.#busy.then(() => this.need(end))
    if (this.#lost !== undefined) throw this.#lost.error
    const pulled = run(this.#pull(end))
    return isPromise(pulled) ? this.#exclusive(pulled) : undefined
  }

  /** The bytes from `offset` on, as far as they are here; a copy where they may change before they are used. */
  read(offset: number, size: number): Uint8Array {
    const part = this.#bytes.subarray(Math.min(offset, this.size), Math.min(offset + size, this.size))
    return this.#owned ? Buffer.from(part) : part
  }

  /** `offset` -1 appends. */
  write(data: Uint8Array, offset: number): Awaitable<void> {
    return this.#whole(() => this.#write(data, offset))
  }

  truncate(size: number): Awaitable<void> {
    return this.#whole(() => this.#truncate(size))
  }

  /** Runs `step` once all is here: another open may have begun the stream anew. */
  #whole(step: () => void): Awaitable<void> {
    return this.loaded ? step() : then(this.need(Infinity), () => this.#whole(step))
  }

  #write(data: Uint8Array, offset: number): void {
    const at = offset < 0 ? this.size : offset
    const end = at + data.byteLength
    this.#reserve(Math.max(end, this.size))
    if (at > this.size) this.#bytes.fill(0, this.size, at)
    this.#bytes.set(data, at)
    if (end > this.size) this.size = end
    this.#changed()
  }

  #truncate(size: number): void {
    if (size === this.size) return
    this.#reserve(size)
    if (size > this.size) this.#bytes.fill(0, this.size, size)
    this.size = size
    this.#changed()
  }

  /** Gives the content back to the object; a file without a name has nowhere to go. */
  save(caller: Caller): Awaitable<void> {
    if (this.#busy !== undefined) return this.#busy.then(() => this.save(caller))
    if (!this.dirty) return undefined
    if (this.#node.gone && this.#node.hiddenPath === undefined) return undefined
    const version = this.#version
    // The object may keep what it is given.
    const bytes = Buffer.from(this.#bytes.subarray(0, this.size))
    const written = this.#tree.fs.writeFile?.(this.#node.path, bytes, {}, caller)
    const saved = (): void => {
      if (this.#version === version) this.dirty = false
    }
    return isPromise(written) ? this.#exclusive(Promise.resolve(written).then(saved)) : saved()
  }

  /** Runs `step` while nothing is read or written back: the file gets another path meanwhile. */
  during<Result>(step: () => Awaitable<Result>): Awaitable<Result> {
    if (this.#busy !== undefined) return this.#busy.then(() => this.during(step))
    const result = step()
    return isPromise(result) ? this.#exclusive(Promise.resolve(result)) : result
  }

  #exclusive<Result>(work: Promise<Result>): Promise<Result> {
    const busy = work.then(
      () => undefined,
      () => undefined,
    )
    this.#busy = busy
    void busy.then(() => {
      if (this.#busy === busy) this.#busy = undefined
    })
    return work
  }

  #take(content: ContentLike): void {
    this.#stopSource()
    const bytes = bytesOf(content)
    const chunks = bytes === undefined ? chunksOf(content) : undefined
    if (bytes !== undefined) {
      this.#bytes = bytes
      this.#owned = false
      this.size = bytes.byteLength
      this.#complete()
      return
    }
    this.#bytes = EMPTY
    this.#owned = true
    this.size = 0
    this.loaded = false
    this.#source = chunks
  }

  *#pull(end: number): Steps<void> {
    const source = this.#source
    while (this.size < end && source !== undefined) {
      let chunk: Buffer | undefined
      try {
        const { done, value } = yield* wait<IteratorResult<Chunk>>(source.next())
        if (!done) chunk = chunkOf(value)
      } catch (error) {
        if (this.#source === source) {
          this.#stopSource()
          this.#lost = { error }
        }
        throw error
      }
      // Emptied meanwhile: the rest is of no interest.
      if (this.#source !== source) return
      if (chunk === undefined) {
        this.#source = undefined
        break
      }
      this.#reserve(this.size + chunk.byteLength)
      this.#bytes.set(chunk, this.size)
      this.size += chunk.byteLength
    }
    if (this.#source === undefined) this.#complete()
  }

  #complete(): void {
    this.loaded = true
    this.#node.sizeRead = this.size
  }

  #reserve(capacity: number): void {
    if (this.#owned && capacity <= this.#bytes.byteLength) return
    if (capacity > LARGEST) throw failure('EFBIG', `${capacity} bytes are too many to be kept in memory`)
    const grows = capacity > this.#bytes.byteLength
    const room = grows ? Math.max(capacity, Math.min(LARGEST, Math.ceil(this.size * 1.5))) : capacity
    const grown = allocate(Math.min(LARGEST, Math.ceil(room / STEP) * STEP))
    grown.set(this.#bytes.subarray(0, Math.min(this.size, grown.byteLength)))
    this.#bytes = grown
    this.#owned = true
  }

  #changed(): void {
    this.#version++
    this.dirty = true
    this.mtime = Date.now()
    this.#node.sizeRead = this.size
    this.#tree.touched(this.#node)
  }

  #stopSource(): void {
    const source = this.#source
    this.#source = undefined
    this.#lost = undefined
    if (source?.return === undefined) return
    // The stream may be in the middle of a read, whose failure is of no interest any more.
    void then(source.return(), () => undefined)
  }
}

function allocate(size: number): Buffer {
  try {
    return Buffer.allocUnsafe(size)
  } catch {
    throw failure('EFBIG', `there is no memory for ${size} bytes`)
  }
}

/** Content as bytes, undefined for a stream of chunks. An object that has none (a miss in a map) has no such file. */
export function bytesOf(content: ContentLike | undefined | null): Buffer | undefined {
  if (content === undefined || content === null) throw failure('ENOENT', 'the object gave no content')
  if (typeof content === 'string') return Buffer.from(content)
  // By kind, not by class: content may come from another realm.
  if (types.isAnyArrayBuffer(content)) return Buffer.from(content)
  if (ArrayBuffer.isView(content)) return Buffer.from(content.buffer, content.byteOffset, content.byteLength)
  return undefined
}

/** Content that is no bytes, as chunks. */
export function chunksOf(content: ContentLike): Chunks {
  const chunks = content as Partial<Iterable<Chunk> & AsyncIterable<Chunk>> & { stream?: () => ContentLike }
  if (typeof chunks[Symbol.asyncIterator] === 'function') return chunks[Symbol.asyncIterator]!()
  if (typeof chunks[Symbol.iterator] === 'function') return chunks[Symbol.iterator]!()
  if (typeof chunks.stream === 'function') return chunksOf(chunks.stream())
  throw new TypeError(`content has to be a string, bytes or a stream of them, not ${describe(content)}`)
}

/** A chunk as bytes. */
export function chunkOf(chunk: unknown): Buffer {
  if (typeof chunk === 'string' || types.isAnyArrayBuffer(chunk) || ArrayBuffer.isView(chunk))
    return bytesOf(chunk as Chunk)!
  throw new TypeError(`a stream has to give strings or bytes, not ${describe(chunk)}`)
}

/** Reads content to its end. */
export function* readAll(content: ContentLike): Steps<Buffer> {
  const whole = bytesOf(content)
  if (whole !== undefined) return whole
  const source = chunksOf(content)
  const parts: Buffer[] = []
  for (;;) {
    const { done, value } = yield* wait<IteratorResult<Chunk>>(source.next())
    if (done) return Buffer.concat(parts)
    parts.push(chunkOf(value))
  }
}
