// One file of the source as the mirror remembers it, and what makes two sightings the same file.
import { Inode } from '../../inodes/index.js'
import { S_IFMT, STATX_BASIC_STATS, STATX_BTIME, STATX_MNT_ID } from '../../syscalls/index.js'
import type { FileHandle, StatxBuffer } from '../../syscalls/index.js'
import type { Device } from './devices.js'
import type { OpenFile } from './open-file.js'
import type { Reader } from './readers.js'
import type { Memory } from './recent.js'

/** What every statx(2) of the mirror asks for. */
export const STAT_MASK = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID

const NANOSECONDS = 1e9
/** An odd number without a pattern in its bits: seconds and nanoseconds do not cancel each other. */
const SPREAD = 0x9e3779b1

/** What tells one file from another, as statx(2) or a listing has it. */
export type Sighting = Pick<StatxBuffer, 'ino' | 'dev' | 'mntId' | 'mode' | 'mask' | 'btimeSec' | 'btimeNsec'>

/** The same, and whether it has a name. */
export type Sighted = Sighting & Pick<StatxBuffer, 'nlink'>

/** All of a file that a listing tells of. */
export type ListedStat = Sighting &
  Pick<StatxBuffer, 'uid' | 'gid' | 'nlink' | 'size' | 'mtimeSec' | 'mtimeNsec' | 'ctimeSec' | 'ctimeNsec'>

/**
 * A file is (mount, st_dev, st_ino, birth time, type): a deleted file's inode number is soon used again, and must not be taken for
 * the old file. No descriptor is held; (parent, name) is where it was seen last.
 */
export class MirrorInode extends Inode {
  readonly device: Device
  readonly ino: number | bigint
  readonly birth: number
  /** Tells the file from later ones with the same number to whoever keeps handles (NFS): 32 bits of its birth time. */
  readonly generation: number
  /** S_IFMT bits. */
  readonly type: number
  /** Null once its last known name was removed through the mirror. */
  parent: MirrorInode | null
  name: string
  /** O_PATH descriptor in {@link PathDescriptors}, or -1. */
  fd = -1
  /** Place of `fd` in {@link PathDescriptors}. */
  slot = -1
  /** When `fd` was last handed out. */
  stamp = 0
  /** No name leads here: opens and `fd` are all that keeps it. */
  orphan = false
  handle: FileHandle | null = null
  /** Opens, shared by flags. */
  files: OpenFile[] | null = null
  /** With passthrough a file may be mapped while it is open for reading and writing, and a mapping may be left after the last RELEASE. */
  mapping: 'none' | 'open' | 'left' = 'none'
  /** Who listed this directory last, without attributes of files. */
  reader: Reader | null = null
  /** With strong caching; see {@link Memory}. */
  memory: Memory | null = null

  constructor(device: Device, stat: Sighting, parent: MirrorInode | null, name: string) {
    super()
    this.device = device
    this.ino = stat.ino
    this.birth = birthOf(device, stat)
    this.generation = this.birth === 0 ? 0 : (Math.imul(stat.btimeSec, SPREAD) ^ stat.btimeNsec) >>> 0
    this.type = stat.mode & S_IFMT
    this.parent = parent
    this.name = name
  }

  /** An answer has named it to the kernel, and it has not been forgotten. */
  get known(): boolean {
    return this.lookups > 0
  }

  /** Whether `stat` describes this very file. */
  is(stat: Sighting): boolean {
    return this.ino === stat.ino && this.device.holds(stat) && this.looksLike(stat)
  }

  /** The part of {@link is} that tells a file from a later one with the same number. */
  looksLike(stat: Sighting): boolean {
    return this.type === (stat.mode & S_IFMT) && this.birth === birthOf(this.device, stat)
  }
}

function birthOf(device: Device, stat: Sighting): number {
  return device.stableBirth && (stat.mask & STATX_BTIME) !== 0
    ? stat.btimeSec * NANOSECONDS + stat.btimeNsec
    : 0
}
