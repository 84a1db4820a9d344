// The contract of a filesystem by path: what an object may have to be mounted, a relaxed subset of node:fs/promises.
// Everything else that is mounted is brought into this shape first.

/** A value, or a promise of it. A method that answers at once spares its callers a turn of the event loop. */
export type Awaitable<Value> = Value | PromiseLike<Value>

/**
 * Who asks. It comes as the last argument of every method, after those that node:fs has. `signal` is made when it is first
 * looked at, and aborts when the caller no longer waits (it was interrupted or killed).
 */
export interface Caller {
  /** User id the caller acts under. */
  readonly uid: number
  /** Group id the caller acts under. */
  readonly gid: number
  /** Process id (of the thread); 0 when it lies outside the pid namespace of the mount. */
  readonly pid: number
  /** Aborted when the caller was interrupted. */
  readonly signal: AbortSignal
}

/** A point in time: a Date, or a number in the unit that the field says. */
export type Time = Date | number | bigint

/** What a file is, in a word. */
export type FileType = 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'block' | 'character'

/**
 * Attributes, as node's `Stats`, its bigint form, or a plain object with any part of it. The type comes from `mode`
 * (S_IFMT), else `type`, else `isDirectory()` and its like (methods or booleans); without any of them it is a regular file.
 *
 * Left out: permissions are 0755 for directories and 0644 for files (0555 and 0444 on a read-only filesystem), the owner
 * is whoever mounted, times are the time of mounting, `nlink` is 1.
 */
export interface StatsLike {
  /** File type and permission bits; permission bits alone are fine beside `type`. */
  mode?: number | bigint
  type?: FileType
  isFile?: (() => boolean) | boolean
  isDirectory?: (() => boolean) | boolean
  isSymbolicLink?: (() => boolean) | boolean
  isFIFO?: (() => boolean) | boolean
  isSocket?: (() => boolean) | boolean
  isBlockDevice?: (() => boolean) | boolean
  isCharacterDevice?: (() => boolean) | boolean
  /**
   * Bytes. Undefined says that it is not known before the file is read: `stat` shows 0 until then, and programs read to
   * the end (direct I/O).
   */
  size?: number | bigint
  /** Units of 512 bytes. Default: what `size` takes. */
  blocks?: number | bigint
  blksize?: number | bigint
  /** Device and inode number: together with `nlink` above 1 they tell that two names are one file. */
  dev?: number | bigint
  /** Shown by stat(2) where no other file has it. Default: a number made from the path. */
  ino?: number | bigint
  nlink?: number | bigint
  uid?: number | bigint
  gid?: number | bigint
  rdev?: number | bigint
  /** A number is milliseconds since 1970, as in `mtimeMs`. */
  atime?: Time
  mtime?: Time
  ctime?: Time
  birthtime?: Time
  /** Milliseconds since 1970; fractions count. */
  atimeMs?: number | bigint
  mtimeMs?: number | bigint
  ctimeMs?: number | bigint
  birthtimeMs?: number | bigint
  /** Nanoseconds since 1970, exact (bigint stats have them). */
  atimeNs?: bigint
  mtimeNs?: bigint
  ctimeNs?: bigint
}

/** An entry of a listing: a name, a `Dirent`, or `{ name, ...stats }`. */
export type EntryLike =
  | string
  | Uint8Array
  | ({ name: string | Uint8Array } & Pick<StatsLike, keyof StatsLike>)

/** A listing: an array, any iterable, an async generator. `.` and `..` need not be in it. */
export type Listing = Iterable<EntryLike> | AsyncIterable<EntryLike>

/** A part of a file's content. */
export type Chunk = Uint8Array | string

/** Content of a file: whole, or as a stream of chunks (node's `Readable`, a web `ReadableStream`, an async generator). */
export type ContentLike = Chunk | ArrayBuffer | Iterable<Chunk> | AsyncIterable<Chunk>

/** The answer to `statfs`: node's `StatsFs`, or any part of it. Blocks are of `bsize` bytes. */
export interface StatsFsLike {
  bsize?: number | bigint
  blocks?: number | bigint
  bfree?: number | bigint
  bavail?: number | bigint
  files?: number | bigint
  ffree?: number | bigint
  /** Longest name in bytes. Default: 255. */
  namelen?: number | bigint
}

/**
 * An open file: node's `FileHandle`, or any part of it. Positions are bytes from the start and always given. Reading past
 * the end gives 0 bytes.
 */
export interface HandleLike {
  /**
   * A descriptor of this process for the same file, open until `close`: the library reads from it by itself, or has the
   * kernel read and write it (passthrough). Never a number of your own making.
   */
  readonly descriptor?: number
  /** Reads into `buffer` at `offset`: the number of bytes, or node's `{ bytesRead }`. */
  read?(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Awaitable<number | { bytesRead: number }>
  /** Writes bytes of `buffer`, which is only lent: the number of bytes, or node's `{ bytesWritten }`. */
  write?(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Awaitable<number | { bytesWritten: number }>
  /** Attributes of the open file, which may have no name any more. Default: `lstat` of its path. */
  stat?(): Awaitable<StatsLike>
  /** Sets the size. Default: `truncate` of the path. */
  truncate?(size: number): Awaitable<unknown>
  chmod?(mode: number): Awaitable<unknown>
  chown?(uid: number, gid: number): Awaitable<unknown>
  /** Seconds since 1970; fractions count. */
  utimes?(atime: number, mtime: number): Awaitable<unknown>
  /** fsync(2). Default: nothing to do. */
  sync?(): Awaitable<unknown>
  /** fdatasync(2). Default: `sync`. */
  datasync?(): Awaitable<unknown>
  /** close(2) of one descriptor: a last chance to report that writing failed. `close` follows when all are closed. */
  flush?(): Awaitable<unknown>
  /** The last descriptor is closed. Nobody sees an error. */
  close?(): Awaitable<unknown>
}

/** What `createReadStream` is asked for: bytes from `start` on. */
export interface ReadStreamOptions {
  start: number
}

/**
 * A filesystem by path. Paths are absolute and normal: `/` is the root, there is no `.`, no `..`, no slash at the end.
 * Every method is optional and may be sync or async. What has no method is answered as a filesystem that cannot do it:
 * without any method that writes, everything is read-only (EROFS).
 *
 * Errors are those of node: thrown, with `code` (`'ENOENT'`) or `errno`; without either the caller gets EIO and the
 * session reports it. Symbolic links are never followed here: the kernel does that.
 *
 * Content goes through `open` and its handles where there is an `open`; else through `readFile` (or `createReadStream`) and
 * `writeFile`: then a file that is being written is kept in memory and written back on close(2) and fsync(2).
 *
 * @see https://nodejs.org/api/fs.html#promises-api
 */
export interface PathFilesystem {
  /** Refuse every change with EROFS. Default: true when there is no method that could make one. */
  readonly readOnly?: boolean
  /**
   * Handles go on working when their file is renamed, replaced or removed, as node's do. Default: false: a file that is
   * removed while it is open is kept under a hidden name in `/` until it is closed (where there is a `rename`), and handles
   * are opened anew after a rename.
   */
  readonly stableHandles?: boolean
  /**
   * The object checks permissions itself, against the user of this process, as memfs does. Modes and owners that would lock
   * us out of a file are then kept in memory instead. Default: false.
   */
  readonly checksPermissions?: boolean
  /** `lstat` answers at once and costs little, so listings may ask for the attributes of every entry. Default: false. */
  readonly cheapStat?: boolean

  /**
   * Throws (EINVAL) for a path at which the object can hold nothing, such as one with a character that its keys can't have.
   * It is asked before a directory or symlink is made that only memory keeps, and before anything is moved; the methods that
   * make something throw by themselves.
   */
  checkPath?(path: string, caller: Caller): Awaitable<unknown>
  /** Attributes of a path, symlinks not followed; undefined or null says ENOENT. */
  lstat?(path: string, caller: Caller): Awaitable<StatsLike | undefined | null>
  /** Taken where there is no `lstat`. */
  stat?(path: string, caller: Caller): Awaitable<StatsLike | undefined | null>
  /** The names in a directory. */
  readdir?(path: string, caller: Caller): Awaitable<Listing>
  /** Target of a symbolic link. */
  readlink?(path: string, caller: Caller): Awaitable<string | Uint8Array>

  /** The content of a file. */
  readFile?(path: string, caller: Caller): Awaitable<ContentLike>
  /** Bytes from `start` on; for objects that cannot give a file whole. */
  createReadStream?(path: string, options: ReadStreamOptions, caller: Caller): Awaitable<ContentLike>
  /** Replaces the content, or makes the file with `options.mode`. The bytes are yours to keep. */
  writeFile?(path: string, data: Uint8Array, options: { mode?: number }, caller: Caller): Awaitable<unknown>
  /**
   * Opens a file. `flags` are those of open(2) as numbers (`fs.constants`): O_RDONLY, O_WRONLY or O_RDWR with O_CREAT, O_EXCL,
   * O_TRUNC, O_APPEND, O_SYNC, O_DSYNC. `mode` counts when it makes a file.
   */
  open?(path: string, flags: number, mode: number, caller: Caller): Awaitable<HandleLike>

  mkdir?(path: string, options: { mode: number }, caller: Caller): Awaitable<unknown>
  /** Removes an empty directory. */
  rmdir?(path: string, caller: Caller): Awaitable<unknown>
  /** Removes a name that is no directory. */
  unlink?(path: string, caller: Caller): Awaitable<unknown>
  /** Taken where `unlink` or `rmdir` is missing: what it removes is a file or an empty directory. */
  rm?(path: string, options: { recursive: boolean; force: boolean }, caller: Caller): Awaitable<unknown>
  /** Moves, over an existing target too. Without it files are copied and removed. */
  rename?(from: string, to: string, caller: Caller): Awaitable<unknown>
  link?(existing: string, path: string, caller: Caller): Awaitable<unknown>
  /** `type` is node's, which only Windows looks at: null. */
  symlink?(target: string, path: string, type: null, caller: Caller): Awaitable<unknown>
  /** Makes a FIFO, socket or device: `mode` has its type. */
  mknod?(path: string, mode: number, rdev: number, caller: Caller): Awaitable<unknown>

  chmod?(path: string, mode: number, caller: Caller): Awaitable<unknown>
  /** Symlinks not followed; preferred to `chown`, which then serves everything but symlinks. */
  lchown?(path: string, uid: number, gid: number, caller: Caller): Awaitable<unknown>
  chown?(path: string, uid: number, gid: number, caller: Caller): Awaitable<unknown>
  /** Seconds since 1970; fractions count. Symlinks not followed; preferred to `utimes`. */
  lutimes?(path: string, atime: number, mtime: number, caller: Caller): Awaitable<unknown>
  utimes?(path: string, atime: number, mtime: number, caller: Caller): Awaitable<unknown>
  truncate?(path: string, size: number, caller: Caller): Awaitable<unknown>
  /** Taken to move files where there is no `rename`. */
  copyFile?(from: string, to: string, mode: number, caller: Caller): Awaitable<unknown>

  /**
   * access(2): throws EACCES or EPERM where it is not allowed. With this method permissions are yours to check, in every
   * other method too; without it the kernel checks mode and owner (`defaultPermissions`).
   */
  access?(path: string, mode: number, caller: Caller): Awaitable<unknown>
  /** Figures of the filesystem that `path` lies in. */
  statfs?(path: string, caller: Caller): Awaitable<StatsFsLike>

  /** Value of an extended attribute; undefined or null says ENODATA. Symlinks not followed, as in the three others. */
  getxattr?(path: string, name: string, caller: Caller): Awaitable<Uint8Array | string | undefined | null>
  /** `flags`: 0, XATTR_CREATE (1) or XATTR_REPLACE (2). */
  setxattr?(path: string, name: string, value: Uint8Array, flags: number, caller: Caller): Awaitable<unknown>
  listxattr?(path: string, caller: Caller): Awaitable<Iterable<string>>
  removexattr?(path: string, name: string, caller: Caller): Awaitable<unknown>

  /** Called once before anything else; throwing makes mounting fail. Where it returns a promise, mount with `mountFs`. */
  init?(): Awaitable<unknown>
  /** Called once when the mount has ended. */
  destroy?(): Awaitable<unknown>
}
