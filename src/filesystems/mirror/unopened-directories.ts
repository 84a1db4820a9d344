// Directories whose listings last: the kernel opens them by itself and keeps what it reads (streams.ts), where it has agreed to
// (FUSE_NO_OPENDIR_SUPPORT); elsewhere they are opened as ever. What was not opened has `fh` 0.
import { release } from 'node:os'
import { ENOSYS, ESTALE } from '../../protocol/index.js'
import type {
  EncodedDirents,
  Errno,
  Filesystem,
  FsyncdirRequest,
  OpendirRequest,
  ReaddirRequest,
  ReaddirplusRequest,
  ReleasedirRequest,
  Reply,
} from '../../protocol/index.js'
import type { Crew } from './crew.js'
import { syncDirectory } from './directories.js'
import type { Directories } from './directories.js'
import { isWatchable } from './handle-inodes.js'
import { accessOf } from './options.js'
import type { ResolvedMirrorOptions } from './options.js'
import { hasNothingMountedBelow } from './source.js'
import type { Source } from './source.js'
import { Streams } from './streams.js'
import type { Tree } from './tree.js'

/** Seconds. Listings that are kept bring no attributes, so once these are old, each entry of one costs a LOOKUP of its own. */
const LONG = 60

/**
 * Whether the kernel may keep the listings of a mirror. Kernel: it reads one anew when the time of the directory is another one, which
 * tells of every change only with multigrain timestamps (Linux 6.13); and which directories are kept cannot be said of each.
 */
export function keepsListings(
  source: Source,
  { cache, strong, session }: ResolvedMirrorOptions,
  crew?: Crew,
): boolean {
  if (strong) return true
  if (Math.min(cache.entryValid, cache.attrValid) < LONG || crew !== undefined) return false
  if (accessOf(session).strictatime) return false
  const [major, minor] = release().split('.', 2).map(Number)
  if (major < 6 || (major === 6 && minor < 13)) return false
  return source.detached && isWatchable(source.statistics.type) && hasNothingMountedBelow(source.path)
}

export class UnopenedDirectories {
  /** The kernel has agreed to open directories by itself. */
  agreed = false
  readonly #tree: Tree
  readonly #streams: Streams
  readonly #opened: Directories
  readonly handlers: ReturnType<typeof handlersOf>

  constructor(tree: Tree, opened: Directories) {
    this.#tree = tree
    this.#streams = new Streams(tree)
    this.#opened = opened
    this.handlers = handlersOf(tree, this.#streams, this, opened)
  }

  /** Calls `use` with a descriptor of the directory of a request, or answers -errno. */
  with<Result>(request: { nodeid: number; fh: number }, use: (fd: number) => Result): Result | number {
    const { nodeid, fh } = request
    if (fh !== 0) return this.#opened.with(request, use)
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

function handlersOf(
  tree: Tree,
  streams: Streams,
  directories: UnopenedDirectories,
  { handlers: opened, replies }: Directories,
) {
  const read = (
    { nodeid, offset, size, pid }: ReaddirRequest | ReaddirplusRequest,
    plus: boolean,
  ): EncodedDirents<'dirent' | 'direntplus'> | Errno => {
    const inode = tree.inode(nodeid)
    const stream = inode === undefined ? ESTALE : streams.at(inode, offset)
    if (typeof stream === 'number') return stream as Errno
    const made = replies.make(
      stream,
      { offset: streams.index(offset), size, plus, pid },
      streams.base(stream),
    )
    streams.settle(stream, typeof made === 'number' || made.bytes.byteLength === 0)
    return made
  }

  return {
    // Kernel: the one that is sent; from then on it opens without asking.
    opendir: (request: OpendirRequest) => (directories.agreed ? ENOSYS : opened.opendir(request)),

    releasedir: (request: ReleasedirRequest): void => opened.releasedir(request),

    readdir: (request: ReaddirRequest): Reply<EncodedDirents<'dirent'>> =>
      request.fh === 0 ? (read(request, false) as EncodedDirents<'dirent'> | Errno) : opened.readdir(request),

    readdirplus: (request: ReaddirplusRequest): Reply<EncodedDirents<'direntplus'>> =>
      request.fh === 0
        ? (read(request, true) as EncodedDirents<'direntplus'> | Errno)
        : opened.readdirplus(request),

    fsyncdir: (request: FsyncdirRequest) => syncDirectory(tree, directories, request),
  } satisfies Filesystem
}
