// Inode numbers inside file handles, for the filesystems that strong caching watches.
import { exactU64 } from '../../syscalls/index.js'

/** Where the inode number stands in a handle of this type, as 32-bit words. */
interface Place {
  type: number
  low: number
  /** -1: the number has 32 bits. */
  high: number
}

/**
 * By magic number of statfs(2). All of them are local, report every change to fanotify(7), and give a directory another time
 * with every change that somebody could have missed (multigrain timestamps). Source: include/linux/exportfs.h,
 * fs/xfs/xfs_export.h, fs/btrfs/export.h, mm/shmem.c.
 */
const PLACES = new Map<number, readonly Place[]>([
  [0xef53, [{ type: 1, low: 0, high: -1 }]], // ext2, ext3, ext4
  [
    0x58465342, // xfs
    [
      { type: 1, low: 0, high: -1 },
      { type: 0x81, low: 0, high: 1 },
    ],
  ],
  [0x9123683e, [{ type: 0x4d, low: 0, high: 1 }]], // btrfs
  [0x01021994, [{ type: 1, low: 1, high: 2 }]], // tmpfs
])

/** What can be watched, in words. */
export const WATCHABLE = 'ext4, xfs, btrfs and tmpfs'

export function isWatchable(fsType: number): boolean {
  return PLACES.has(fsType)
}

/** The inode number in the handle bytes from `at` on; undefined for a handle of another kind. */
export function inoInHandle(
  fsType: number,
  handleType: number,
  bytes: Buffer,
  at: number,
): number | bigint | undefined {
  const place = PLACES.get(fsType)?.find(({ type }) => type === handleType)
  if (place === undefined) return undefined
  const low = bytes.readUInt32LE(at + 4 * place.low)
  return place.high < 0 ? low : exactU64(low, bytes.readUInt32LE(at + 4 * place.high))
}
