// One file of any type: what stat(2) shows of it, and what it holds.
import type { Attr, StatxReply } from '../../protocol/index.js'
import { Inode } from '../../inodes/index.js'
import { S_IFDIR, S_IFMT, STATX_BASIC_STATS, STATX_BTIME } from '../../syscalls/index.js'
import type { Time } from './clock.js'
import type { Content } from './content.js'
import type { Directory } from './directory.js'
import { PAGE } from './pages.js'

/** Unit of st_blocks. */
const BLOCK = 512
/** What an empty directory shows as its size, as on ext4. */
const DIRECTORY_SIZE = 4096

/** A copy outside of V8's heap, with memory of its own: a slice would keep all of the pool that it was cut from. */
export function ownBytes(bytes: Uint8Array): Buffer {
  const own = Buffer.allocUnsafeSlow(bytes.byteLength)
  own.set(bytes)
  return own
}

/** What a file holds, by its type. */
export interface Body {
  /** Regular files. */
  readonly content?: Content
  /** Directories. */
  readonly directory?: Directory
  /** Symlinks: as text in UTF-8, outside of V8's heap; of the text each character is a byte. */
  readonly target?: Buffer
  /** Devices. */
  readonly rdev?: number
}

/** Its `nodeid` is also its inode number: neither is ever used again. `lookups` counts the kernel, and one for having a name. */
export class MemoryInode extends Inode implements Body {
  readonly content: Content | undefined
  readonly directory: Directory | undefined
  readonly target: Buffer | undefined
  readonly rdev: number
  /** S_IFMT bits and permission bits. */
  mode: number
  uid: number
  gid: number
  /** Names, and for directories one for `.` and one for each `..` inside. */
  nlink = 0
  atime: Time
  mtime: Time
  ctime: Time
  readonly btime: Time
  /** FS_*_FL of `chattr`. */
  flags = 0
  /** Directories: where `..` leads. */
  parent: MemoryInode | undefined
  /** O_TMPFILE without O_EXCL: may be given a first name. */
  linkable = false
  /** Opens that can write. */
  writers = 0
  /** Values by name; absent while there is none. */
  xattrs: Map<string, Buffer> | undefined

  constructor(mode: number, uid: number, gid: number, time: Time, body: Body) {
    super()
    this.mode = mode
    this.uid = uid
    this.gid = gid
    this.atime = this.mtime = this.ctime = this.btime = time
    this.content = body.content
    this.directory = body.directory
    this.target = body.target
    this.rdev = body.rdev ?? 0
  }

  get size(): number {
    if (this.content !== undefined) return this.content.size
    if (this.directory !== undefined) return DIRECTORY_SIZE
    return this.target?.toString().length ?? 0
  }

  get blocks(): number {
    return (this.content?.allocated ?? 0) / BLOCK
  }

  isDirectory(): this is MemoryInode & { directory: Directory } {
    return (this.mode & S_IFMT) === S_IFDIR
  }

  /** Data has changed. */
  modified(time: Time): void {
    this.mtime = this.ctime = time
  }

  attr(): Attr {
    const { nodeid: ino, size, blocks, mode, nlink, uid, gid, rdev, atime, mtime, ctime } = this
    return {
      ino,
      size,
      blocks,
      atime: atime.sec,
      mtime: mtime.sec,
      ctime: ctime.sec,
      atimensec: atime.nsec,
      mtimensec: mtime.nsec,
      ctimensec: ctime.nsec,
      mode,
      nlink,
      uid,
      gid,
      rdev,
      blksize: PAGE,
    }
  }

  statx(): StatxReply['stat'] {
    const { nodeid: ino, size, blocks, mode, nlink, uid, gid, rdev, atime, mtime, ctime, btime } = this
    return {
      mask: STATX_BASIC_STATS | STATX_BTIME,
      blksize: PAGE,
      ino,
      size,
      blocks,
      mode,
      nlink,
      uid,
      gid,
      // Kernel: the encoding of new_encode_dev(), as rdev has it.
      rdevMajor: (rdev >>> 8) & 0xfff,
      rdevMinor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00),
      atime: statxTime(atime),
      btime: statxTime(btime),
      ctime: statxTime(ctime),
      mtime: statxTime(mtime),
    }
  }
}

function statxTime({ sec, nsec }: Time): { tvSec: number; tvNsec: number } {
  return { tvSec: sec, tvNsec: nsec }
}
