// One descriptor of a source file, and who uses it.
import { O_ACCMODE, O_APPEND, O_DSYNC, O_RDWR, O_WRONLY } from '../../syscalls/index.js'
import type { StatxBuffer } from '../../syscalls/index.js'
import type { MirrorInode } from './inode.js'

/** A descriptor of the source file, for every open with the same `flags`. */
export interface OpenFile {
  readonly inode: MirrorInode
  readonly fd: number
  /** Access mode and the flags that change what the server's reads and writes do. */
  readonly flags: number
  /** Handles, and jobs under way; where threads share it, they count together. */
  users: number
}

/** Linux: the fourth access mode, O_WRONLY | O_RDWR, opens for ioctl(2) only. Source: open(2). */
export function canWrite({ flags }: Pick<OpenFile, 'flags'>): boolean {
  const access = flags & O_ACCMODE
  return access === O_WRONLY || access === O_RDWR
}

// linux/stat.h
const STATX_ATTR_IMMUTABLE = 0x10
const STATX_ATTR_APPEND = 0x20

/** Whether the file is one by now that could not be opened like this any more: see chattr(1), attributes `a` and `i`. */
export function isProtected(file: Pick<OpenFile, 'flags'>, found: Pick<StatxBuffer, 'attributes'>): boolean {
  const against = STATX_ATTR_IMMUTABLE | ((file.flags & O_APPEND) === 0 ? STATX_ATTR_APPEND : 0)
  return (found.attributes & against) !== 0 && canWrite(file)
}

/** Whether it can lead to a shared mapping that is written to. Source: mmap(2). */
export function readsAndWrites({ flags }: Pick<OpenFile, 'flags'>): boolean {
  return (flags & O_ACCMODE) === O_RDWR
}

/** Whether a write is over when its bytes are in the page cache. Linux: the bit of O_DSYNC is one of O_SYNC. */
export function writesToCache({ inode, flags }: Pick<OpenFile, 'inode' | 'flags'>): boolean {
  return inode.device.writesToCache && (flags & O_DSYNC) === 0
}
