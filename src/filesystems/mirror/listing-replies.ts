// READDIR and READDIRPLUS replies of the mirror: records that the addon has made, and the lookups in them.
import { EACCES, EINVAL, EncodedDirents } from '../../protocol/index.js'
import type { Errno } from '../../protocol/index.js'
import { O_CLOEXEC, O_DIRECTORY, O_RDONLY, STATX_CTIME } from '../../syscalls/index.js'
import type { ListingEncoder } from '../../syscalls/index.js'
import type { ListOrder } from './crew.js'
import type { MirrorInode } from './inode.js'
import type { Listing } from './listing.js'
import { NORMAL } from './options.js'
import type { Readers } from './readers.js'
import type { Tree } from './tree.js'

/** Milliseconds after which what a watch has to tell of a change has long been told. */
const SETTLED = 3000

/** A directory that can be read. */
export interface OpenDirectory {
  readonly inode: MirrorInode
  readonly fd: number
  readonly listing: Listing
}

/** A descriptor to list the directory with, or -errno. */
export function openDirectory(tree: Tree, inode: MirrorInode): number {
  const flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC
  const path = tree.descriptor(inode)
  if (path < 0) return path
  const fd = tree.openat(path, '.', flags)
  // Whoever may list a directory, but not search it, has to take the long way.
  return fd === EACCES ? tree.openat(-1, `/proc/self/fd/${path}`, flags) : fd
}

type AnyListing = EncodedDirents<'dirent' | 'direntplus'>

export class ListingReplies {
  readonly #tree: Tree
  readonly #readers: Readers | undefined
  readonly #plain: ListingEncoder
  readonly #plus: ListingEncoder

  /** With `readers`, who does not want the attributes of files gets none. */
  constructor(tree: Tree, readers?: Readers) {
    this.#tree = tree
    this.#readers = readers
    this.#plain = tree.sys.listingEncoder(false)
    this.#plus = tree.sys.listingEncoder(true)
  }

  /** The reply from entry `offset` on: as much as fits in `size` bytes. Positions are indexes of entries, after `base`. */
  make(directory: OpenDirectory, order: Omit<ListOrder, 'fd'>, base = 0): AnyListing | Errno {
    const { offset, plus, pid } = order
    const files = !plus || this.#wantsFiles(directory.inode, pid, offset)
    const made = this.#make(directory, order, base, files)
    if (files || typeof made === 'number') return made
    if (this.#changes(directory)) {
      this.#forgetAll(made)
      return this.#make(directory, order, base, true)
    }
    const { reader } = directory.inode
    if (reader !== null) reader.files += this.#plus.leftOut
    return made
  }

  #make(
    directory: OpenDirectory,
    { offset, size, plus }: Omit<ListOrder, 'fd'>,
    base: number,
    files: boolean,
  ): AnyListing | Errno {
    const { entryValid, attrValid } = directory.inode.device.cache
    const encoder = plus ? this.#plus : this.#plain
    encoder.begin(size, base + offset, entryValid, attrValid)
    encoder.files = files
    try {
      const result = this.#fill(directory, offset, encoder, plus)
      return result < 0 ? (result as Errno) : this.of(encoder.reply, plus, encoder.reuse)
    } catch (error) {
      this.#forgetAll(this.of(encoder.reply, plus))
      throw error
    }
  }

  /** Gives the lookups of a reply back that is not sent. */
  #forgetAll({ lookups }: AnyListing): void {
    for (const nodeid of lookups) this.#tree.forget(nodeid, 1)
  }

  /** Kernel: without attributes, a name that it takes for missing stays so until the watch has told of the new file. */
  #changes({ inode, fd }: OpenDirectory): boolean {
    if (inode.device.cache.negativeValid === 0) return false
    const { sys, found } = this.#tree
    return sys.fstatx(fd, STATX_CTIME, found) < 0 || Date.now() - found.ctimeSec * 1000 < SETTLED
  }

  /** The answer that consists of these records. */
  of(records: Uint8Array, plus: boolean, sent?: () => void): AnyListing {
    const forget = (nodeid: number): void => this.#tree.forget(nodeid, 1)
    return new EncodedDirents(records, plus ? 'direntplus' : 'dirent', 'latin1', { forget, sent })
  }

  /** Whether thread `pid` gets the attributes of files, after `names` names of the directory. */
  #wantsFiles(directory: MirrorInode, pid: number, names: number): boolean {
    const readers = this.#readers
    const { entryValid, negativeValid } = directory.device.cache
    // Kernel: a listing with attributes repairs what it takes for missing, so where that lasts, each name has them.
    if (readers === undefined || (negativeValid > 0 && !this.#tree.options.strong)) return true
    // A name that is out of date at once is looked up anyway.
    if (entryValid === 0) return false
    const kept = entryValid > NORMAL.entryValid
    if (names === 0) return readers.begins(pid, directory, kept)
    return readers.goesOn(pid, directory, names, kept)
  }

  /** 0, or -errno where there is nothing to send. */
  #fill(directory: OpenDirectory, offset: number, encoder: ListingEncoder, plus: boolean): number {
    const { fd, listing } = directory
    let state = listing.seek(offset)
    for (let index = offset; state > 0; state = listing.seek(index)) {
      const count = encoder.append(fd, listing.window, listing.start(index), listing.end)
      if (count <= 0) return encoder.used > 0 ? 0 : count < 0 ? count : EINVAL
      if (plus) this.#lookUp(directory, encoder, count)
      index += count
    }
    return encoder.used > 0 ? 0 : state
  }

  /** Makes the records that were just appended lookups of their inodes, known or new. */
  #lookUp({ inode: parent, fd }: OpenDirectory, encoder: ListingEncoder, count: number): void {
    const tree = this.#tree
    const { attrValid } = parent.device.cache
    for (let record = 0; record < count; record++) {
      encoder.select(record)
      if (!encoder.found || !tree.serves(encoder)) continue
      const { name } = encoder
      tree.recent?.tell(parent, name, true)
      const inode = tree.adopt(parent, name, fd, encoder)
      tree.remember(inode, encoder)
      encoder.setNodeid(inode.nodeid, inode.generation)
      const valid = tree.attrValid(inode)
      if (valid !== attrValid) encoder.setAttrValid(valid)
    }
  }
}
