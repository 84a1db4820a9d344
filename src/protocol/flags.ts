// Flag sets and plain numbers of the protocol, with the version that brought each. Part of the protocol table;
// the constants in generated/constants.ts come from here.

import type { Constant, Flag, FlagSet } from './schema.js'

function flag(name: string, bit: number, since: number, doc: string): Flag {
  return { name, bit, since, doc }
}

function set(name: string, doc: string, flags: readonly Flag[]): FlagSet {
  return { name, doc, flags }
}

export const initFlags = set('initFlags', 'What kernel and server agree on in INIT.', [
  flag('FUSE_ASYNC_READ', 0, 6, 'Several reads of one file may be in flight.'),
  flag('FUSE_POSIX_LOCKS', 1, 7, 'fcntl(2) locks reach the server (GETLK, SETLK, SETLKW).'),
  flag('FUSE_FILE_OPS', 2, 9, 'Unused by the kernel.'),
  flag(
    'FUSE_ATOMIC_O_TRUNC',
    3,
    9,
    'OPEN carries O_TRUNC and the server truncates; else a SETATTR comes first.',
  ),
  flag('FUSE_EXPORT_SUPPORT', 4, 10, 'The server looks up `.` and `..`, for NFS export.'),
  flag('FUSE_BIG_WRITES', 5, 9, 'Writes may exceed one page.'),
  flag('FUSE_DONT_MASK', 6, 12, 'The server applies the umask itself.'),
  flag('FUSE_SPLICE_WRITE', 7, 14, 'splice(2) may move data into the device.'),
  flag('FUSE_SPLICE_MOVE', 8, 14, 'splice(2) may move pages into the device.'),
  flag('FUSE_SPLICE_READ', 9, 14, 'splice(2) may move data out of the device.'),
  flag('FUSE_FLOCK_LOCKS', 10, 17, 'flock(2) locks reach the server.'),
  flag('FUSE_HAS_IOCTL_DIR', 11, 18, 'ioctl(2) on directories reaches the server.'),
  flag('FUSE_AUTO_INVAL_DATA', 12, 20, 'Cached data goes when size or mtime change.'),
  flag('FUSE_DO_READDIRPLUS', 13, 21, 'Directories may be read with READDIRPLUS.'),
  flag('FUSE_READDIRPLUS_AUTO', 14, 21, 'The kernel chooses between READDIR and READDIRPLUS.'),
  flag('FUSE_ASYNC_DIO', 15, 22, 'Direct I/O is split into requests that run at once.'),
  flag('FUSE_WRITEBACK_CACHE', 16, 23, 'Writes stay in the page cache; the kernel keeps size and times.'),
  flag('FUSE_NO_OPEN_SUPPORT', 17, 23, 'ENOSYS to OPEN means: open without asking, from now on.'),
  flag('FUSE_PARALLEL_DIROPS', 18, 25, 'Lookups and reads of one directory may run at once.'),
  flag(
    'FUSE_HANDLE_KILLPRIV',
    19,
    26,
    'The server clears setuid, setgid and capabilities on write, chown, truncate.',
  ),
  flag('FUSE_POSIX_ACL', 20, 26, 'POSIX access control lists; implies default_permissions.'),
  flag('FUSE_ABORT_ERROR', 21, 27, 'An aborted connection reads ECONNABORTED instead of ENODEV.'),
  flag('FUSE_MAX_PAGES', 22, 28, '`max_pages` of the INIT reply counts.'),
  flag('FUSE_CACHE_SYMLINKS', 23, 28, 'READLINK replies are cached.'),
  flag('FUSE_NO_OPENDIR_SUPPORT', 24, 29, 'ENOSYS to OPENDIR means: open without asking, from now on.'),
  flag('FUSE_EXPLICIT_INVAL_DATA', 25, 30, 'Cached data goes only when the server says so.'),
  flag('FUSE_MAP_ALIGNMENT', 26, 31, '`map_alignment` of the INIT reply counts (virtiofs).'),
  flag('FUSE_SUBMOUNTS', 27, 32, 'Directories marked FUSE_ATTR_SUBMOUNT become mounts of their own.'),
  flag('FUSE_HANDLE_KILLPRIV_V2', 28, 33, 'The server clears setuid and setgid where a request says so.'),
  flag('FUSE_SETXATTR_EXT', 29, 33, 'SETXATTR carries the longer struct, with `setxattr_flags`.'),
  flag('FUSE_INIT_EXT', 30, 36, '`flags2` counts.'),
  flag('FUSE_INIT_RESERVED', 31, 36, 'Never set.'),
  flag('FUSE_SECURITY_CTX', 32, 36, 'Requests that make an inode carry its security context.'),
  flag('FUSE_HAS_INODE_DAX', 33, 36, 'DAX is chosen for each inode (virtiofs).'),
  flag(
    'FUSE_CREATE_SUPP_GROUP',
    34,
    38,
    'Requests that make an inode carry the group that matches the parent.',
  ),
  flag('FUSE_HAS_EXPIRE_ONLY', 35, 38, 'NOTIFY_INVAL_ENTRY knows FUSE_EXPIRE_ONLY.'),
  flag('FUSE_DIRECT_IO_ALLOW_MMAP', 36, 39, 'Shared mmap(2) is allowed on FOPEN_DIRECT_IO files.'),
  flag('FUSE_PASSTHROUGH', 37, 40, 'Open files may be backed by real ones (FOPEN_PASSTHROUGH).'),
  flag('FUSE_NO_EXPORT_SUPPORT', 38, 40, 'NFS export is refused.'),
  flag('FUSE_HAS_RESEND', 39, 40, 'NOTIFY_RESEND is known; resent requests have bit 63 of `unique` set.'),
  flag('FUSE_ALLOW_IDMAP', 40, 41, 'Idmapped mounts are allowed; needs default_permissions.'),
  flag('FUSE_OVER_IO_URING', 41, 42, 'Requests may travel over io_uring.'),
  flag('FUSE_REQUEST_TIMEOUT', 42, 43, '`request_timeout` of the INIT reply counts.'),
])

export const flagSets: readonly FlagSet[] = [
  initFlags,
  set('cuseInitFlags', 'Flags of CUSE_INIT.', [
    flag('CUSE_UNRESTRICTED_IOCTL', 0, 11, 'Any ioctl(2), with retries.'),
  ]),
  set('fattr', 'Which fields a SETATTR sets.', [
    flag('FATTR_MODE', 0, 0, '`mode` is to be set.'),
    flag('FATTR_UID', 1, 0, '`uid` is to be set.'),
    flag('FATTR_GID', 2, 0, '`gid` is to be set.'),
    flag('FATTR_SIZE', 3, 0, '`size` is to be set: truncate or extend.'),
    flag('FATTR_ATIME', 4, 0, '`atime` is to be set.'),
    flag('FATTR_MTIME', 5, 0, '`mtime` is to be set.'),
    flag('FATTR_FH', 6, 0, '`fh` is valid: the change came through an open file.'),
    flag('FATTR_ATIME_NOW', 7, 9, '`atime` is to be set to the time of the server.'),
    flag('FATTR_MTIME_NOW', 8, 9, '`mtime` is to be set to the time of the server.'),
    flag('FATTR_LOCKOWNER', 9, 9, '`lock_owner` is valid.'),
    flag('FATTR_CTIME', 10, 23, '`ctime` is to be set (write-back cache).'),
    flag('FATTR_KILL_SUIDGID', 11, 33, 'setuid and setgid are to be cleared as well.'),
  ]),
  set('fopen', 'What OPEN, OPENDIR and CREATE answer.', [
    flag('FOPEN_DIRECT_IO', 0, 0, 'Bypass the page cache.'),
    flag('FOPEN_KEEP_CACHE', 1, 0, 'Keep what is cached of the file.'),
    flag('FOPEN_NONSEEKABLE', 2, 10, 'The file cannot be sought in.'),
    flag('FOPEN_CACHE_DIR', 3, 28, 'The kernel may cache the listing.'),
    flag('FOPEN_STREAM', 4, 31, 'The file has no position at all.'),
    flag('FOPEN_NOFLUSH', 5, 35, 'close(2) sends no FLUSH (unless the write-back cache is on).'),
    flag('FOPEN_PARALLEL_DIRECT_WRITES', 6, 36, 'Direct writes to one inode may run at once.'),
    flag('FOPEN_PASSTHROUGH', 7, 40, 'Read, write and mmap go to the backing file.'),
  ]),
  set('openFlags', 'Flags of the server side of an open.', [
    flag(
      'FUSE_OPEN_KILL_SUIDGID',
      0,
      33,
      'Clear setuid, and setgid of group-executable files, while truncating.',
    ),
  ]),
  set('getattrFlags', 'Flags of GETATTR and STATX.', [flag('FUSE_GETATTR_FH', 0, 9, '`fh` is valid.')]),
  set('readFlags', 'Flags of READ.', [flag('FUSE_READ_LOCKOWNER', 1, 9, '`lock_owner` is valid.')]),
  set('writeFlags', 'Flags of WRITE.', [
    flag('FUSE_WRITE_CACHE', 0, 9, 'Comes from the page cache; the handle is a guess.'),
    flag('FUSE_WRITE_LOCKOWNER', 1, 9, '`lock_owner` is valid.'),
    flag('FUSE_WRITE_KILL_SUIDGID', 2, 31, 'Clear setuid, and setgid of group-executable files.'),
  ]),
  set('releaseFlags', 'Flags of RELEASE.', [
    flag('FUSE_RELEASE_FLUSH', 0, 8, 'Flush first.'),
    flag('FUSE_RELEASE_FLOCK_UNLOCK', 1, 17, 'Drop the flock(2) lock of `lock_owner`.'),
  ]),
  set('fsyncFlags', 'Flags of FSYNC and FSYNCDIR.', [
    flag('FUSE_FSYNC_FDATASYNC', 0, 31, 'Data only, as fdatasync(2).'),
  ]),
  set('lkFlags', 'Flags of the lock operations.', [
    flag('FUSE_LK_FLOCK', 0, 9, 'A flock(2) lock, not an fcntl(2) lock.'),
  ]),
  set('ioctlFlags', 'Flags of IOCTL.', [
    flag('FUSE_IOCTL_COMPAT', 0, 11, 'A 32-bit caller on a 64-bit kernel.'),
    flag('FUSE_IOCTL_UNRESTRICTED', 1, 11, 'Any command, with retries (CUSE).'),
    flag('FUSE_IOCTL_RETRY', 2, 11, 'In a reply: send again with these pieces of memory.'),
    flag('FUSE_IOCTL_32BIT', 3, 16, 'Data is laid out for 32 bits.'),
    flag('FUSE_IOCTL_DIR', 4, 18, 'On a directory.'),
    flag('FUSE_IOCTL_COMPAT_X32', 5, 30, 'An x32 caller.'),
  ]),
  set('pollFlags', 'Flags of POLL.', [
    flag('FUSE_POLL_SCHEDULE_NOTIFY', 0, 11, 'Send NOTIFY_POLL with `kh` when the state changes.'),
  ]),
  set('attrFlags', 'Flags of an inode.', [
    flag('FUSE_ATTR_SUBMOUNT', 0, 32, 'The root of a submount.'),
    flag('FUSE_ATTR_DAX', 1, 36, 'Use DAX for this file.'),
  ]),
  set('setxattrFlags', 'Flags of SETXATTR.', [
    flag('FUSE_SETXATTR_ACL_KILL_SGID', 0, 33, 'Setting system.posix_acl_access must clear setgid.'),
  ]),
  set('invalEntryFlags', 'Flags of NOTIFY_INVAL_ENTRY.', [
    flag('FUSE_EXPIRE_ONLY', 0, 38, 'Only let the entry time out.'),
  ]),
  set('setupmappingFlags', 'Flags of SETUPMAPPING.', [
    flag('FUSE_SETUPMAPPING_FLAG_WRITE', 0, 31, 'Map for writing.'),
    flag('FUSE_SETUPMAPPING_FLAG_READ', 1, 31, 'Map for reading.'),
  ]),
]

function constant(name: string, value: number, since: number, doc: string): Constant {
  return { name, value, since, doc }
}

export const constants: readonly Constant[] = [
  constant('FUSE_KERNEL_VERSION', 7, 0, 'Major protocol version.'),
  constant('FUSE_ROOT_ID', 1, 0, 'Nodeid of the root directory.'),
  constant('FUSE_WRITE_KILL_PRIV', 4, 31, 'Former name of FUSE_WRITE_KILL_SUIDGID.'),
  constant('FUSE_DIRECT_IO_RELAX', 2 ** 36, 39, 'Former name of FUSE_DIRECT_IO_ALLOW_MMAP.'),
  constant('FUSE_MIN_READ_BUFFER', 8192, 0, 'A read of the device needs at least so many bytes of room.'),
  constant('FUSE_INVALID_UIDGID', 0xffffffff, 41, '`uid` or `gid` that an idmapped mount cannot translate.'),
  constant('FUSE_MAX_NR_SECCTX', 31, 38, 'Most security contexts of one request.'),
  constant('FUSE_EXT_GROUPS', 32, 38, 'Extension type: supplementary groups.'),
  constant('FUSE_IOCTL_MAX_IOV', 256, 11, 'Most pieces of memory of one ioctl retry.'),
  constant('CUSE_INIT_INFO_MAX', 4096, 12, 'Most bytes of device information in a CUSE_INIT reply.'),
  constant('FUSE_COMPAT_ENTRY_OUT_SIZE', 120, 9, 'Size of `fuse_entry_out` before 7.9.'),
  constant('FUSE_COMPAT_ATTR_OUT_SIZE', 96, 9, 'Size of `fuse_attr_out` before 7.9.'),
  constant('FUSE_COMPAT_MKNOD_IN_SIZE', 8, 12, 'Size of `fuse_mknod_in` before 7.12.'),
  constant('FUSE_COMPAT_WRITE_IN_SIZE', 24, 9, 'Size of `fuse_write_in` before 7.9.'),
  constant('FUSE_COMPAT_STATFS_SIZE', 48, 4, 'Size of `fuse_statfs_out` before 7.4.'),
  constant('FUSE_COMPAT_SETXATTR_IN_SIZE', 8, 33, 'Size of `fuse_setxattr_in` without FUSE_SETXATTR_EXT.'),
  constant('FUSE_COMPAT_INIT_OUT_SIZE', 8, 5, 'Size of `fuse_init_out` before 7.5.'),
  constant('FUSE_COMPAT_22_INIT_OUT_SIZE', 24, 23, 'Size of `fuse_init_out` from 7.5 to 7.22.'),
  constant('FUSE_DEV_IOC_MAGIC', 229, 40, 'Type byte of the ioctls of the device.'),
  constant(
    'FUSE_DEV_IOC_CLONE',
    0x8004e500,
    19,
    'ioctl: make a fresh device fd another channel of a connection.',
  ),
  constant('FUSE_DEV_IOC_BACKING_OPEN', 0x4010e501, 40, 'ioctl: register a backing file; returns its id.'),
  constant('FUSE_DEV_IOC_BACKING_CLOSE', 0x4004e502, 40, 'ioctl: give up a backing id.'),
  constant('FUSE_DEV_IOC_SYNC_INIT', 0xe503, 45, 'ioctl: mount(2) is to wait for INIT.'),
  constant('FUSE_URING_IN_OUT_HEADER_SZ', 128, 42, 'Room for the header in a ring entry.'),
  constant('FUSE_URING_OP_IN_OUT_SZ', 128, 42, 'Room for the operation struct in a ring entry.'),
  constant('FUSE_IO_URING_CMD_INVALID', 0, 42, 'Ring command: none.'),
  constant(
    'FUSE_IO_URING_CMD_REGISTER',
    1,
    42,
    'Ring command: hand over the buffers of an entry and fetch a request.',
  ),
  constant('FUSE_IO_URING_CMD_COMMIT_AND_FETCH', 2, 42, 'Ring command: answer a request and fetch the next.'),
  constant(
    'CUSE_INIT_BSWAP_RESERVED',
    1048576,
    12,
    'CUSE_INIT as a kernel of the other byte order writes it.',
  ),
  constant(
    'FUSE_INIT_BSWAP_RESERVED',
    436207616,
    12,
    'FUSE_INIT as a kernel of the other byte order writes it.',
  ),
]
