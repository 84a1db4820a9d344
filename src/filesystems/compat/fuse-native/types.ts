// What users of fuse-native write: handlers with callbacks, stat objects, options.

/** The result of a handler: 0 (or null) for success, or a negative errno; an Error counts by its `errno` or `code`. */
export type Result = number | null | undefined | Error

/** Attributes as `fs.stat` gives them, or a part of them. */
export interface Stats {
  /** File type and permission bits. Default 0. */
  mode?: number
  /** Bytes. Default 0. */
  size?: number
  /** Default 0. */
  uid?: number
  /** Default 0. */
  gid?: number
  /** Default 1. */
  nlink?: number
  /** Device number of a device file. */
  rdev?: number
  /** Preferred size of I/O in bytes. */
  blksize?: number
  /** Units of 512 bytes. */
  blocks?: number
  /** A Date, or milliseconds since 1970. Default: now. */
  atime?: Date | number
  /** A Date, or milliseconds since 1970. Default: now. */
  mtime?: Date | number
  /** A Date, or milliseconds since 1970. Default: now. */
  ctime?: Date | number
  /** Ignored, as in fuse-native: the numbers that stat(2) shows are given out by the library. */
  ino?: number
  /** Ignored, as in fuse-native: the kernel shows its own. */
  dev?: number
}

/** Figures of statvfs(3). The kernel takes no `favail`, `fsid` and `flag` from FUSE. */
export interface Statfs {
  bsize?: number
  frsize?: number
  blocks?: number
  bfree?: number
  bavail?: number
  files?: number
  ffree?: number
  favail?: number
  fsid?: number
  flag?: number
  namemax?: number
}

type Done = (result?: Result) => void
type Give<Value> = (result?: Result, value?: Value) => void

/**
 * The handlers of a filesystem, by path. What is absent the kernel is told is not supported. `fd` is what `open`, `create` or
 * `opendir` answered, 0 where there is no such handler.
 */
export interface Handlers {
  /** Called first; nothing else is asked before it has answered. */
  init?(cb: Done): void
  /** Accepted and never called, as in fuse-native. */
  error?(cb: Done): void
  /** access(2); never with `defaultPermissions`. */
  access?(path: string, mode: number, cb: Done): void
  /** statfs(2). */
  statfs?(path: string, cb: Give<Statfs>): void
  /** stat(2), and before most other calls. Without it there is an empty root directory. */
  getattr?(path: string, cb: Give<Stats>): void
  /** The same for an open file; `getattr` where absent. */
  fgetattr?(path: string, fd: number, cb: Give<Stats>): void
  /** close(2), for each descriptor of an open file. */
  flush?(path: string, fd: number, cb: Done): void
  /** fsync(2); the arguments are in the order of fuse-native's code, not of its README. */
  fsync?(path: string, datasync: number, fd: number, cb: Done): void
  /** fsync(2) of a directory. */
  fsyncdir?(path: string, datasync: number, fd: number, cb: Done): void
  /** The names in a directory, and their attributes if they are at hand. */
  readdir?(
    path: string,
    cb: (result?: Result, names?: readonly string[], stats?: readonly Stats[]) => void,
  ): void
  /** truncate(2), and opening with O_TRUNC. */
  truncate?(path: string, size: number, cb: Done): void
  /** ftruncate(2); `truncate` where absent. */
  ftruncate?(path: string, fd: number, size: number, cb: Done): void
  /** utimensat(2); milliseconds since 1970. */
  utimens?(path: string, atime: number, mtime: number, cb: Done): void
  /** The target of a symbolic link. */
  readlink?(path: string, cb: Give<string>): void
  /** chown(2); 0xffffffff leaves one as it is. */
  chown?(path: string, uid: number, gid: number, cb: Done): void
  /** chmod(2); `mode` has the file type, too. */
  chmod?(path: string, mode: number, cb: Done): void
  /** mknod(2); `mode` has the file type, too. */
  mknod?(path: string, mode: number, dev: number, cb: Done): void
  /** setxattr(2); copy `value` to keep it. */
  setxattr?(path: string, name: string, value: Buffer, position: number, flags: number, cb: Done): void
  /** getxattr(2); no value means ENODATA. */
  getxattr?(path: string, name: string, position: number, cb: Give<Buffer | null>): void
  /** listxattr(2). */
  listxattr?(path: string, cb: Give<readonly string[]>): void
  /** removexattr(2). */
  removexattr?(path: string, name: string, cb: Done): void
  /** open(2). */
  open?(path: string, flags: number, cb: Give<number>): void
  /** opendir(3). */
  opendir?(path: string, flags: number, cb: Give<number>): void
  /** Fill `buffer`; the result is the number of bytes, or a negative errno. */
  read?(path: string, fd: number, buffer: Buffer, length: number, position: number, cb: Done): void
  /** Keep `buffer`, copied; the result is the number of bytes, or a negative errno. */
  write?(path: string, fd: number, buffer: Buffer, length: number, position: number, cb: Done): void
  /** The last descriptor of an open file is closed. */
  release?(path: string, fd: number, cb: Done): void
  /** The same for a directory. */
  releasedir?(path: string, fd: number, cb: Done): void
  /** open(2) with O_CREAT of a name that does not exist; `mknod` and `open` where absent. */
  create?(path: string, mode: number, cb: Give<number>): void
  unlink?(path: string, cb: Done): void
  rename?(src: string, dest: string, cb: Done): void
  link?(src: string, dest: string, cb: Done): void
  /** `src` is the target of the link, `dest` its path. */
  symlink?(src: string, dest: string, cb: Done): void
  mkdir?(path: string, mode: number, cb: Done): void
  rmdir?(path: string, cb: Done): void
}

/** Milliseconds, false for never, or both by handler name; `default` is for those that are not named. */
export type Timeout = number | false | ({ default?: number } & { [Name in keyof Handlers]?: number | false })

/** Options of `new Fuse`. Those that only libfuse or macOS gives a meaning are refused or warned of; see each. */
export interface Options {
  /** Print every call of a handler on stderr. Also `DEBUG=*`. */
  debug?: boolean
  /** Detach a dead mount at the mount point first. */
  force?: boolean
  /** Create the mount point. */
  mkdir?: boolean
  /** How long a handler may take before its caller gets ETIMEDOUT. Default 15 seconds. */
  timeout?: Timeout
  /** Other users may use the mount. */
  allowOther?: boolean
  /** Root may use the mount, too. */
  allowRoot?: boolean
  /** Unmount when this process is killed. */
  autoUnmount?: boolean
  /** The kernel checks permissions by mode and owner. */
  defaultPermissions?: boolean
  /** Mount the block device `fsname` as type fuseblk. */
  blkdev?: boolean
  /** Block size of a `blkdev` mount. */
  blksize?: number
  /** Largest read in bytes. */
  maxRead?: number
  /** The source that `mount` and `df` show. Default `subtype`, else `/dev/fuse`. */
  fsname?: string
  /** The type shown is `fuse.SUBTYPE`. */
  subtype?: string
  /** User id that owns the mount. */
  userId?: number
  /** Cached data is kept for ever. */
  kernelCache?: boolean
  /** Cached data is kept until size or mtime change. */
  autoCache?: boolean
  /** Permission bits to take away from every mode, instead of the mode's own: octal digits, as in `'022'`. */
  umask?: string | number
  /** Owner of every file. */
  uid?: number
  /** Group of every file. */
  gid?: number
  /** Seconds that a name may be cached. Default 1. */
  entryTimeout?: number
  /** Seconds that attributes may be cached. Default 1. */
  attrTimeout?: number
  /** With `autoCache`: seconds for which the last attributes are trusted when a file is opened. Default `attrTimeout`. */
  acAttrTimeout?: number
  /** Numbers of files never change while mounted. */
  noforget?: boolean
  /** Seconds for which they do not change after the kernel has forgotten a file. */
  remember?: number
  /** Refused: libfuse modules. */
  modules?: string
  /** Refused: a descriptor for libfuse. */
  fd?: number
  /** macOS only: warned of once. */
  displayFolder?: boolean | string
  /** macOS only: warned of once. */
  name?: string
}
