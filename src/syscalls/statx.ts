// The reply of statx(2) as a reusable buffer with typed getters: no allocation per call, no BigInt unless an ino needs one.
import type { Attr } from '../protocol/index.js'
import { exactU64 } from './door.js'

const TWO_32 = 0x1_0000_0000

/** A time of {@link StatxBuffer}: seconds (may be negative) and nanoseconds. */
export interface StatxTime {
  tvSec: number
  tvNsec: number
}

/**
 * Buffer for statx(2): pass it as `out`, then read the getters. Valid until the next call that fills it.
 * Fields and units: statx(2). Both architectures are little-endian, so the words are read in place.
 */
export class StatxBuffer {
  /** The bytes that the kernel fills (struct statx, 256 bytes). */
  readonly bytes: Uint8Array
  readonly #u32: Uint32Array
  readonly #i32: Int32Array

  constructor() {
    const memory = new ArrayBuffer(256)
    this.bytes = new Uint8Array(memory)
    this.#u32 = new Uint32Array(memory)
    this.#i32 = new Int32Array(memory)
  }

  /** STATX_* bits of the fields that are filled. */
  get mask(): number {
    return this.#u32[0]
  }
  get blksize(): number {
    return this.#u32[1]
  }
  /** STATX_ATTR_* bits (the low 32, the high ones are unused). */
  get attributes(): number {
    return this.#u32[2]
  }
  get nlink(): number {
    return this.#u32[4]
  }
  get uid(): number {
    return this.#u32[5]
  }
  get gid(): number {
    return this.#u32[6]
  }
  /** File type and permission bits. */
  get mode(): number {
    return this.#u32[7] & 0xffff
  }
  /** Inode number: a number while it is exact, else a bigint. */
  get ino(): number | bigint {
    return exactU64(this.#u32[8], this.#u32[9])
  }
  get size(): number {
    return this.#u32[11] * TWO_32 + this.#u32[10]
  }
  get blocks(): number {
    return this.#u32[13] * TWO_32 + this.#u32[12]
  }
  /** STATX_ATTR_* bits that the filesystem knows. */
  get attributesMask(): number {
    return this.#u32[14]
  }
  get atimeSec(): number {
    return this.#i32[17] * TWO_32 + this.#u32[16]
  }
  get atimeNsec(): number {
    return this.#u32[18]
  }
  get btimeSec(): number {
    return this.#i32[21] * TWO_32 + this.#u32[20]
  }
  get btimeNsec(): number {
    return this.#u32[22]
  }
  get ctimeSec(): number {
    return this.#i32[25] * TWO_32 + this.#u32[24]
  }
  get ctimeNsec(): number {
    return this.#u32[26]
  }
  get mtimeSec(): number {
    return this.#i32[29] * TWO_32 + this.#u32[28]
  }
  get mtimeNsec(): number {
    return this.#u32[30]
  }
  get rdevMajor(): number {
    return this.#u32[32]
  }
  get rdevMinor(): number {
    return this.#u32[33]
  }
  get devMajor(): number {
    return this.#u32[34]
  }
  get devMinor(): number {
    return this.#u32[35]
  }
  /** Mount that the file was found on (STATX_MNT_ID). */
  get mntId(): number {
    return this.#u32[37] * TWO_32 + this.#u32[36]
  }

  /** Device number as FUSE and mknodat(2) carry it: 12 bits of major, 20 of minor. */
  get rdev(): number {
    const minor = this.rdevMinor
    return ((minor & 0xff) | (this.rdevMajor << 8) | ((minor & ~0xff) << 12)) >>> 0
  }
  /** One number that is different for every st_dev. */
  get dev(): number {
    return this.devMajor * TWO_32 + this.devMinor
  }

  /** The attributes as a FUSE reply carries them. */
  toAttr(): Attr {
    const u32 = this.#u32
    return {
      ino: this.ino,
      size: this.size,
      blocks: this.blocks,
      atime: this.atimeSec,
      mtime: this.mtimeSec,
      ctime: this.ctimeSec,
      atimensec: u32[18],
      mtimensec: u32[30],
      ctimensec: u32[26],
      mode: this.mode,
      nlink: u32[4],
      uid: u32[5],
      gid: u32[6],
      rdev: (u32[32] | u32[33]) === 0 ? 0 : this.rdev,
      blksize: u32[1],
    }
  }
}
