// Open directories: OPENDIR to RELEASEDIR, and what READDIR and READDIRPLUS say about each entry.
import { EBADF, ESTALE } from '../../protocol/index.js'
import type {
  EncodedDirents,
  Errno,
  Filesystem,
  FsyncdirRequest,
  OpendirRequest,
  OpenReply,
  ReaddirRequest,
  ReaddirplusRequest,
  ReleasedirRequest,
  Reply,
} from '../../protocol/index.js'
import { HandleTable } from '../../inodes/index.js'
import type { Crew, ListOrder, Listed } from './crew.js'
import { Listing } from './listing.js'
import { ListingReplies, openDirectory } from './listing-replies.js'
import type { OpenDirectory } from './listing-replies.js'
import { Readers } from './readers.js'
import type { Tree } from './tree.js'

export class Directories {
  readonly #tree: Tree
  readonly #table: HandleTable<OpenDirectory> | SharedDirectories
  /** For directories that are not opened, too. */
  readonly replies: ListingReplies
  readonly handlers: ReturnType<typeof handlersOf>

  constructor(tree: Tree) {
    this.#tree = tree
    this.#table = tree.crew === undefined ? new HandleTable() : new SharedDirectories(tree.crew)
    this.replies = new ListingReplies(tree, tree.crew === undefined ? new Readers() : undefined)
    this.handlers = handlersOf(tree, this.#table, this.replies, this)
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
  list(order: ListOrder): Listed {
    const directory = this.#table.get(order.fd)
    if (directory === undefined) return EBADF
    const made = this.replies.make(directory, order)
    if (typeof made === 'number') return made
    // The records alone go over, not all of the memory that they lie in.
    const records = new Uint8Array(made.bytes)
    made.sent?.()
    return records
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

/** FSYNCDIR of a directory that `directories` has a descriptor of. */
export async function syncDirectory(
  { sys }: Tree,
  directories: { with<Result>(request: FsyncdirRequest, use: (fd: number) => Result): Result | number },
  request: FsyncdirRequest,
): Promise<void | Errno> {
  const result = await directories.with(request, (fd) =>
    request.fdatasync ? sys.fdatasyncAsync(fd) : sys.fsyncAsync(fd),
  )
  return result < 0 ? (result as Errno) : undefined
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

function handlersOf(tree: Tree, table: Table, replies: ListingReplies, directories: Directories) {
  const { sys } = tree

  const list = (order: ListOrder): Reply<EncodedDirents<'dirent' | 'direntplus'>> => {
    const directory = table.get(order.fd)
    if (directory !== undefined) return replies.make(directory, order)
    const { crew } = tree
    if (crew === undefined || !isElsewhere(crew, order.fd)) return EBADF
    return crew
      .list(ownerOf(tree, order.fd), order)
      .then((listed) => (typeof listed === 'number' ? listed : replies.of(listed, order.plus)))
  }

  return {
    opendir({ nodeid }: OpendirRequest): OpenReply | Errno {
      const inode = tree.inode(nodeid)
      if (inode === undefined) return ESTALE
      const fd = openDirectory(tree, inode)
      if (fd < 0) return fd as Errno
      return { fh: table.add({ inode, fd, listing: new Listing(sys, fd) }) }
    },

    releasedir({ fh }: ReleasedirRequest): void {
      if (table.get(fh) === undefined && isElsewhere(tree.crew, fh)) tree.crew?.close(ownerOf(tree, fh), fh)
      else release(tree, table, fh)
    },

    readdir: ({ fh, offset, size, pid }: ReaddirRequest) =>
      list({ fd: fh, offset, size, plus: false, pid }) as Reply<EncodedDirents<'dirent'>>,

    readdirplus: ({ fh, offset, size, pid }: ReaddirplusRequest) =>
      list({ fd: fh, offset, size, plus: true, pid }) as Reply<EncodedDirents<'direntplus'>>,

    fsyncdir: (request: FsyncdirRequest) => syncDirectory(tree, directories, request),
  } satisfies Filesystem
}
