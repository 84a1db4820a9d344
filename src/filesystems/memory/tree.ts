// All files of the filesystem: finds the inode of a request, makes new ones, counts what keeps them, and what they take.
import { ENOSPC } from '../../protocol/index.js'
import type { AttrReply, Entry, Errno } from '../../protocol/index.js'
import type { Notifier } from '../../index.js'
import { HandleTable, InodeTable } from '../../inodes/index.js'
import { S_IFDIR } from '../../syscalls/index.js'
import { isBefore, now } from './clock.js'
import type { Time } from './clock.js'
import { Directory } from './directory.js'
import type { OpenDirectory } from './directory.js'
import { FS_NOATIME_FL } from './flags.js'
import { MemoryInode, ownBytes } from './inode.js'
import type { Body } from './inode.js'
import type { ResolvedMemoryOptions } from './options.js'
import { PagePool } from './pages.js'

/** Seconds that the kernel may believe names and attributes: nobody changes them but through it. */
export const FOREVER = 1e9
const DAY = 86_400
/** Offset of an INVAL_INODE that leaves the data alone. */
const ATTRIBUTES_ONLY = -1
/** What an extended attribute counts for besides its name and value. */
const ATTRIBUTE = 1024

export class Tree {
  readonly options: ResolvedMemoryOptions
  readonly pool: PagePool
  readonly inodes: InodeTable<MemoryInode>
  /** Open directories. */
  opened = new HandleTable<OpenDirectory>()
  /** FUSE_WRITEBACK_CACHE was agreed: the kernel keeps size and times of regular files itself. */
  writeback = false
  /** Takes back what the kernel has cached. */
  notify: Notifier | undefined
  /** FUSE_POSIX_ACL was agreed: the kernel checks access lists. */
  lists = true
  #furtherNames = 0
  #attributes = 0

  constructor(options: ResolvedMemoryOptions) {
    this.options = options
    this.pool = new PagePool(options.size)
    const { uid, gid, mode } = options
    const root = new MemoryInode(S_IFDIR | mode, uid, gid, now(), { directory: new Directory() })
    root.nlink = 2
    root.parent = root
    this.inodes = new InodeTable(root)
  }

  /** The inode of a request, or undefined: answer ESTALE. */
  inode(nodeid: number): MemoryInode | undefined {
    return this.inodes.get(nodeid)
  }

  /** What `options.inodes` limits: inodes, and names of files beyond the first. */
  get count(): number {
    return this.inodes.size + this.#furtherNames
  }

  /** Neither inodes nor names can be made. */
  get isFull(): boolean {
    return this.count >= this.options.inodes
  }

  /** A new inode without a name, or ENOSPC. */
  make(mode: number, uid: number, gid: number, body: Body): MemoryInode | Errno {
    if (this.isFull || !this.pool.charge(body.target?.byteLength ?? 0)) return ENOSPC
    return this.inodes.add(new MemoryInode(mode, uid, gid, now(), body))
  }

  /** The entry of an inode; one lookup counted. */
  entry(inode: MemoryInode): Entry {
    this.inodes.remember(inode)
    return { nodeid: inode.nodeid, entryValid: FOREVER, attrValid: FOREVER, attr: inode.attr() }
  }

  attributes(inode: MemoryInode): AttrReply {
    return { attrValid: FOREVER, attr: inode.attr() }
  }

  /** A name for an inode. Its first one counts as a lookup, so that it stays when the kernel forgets it. */
  link(
    directory: MemoryInode & { directory: Directory },
    name: string,
    inode: MemoryInode,
    time: Time,
  ): void {
    if (inode.nlink === 0) this.inodes.remember(inode)
    else this.#furtherNames++
    inode.nlink++
    if (inode.isDirectory()) {
      // One more for `.`, and one in the directory above for `..`.
      inode.nlink++
      inode.parent = directory
      directory.nlink++
    }
    directory.directory.set(name, inode)
    inode.ctime = time
    directory.modified(time)
  }

  /** An inode has lost a name in a directory: the last one, and the inode goes as soon as the kernel forgets it. */
  unlinked(directory: MemoryInode, inode: MemoryInode, time: Time): void {
    inode.nlink--
    if (inode.isDirectory()) {
      inode.nlink--
      directory.nlink--
    }
    inode.ctime = time
    directory.modified(time)
    if (inode.nlink === 0) this.forget(inode.nodeid, 1)
    else this.#furtherNames--
  }

  /** Gives lookups back; an inode without any is gone. */
  forget(nodeid: number, nlookup: number): void {
    const gone = this.inodes.forget(nodeid, nlookup)
    if (gone === undefined) return
    gone.content?.truncate(0)
    this.pool.charge(-(gone.target?.byteLength ?? 0))
    for (const name of gone.xattrs?.keys() ?? []) this.setXattr(gone, name, undefined)
  }

  /** Another mount begins: the kernel holds nothing yet. */
  reset(): void {
    this.opened = new HandleTable()
    for (const inode of this.inodes) {
      inode.writers = 0
      const kernel = inode.lookups - (inode.nlink > 0 ? 1 : 0)
      if (kernel > 0) this.forget(inode.nodeid, kernel)
    }
  }

  /** Sets an extended attribute, or removes it (undefined): 0 or ENOSPC. */
  setXattr(inode: MemoryInode, name: string, value: Uint8Array | undefined): 0 | Errno {
    const old = inode.xattrs?.get(name)
    const more = (value === undefined ? 0 : 1) - (old === undefined ? 0 : 1)
    if (more > 0 && this.#attributes >= this.options.attributes) return ENOSPC
    if (!this.pool.charge(costOf(name, value) - costOf(name, old))) return ENOSPC
    this.#attributes += more
    inode.xattrs ??= new Map()
    if (value === undefined) inode.xattrs.delete(name)
    else inode.xattrs.set(name, ownBytes(value))
    if (inode.xattrs.size === 0) inode.xattrs = undefined
    return 0
  }

  /**
   * Whether reading has to move the access time, as on a mount with relatime: it is not newer than the last change, or a day old.
   * While it has, the kernel may not answer reads from its cache.
   */
  wantsAtime(inode: MemoryInode): boolean {
    const { atime } = this.options
    if (atime === 'never' || (inode.flags & FS_NOATIME_FL) !== 0) return false
    if (atime === 'always') return true
    return (
      isBefore(inode.atime, inode.mtime) ||
      isBefore(inode.atime, inode.ctime) ||
      now().sec - inode.atime.sec >= DAY
    )
  }

  /** A file was read: whether that has moved its access time. */
  accessed(inode: MemoryInode): boolean {
    const moves = this.wantsAtime(inode)
    if (moves) inode.atime = now()
    return moves
  }

  /** Lets the kernel forget the attributes of an inode, and its data or listing from `offset` on, `length` bytes or all. */
  async invalidate({ nodeid }: MemoryInode, offset = ATTRIBUTES_ONLY, length = 0): Promise<void> {
    await this.notify?.invalInode(nodeid, offset, length).catch(() => false)
  }
}

function costOf(name: string, value: Uint8Array | undefined): number {
  return value === undefined ? 0 : ATTRIBUTE + name.length + value.byteLength
}
