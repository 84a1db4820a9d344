// Answers of handlers that are not simply a struct: data, directories, ioctl results, and the envelope of them all.

import type { Errno } from './errno.js'
import type { Entry, NegativeEntry } from './generated/replies.js'

/** What a handler returns: the answer, a negative errno, or a promise of either. */
export type Reply<T> = T | Errno | Promise<T | Errno>

/** Data to be read from an open file by the library itself, without passing through JavaScript. */
export interface FdData {
  /** File descriptor to read from; must stay open until the reply has gone out. */
  fd: number
  /** First byte. */
  offset: number
  /** Bytes at most; the end of the file may come sooner. */
  size: number
}

/** An entry of a directory. */
export interface Dirent {
  name: string | Uint8Array
  /** Inode number shown by readdir(3). Where it is 0, 0xffffffff is shown, because readdir(3) leaves out entries with 0. */
  ino: number | bigint
  /** DT_* type: (mode & S_IFMT) >> 12. */
  type: number
  /**
   * Where the listing goes on after this entry: comes back as `offset`. Default: the offset of the request, plus the
   * number of entries so far.
   */
  off?: number
}

/** An entry of a directory together with the inode: counts as a lookup when `nodeid` is not 0. */
export type Direntplus = (Entry | NegativeEntry) & {
  name: string | Uint8Array
  /** Default: `ino` of the attributes. */
  ino?: number | bigint
  /** DT_* type. Default: from `mode` of the attributes. */
  type?: number
  /** As in `Dirent`. */
  off?: number
}

/** A directory listing: any iterable, such as an array, a generator, or `EncodedDirents`. */
export type Dirents<Kind extends 'dirent' | 'direntplus'> = Kind extends 'dirent'
  ? Iterable<Dirent> | AsyncIterable<Dirent>
  : Iterable<Direntplus> | AsyncIterable<Direntplus>

/** A piece of the memory of the caller of ioctl(2): struct fuse_ioctl_iovec. */
export interface IoctlIovec {
  /** Address in the caller's memory, such as `arg` of the request. */
  base: bigint | number
  /** Bytes. */
  len: bigint | number
}

/** Result of ioctl(2), with what goes back to the caller. */
export interface IoctlReply {
  /** Return value of ioctl(2). Default: 0. */
  result?: number
  /** At most `outSize` bytes. */
  data?: Uint8Array
  /**
   * FUSE_IOCTL_RETRY: the command is sent again, with the bytes of `in` in `data` and room for those of `out`; at most 256
   * pieces together. Only for a request with FUSE_IOCTL_UNRESTRICTED, which character devices get (CUSE).
   */
  retry?: { in?: readonly IoctlIovec[]; out?: readonly IoctlIovec[] }
}
