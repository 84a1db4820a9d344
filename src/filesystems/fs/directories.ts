// Open directories: READDIR from a listing that is taken as it comes and kept, so that offsets stay true while entries
// come and go.
import { EBADF, EOPNOTSUPP, ESTALE, ENOTDIR } from '../../index.js'
import type { Dirent, Direntplus, Errno, Filesystem } from '../../index.js'
import { HandleTable } from '../../inodes/index.js'
import { isPromise } from './awaitable.js'
import { entryOf, isShown, list, remembered } from './listing.js'
import type { ListedEntry } from './listing.js'
import type { Caller, EntryLike, Listing, StatsLike } from './path-filesystem.js'
import { S_IFDIR } from '../../syscalls/index.js'
import type { PathNode } from './path-node.js'
import type { Tree } from './tree.js'

type Handlers = Pick<Filesystem, 'opendir' | 'readdir' | 'readdirplus' | 'releasedir'>

/** Kernel: an inode number that means that none is known (FUSE_UNKNOWN_INO). */
const UNKNOWN_INO = 0xffff_ffff
/** `.` and `..` come first. */
const DOTS = 2

/** A directory that is being listed. */
class OpenDirectory {
  readonly node: PathNode
  /** What was listed so far, `.` and `..` aside. */
  entries: ListedEntry[] = []
  /** Where more comes from. */
  more: AsyncIterator<EntryLike> | undefined
  #seen = new Set<string>()

  constructor(node: PathNode) {
    this.node = node
  }

  start(tree: Tree, listing: Listing): void {
    this.stop()
    this.entries = []
    this.#seen = new Set()
    for (const entry of remembered(this.node)) this.#add(tree, entry)
    if (Symbol.asyncIterator in listing) this.more = listing[Symbol.asyncIterator]()
    else for (const entry of listing) this.#add(tree, entryOf(entry))
  }

  /** One more entry of the object: false at the end. */
  async pull(tree: Tree): Promise<boolean> {
    if (this.more === undefined) return false
    const { done, value } = await this.more.next()
    if (done) {
      this.more = undefined
      return false
    }
    this.#add(tree, entryOf(value))
    return true
  }

  stop(): void {
    const { more } = this
    this.more = undefined
    // A generator that fails while it cleans up has nobody to tell.
    more?.return?.().then(undefined, () => undefined)
  }

  #add(tree: Tree, entry: ListedEntry): void {
    if (this.#seen.has(entry.name) || !isShown(tree, this.node, entry.name)) return
    this.#seen.add(entry.name)
    this.entries.push(entry)
  }
}

export class Directories {
  readonly table = new HandleTable<OpenDirectory>()
  readonly #tree: Tree
  /** The object answers at once when it is asked for attributes. */
  readonly #cheapStat: boolean

  constructor(tree: Tree, cheapStat: boolean) {
    this.#tree = tree
    this.#cheapStat = cheapStat
  }

  get handlers(): Handlers {
    const { options } = this.#tree
    return {
      opendir: ({ nodeid }) => {
        const node = this.#tree.inodes.get(nodeid)
        if (node === undefined) return ESTALE
        if (!node.isDirectory) return ENOTDIR
        return { fh: this.table.add(new OpenDirectory(node)) }
      },
      readdir: (request) =>
        this.#read(request, (dir, entry, off) => this.#dirent(dir.node, entry, off)) as Iterable<Dirent>,
      // Kernel: attributes that are believed for no time at all are asked for again, and were sent for nothing.
      ...(options.entryValid > 0 && {
        readdirplus: (request) =>
          this.#read(request, (dir, entry, off) =>
            this.#direntplus(dir.node, entry, off, request),
          ) as Iterable<Direntplus>,
      }),
      releasedir: ({ fh }) => this.table.remove(fh)?.stop(),
    }
  }

  clear(): void {
    for (const dir of this.table) dir.stop()
  }

  #read<Kind>(
    request: Caller & { fh: number; offset: number },
    made: (dir: OpenDirectory, entry: ListedEntry | '.' | '..', off: number) => Kind,
  ): Iterable<Kind> | AsyncIterable<Kind> | Errno | PromiseLike<Iterable<Kind> | AsyncIterable<Kind>> {
    const dir = this.table.get(request.fh)
    if (dir === undefined) return EBADF
    const { offset } = request
    if (offset > 0) return this.#from(dir, offset, made)
    if (this.#tree.fs.readdir === undefined) return EOPNOTSUPP
    const listing = list(this.#tree, dir.node, request)
    if (!isPromise(listing)) {
      dir.start(this.#tree, listing)
      return this.#from(dir, 0, made)
    }
    return listing.then((value) => {
      dir.start(this.#tree, value)
      return this.#from(dir, 0, made)
    })
  }

  #from<Kind>(
    dir: OpenDirectory,
    offset: number,
    made: (dir: OpenDirectory, entry: ListedEntry | '.' | '..', off: number) => Kind,
  ): Iterable<Kind> | AsyncIterable<Kind> {
    return dir.more === undefined ? this.#listed(dir, offset, made) : this.#pulled(dir, offset, made)
  }

  *#listed<Kind>(
    dir: OpenDirectory,
    offset: number,
    made: (dir: OpenDirectory, entry: ListedEntry | '.' | '..', off: number) => Kind,
  ): Iterable<Kind> {
    if (offset < 1) yield made(dir, '.', 1)
    if (offset < DOTS) yield made(dir, '..', DOTS)
    for (let at = Math.max(0, offset - DOTS); at < dir.entries.length; at++)
      yield made(dir, dir.entries[at], at + DOTS + 1)
  }

  async *#pulled<Kind>(
    dir: OpenDirectory,
    offset: number,
    made: (dir: OpenDirectory, entry: ListedEntry | '.' | '..', off: number) => Kind,
  ): AsyncIterable<Kind> {
    for (let at = offset; ;) {
      for (const one of this.#listed(dir, at, made)) {
        at++
        yield one
      }
      while (at - DOTS >= dir.entries.length) if (!(await dir.pull(this.#tree))) return
    }
  }

  #dirent(node: PathNode, entry: ListedEntry | '.' | '..', off: number): Dirent {
    if (entry === '.') return { name: '.', ino: node.ino, type: S_IFDIR >> 12, off }
    if (entry === '..')
      return { name: '..', ino: node.place?.parent.ino ?? node.ino, type: S_IFDIR >> 12, off }
    const { name, type } = entry
    return { name, ino: this.#ino(node, entry), type: type >> 12, off }
  }

  #ino(node: PathNode, { name, stats }: ListedEntry): number {
    const known = node.children?.get(name)
    if (known !== undefined) return known.ino
    if (stats?.ino !== undefined) return Number(stats.ino)
    return UNKNOWN_INO
  }

  #direntplus(node: PathNode, entry: ListedEntry | '.' | '..', off: number, caller: Caller): Direntplus {
    const plain = (): Direntplus => ({ ...this.#dirent(node, entry, off), nodeid: 0 })
    if (entry === '.' || entry === '..') return plain()
    const { name } = entry
    let stats: StatsLike | undefined = entry.stats
    if (stats === undefined) {
      if (!this.#cheapStat) return plain()
      const asked = this.#tree.find(node, name, caller)
      if (asked === undefined || isPromise(asked)) return plain()
      stats = asked
    }
    return { ...this.#tree.entry(node, name, stats), name, off }
  }
}
