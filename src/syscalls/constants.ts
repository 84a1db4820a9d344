// Kernel constants that node:fs does not have, right for x64 and arm64. Names and values are the kernel's.

const arm64 = process.arch === 'arm64'

export const O_RDONLY = 0
export const O_WRONLY = 1
export const O_RDWR = 2
export const O_ACCMODE = 3
export const O_CREAT = 0o100
export const O_EXCL = 0o200
export const O_NOCTTY = 0o400
export const O_TRUNC = 0o1000
export const O_APPEND = 0o2000
export const O_NONBLOCK = 0o4000
export const O_DSYNC = 0o10000
export const O_DIRECT = arm64 ? 0o200000 : 0o40000
export const O_LARGEFILE = arm64 ? 0o400000 : 0o100000
export const O_DIRECTORY = arm64 ? 0o40000 : 0o200000
export const O_NOFOLLOW = arm64 ? 0o100000 : 0o400000
export const O_NOATIME = 0o1000000
export const O_CLOEXEC = 0o2000000
export const O_SYNC = 0o4010000
export const O_PATH = 0o10000000
export const O_TMPFILE = 0o20000000 | O_DIRECTORY

export const AT_FDCWD = -100
export const AT_SYMLINK_NOFOLLOW = 0x100
export const AT_EACCESS = 0x200
export const AT_REMOVEDIR = 0x200
export const AT_SYMLINK_FOLLOW = 0x400
export const AT_NO_AUTOMOUNT = 0x800
export const AT_EMPTY_PATH = 0x1000
export const AT_STATX_FORCE_SYNC = 0x2000
export const AT_STATX_DONT_SYNC = 0x4000
export const AT_RECURSIVE = 0x8000

/** `resolve` flags of openat2(2). */
export const RESOLVE_NO_XDEV = 0x01
export const RESOLVE_NO_MAGICLINKS = 0x02
export const RESOLVE_NO_SYMLINKS = 0x04
export const RESOLVE_BENEATH = 0x08
export const RESOLVE_IN_ROOT = 0x10
export const RESOLVE_CACHED = 0x20

export const RENAME_NOREPLACE = 1
export const RENAME_EXCHANGE = 2
export const RENAME_WHITEOUT = 4

export const FALLOC_FL_KEEP_SIZE = 0x01
export const FALLOC_FL_PUNCH_HOLE = 0x02
export const FALLOC_FL_COLLAPSE_RANGE = 0x08
export const FALLOC_FL_ZERO_RANGE = 0x10
export const FALLOC_FL_INSERT_RANGE = 0x20
export const FALLOC_FL_UNSHARE_RANGE = 0x40

export const SEEK_SET = 0
export const SEEK_CUR = 1
export const SEEK_END = 2
export const SEEK_DATA = 3
export const SEEK_HOLE = 4

export const STATX_TYPE = 0x0001
export const STATX_MODE = 0x0002
export const STATX_NLINK = 0x0004
export const STATX_UID = 0x0008
export const STATX_GID = 0x0010
export const STATX_ATIME = 0x0020
export const STATX_MTIME = 0x0040
export const STATX_CTIME = 0x0080
export const STATX_INO = 0x0100
export const STATX_SIZE = 0x0200
export const STATX_BLOCKS = 0x0400
export const STATX_BASIC_STATS = 0x07ff
export const STATX_BTIME = 0x0800
export const STATX_MNT_ID = 0x1000

export const XATTR_CREATE = 1
export const XATTR_REPLACE = 2

export const S_IFMT = 0o170000
export const S_IFSOCK = 0o140000
export const S_IFLNK = 0o120000
export const S_IFREG = 0o100000
export const S_IFBLK = 0o060000
export const S_IFDIR = 0o040000
export const S_IFCHR = 0o020000
export const S_IFIFO = 0o010000
export const S_ISUID = 0o4000
export const S_ISGID = 0o2000
export const S_ISVTX = 0o1000
export const S_IWGRP = 0o020
export const S_IXGRP = 0o010
export const S_IWOTH = 0o002

/** Types of directory entries; `S_IF* >> 12`. */
export const DT_UNKNOWN = 0
export const DT_FIFO = 1
export const DT_CHR = 2
export const DT_DIR = 4
export const DT_BLK = 6
export const DT_REG = 8
export const DT_LNK = 10
export const DT_SOCK = 12

/** Nanosecond values of utimensat(2): set to the present time; leave as it is. */
export const UTIME_NOW = 0x3fffffff
export const UTIME_OMIT = 0x3ffffffe

export const LOCK_SH = 1
export const LOCK_EX = 2
export const LOCK_NB = 4
export const LOCK_UN = 8

export const F_DUPFD_CLOEXEC = 1030
export const F_GETFD = 1
export const F_SETFD = 2
export const F_GETFL = 3
export const F_SETFL = 4
export const F_GETLK = 5
export const F_SETLK = 6
export const F_SETLKW = 7
export const F_OFD_GETLK = 36
export const F_OFD_SETLK = 37
export const F_OFD_SETLKW = 38
export const F_RDLCK = 0
export const F_WRLCK = 1
export const F_UNLCK = 2

export const RLIMIT_NOFILE = 7

export const MS_RDONLY = 1
export const MS_NOSUID = 2
export const MS_NODEV = 4
export const MS_NOEXEC = 8
export const MS_SYNCHRONOUS = 16
export const MS_REMOUNT = 32
export const MS_DIRSYNC = 128
export const MS_NOSYMFOLLOW = 256
export const MS_NOATIME = 1024
export const MS_NODIRATIME = 2048
export const MS_BIND = 4096
export const MS_MOVE = 8192
export const MS_REC = 16384
export const MS_UNBINDABLE = 1 << 17
export const MS_PRIVATE = 1 << 18
export const MS_SLAVE = 1 << 19
export const MS_SHARED = 1 << 20
export const MS_RELATIME = 1 << 21
export const MS_STRICTATIME = 1 << 24
export const MS_LAZYTIME = 1 << 25

export const MNT_FORCE = 1
export const MNT_DETACH = 2
export const MNT_EXPIRE = 4
export const UMOUNT_NOFOLLOW = 8

export const OPEN_TREE_CLONE = 1
export const OPEN_TREE_CLOEXEC = O_CLOEXEC

export const FSOPEN_CLOEXEC = 1
export const FSMOUNT_CLOEXEC = 1
export const FSCONFIG_SET_FLAG = 0
export const FSCONFIG_SET_STRING = 1
export const FSCONFIG_CMD_CREATE = 6
export const MOVE_MOUNT_F_EMPTY_PATH = 4
export const MOUNT_ATTR_RDONLY = 0x1
export const MOUNT_ATTR_NOSUID = 0x2
export const MOUNT_ATTR_NODEV = 0x4
export const MOUNT_ATTR_NOEXEC = 0x8
export const MOUNT_ATTR_NOATIME = 0x10
export const MOUNT_ATTR_STRICTATIME = 0x20
/** The bits that say how access times are kept; MOUNT_ATTR_RELATIME is none of them set. */
export const MOUNT_ATTR__ATIME = 0x70
export const MOUNT_ATTR_NODIRATIME = 0x80
export const MOUNT_ATTR_IDMAP = 0x100000
export const MOUNT_ATTR_NOSYMFOLLOW = 0x200000

export const AF_UNIX = 1
export const SOCK_STREAM = 1
export const SOCK_CLOEXEC = 0o2000000

export const CLONE_FS = 0x200
export const CLONE_NEWNS = 0x20000
export const CLONE_NEWUSER = 0x10000000

export const MFD_CLOEXEC = 1

/** Mount flags in the answer of statfs(2). */
export const ST_RDONLY = 1
export const ST_NOSUID = 2
export const ST_NODEV = 4
export const ST_NOEXEC = 8

/** `flags` of fanotify_init(2). */
export const FAN_CLOEXEC = 0x1
export const FAN_NONBLOCK = 0x2
export const FAN_CLASS_NOTIF = 0x0
export const FAN_UNLIMITED_QUEUE = 0x10
export const FAN_REPORT_FID = 0x200
export const FAN_REPORT_DIR_FID = 0x400
export const FAN_REPORT_NAME = 0x800

/** `flags` of fanotify_mark(2). */
export const FAN_MARK_ADD = 0x1
export const FAN_MARK_REMOVE = 0x2
export const FAN_MARK_MOUNT = 0x10
export const FAN_MARK_IGNORED_SURV_MODIFY = 0x40
export const FAN_MARK_FLUSH = 0x80
export const FAN_MARK_FILESYSTEM = 0x100
export const FAN_MARK_IGNORE = 0x400

/** Events of fanotify(7). */
export const FAN_MODIFY = 0x2
export const FAN_ATTRIB = 0x4
export const FAN_CLOSE_WRITE = 0x8
export const FAN_MOVED_FROM = 0x40
export const FAN_MOVED_TO = 0x80
export const FAN_CREATE = 0x100
export const FAN_DELETE = 0x200
export const FAN_MOVE_SELF = 0x800
export const FAN_Q_OVERFLOW = 0x4000
export const FAN_ONDIR = 0x40000000

/** `info_type` of struct fanotify_event_info_header. */
export const FAN_EVENT_INFO_TYPE_FID = 1
export const FAN_EVENT_INFO_TYPE_DFID_NAME = 2
export const FAN_EVENT_INFO_TYPE_DFID = 3
