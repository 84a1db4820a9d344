// Replies to READDIR and READDIRPLUS made by the addon: a window of getdents64(2) records at a time, with a statx(2) for each. The layouts
// are those of native/listing.h.
import { special } from '../native.js'
import { TWO_32, setDuration, setNumber } from '../protocol/wire.js'
import {
  AT_NO_AUTOMOUNT,
  AT_SYMLINK_NOFOLLOW,
  STATX_BASIC_STATS,
  STATX_BTIME,
  STATX_MNT_ID,
} from './constants.js'
import { NULL, exactU64 } from './door.js'
import type { Door } from './door.js'

/** Records of one call of the addon. */
const MOST = 256

/** Bytes of a reply: what rounding up to 8 keeps within 31 bits. */
const MOST_BYTES = 2 ** 31 - 8

// Words of struct listing.
const OFF = 0
const ENTRY_VALID = 2
const ATTR_VALID = 4
const ENTRY_VALID_NSEC = 6
const ATTR_VALID_NSEC = 7
const FLAGS = 8
const MASK = 9
const AT = 10
const END = 11
const USED = 12
const MOST_RECORDS = 13
const FILES = 14
const LEFT_OUT = 15
const STATE_WORDS = 16

// Words of struct listing_fact.
const FACT_BTIME = 0
const FACT_BTIME_NSEC = 2
const FACT_MASK = 3
const FACT_DEV_MAJOR = 4
const FACT_DEV_MINOR = 5
const FACT_AT = 6
const FACT_MNT_ID = 7
const FACT_WORDS = 8

// Words of struct fuse_entry_out with the struct fuse_dirent behind it.
const NODEID = 0
const GENERATION = 2
const RECORD_ATTR_VALID = 6
const RECORD_ATTR_VALID_NSEC = 9
const INO = 10
const SIZE = 12
const MTIME = 18
const CTIME = 20
const MTIME_NSEC = 23
const CTIME_NSEC = 24
const MODE = 25
const NLINK = 26
const UID = 27
const GID = 28
const NAMELEN = 36
const NAME_BYTES = 152

/** The memory of a reply. */
interface ListingMemory {
  bytes: Buffer
  words: Uint32Array
  view: DataView
}

function memoryFor(size: number): ListingMemory {
  const memory = new ArrayBuffer((size + 7) & ~7)
  return { bytes: Buffer.from(memory), words: new Uint32Array(memory), view: new DataView(memory) }
}

/** The slice method that every Buffer has; declared here because it is missing from its public type. */
interface SlicingBuffer extends Buffer {
  latin1Slice(start: number, end: number): string
}

/**
 * Makes the replies to READDIR or READDIRPLUS, one after the other. Of the records that the last {@link append} made, {@link select} picks
 * the one that the getters tell of, which are those of `StatxBuffer`.
 */
export class ListingEncoder {
  readonly #call: Door['call']
  readonly #state = new Uint32Array(STATE_WORDS)
  readonly #stateView = new DataView(this.#state.buffer)
  readonly #facts: Uint32Array | undefined
  #reply: ListingMemory = memoryFor(0)
  #spare: ListingMemory | undefined
  #words = this.#reply.words
  #bytes = this.#reply.bytes
  #size = 0
  #fact = 0
  #at = 0

  /** `plus`: with attributes (READDIRPLUS). Use `makeSyscalls().listingEncoder`. */
  constructor({ call }: Pick<Door, 'call'>, plus: boolean) {
    this.#call = call
    this.#facts = plus ? new Uint32Array(MOST * FACT_WORDS) : undefined
    this.#state[FLAGS] = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT
    this.#state[MASK] = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID
    this.#state[MOST_RECORDS] = MOST
    this.#state[FILES] = 1
  }

  /**
   * Begins a reply of at most `size` bytes. The kernel may believe names and attributes for so many seconds; the records count up from
   * the position `off`. Throws a RangeError for a size that is no integer from 0 to 2^31 - 8.
   */
  begin(size: number, off: number, entryValid = 0, attrValid = 0): void {
    if (!Number.isInteger(size) || size < 0 || size > MOST_BYTES)
      throw new RangeError(`the size of a reply is an integer from 0 to ${MOST_BYTES}, not ${size}`)
    const spare = this.#spare
    this.#spare = undefined
    this.#reply = spare !== undefined && spare.bytes.byteLength >= size ? spare : memoryFor(size)
    this.#bytes = this.#reply.bytes
    this.#words = this.#reply.words
    const state = this.#state
    state[USED] = state[LEFT_OUT] = 0
    this.#size = size
    const view = this.#stateView
    setNumber(view, OFF * 4, off)
    setDuration(view, ENTRY_VALID * 4, ENTRY_VALID_NSEC * 4, entryValid)
    setDuration(view, ATTR_VALID * 4, ATTR_VALID_NSEC * 4, attrValid)
  }

  /**
   * Appends the records from `from` to `to` of what getdents64(2) filled for the directory `dirfd`: how many fitted, of 256 at the most,
   * or -errno. A READDIRPLUS record has nodeid 0: {@link found} ones are to be given theirs.
   */
  append(dirfd: number, window: Uint8Array, from: number, to: number): number {
    const inside = Number.isInteger(from) && Number.isInteger(to) && from >= 0 && to <= window.byteLength
    if (!inside || from > to)
      throw new RangeError(`no records from ${from} to ${to} in a window of ${window.byteLength} bytes`)
    this.#state[AT] = from
    this.#state[END] = to
    // Whoever got the last reply may have transferred its memory away.
    const size = Math.min(this.#size, this.#bytes.byteLength)
    return this.#call(special.listing, dirfd, window, this.#state, this.#bytes, size, this.#facts ?? NULL)
  }

  /** Whether READDIRPLUS records of files have attributes, too; those of directories always do. Kernel: nodeid 0 means none. */
  get files(): boolean {
    return this.#state[FILES] !== 0
  }
  set files(files: boolean) {
    this.#state[FILES] = Number(files)
  }

  /** Files in the reply so far that have no attributes because of {@link files}. */
  get leftOut(): number {
    return this.#state[LEFT_OUT]
  }

  /** Bytes of the reply so far. */
  get used(): number {
    return this.#state[USED]
  }

  /** The reply so far. */
  get reply(): Buffer {
    return this.#bytes.subarray(0, this.#state[USED])
  }

  /** What gives the memory of the reply back once that has gone out; without it, the next one gets another. */
  get reuse(): () => void {
    const reply = this.#reply
    return () => (this.#spare = reply)
  }

  /** Picks record `index` of those that the last {@link append} made. Only with attributes. */
  select(index: number): void {
    this.#fact = index * FACT_WORDS
    this.#at = this.#facts![this.#fact + FACT_AT] >>> 2
  }

  /** There are attributes: it is neither `.` nor `..`, nor a file without {@link files}, and was still there. */
  get found(): boolean {
    return this.mask !== 0
  }

  /** One character per byte. */
  get name(): string {
    const start = this.#at * 4 + NAME_BYTES
    return (this.#bytes as SlicingBuffer).latin1Slice(start, start + this.#words[this.#at + NAMELEN])
  }

  get mask(): number {
    return this.#facts![this.#fact + FACT_MASK]
  }

  get mode(): number {
    return this.#words[this.#at + MODE]
  }

  get nlink(): number {
    return this.#words[this.#at + NLINK]
  }

  get uid(): number {
    return this.#words[this.#at + UID]
  }

  get gid(): number {
    return this.#words[this.#at + GID]
  }

  get size(): number {
    return this.#words[this.#at + SIZE + 1] * TWO_32 + this.#words[this.#at + SIZE]
  }

  get mtimeSec(): number {
    return secondsAt(this.#words, this.#at + MTIME)
  }

  get mtimeNsec(): number {
    return this.#words[this.#at + MTIME_NSEC]
  }

  get ctimeSec(): number {
    return secondsAt(this.#words, this.#at + CTIME)
  }

  get ctimeNsec(): number {
    return this.#words[this.#at + CTIME_NSEC]
  }

  get ino(): number | bigint {
    return exactU64(this.#words[this.#at + INO], this.#words[this.#at + INO + 1])
  }

  get dev(): number {
    return this.#facts![this.#fact + FACT_DEV_MAJOR] * TWO_32 + this.#facts![this.#fact + FACT_DEV_MINOR]
  }

  get mntId(): number {
    return this.#facts![this.#fact + FACT_MNT_ID]
  }

  get btimeSec(): number {
    return secondsAt(this.#facts!, this.#fact + FACT_BTIME)
  }

  get btimeNsec(): number {
    return this.#facts![this.#fact + FACT_BTIME_NSEC]
  }

  /** Makes the record a lookup of this inode. */
  setNodeid(nodeid: number, generation: number): void {
    const { view } = this.#reply
    setNumber(view, (this.#at + NODEID) * 4, nodeid)
    setNumber(view, (this.#at + GENERATION) * 4, generation)
  }

  /** How long these attributes may be believed, seconds. */
  setAttrValid(seconds: number): void {
    const valid = (this.#at + RECORD_ATTR_VALID) * 4
    setDuration(this.#reply.view, valid, (this.#at + RECORD_ATTR_VALID_NSEC) * 4, seconds)
  }
}

/** Seconds may be negative. */
function secondsAt(words: Uint32Array, at: number): number {
  return (words[at + 1] | 0) * TWO_32 + words[at]
}

export function listingCalls(door: Door) {
  return {
    /** Makes the replies to READDIR, or with `plus` to READDIRPLUS. */
    listingEncoder: (plus: boolean): ListingEncoder => new ListingEncoder(door, plus),
  }
}
