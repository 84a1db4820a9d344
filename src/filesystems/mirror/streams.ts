// Directories that are read without having been opened: where the kernel keeps whole listings, it asks neither OPENDIR nor
// RELEASEDIR. What READDIR names is an inode and a position; the position says which listing it belongs to.
import { ENOENT, ESTALE } from '../../protocol/index.js'
import type { MirrorInode } from './inode.js'
import { Listing } from './listing.js'
import { openDirectory } from './listing-replies.js'
import type { Tree } from './tree.js'

/** A position is (number of the listing) * SPAN + (index of the entry), exact in a JavaScript number. */
const SPAN = 2 ** 27
const MOST_NUMBERS = 2 ** 26
/** What a stream takes besides positions: it keeps its inode, too. */
const STREAM_BYTES = 4096
/** Streams with a descriptor, and memory that all of them may take. */
const LIMITS = { open: 64, bytes: 32 * 1024 * 1024 }

/** One pass over a directory, from its beginning on. */
export interface Stream {
  readonly inode: MirrorInode
  readonly number: number
  /** -1 while it has none. */
  fd: number
  readonly listing: Listing
  /** What it takes of the memory. */
  bytes: number
}

/**
 * Every reader that begins anew gets a listing of its own, so readers do not disturb each other. One that has been read to its
 * end, or not been asked for lately, is parked: its descriptor goes, the positions of its entries stay. Kernel: nothing tells that
 * a reader has gone, and an end that came too early would be kept as the whole listing. So where memory has to be given back,
 * what was read to its end goes first, then all positions but the one where a reader stands, and at last whole streams, whose
 * positions are then found by counting.
 */
export class Streams {
  readonly #tree: Tree
  readonly #limits: typeof LIMITS
  /** A stream is in one of these, each with the least lately used first. */
  readonly #open = new Set<Stream>()
  readonly #parked = new Set<Stream>()
  readonly #thin = new Set<Stream>()
  readonly #ended = new Set<Stream>()
  readonly #byNumber = new Map<number, Stream>()
  readonly #byInode = new Map<MirrorInode, Set<Stream>>()
  #number = 0
  #bytes = 0

  constructor(tree: Tree, limits = LIMITS) {
    this.#tree = tree
    this.#limits = limits
    // Kernel: a directory that is open is not forgotten, so nobody reads on.
    tree.forgotten = (inode) => this.#dropAll(this.#byInode.get(inode) ?? [])
  }

  /** Memory that all streams take. */
  get bytes(): number {
    return this.#bytes
  }

  /** The index of the entry at a position. */
  index(offset: number): number {
    return offset % SPAN
  }

  /** What the positions of a stream begin with. */
  base(stream: Stream): number {
    return stream.number * SPAN
  }

  /** The stream that a position belongs to, ready to be read, and to be given to {@link settle} after that; or -errno. */
  at(inode: MirrorInode, offset: number): Stream | number {
    const number = Math.floor(offset / SPAN)
    const known = offset === 0 ? undefined : this.#byNumber.get(number)
    // The number of a dropped stream still is that of all who read it, so that they share the next one, too.
    if (known?.inode !== inode)
      return this.#begin(inode, offset === 0 || known !== undefined ? this.#next() : number)
    if (known.fd < 0) {
      const fd = this.descriptor(inode)
      if (fd < 0) return fd
      known.fd = fd
      known.listing.resume(fd)
    }
    this.#use(known)
    return known
  }

  /** The stream has been read from; `ended` says that the end was seen, or that it is of no use. */
  settle(stream: Stream, ended: boolean): void {
    if (ended) this.#park(stream, this.#ended)
    else this.#count(stream)
    if (this.#bytes > this.#limits.bytes) this.#shrink(stream)
  }

  clear(): void {
    this.#dropAll(this.#byNumber.values())
  }

  #begin(inode: MirrorInode, number: number): Stream | number {
    const fd = this.descriptor(inode)
    if (fd < 0) return fd
    const listing = new Listing(this.#tree.sys, fd, ESTALE)
    const stream: Stream = { inode, number, fd, listing, bytes: 0 }
    this.#byNumber.set(number, stream)
    const others = this.#byInode.get(inode)
    if (others === undefined) this.#byInode.set(inode, new Set([stream]))
    else others.add(stream)
    this.#use(stream)
    return stream
  }

  #use(stream: Stream): void {
    this.#remove(stream)
    this.#open.add(stream)
    if (this.#open.size > this.#limits.open) this.#park(first(this.#open), this.#parked)
  }

  #park(stream: Stream, where: Set<Stream>): void {
    this.#remove(stream)
    where.add(stream)
    stream.listing.park()
    this.#tree.sys.close(stream.fd)
    stream.fd = -1
    this.#count(stream)
  }

  #shrink(current: Stream): void {
    const steps: [Set<Stream>, (stream: Stream) => void][] = [
      [this.#ended, (stream) => this.#drop(stream)],
      [this.#parked, (stream) => this.#makeThin(stream)],
      [this.#open, (stream) => this.#makeThin(stream)],
      [this.#thin, (stream) => this.#drop(stream)],
    ]
    for (const [streams, step] of steps)
      for (const stream of streams) {
        if (this.#bytes <= this.#limits.bytes) return
        if (stream !== current) step(stream)
      }
    if (this.#bytes > this.#limits.bytes) this.#makeThin(current)
  }

  #makeThin(stream: Stream): void {
    stream.listing.thin()
    this.#count(stream)
    if (this.#parked.delete(stream)) this.#thin.add(stream)
  }

  /** Takes its memory into account. */
  #count(stream: Stream): void {
    const bytes = STREAM_BYTES + stream.listing.bytes
    this.#bytes += bytes - stream.bytes
    stream.bytes = bytes
  }

  #dropAll(streams: Iterable<Stream>): void {
    for (const stream of streams) {
      if (stream.fd >= 0) this.#park(stream, this.#ended)
      this.#drop(stream)
    }
  }

  #drop(stream: Stream): void {
    this.#remove(stream)
    this.#byNumber.delete(stream.number)
    const all = this.#byInode.get(stream.inode)
    if (all?.delete(stream) && all.size === 0) this.#byInode.delete(stream.inode)
    this.#bytes -= stream.bytes
  }

  #remove(stream: Stream): void {
    for (const streams of [this.#open, this.#parked, this.#thin, this.#ended]) streams.delete(stream)
  }

  #next(): number {
    do this.#number = (this.#number + 1) % MOST_NUMBERS || 1
    while (this.#byNumber.has(this.#number))
    return this.#number
  }

  /** A descriptor of the directory, which the caller closes; or -errno. */
  descriptor(inode: MirrorInode): number {
    const fd = openDirectory(this.#tree, inode)
    // A directory that nothing leads to any more was removed: what reading one says.
    return fd === ESTALE ? ENOENT : fd
  }
}

function first(streams: Set<Stream>): Stream {
  const [stream] = streams
  return stream
}
