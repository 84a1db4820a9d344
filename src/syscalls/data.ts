// Calls on the data of an open file, with Async twins (the addon's own threads) for those that may wait for a disk.
import { EIO } from '../protocol/index.js'
import { special } from '../native.js'
import type { SyscallArg } from '../native.js'
import { numbers as nr } from './numbers.js'
import { NULL } from './door.js'
import type { Door } from './door.js'
import { QuickWriter } from './quick-writer.js'

/** A lock of fcntl(2): F_RDLCK, F_WRLCK or F_UNLCK on `length` bytes (0: to the end) from `start`. */
export interface FcntlLock {
  type: number
  whence?: number
  start: number
  length: number
  pid?: number
}

export function dataCalls(door: Door) {
  const { call, callAsync } = door
  const rangeArgs = (
    fdIn: number,
    offIn: number,
    fdOut: number,
    offOut: number,
    size: number,
  ): SyscallArg[] => [
    fdIn,
    new BigInt64Array([BigInt(offIn)]),
    fdOut,
    new BigInt64Array([BigInt(offOut)]),
    size,
    0,
  ]
  const lockBytes = ({ type, whence = 0, start, length, pid = 0 }: FcntlLock): Buffer => {
    const bytes = Buffer.alloc(32)
    bytes.writeInt16LE(type, 0)
    bytes.writeInt16LE(whence, 2)
    bytes.writeBigInt64LE(BigInt(start), 8)
    bytes.writeBigInt64LE(BigInt(length), 16)
    bytes.writeInt32LE(pid, 24)
    return bytes
  }
  return {
    /** read(2): bytes read, or -errno. */
    read: (fd: number, bytes: Uint8Array): number => call(nr.read, fd, bytes, bytes.byteLength),
    /** pread64(2): bytes read, or -errno. */
    pread64: (fd: number, bytes: Uint8Array, offset: number): number =>
      call(nr.pread64, fd, bytes, bytes.byteLength, offset),
    /** Reads until `bytes` is full, the end of the file, or an error with nothing read. */
    preadAllAsync: (fd: number, bytes: Uint8Array, offset: number): Promise<number> =>
      callAsync(special.preadAll, fd, bytes, bytes.byteLength, offset),
    /** preadv2(2) with RWF_NOWAIT: -EAGAIN when the data is not in the page cache. */
    preadNowait: (fd: number, bytes: Uint8Array, offset: number): number =>
      call(special.preadNowait, fd, bytes, bytes.byteLength, offset),
    /** pread64(2) on the pool. */
    pread64Async: (fd: number, bytes: Uint8Array, offset: number): Promise<number> =>
      callAsync(nr.pread64, fd, bytes, bytes.byteLength, offset),
    /** pwrite64(2): bytes written, or -errno. Kernel: with O_APPEND on the descriptor, the offset is ignored. */
    pwrite64: (fd: number, bytes: Uint8Array, offset: number): number =>
      call(nr.pwrite64, fd, bytes, bytes.byteLength, offset),
    /** pwrite64(2) on the pool. */
    pwrite64Async: (fd: number, bytes: Uint8Array, offset: number): Promise<number> =>
      callAsync(nr.pwrite64, fd, bytes, bytes.byteLength, offset),
    /** ppoll(2) of one descriptor without waiting: the POLL* bits that hold now, or -errno. */
    pollNow(fd: number, events: number): number {
      // struct pollfd { int fd; short events; short revents }, and a timespec of zero.
      const one = new Int32Array([fd, events])
      const result = call(nr.ppoll, one, 1, new BigInt64Array(2), NULL, 0)
      return result < 0 ? result : one[1] >>> 16
    },
    /** write(2) on the pool. */
    writeAsync: (fd: number, bytes: Uint8Array): Promise<number> =>
      callAsync(nr.write, fd, bytes, bytes.byteLength),
    /** Writes until all is written, or an error with nothing written. */
    pwriteAllAsync: (fd: number, bytes: Uint8Array, offset: number): Promise<number> =>
      callAsync(special.pwriteAll, fd, bytes, bytes.byteLength, offset),
    /**
     * After a pwriteAll that wrote only `done`: all of `bytes`, or the -errno that stands in the way of the rest. A negative `done` comes
     * back.
     */
    pwriteRest(fd: number, bytes: Uint8Array, offset: number, done: number): number {
      let at = done
      while (at >= 0 && at < bytes.byteLength) {
        const more = call(nr.pwrite64, fd, bytes.subarray(at), bytes.byteLength - at, offset + at)
        if (more <= 0) return more < 0 ? more : EIO
        at += more
      }
      return at
    },
    /** Writes in the calling thread as long as they do not wait, else on the pool. */
    quickWriter: (): QuickWriter => new QuickWriter(door),
    /** lseek(2); SEEK_DATA and SEEK_HOLE are in the constants. */
    lseek: (fd: number, offset: number, whence: number): number => call(nr.lseek, fd, offset, whence),
    /** fallocate(2); `mode` is FALLOC_FL_* bits. */
    fallocate: (fd: number, mode: number, offset: number, size: number): number =>
      call(nr.fallocate, fd, mode, offset, size),
    /** fallocate(2) on the pool. */
    fallocateAsync: (fd: number, mode: number, offset: number, size: number): Promise<number> =>
      callAsync(nr.fallocate, fd, mode, offset, size),
    /** copy_file_range(2): bytes copied (may be fewer), or -errno. */
    copyFileRange: (fdIn: number, offIn: number, fdOut: number, offOut: number, size: number): number =>
      call(nr.copy_file_range, ...rangeArgs(fdIn, offIn, fdOut, offOut, size)),
    /** copy_file_range(2) on the pool. */
    copyFileRangeAsync: (
      fdIn: number,
      offIn: number,
      fdOut: number,
      offOut: number,
      size: number,
    ): Promise<number> => callAsync(nr.copy_file_range, ...rangeArgs(fdIn, offIn, fdOut, offOut, size)),
    /** fsync(2). */
    fsync: (fd: number): number => call(nr.fsync, fd),
    /** fsync(2) on the pool. */
    fsyncAsync: (fd: number): Promise<number> => callAsync(nr.fsync, fd),
    /** fdatasync(2). */
    fdatasync: (fd: number): number => call(nr.fdatasync, fd),
    /** fdatasync(2) on the pool. */
    fdatasyncAsync: (fd: number): Promise<number> => callAsync(nr.fdatasync, fd),
    /** syncfs(2). */
    syncfs: (fd: number): number => call(nr.syncfs, fd),
    /** syncfs(2) on the pool. */
    syncfsAsync: (fd: number): Promise<number> => callAsync(nr.syncfs, fd),
    /** flock(2); LOCK_* bits. */
    flock: (fd: number, operation: number): number => call(nr.flock, fd, operation),
    /** flock(2) on the pool, where it may wait. */
    flockAsync: (fd: number, operation: number): Promise<number> => callAsync(nr.flock, fd, operation),
    /** fcntl(2) with a number. */
    fcntl: (fd: number, command: number, argument = 0): number => call(nr.fcntl, fd, command, argument),
    /** fcntl(2) F_SETLK or F_OFD_SETLK: 0, or -EAGAIN while someone else holds the range. */
    fcntlLock: (fd: number, command: number, lock: FcntlLock): number =>
      call(nr.fcntl, fd, command, lockBytes(lock)),
    /** fcntl(2) F_SETLKW or F_OFD_SETLKW on the pool. F_SETLKW locks belong to the process, not to the thread. */
    fcntlLockAsync: (fd: number, command: number, lock: FcntlLock): Promise<number> =>
      callAsync(nr.fcntl, fd, command, lockBytes(lock)),
    /** fcntl(2) F_GETLK or F_OFD_GETLK: the lock in the way (type F_UNLCK: none), or -errno. */
    fcntlGetLock(fd: number, command: number, lock: FcntlLock): FcntlLock | number {
      const bytes = lockBytes(lock)
      const result = call(nr.fcntl, fd, command, bytes)
      if (result < 0) return result
      return {
        type: bytes.readInt16LE(0),
        whence: bytes.readInt16LE(2),
        start: Number(bytes.readBigInt64LE(8)),
        length: Number(bytes.readBigInt64LE(16)),
        pid: bytes.readInt32LE(24),
      }
    },
    /** dup(2). */
    dup: (fd: number): number => call(nr.dup, fd),
    /** ioctl(2) with a number or the address of bytes. */
    ioctl: (fd: number, request: number, argument: number | ArrayBufferView | null = null): number =>
      call(nr.ioctl, fd, request, argument ?? NULL),
    /**
     * ppoll(2) on the pool, waiting `timeout` milliseconds at the most, -1: for ever. Resolves with the events that each
     * descriptor is ready for (all 0: time is up), or -errno.
     */
    async ppollAsync(
      files: readonly { fd: number; events: number }[],
      timeout: number,
    ): Promise<number[] | number> {
      // struct pollfd { int fd; short events; short revents }
      const bytes = Buffer.alloc(8 * files.length)
      files.forEach(({ fd, events }, i) => bytes.writeUInt16LE(events, bytes.writeInt32LE(fd, 8 * i)))
      const time = new BigInt64Array([
        BigInt(Math.floor(timeout / 1000)),
        BigInt(Math.floor(timeout % 1000) * 1e6),
      ])
      const result = await callAsync(nr.ppoll, bytes, files.length, timeout < 0 ? NULL : time, NULL, 0)
      return result < 0 ? result : files.map((_, i) => bytes.readUInt16LE(8 * i + 6))
    },
    /** memfd_create(2). */
    memfdCreate: (name: string, flags = 0): number => call(nr.memfd_create, name, flags),
  }
}
