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
import { Listing } from './listing.js'
import type { Tree } from './tree.js'

interface OpenDirectory {
  inode: MirrorInode
  fd: number
  listing: Listing
}

export class Directories {
  readonly #tree: Tree
  readonly #table = new HandleTable<OpenDirectory>()
  readonly handlers: ReturnType<typeof handlersOf>

  constructor(tree: Tree) {
    this.#tree = tree
    this.handlers = handlersOf(tree, this.#table)
  }

  /** The descriptor behind an `fh`, or EBADF. */
  fd(fh: number): number {
    return this.#table.get(fh)?.fd ?? EBADF
  }

  /** The session has ended and sends no more RELEASEDIR. */
  clear(): void {
    for (const { fd, listing } of this.#table) {
      listing.close()
      this.#tree.sys.close(fd)
    }
  }
}

function handlersOf(tree: Tree, table: HandleTable<OpenDirectory>) {
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
      const directory = table.remove(fh)
      if (directory === undefined) return
      directory.listing.close()
      sys.close(directory.fd)
    },

    readdir({ fh, offset }: ReaddirRequest): Iterable<Dirent> | Errno {
      const directory = table.get(fh)
      if (directory === undefined) return EBADF
      const state = directory.listing.seek(offset)
      return state < 0 ? (state as Errno) : entries(directory, offset, state)
    },

    readdirplus({ fh, offset }: ReaddirplusRequest): Iterable<Direntplus> | Errno {
      const directory = table.get(fh)
      if (directory === undefined) return EBADF
      const state = directory.listing.seek(offset)
      return state < 0 ? (state as Errno) : entriesPlus(tree, directory, offset, state)
    },

    async fsyncdir({ fh, fdatasync }: FsyncdirRequest): Promise<void | Errno> {
      const directory = table.get(fh)
      if (directory === undefined) return EBADF
      const { fd } = directory
      const result = await (fdatasync ? sys.fdatasyncAsync(fd) : sys.fsyncAsync(fd))
      return result < 0 ? (result as Errno) : undefined
    },
  } satisfies Filesystem
}

function* entries({ listing }: OpenDirectory, offset: number, state: number): Generator<Dirent> {
  for (let index = offset; state > 0; state = listing.next(index++)) {
    yield { name: listing.name(index), ino: listing.ino(index), type: listing.type(index), off: index + 1 }
  }
}

function* entriesPlus(
  tree: Tree,
  { inode, fd, listing }: OpenDirectory,
  offset: number,
  state: number,
): Generator<Direntplus> {
  for (let index = offset; state > 0; state = listing.next(index++)) {
    const name = listing.name(index)
    const off = index + 1
    // Kernel: `.` and `..` are no lookups, and neither is an entry that has gone since it was listed.
    const entry = name === '.' || name === '..' ? undefined : tree.lookup(inode, fd, name)
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
