// Calls that change attributes, and those that describe a whole filesystem.
import type { Statfs } from '../protocol/index.js'
import { numbers as nr } from './numbers.js'
import type { Door } from './door.js'

/** What statfs(2) says, with the fields that a FUSE reply carries, the magic number (`type`), ST_* `flags` and the two words of `f_fsid`. */
export type FilesystemStatistics = Required<Statfs> & { type: number; flags: number; fsid: [number, number] }

const TWO_32 = 0x1_0000_0000
/** struct statfs has 120 bytes. */
const STATFS_WORDS = 30

/** Magic numbers of statfs(2). */
const LOCAL_FILESYSTEMS = new Set([
  0xef53, // ext2, ext3, ext4
  0x58465342, // xfs
  0x9123683e, // btrfs
  0x01021994, // tmpfs
  0xf2f52010, // f2fs
])

/**
 * Whether files of a filesystem of this `type` (of statfs(2)) lie in the page cache of this machine: write(2) copies, close(2) has
 * no errors to report, and no server is asked.
 */
export function isLocalFilesystem(type: number): boolean {
  return LOCAL_FILESYSTEMS.has(type)
}

export function attributeCalls({ call, callAsync }: Door) {
  const times = new Int32Array(8)
  const statistics = new Uint32Array(STATFS_WORDS)
  const setTime = (at: number, sec: number, nsec: number) => {
    if (!Number.isSafeInteger(sec) || !Number.isSafeInteger(nsec))
      throw new RangeError(`a time is made of whole seconds and nanoseconds, not of ${sec} and ${nsec}`)
    times[at] = sec | 0
    times[at + 1] = Math.floor(sec / TWO_32)
    times[at + 2] = nsec
    times[at + 3] = 0
  }
  const decode = (result: number, words = statistics): FilesystemStatistics | number => {
    if (result < 0) return result
    const field = (at: number) => words[at + 1] * TWO_32 + words[at]
    return {
      type: words[0],
      bsize: field(2),
      blocks: field(4),
      bfree: field(6),
      bavail: field(8),
      files: field(10),
      ffree: field(12),
      fsid: [words[14], words[15]],
      namelen: field(16),
      frsize: field(18),
      flags: words[20],
    }
  }
  return {
    /** utimensat(2); seconds may be negative, nanoseconds may be UTIME_NOW or UTIME_OMIT. Throws a RangeError for fractions. */
    utimensat(
      dirfd: number,
      path: string,
      atime: number,
      atimensec: number,
      mtime: number,
      mtimensec: number,
      flags = 0,
    ): number {
      setTime(0, atime, atimensec)
      setTime(4, mtime, mtimensec)
      return call(nr.utimensat, dirfd, path, times, flags)
    },
    /** fchownat(2); -1 leaves an id as it is. */
    fchownat: (dirfd: number, path: string, uid: number, gid: number, flags = 0): number =>
      call(nr.fchownat, dirfd, path, uid, gid, flags),
    /** fchmodat(2); follows symlinks, so `/proc/self/fd/N` changes the file of an O_PATH descriptor. */
    fchmodat: (dirfd: number, path: string, mode: number): number => call(nr.fchmodat, dirfd, path, mode),
    /** fchmod(2). */
    fchmod: (fd: number, mode: number): number => call(nr.fchmod, fd, mode),
    /** ftruncate(2). */
    ftruncate: (fd: number, size: number): number => call(nr.ftruncate, fd, size),
    /** ftruncate(2) on the pool: freeing the blocks of a big file takes a while. */
    ftruncateAsync: (fd: number, size: number): Promise<number> => callAsync(nr.ftruncate, fd, size),
    /** truncate(2). */
    truncate: (path: string, size: number): number => call(nr.truncate, path, size),
    /** truncate(2) on the pool. */
    truncateAsync: (path: string, size: number): Promise<number> => callAsync(nr.truncate, path, size),
    /** statfs(2), or -errno. */
    statfs: (path: string): FilesystemStatistics | number => decode(call(nr.statfs, path, statistics)),
    /** statfs(2) on the pool, or -errno: what answers it may be a server that hangs. */
    async statfsAsync(path: string): Promise<FilesystemStatistics | number> {
      const words = new Uint32Array(STATFS_WORDS)
      return decode(await callAsync(nr.statfs, path, words), words)
    },
    /** fstatfs(2), or -errno; works on O_PATH descriptors. */
    fstatfs: (fd: number): FilesystemStatistics | number => decode(call(nr.fstatfs, fd, statistics)),
  }
}
