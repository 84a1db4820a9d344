// The known part of the source: finds a request's inode again on the source, by descriptor, handle or (parent, name), and
// never by a path of more than one component, so nothing outside the source can be reached.
import { EMFILE, ENFILE, ENOENT, ESTALE, EXDEV } from '../../protocol/index.js'
import type { AttrReply, Entry, Errno } from '../../protocol/index.js'
import { InodeTable } from '../../inodes/index.js'
import {
  AT_EMPTY_PATH,
  AT_NO_AUTOMOUNT,
  AT_STATX_DONT_SYNC,
  AT_SYMLINK_NOFOLLOW,
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  RLIMIT_NOFILE,
  STATX_NLINK,
  StatxBuffer,
  makeSyscalls,
} from '../../syscalls/index.js'
import type { FileHandle, Syscalls } from '../../syscalls/index.js'
import { Coherence } from './coherence.js'
import type { Crew } from './crew.js'
import { CrewInodes } from './crew-inodes.js'
import { Devices } from './devices.js'
import { closeFreeing } from './freeing.js'
import { FIRST_OTHER, InodeNumbers } from './inode-numbers.js'
import { MirrorInode, STAT_MASK } from './inode.js'
import type { ListedStat, Sighted, Sighting } from './inode.js'
import { readsAndWrites } from './open-file.js'
import type { ResolvedMirrorOptions } from './options.js'
import { PathDescriptors } from './path-descriptors.js'
import type { Recent } from './recent.js'
import type { Source } from './source.js'

const LOOK = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT
const FIND = O_PATH | O_NOFOLLOW | O_CLOEXEC
const MAX_DEFAULT_DESCRIPTORS = 4096
const MIN_DEFAULT_DESCRIPTORS = 16
/** Seconds that attributes last where only a mapping that is left could change them. */
const MAPPING_LEFT = 0.1
/** Deeper chains of directories than any real tree has are a loop, left by renames on the source. */
const MAX_DEPTH = 100_000

export { STAT_MASK }

export class Tree {
  readonly sys: Syscalls
  readonly options: ResolvedMirrorOptions
  readonly root: MirrorInode
  readonly inodes: InodeTable<MirrorInode>
  readonly descriptors: PathDescriptors
  /** With strong caching. */
  readonly coherence: Coherence | undefined
  readonly recent: Recent | undefined
  /** Told of every inode that the kernel has forgotten, where one thread serves the mirror. */
  forgotten: ((inode: MirrorInode) => void) | undefined
  /** The last result of {@link statName} and {@link stat}; read it before the next call. */
  readonly found = new StatxBuffer()
  readonly #seen = new StatxBuffer()
  readonly #devices: Devices
  readonly #source: Source
  readonly #numbers: InodeNumbers
  /** Nodeids that were forgotten before the last RELEASE came. Kernel: it waits its turn among background requests. */
  readonly #lingering = new Set<number>()
  /** The other threads that serve the mirror. Then a file is found by its number alone, and names are not remembered. */
  readonly crew: Crew | undefined
  readonly shared: CrewInodes | undefined

  constructor(source: Source, options: ResolvedMirrorOptions, crew?: Crew) {
    this.crew = crew
    this.sys = makeSyscalls('latin1')
    this.options = options
    this.#source = source
    this.sys.fstatx(source.fd, STAT_MASK, this.found)
    this.#devices = new Devices(this.sys, options, (...met) => this.coherence?.meet(...met))
    const device = this.#devices.of(this.found, source.fd, '')
    this.root = new MirrorInode(device, this.found, null, '')
    this.root.fd = source.fd
    this.#numbers = new InodeNumbers(this.sys, source.mountFd, source.fd, this.root.ino, source.statistics)
    this.shared = crew === undefined ? undefined : new CrewInodes(this, crew, this.#numbers)
    this.inodes = new InodeTable(this.root, this.#numbers.usable ? FIRST_OTHER : undefined)
    device.inodes.set(this.root.ino, this.root)
    const most = options.maxPathDescriptors ?? this.#defaultLimit()
    const limit = Math.max(MIN_DEFAULT_DESCRIPTORS, Math.floor(most / (crew?.threads ?? 1)))
    this.descriptors = new PathDescriptors(this.sys, limit, device, this.#handleMount())
    if (options.strong) this.coherence = new Coherence(this, source.statistics, source.detached)
    this.recent = this.coherence?.recent
  }

  /** The source, as it was given. */
  get path(): string {
    return this.#source.path
  }

  /** Whether files can be found by their inode numbers. */
  get numbered(): boolean {
    return this.#numbers.usable
  }

  /** A readable descriptor of the root; -1 where it can't be read. */
  get mountFd(): number {
    return this.#source.mountFd
  }

  /** The inode of a request, or undefined: answer ESTALE. */
  inode(nodeid: number): MirrorInode | undefined {
    const inode = this.inodes.get(nodeid)
    return this.shared === undefined ? inode : this.shared.current(nodeid, inode)
  }

  /** statx(2) of a name in a directory, into {@link found}: 0 or -errno. */
  statName(parent: MirrorInode, name: string): number {
    const dirfd = this.descriptor(parent)
    return dirfd < 0 ? dirfd : this.sys.statx(dirfd, name, LOOK, STAT_MASK, this.found)
  }

  /** statx(2) of an inode, into {@link found}: 0 or -errno. */
  stat(inode: MirrorInode): number {
    const fd = inode.fd >= 0 ? this.descriptors.use(inode) : (inode.files?.[0]?.fd ?? -1)
    if (fd >= 0) return this.sys.statx(fd, '', AT_EMPTY_PATH, STAT_MASK, this.found)
    if (inode.parent !== null) {
      const result = this.statName(inode.parent, inode.name)
      if (result === 0 && inode.is(this.found)) return 0
    }
    const again = this.#reopen(inode)
    return again < 0 ? again : this.sys.statx(again, '', AT_EMPTY_PATH, STAT_MASK, this.found)
  }

  /** The known inode that {@link found} describes. */
  known(): MirrorInode | undefined {
    if (this.shared !== undefined) return this.shared.known()
    const inode = this.#devices.known(this.found)?.inodes.get(this.found.ino)
    return inode?.looksLike(this.found) ? inode : undefined
  }

  /** The entry of a name: one statx(2), one lookup counted. `dirfd` is a descriptor of the parent. */
  lookup(parent: MirrorInode, dirfd: number, name: string): Entry | Errno {
    this.recent?.tell(parent, name, false)
    const result = this.sys.statx(dirfd, name, LOOK, STAT_MASK, this.found)
    const entry = result < 0 ? (result as Errno) : this.entry(parent, name, dirfd)
    if (typeof entry === 'object') this.recent?.looked(parent, name, entry.nodeid)
    else if (entry === ENOENT) this.recent?.looked(parent, name, 0)
    return entry
  }

  /** The entry of what {@link found} describes, seen as `name` in `parent`; one lookup counted. */
  entry(parent: MirrorInode | null, name: string, dirfd: number): Entry | Errno {
    if (!this.serves(this.found)) return EXDEV
    return this.entryOf(this.adopt(parent, name, dirfd), parent)
  }

  /** The entry of an inode that {@link found} describes, seen in `parent`; one lookup counted. */
  entryOf(inode: MirrorInode, parent: MirrorInode | null = null): Entry {
    this.remember(inode, this.found)
    return this.remembered(inode, parent)
  }

  /** The same for an inode whose lookup has been counted. */
  remembered(inode: MirrorInode, parent: MirrorInode | null): Entry {
    const { nodeid, generation } = inode
    const { entryValid } = (parent ?? inode).device.cache
    return { nodeid, generation, entryValid, attrValid: this.attrValid(inode), attr: this.found.toAttr() }
  }

  /** Only files of the root's mount can be found again by any of several threads. */
  serves(found: Sighting): boolean {
    return this.crew === undefined || this.root.device.holds(found)
  }

  /** Counts a lookup of what `found` describes. Throws ENFILE where several threads know too many inodes. */
  remember(inode: MirrorInode, found: ListedStat): void {
    if (this.shared === undefined) this.inodes.remember(inode)
    else this.shared.remember(inode)
    this.recent?.seen(inode, found)
  }

  /** The inode that `found` describes, new or known, seen as `name` in `parent`. */
  adopt(parent: MirrorInode | null, name: string, dirfd: number, found: Sighted = this.found): MirrorInode {
    if (this.shared !== undefined) return this.shared.adopt(found)
    const device = this.#devices.of(found, dirfd, name)
    const { inodes } = device
    let inode = inodes.get(found.ino)
    if (inode === undefined || !inode.looksLike(found) || this.#isDead(inode, found)) {
      inode = new MirrorInode(device, found, parent, name)
      this.inodes.add(inode, device === this.root.device ? this.#nodeidFor(found.ino) : 0)
      inodes.set(inode.ino, inode)
    } else if (parent !== null && inode !== this.root) {
      inode.parent = parent
      inode.name = name
      inode.orphan = false
    }
    return inode
  }

  /**
   * Without birth times a number says which file it is only as long as the file is there. A descriptor keeps it so on a filesystem of
   * this machine; a server (FUSE, NFS) hears nothing of O_PATH, and may have given the number to a new file already.
   */
  #isDead(inode: MirrorInode, found: Sighted): boolean {
    if (inode.birth !== 0 || inode.fd < 0 || inode.device.local || inode === this.root) return false
    const asKnown = AT_EMPTY_PATH | AT_STATX_DONT_SYNC
    const result = this.sys.statx(inode.fd, '', asKnown, STATX_NLINK, this.#seen)
    if (result < 0) return result === ENOENT || result === ESTALE
    // Some servers tell no link counts at all.
    return this.#seen.nlink === 0 && found.nlink > 0
  }

  /** A file handle of the mount names a file that was forgotten, or never known to this server: found by its number. */
  revive(nodeid: number): MirrorInode | undefined {
    const fd = this.#numbers.open(nodeid)
    return fd < 0 ? undefined : this.#adoptDescriptor(fd)
  }

  /** The directory that a directory lies in, as the source has it; undefined outside the source. */
  parentOf(inode: MirrorInode): MirrorInode | undefined {
    if (inode === this.root) return inode
    const dirfd = this.descriptor(inode)
    const fd = dirfd < 0 ? dirfd : this.openat(dirfd, '..', FIND | O_DIRECTORY)
    return fd < 0 ? undefined : this.#adoptDescriptor(fd)
  }

  /** The inode behind an O_PATH descriptor, which is taken over; {@link found} describes it. */
  #adoptDescriptor(fd: number): MirrorInode | undefined {
    const { found } = this
    const result = this.sys.fstatx(fd, STAT_MASK, found)
    let inode = result < 0 ? undefined : this.known()
    if (inode === undefined && result === 0 && this.root.device.holds(found))
      if (typeof found.ino === 'number' && this.#numbers.inside(found.ino)) inode = this.adopt(null, '', fd)
    if (inode === undefined || inode.fd >= 0) this.sys.close(fd)
    else this.descriptors.hold(inode, fd)
    return inode
  }

  attributes(inode: MirrorInode): AttrReply | Errno {
    const result = this.stat(inode)
    if (result < 0) return result as Errno
    this.recent?.seen(inode, this.found)
    return { attrValid: this.attrValid(inode), attr: this.found.toAttr() }
  }

  /** Kernel: writes through a mapping of a passthrough file change times and blocks without a word. */
  attrValid(inode: MirrorInode): number {
    const { attrValid } = inode.device.cache
    if (inode.mapping === 'none') return attrValid
    if (inode.files?.some(readsAndWrites) === true) return 0
    // Not at the close: only what was told has to be taken back at the next such open.
    inode.mapping = 'left'
    return Math.min(attrValid, MAPPING_LEFT)
  }

  /** A descriptor of the inode (O_PATH, or that of an open), to be used before anything else is opened; or -errno. */
  descriptor(inode: MirrorInode): number {
    if (inode.fd >= 0) return this.descriptors.use(inode)
    const open = inode.files?.[0]
    return open === undefined ? this.#reopen(inode) : open.fd
  }

  /** The magic link of {@link descriptor}: a path for the calls that take no O_PATH descriptor; or -errno. */
  magicLink(inode: MirrorInode): string | Errno {
    const fd = this.descriptor(inode)
    return fd < 0 ? (fd as Errno) : `/proc/self/fd/${fd}`
  }

  /** openat(2) that makes room when the process has run out of descriptors. */
  openat(dirfd: number, name: string, flags: number): number {
    const fd = this.sys.openat(dirfd, name, flags)
    if (fd !== EMFILE && fd !== ENFILE) return fd
    return this.retry(() => this.sys.openat(dirfd, name, flags))
  }

  /** Runs `open` again after closing half of the path descriptors. A caller's own limit is not at fault, so no EMFILE. */
  retry(open: () => number): number {
    this.descriptors.evictHalf()
    const fd = open()
    return fd === EMFILE ? ENFILE : fd
  }

  /** Opens `name` in `dirfd` if it still is `inode`, without following or waiting for anything: ESTALE when it is not. */
  openVerified(inode: MirrorInode, dirfd: number, name: string, flags: number): number {
    const fd = this.openat(dirfd, name, flags)
    if (fd < 0) return fd === ENOENT ? ESTALE : fd
    const result = this.sys.statx(fd, '', AT_EMPTY_PATH, STAT_MASK, this.#seen)
    if (result === 0 && inode.is(this.#seen)) return fd
    this.sys.close(fd)
    return ESTALE
  }

  /** Gives a known inode a path descriptor before its name goes away. Failing is no error: nobody may need it any more. */
  hold(inode: MirrorInode, dirfd: number, name: string): void {
    if (inode.fd >= 0 || inode.files !== null) return
    const fd = this.openVerified(inode, dirfd, name, FIND)
    if (fd >= 0) this.descriptors.hold(inode, fd)
  }

  /** The name was removed through the mirror; `last` says that it was the only one. */
  nameGone(inode: MirrorInode, parent: MirrorInode, name: string, last: boolean): void {
    if (last) inode.orphan = true
    if (last || (inode.parent === parent && inode.name === name)) inode.parent = null
  }

  forget(nodeid: number, nlookup: number): void {
    if (this.shared !== undefined) {
      this.shared.forget(nodeid, nlookup)
      return
    }
    const inode = this.inodes.forget(nodeid, nlookup)
    if (inode === undefined) return
    const { inodes } = inode.device
    if (inodes.get(inode.ino) === inode) inodes.delete(inode.ino)
    if (inode.files !== null) this.#lingering.add(nodeid)
    this.forgotten?.(inode)
    const fd = this.descriptors.release(inode)
    if (fd >= 0) this.close(inode, fd)
  }

  /** Closes a descriptor of the inode; off the loop's thread where that frees the blocks of a big deleted file. */
  close({ orphan }: MirrorInode, fd: number): void {
    const seen = this.#seen
    closeFreeing(this.sys, fd, orphan && this.sys.fstatx(fd, STAT_MASK, seen) === 0 ? seen.blocks : 0)
  }

  /** The last open of the inode was released, and `open` is about to be closed. */
  released(inode: MirrorInode, open: number): void {
    this.#lingering.delete(inode.nodeid)
    // Nothing else leads to a file without a name, which somebody may still hold by an O_PATH: the mirror is not told of that.
    if (inode.parent !== null || inode.fd >= 0 || !inode.known || this.root.fd < 0) return
    const fd = this.openat(-1, `/proc/self/fd/${open}`, FIND & ~O_NOFOLLOW)
    if (fd >= 0) this.descriptors.hold(inode, fd)
  }

  /** Gives up every path descriptor; the tree answers no more. */
  dispose(): void {
    this.coherence?.close()
    this.descriptors.clear()
    this.root.fd = -1
  }

  /** What is known of the opens of a nodeid must not be taken for that of a later file with the same number. */
  #nodeidFor(ino: number | bigint): number {
    const nodeid = this.#numbers.nodeid(ino)
    return this.#lingering.has(nodeid) ? 0 : nodeid
  }

  /** By handle, else down from the nearest ancestor that has a descriptor. */
  #reopen(inode: MirrorInode): number {
    if (inode.handle !== null) {
      const fd = this.#openByHandle(inode.handle)
      if (fd >= 0) {
        if (this.sys.statx(fd, '', AT_EMPTY_PATH, STAT_MASK, this.#seen) === 0 && inode.is(this.#seen)) {
          this.descriptors.hold(inode, fd)
          return fd
        }
        this.sys.close(fd)
      }
    }
    if (this.shared !== undefined) return this.shared.reopen(inode)
    return this.#walk(inode)
  }

  #walk(inode: MirrorInode): number {
    const chain: MirrorInode[] = []
    let base: MirrorInode | null = inode
    while (base.fd < 0 && base.files === null && (base === inode || base.handle === null)) {
      if (base.parent === null || chain.length > MAX_DEPTH) return ESTALE
      chain.push(base)
      base = base.parent
    }
    let fd: number = this.descriptor(base)
    for (let at = chain.length - 1; at >= 0 && fd >= 0; at--) {
      const node = chain[at]
      fd = this.openVerified(node, fd, node.name, FIND)
      if (fd >= 0 && at > 0) this.descriptors.pass(node, fd)
      else if (fd >= 0) this.descriptors.hold(node, fd)
    }
    return fd
  }

  #openByHandle(handle: FileHandle): number {
    const open = () => this.sys.openByHandleAt(this.#source.mountFd, handle, FIND)
    const fd = open()
    return fd === EMFILE || fd === ENFILE ? this.retry(open) : fd
  }

  /** The mount that handles are opened on, the root's; -1 where none can be opened. */
  #handleMount(): number {
    const { fd, mountFd } = this.#source
    const handle = mountFd < 0 ? -1 : this.sys.nameToHandleAt(fd, '', AT_EMPTY_PATH)
    if (typeof handle === 'number') return -1
    const again = this.sys.openByHandleAt(mountFd, handle, FIND)
    if (again < 0) return -1
    this.sys.close(again)
    return handle.mountId
  }

  #defaultLimit(): number {
    const limit = this.sys.getrlimit(RLIMIT_NOFILE)
    const soft = typeof limit === 'number' ? 1024 : limit.soft
    return Math.max(MIN_DEFAULT_DESCRIPTORS, Math.min(MAX_DEFAULT_DESCRIPTORS, Math.floor(soft / 4)))
  }
}
