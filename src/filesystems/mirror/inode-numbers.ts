// NFS export: files found by their inode number alone, so that a handle of the mount outlives FORGET and even the server.
// Nodeids are the source's inode numbers where the source can do that.
import { ESTALE } from '../../protocol/index.js'
import { AT_EMPTY_PATH, O_CLOEXEC, O_NOFOLLOW, O_PATH } from '../../syscalls/index.js'
import type { FileHandle, FilesystemStatistics, Syscalls } from '../../syscalls/index.js'

/** Handles of a filesystem: where the inode number stands in them, where the generation, and the number of its own root. */
interface Shape {
  type: number
  length: number
  wide: boolean
  generation: number
  root: number
  /** Generation 0 does not stand for any, so the filesystem is asked for the one of an inode. */
  asks?: boolean
}

/**
 * By magic number of statfs(2). Kernel: but for xfs they take generation 0 for any, as nfsd asks for parents that way. Source:
 * include/linux/exportfs.h, FILEID_INO32_GEN and FILEID_BTRFS_WITHOUT_PARENT; fs/xfs/xfs_export.h, XFS_FILEID_TYPE_64FLAG.
 */
const SHAPES = new Map<number, Shape>([
  [0xef53, { type: 1, length: 8, wide: false, generation: 4, root: 2 }], // ext2, ext3, ext4
  [0x9123683e, { type: 0x4d, length: 20, wide: true, generation: 16, root: 256 }], // btrfs, one subvolume
  [0x58465342, { type: 0x81, length: 12, wide: true, generation: 8, root: 0, asks: true }], // xfs
])

// struct xfs_bulkstat_req: a header of 64 bytes, then a struct xfs_bulkstat. Source: ioctl_xfs_bulkstat(2).
const XFS_IOC_BULKSTAT = 0x8040587f
const XFS_BULK_IREQ_SPECIAL = 2
const XFS_BULK_IREQ_SPECIAL_ROOT = 1
const BULKSTAT_SIZE = 64 + 192
const BULKSTAT_INO = 64
const BULKSTAT_GEN = 64 + 64

const FIND = O_PATH | O_NOFOLLOW | O_CLOEXEC
const TWO_32 = 0x1_0000_0000
const BITS = 32
/** Inode numbers of a chunk: 4 KiB of bits. */
const CHUNK = 32_768

/** Nodeids from here on are no inode numbers. */
export const FIRST_OTHER = 2 ** 52

export class InodeNumbers {
  readonly #sys: Syscalls
  readonly #mountFd: number
  readonly #shape: Shape | undefined
  readonly #bytes: Buffer
  /** The source is all of its filesystem, so that whatever number is asked for lies inside. */
  readonly #whole: boolean
  /** Else: a bit for each number that was seen inside. */
  readonly #seen = new Map<number, Uint32Array>()

  /** `rootFd` and `rootIno` are the root of the source, `mountFd` a readable descriptor of it or -1. */
  constructor(
    sys: Syscalls,
    mountFd: number,
    rootFd: number,
    rootIno: number | bigint,
    { type }: FilesystemStatistics,
  ) {
    this.#sys = sys
    this.#mountFd = mountFd
    const shape = SHAPES.get(type)
    const handle = mountFd < 0 || shape === undefined ? -1 : sys.nameToHandleAt(rootFd, '', AT_EMPTY_PATH)
    this.#bytes = Buffer.from(typeof handle === 'number' ? '' : handle.handle, 'latin1')
    this.#whole =
      rootIno ===
      (shape?.asks ? this.#bulkstat(XFS_BULK_IREQ_SPECIAL_ROOT, XFS_BULK_IREQ_SPECIAL)?.ino : shape?.root)
    if (typeof handle === 'number' || handle.type !== shape?.type || this.#bytes.length !== shape.length)
      return
    this.#shape = shape
    const fd = this.#open(Number(rootIno))
    if (fd < 0) this.#shape = undefined
    else sys.close(fd)
  }

  /** Whether files can be found by number, and nodeids therefore are numbers. */
  get usable(): boolean {
    return this.#shape !== undefined
  }

  /** The nodeid for an inode of the root's filesystem; 0 where its number cannot be one. */
  nodeid(ino: number | bigint): number {
    if (this.#shape === undefined || typeof ino === 'bigint' || ino <= 1 || ino >= FIRST_OTHER) return 0
    if (!this.#whole) this.#see(ino)
    return ino
  }

  /** Whether the inode with this number may be shown: nothing outside the source can be reached. */
  inside(ino: number): boolean {
    if (this.#shape === undefined) return false
    const bits = this.#seen.get(Math.floor(ino / CHUNK))
    const at = ino % CHUNK
    return this.#whole || (((bits?.[Math.floor(at / BITS)] ?? 0) >>> (at % BITS)) & 1) === 1
  }

  /** An O_PATH descriptor of the inode with this number, or -errno. */
  open(ino: number): number {
    return this.inside(ino) ? this.#open(ino) : ESTALE
  }

  /** The same for a file that is known to lie inside. */
  openKnown(ino: number): number {
    return this.#shape === undefined ? ESTALE : this.#open(ino)
  }

  #open(ino: number): number {
    const shape = this.#shape!
    this.#bytes.writeUInt32LE(ino % TWO_32, 0)
    if (shape.wide) this.#bytes.writeUInt32LE(Math.floor(ino / TWO_32), 4)
    else if (ino >= TWO_32) return ESTALE
    const generation = shape.asks ? this.#generationOf(ino) : 0
    if (generation === undefined) return ESTALE
    this.#bytes.writeUInt32LE(generation, shape.generation)
    const handle: Omit<FileHandle, 'mountId'> = { type: shape.type, handle: this.#bytes.toString('latin1') }
    return this.#sys.openByHandleAt(this.#mountFd, handle, FIND)
  }

  #generationOf(ino: number): number | undefined {
    const found = this.#bulkstat(ino, 0)
    // What is asked for is where the search begins: the next inode is found where this one is free.
    return found?.ino === ino ? found.generation : undefined
  }

  #bulkstat(ino: number, flags: number): { ino: number; generation: number } | undefined {
    const request = Buffer.alloc(BULKSTAT_SIZE)
    request.writeBigUInt64LE(BigInt(ino), 0)
    request.writeUInt32LE(flags, 8)
    request.writeUInt32LE(1, 12)
    const result = this.#sys.ioctl(this.#mountFd, XFS_IOC_BULKSTAT, request)
    if (result < 0 || request.readUInt32LE(16) === 0) return undefined
    return {
      ino: Number(request.readBigUInt64LE(BULKSTAT_INO)),
      generation: request.readUInt32LE(BULKSTAT_GEN),
    }
  }

  #see(ino: number): void {
    const number = Math.floor(ino / CHUNK)
    let bits = this.#seen.get(number)
    if (bits === undefined) this.#seen.set(number, (bits = new Uint32Array(CHUNK / BITS)))
    const at = ino % CHUNK
    bits[Math.floor(at / BITS)] |= 1 << (at % BITS)
  }
}
