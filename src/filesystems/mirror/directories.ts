// Open directories: OPENDIR to RELEASEDIR, and what READDIR and READDIRPLUS say about each entry.
import { EBADF, ESTALE } from '../../protocol/index.js'
import type {
  Dirent,
  Direntplus,
  Entry,
  Errno,
  Filesystem,
  FsyncdirRequest,
  OpendirRequest,
  OpenReply,
  ReaddirRequest,
  ReaddirplusRequest,
  ReleasedirRequest,
} from '../../protocol/index.js'
import { HandleTable } from '../../inodes/index.js'
import { O_CLOEXEC, O_DIRECTORY, O_RDONLY } from '../../syscalls/index.js'
import type { MirrorInode } from './inode.js'
import type { Crew, ListOrder, Listed } from './crew.js'
import { Listing } from './listing.js'
import type { Tree } from './tree.js'

/** A directory that can be read. */
export interface OpenDirectory {
  inode: MirrorInode
  fd: number
  listing: Listing
}

export class Directories {
  readonly #tree: Tree
  readonly #table: HandleTable<OpenDirectory> | SharedDirectories
  readonly handlers: ReturnType<typeof handlersOf>

  constructor(tree: Tree) {
    this.#tree = tree
    this.#table = tree.crew === undefined ? new HandleTable() : new SharedDirectories(tree.crew)
    this.handlers = handlersOf(tree, this.#table)
  }

  /** The descriptor behind an `fh`, or EBADF. */
  fd(fh: number): number {
    return this.#table.get(fh)?.fd ?? (isElsewhere(this.#tree.crew, fh) ? fh : EBADF)
  }

  /** Calls `use` with a descriptor of the directory of a request. */
  with<Result>({ fh }: { fh: number }, use: (fd: number) => Result): Result | number {
    const fd = this.fd(fh)
    return fd < 0 ? fd : use(fd)
  }

  /** A part of a listing that another thread was asked for; what fits in `size` bytes. */
  list({ fd, offset, size, plus }: ListOrder): Listed {
    const directory = this.#table.get(fd)
    if (directory === undefined) return EBADF
    const state = directory.listing.seek(offset)
    if (state < 0) return state as Errno
    const found = plus ? entriesPlus(this.#tree, directory, offset, state) : entries(directory, offset, state)
    return fitting(directory, offset, state, size, plus ? PLUS_SIZE : DIRENT_SIZE, found)
  }

  /** Another thread was told that the kernel has released it. */
  close(fd: number): void {
    release(this.#tree, this.#table, fd)
  }

  /** The session has ended and sends no more RELEASEDIR. */
  clear(): void {
    for (const { fd, listing } of this.#table) {
      listing.close()
      this.#tree.sys.close(fd)
    }
  }
}

// Kernel: sizes of fuse_dirent and fuse_direntplus without the name; entries are padded to 8 bytes.
const DIRENT_SIZE = 24
const PLUS_SIZE = 152

/** As many entries as fit: each one that is made counts a lookup, so none is made in vain. */
function fitting(
  { listing }: OpenDirectory,
  offset: number,
  state: number,
  size: number,
  head: number,
  made: Iterator<Dirent | Direntplus>,
): (Dirent | Direntplus)[] {
  const list: (Dirent | Direntplus)[] = []
  let left = size
  for (let index = offset, at = state; at > 0; index++) {
    left -= Math.ceil((head + listing.name(index).length) / 8) * 8
    if (left < 0) break
    const { value, done } = made.next()
    if (done === true) break
    list.push(value)
    at = listing.next(index)
  }
  return list
}

/** Marks an open directory among what threads share; the lower bits are the thread that has its listing. */
const DIRECTORY = 1 << 29

const isElsewhere = (crew: Crew | undefined, fd: number): boolean =>
  crew !== undefined && (crew.state.what(fd) & DIRECTORY) !== 0

/** Directories that this thread has open; an `fh` is the descriptor itself, and means the same to every thread. */
class SharedDirectories {
  readonly #crew: Crew
  readonly #open = new Map<number, OpenDirectory>()

  constructor(crew: Crew) {
    this.#crew = crew
  }

  add(directory: OpenDirectory): number {
    const { fd, inode } = directory
    this.#open.set(fd, directory)
    this.#crew.state.opened(fd, inode.nodeid, DIRECTORY | this.#crew.index, false)
    return fd
  }

  get(fh: number): OpenDirectory | undefined {
    return this.#open.get(fh)
  }

  remove(fh: number): OpenDirectory | undefined {
    const directory = this.#open.get(fh)
    if (!this.#open.delete(fh)) return undefined
    this.#crew.state.closed(fh, () => false)
    return directory
  }

  [Symbol.iterator](): IterableIterator<OpenDirectory> {
    return this.#open.values()
  }
}

type Table = HandleTable<OpenDirectory> | SharedDirectories

function release({ sys }: Tree, table: Table, fh: number): void {
  const directory = table.remove(fh)
  if (directory === undefined) return
  directory.listing.close()
  sys.close(directory.fd)
}

/** The thread that has the listing of an open directory, where it is another one. */
function ownerOf(tree: Tree, fh: number): number {
  return tree.crew === undefined ? -1 : tree.crew.state.what(fh) & ~DIRECTORY
}

function handlersOf(tree: Tree, table: Table) {
  const { sys } = tree
  return {
    opendir({ nodeid }: OpendirRequest): OpenReply | Errno {
      const inode = tree.inode(nodeid)
      if (inode === undefined) return ESTALE
      const link = tree.magicLink(inode)
      if (typeof link !== 'string') return link
      const fd = tree.openat(-1, link, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
      if (fd < 0) return fd as Errno
      return { fh: table.add({ inode, fd, listing: new Listing(sys, fd) }) }
    },

    releasedir({ fh }: ReleasedirRequest): void {
      if (table.get(fh) === undefined && isElsewhere(tree.crew, fh)) tree.crew?.close(ownerOf(tree, fh), fh)
      else release(tree, table, fh)
    },

    readdir({
      fh,
      offset,
      size,
    }: ReaddirRequest): Iterable<Dirent> | Errno | Promise<Iterable<Dirent> | Errno> {
      const directory = table.get(fh)
      if (directory === undefined) return elsewhere<Dirent>(tree, { fd: fh, offset, size, plus: false })
      const state = directory.listing.seek(offset)
      return state < 0 ? (state as Errno) : entries(directory, offset, state)
    },

    readdirplus({
      fh,
      offset,
      size,
    }: ReaddirplusRequest): Iterable<Direntplus> | Errno | Promise<Iterable<Direntplus> | Errno> {
      const directory = table.get(fh)
      if (directory === undefined) return elsewhere<Direntplus>(tree, { fd: fh, offset, size, plus: true })
      const state = directory.listing.seek(offset)
      return state < 0 ? (state as Errno) : entriesPlus(tree, directory, offset, state)
    },

    async fsyncdir({ fh, fdatasync }: FsyncdirRequest): Promise<void | Errno> {
      const fd = table.get(fh)?.fd ?? (isElsewhere(tree.crew, fh) ? fh : EBADF)
      if (fd < 0) return EBADF
      const result = await (fdatasync ? sys.fdatasyncAsync(fd) : sys.fsyncAsync(fd))
      return result < 0 ? (result as Errno) : undefined
    },
  } satisfies Filesystem
}

function elsewhere<Item>(tree: Tree, order: ListOrder): Errno | Promise<Iterable<Item> | Errno> {
  const { crew } = tree
  if (crew === undefined || !isElsewhere(crew, order.fd)) return EBADF
  return crew.list(ownerOf(tree, order.fd), order) as Promise<Item[] | Errno>
}

/** The entries from `offset` on; their positions are indexes, after `base`. */
export function* entries(
  { listing }: OpenDirectory,
  offset: number,
  state: number,
  base = 0,
): Generator<Dirent> {
  for (let index = offset; state > 0; state = listing.next(index++)) {
    const off = base + index + 1
    yield { name: listing.name(index), ino: listing.ino(index), type: listing.type(index), off }
  }
}

/** The same with what a lookup says of each. */
export function* entriesPlus(
  tree: Tree,
  { inode, fd, listing }: OpenDirectory,
  offset: number,
  state: number,
  base = 0,
): Generator<Direntplus> {
  for (let index = offset; state > 0; state = listing.next(index++)) {
    const name = listing.name(index)
    const off = base + index + 1
    // Kernel: `.` and `..` are no lookups, and neither is an entry that has gone since it was listed.
    const entry = name === '.' || name === '..' ? undefined : tree.lookup(inode, fd, name, true)
    if (typeof entry === 'object') {
      const plus = entry as Entry & { name: string; off: number }
      plus.name = name
      plus.off = off
      yield plus
    } else {
      yield { nodeid: 0, name, off, ino: listing.ino(index), type: listing.type(index) }
    }
  }
}
