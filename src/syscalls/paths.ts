// Calls that find, make, remove and open files by directory descriptor and name.
import { AT_EMPTY_PATH } from './constants.js'
import { numbers as nr } from './numbers.js'
import type { Credentials, Door } from './door.js'
import type { StatxBuffer } from './statx.js'

/** `how` of openat2(2). */
export interface OpenHow {
  flags: number
  mode?: number
  /** RESOLVE_* bits. */
  resolve?: number
}

/** A file handle of name_to_handle_at(2). */
export interface FileHandle {
  /** Identifier of the mount, as in /proc/self/mountinfo; with AT_HANDLE_MNT_ID_UNIQUE (Linux 6.12), the one that is never reused. */
  mountId: number
  /** Handle type; means something to the filesystem only. */
  type: number
  /** Handle bytes, one character per byte. */
  handle: string
}

const MAX_HANDLE = 128
const LINK_MAX = 4096

export function pathCalls({ call, callAsync, callAs }: Door, encoding: BufferEncoding) {
  const how = new BigUint64Array(3)
  const handle = Buffer.alloc(8 + MAX_HANDLE)
  // Kernel: an int, or 64 bits when the unique one is asked for.
  const mountId = new BigUint64Array(1)
  const link = Buffer.alloc(LINK_MAX)
  return {
    /** openat(2): a descriptor or -errno. O_CLOEXEC is not added. */
    openat: (dirfd: number, path: string, flags: number, mode = 0): number =>
      call(nr.openat, dirfd, path, flags, mode),
    /** openat(2) by someone else: what it creates is theirs. */
    openatAs: (who: Credentials, dirfd: number, path: string, flags: number, mode = 0): number =>
      callAs(who, nr.openat, dirfd, path, flags, mode),
    /** openat2(2): like openat with RESOLVE_* rules. */
    openat2(dirfd: number, path: string, { flags, mode = 0, resolve = 0 }: OpenHow): number {
      how[0] = BigInt(flags >>> 0)
      how[1] = BigInt(mode)
      how[2] = BigInt(resolve)
      return call(nr.openat2, dirfd, path, how, 24)
    },
    /** close(2). */
    close: (fd: number): number => call(nr.close, fd),
    /** close(2) on the pool: for the last close of a deleted big file, which frees its blocks. */
    closeAsync: (fd: number): Promise<number> => callAsync(nr.close, fd),
    /** statx(2) into `out`. */
    statx: (dirfd: number, path: string, flags: number, mask: number, out: StatxBuffer): number =>
      call(nr.statx, dirfd, path, flags, mask, out.bytes),
    /** statx(2) into `out`, on the pool; leave `out` alone until then. */
    statxAsync: (
      dirfd: number,
      path: string,
      flags: number,
      mask: number,
      out: StatxBuffer,
    ): Promise<number> => callAsync(nr.statx, dirfd, path, flags, mask, out.bytes),
    /** statx(2) of a descriptor into `out`; works on O_PATH ones. */
    fstatx: (fd: number, mask: number, out: StatxBuffer): number =>
      call(nr.statx, fd, '', AT_EMPTY_PATH, mask, out.bytes),
    /** mkdirat(2). */
    mkdirat: (dirfd: number, path: string, mode: number): number => call(nr.mkdirat, dirfd, path, mode),
    /** mkdirat(2) by someone else. */
    mkdiratAs: (who: Credentials, dirfd: number, path: string, mode: number): number =>
      callAs(who, nr.mkdirat, dirfd, path, mode),
    /** mknodat(2); `rdev` as FUSE and the kernel carry it (12 bits of major, 20 of minor). */
    mknodat: (dirfd: number, path: string, mode: number, rdev: number): number =>
      call(nr.mknodat, dirfd, path, mode, rdev),
    /** mknodat(2) by someone else. */
    mknodatAs: (who: Credentials, dirfd: number, path: string, mode: number, rdev: number): number =>
      callAs(who, nr.mknodat, dirfd, path, mode, rdev),
    /** symlinkat(2). */
    symlinkat: (target: string, dirfd: number, path: string): number =>
      call(nr.symlinkat, target, dirfd, path),
    /** symlinkat(2) by someone else. */
    symlinkatAs: (who: Credentials, target: string, dirfd: number, path: string): number =>
      callAs(who, nr.symlinkat, target, dirfd, path),
    /** linkat(2). */
    linkat: (olddirfd: number, oldpath: string, newdirfd: number, newpath: string, flags: number): number =>
      call(nr.linkat, olddirfd, oldpath, newdirfd, newpath, flags),
    /** renameat2(2); `flags` are RENAME_* bits. */
    renameat2: (olddirfd: number, oldpath: string, newdirfd: number, newpath: string, flags = 0): number =>
      call(nr.renameat2, olddirfd, oldpath, newdirfd, newpath, flags),
    /** unlinkat(2); AT_REMOVEDIR makes it rmdir(2). */
    unlinkat: (dirfd: number, path: string, flags = 0): number => call(nr.unlinkat, dirfd, path, flags),
    /** readlinkat(2): the target, or -errno. An empty path reads the symlink that `dirfd` (O_PATH) is. */
    readlinkat(dirfd: number, path: string): string | number {
      const length = call(nr.readlinkat, dirfd, path, link, LINK_MAX)
      return length < 0 ? length : link.toString(encoding, 0, length)
    },
    /** faccessat2(2). */
    faccessat2: (dirfd: number, path: string, mode: number, flags = 0): number =>
      call(nr.faccessat2, dirfd, path, mode, flags),
    /** name_to_handle_at(2): the handle, or -errno (-EOPNOTSUPP: this filesystem has none). */
    nameToHandleAt(dirfd: number, path: string, flags: number): FileHandle | number {
      handle.writeUInt32LE(MAX_HANDLE, 0)
      mountId[0] = 0n
      const result = call(nr.name_to_handle_at, dirfd, path, handle, mountId, flags)
      if (result < 0) return result
      return {
        mountId: Number(mountId[0]),
        type: handle.readInt32LE(4),
        handle: handle.toString('latin1', 8, 8 + handle.readUInt32LE(0)),
      }
    },
    /** open_by_handle_at(2): a descriptor or -errno. `mountFd` must not be O_PATH. Needs CAP_DAC_READ_SEARCH. */
    openByHandleAt(
      mountFd: number,
      { type, handle: bytes }: Omit<FileHandle, 'mountId'>,
      flags: number,
    ): number {
      handle.writeUInt32LE(bytes.length, 0)
      handle.writeInt32LE(type, 4)
      handle.write(bytes, 8, 'latin1')
      return call(nr.open_by_handle_at, mountFd, handle, flags)
    },
  }
}
