// Directories with `cache: 'strong'`: the kernel opens them by itself and keeps what it reads. See streams.ts.
import { ENOSYS, ESTALE } from '../../protocol/index.js'
import type {
  EncodedDirents,
  Errno,
  Filesystem,
  FsyncdirRequest,
  ReaddirRequest,
  ReaddirplusRequest,
} from '../../protocol/index.js'
import { syncDirectory } from './directories.js'
import { ListingReplies } from './listing-replies.js'
import { Streams } from './streams.js'
import type { Tree } from './tree.js'

export class UnopenedDirectories {
  readonly #tree: Tree
  readonly #streams: Streams
  readonly handlers: ReturnType<typeof handlersOf>

  constructor(tree: Tree) {
    this.#tree = tree
    this.#streams = new Streams(tree)
    this.handlers = handlersOf(tree, this.#streams, this)
  }

  /** Calls `use` with a descriptor of the directory of a request, or answers -errno. */
  with<Result>({ nodeid }: { nodeid: number }, use: (fd: number) => Result): Result | number {
    const inode = this.#tree.inode(nodeid)
    const fd = inode === undefined ? ESTALE : this.#streams.descriptor(inode)
    if (fd < 0) return fd
    const close = () => this.#tree.sys.close(fd)
    const result = use(fd)
    if (result instanceof Promise) void result.finally(close)
    else close()
    return result
  }

  clear(): void {
    this.#streams.clear()
  }
}

function handlersOf(tree: Tree, streams: Streams, directories: UnopenedDirectories) {
  const replies = new ListingReplies(tree)

  const read = (
    { nodeid, offset, size }: ReaddirRequest | ReaddirplusRequest,
    plus: boolean,
  ): EncodedDirents<'dirent' | 'direntplus'> | Errno => {
    const inode = tree.inode(nodeid)
    const stream = inode === undefined ? ESTALE : streams.at(inode, offset)
    if (typeof stream === 'number') return stream as Errno
    const made = replies.make(stream, { offset: streams.index(offset), size, plus }, streams.base(stream))
    if (typeof made === 'number' || made.bytes.byteLength === 0) streams.park(stream)
    return made
  }

  return {
    // Kernel: the one that is sent; from then on it opens without asking (FUSE_NO_OPENDIR_SUPPORT).
    opendir: (): Errno => ENOSYS,

    readdir: (request: ReaddirRequest) => read(request, false) as EncodedDirents<'dirent'> | Errno,

    readdirplus: (request: ReaddirplusRequest) => read(request, true) as EncodedDirents<'direntplus'> | Errno,

    fsyncdir: (request: FsyncdirRequest) => syncDirectory(tree, directories, request),
  } satisfies Filesystem
}
