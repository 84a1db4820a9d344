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
/** Listings with a descriptor, and listings of which only positions are kept. */
const MOST_OPEN = 64
const MOST_PARKED = 256

/** One pass over a directory, from its beginning on. */
export interface Stream {
  readonly inode: MirrorInode
  readonly number: number
  /** -1 while it is parked. */
  fd: number
  readonly listing: Listing
}

/**
 * Every reader that begins anew gets a listing of its own, so readers do not disturb each other. One that has been read to its
 * end, or not been asked for lately, is parked: its descriptor goes, the positions of its entries stay for a while.
 */
export class Streams {
  readonly #tree: Tree
  /** Least lately used first. */
  readonly #open = new Set<Stream>()
  readonly #parked = new Set<Stream>()
  readonly #byInode = new Map<MirrorInode, Stream[]>()
  #number = 0

  constructor(tree: Tree) {
    this.#tree = tree
  }

  /** The index of the entry at a position. */
  index(offset: number): number {
    return offset % SPAN
  }

  /** What the positions of a stream begin with. */
  base(stream: Stream): number {
    return stream.number * SPAN
  }

  /** The stream that a position belongs to, ready to be read; or -errno. */
  at(inode: MirrorInode, offset: number): Stream | number {
    const number = Math.floor(offset / SPAN)
    const known = offset === 0 ? undefined : this.#byInode.get(inode)?.find((one) => one.number === number)
    if (known === undefined) return this.#begin(inode, offset === 0 ? this.#next() : number)
    if (known.fd < 0) {
      const fd = this.descriptor(inode)
      if (fd < 0) return fd
      known.fd = fd
      known.listing.resume(fd)
    }
    this.#use(known)
    return known
  }

  /** The end was seen, or nobody can ask any more. */
  park(stream: Stream): void {
    if (stream.fd < 0) return
    this.#open.delete(stream)
    stream.listing.park()
    this.#tree.sys.close(stream.fd)
    stream.fd = -1
    this.#parked.add(stream)
    if (this.#parked.size > MOST_PARKED) this.#drop(first(this.#parked))
  }

  clear(): void {
    for (const stream of this.#open) this.park(stream)
    this.#parked.clear()
    this.#byInode.clear()
  }

  #begin(inode: MirrorInode, number: number): Stream | number {
    const fd = this.descriptor(inode)
    if (fd < 0) return fd
    const stream: Stream = { inode, number, fd, listing: new Listing(this.#tree.sys, fd) }
    const streams = this.#byInode.get(inode)
    if (streams === undefined) this.#byInode.set(inode, [stream])
    else streams.push(stream)
    this.#use(stream)
    return stream
  }

  #use(stream: Stream): void {
    this.#parked.delete(stream)
    this.#open.delete(stream)
    this.#open.add(stream)
    if (this.#open.size > MOST_OPEN) this.park(first(this.#open))
  }

  #drop(stream: Stream): void {
    this.#parked.delete(stream)
    const left = this.#byInode.get(stream.inode)?.filter((one) => one !== stream) ?? []
    if (left.length > 0) this.#byInode.set(stream.inode, left)
    else this.#byInode.delete(stream.inode)
  }

  #next(): number {
    this.#number = (this.#number + 1) % MOST_NUMBERS || 1
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
