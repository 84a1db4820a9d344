// Structs that more than one row uses, or that no row owns: headers, attributes, entries, directory records,
// request extensions, backing files and the io_uring buffers. Part of the protocol table.

import { hidden, i32, i64, nested, struct, u16, u32, u64 } from './schema.js'

export const inHeader = struct('fuse_in_header', 38, 'Opens every request.', [
  u32('len', 'Bytes of the whole message, this header included.'),
  u32('opcode', 'Which operation.'),
  u64('unique', 'Id that the reply repeats.', { meaning: 'unique' }),
  u64('nodeid', 'The inode the request is about.'),
  u32('uid', 'File system user id of the caller.'),
  u32('gid', 'File system group id of the caller.'),
  u32('pid', 'Process (thread) id of the caller.'),
  u16('total_extlen', 'Bytes of extensions at the end, in units of 8.', { since: 38 }),
  hidden('u16', 'padding'),
])

export const outHeader = struct('fuse_out_header', 0, 'Opens every reply and notification.', [
  u32('len', 'Bytes of the whole message, this header included.'),
  i32('error', '0 or a negative errno; the code of a notification.'),
  u64('unique', 'Id of the request; 0 in a notification.', { meaning: 'unique' }),
])

const ZERO = { fallback: 0 } as const

export const attr = struct('fuse_attr', 9, 'Attributes of an inode, as stat(2) shows them.', [
  u64('ino', 'Inode number shown by stat(2) (never the nodeid).', { big: true }),
  u64('size', 'Size in bytes.'),
  u64('blocks', 'Space taken, in units of 512 bytes.'),
  u64('atime', 'Last access, whole seconds since 1970; may be negative.', { meaning: 'signed' }),
  u64('mtime', 'Last change of the data, whole seconds; may be negative.', { meaning: 'signed' }),
  u64('ctime', 'Last change of the inode, whole seconds; may be negative.', { meaning: 'signed' }),
  u32('atimensec', 'Nanoseconds to add to `atime`.', ZERO),
  u32('mtimensec', 'Nanoseconds to add to `mtime`.', ZERO),
  u32('ctimensec', 'Nanoseconds to add to `ctime`.', ZERO),
  u32('mode', 'File type (S_IFMT) and permission bits.'),
  u32('nlink', 'Number of hard links.'),
  u32('uid', 'Owner.'),
  u32('gid', 'Group.'),
  u32('rdev', 'Device number of a character or block device.', ZERO),
  u32('blksize', 'Preferred size of I/O in bytes; 0 lets the kernel say 4096.', ZERO),
  u32('flags', 'FUSE_ATTR_* flags.', { fallback: 0, flags: 'attrFlags', since: 32 }),
])

export const entryOut = struct(
  'fuse_entry_out',
  9,
  'An inode found or made, and how long to believe it.',
  [
    u64('nodeid', 'Id of the inode on this mount; the kernel counts one lookup. 0 is a negative entry.'),
    u64('generation', 'With the nodeid unique for the life of the filesystem (matters to NFS export).', ZERO),
    u64('entry_valid', 'Seconds the name may be cached (fractions allowed).', {
      fallback: 0,
      nsec: 'entry_valid_nsec',
    }),
    u64('attr_valid', 'Seconds the attributes may be cached (fractions allowed).', {
      fallback: 0,
      nsec: 'attr_valid_nsec',
    }),
    hidden('u32', 'entry_valid_nsec'),
    hidden('u32', 'attr_valid_nsec'),
    nested('attr', attr, 'Attributes of the inode.'),
  ],
  { type: 'Entry' },
)

export const attrOut = struct('fuse_attr_out', 9, 'Attributes, and how long to believe them.', [
  u64('attr_valid', 'Seconds the attributes may be cached (fractions allowed).', {
    fallback: 0,
    nsec: 'attr_valid_nsec',
  }),
  hidden('u32', 'attr_valid_nsec'),
  hidden('u32', 'dummy'),
  nested('attr', attr, 'Attributes of the inode.'),
])

export const openOut = struct('fuse_open_out', 0, 'An open file or directory.', [
  u64('fh', 'Handle: comes back in every request on this open file.', ZERO),
  u32('open_flags', 'FOPEN_* flags.', { fallback: 0, flags: 'fopen' }),
  i32('backing_id', 'Backing id, with FOPEN_PASSTHROUGH.', { fallback: 0, since: 40 }),
])

export const openIn = struct('fuse_open_in', 33, 'How a file is opened.', [
  u32('flags', 'Flags of open(2), without O_CREAT, O_EXCL and O_NOCTTY.'),
  u32('open_flags', 'FUSE_OPEN_* flags.', { flags: 'openFlags', since: 33 }),
])

export const createIn = struct('fuse_create_in', 33, 'How a file is created and opened.', [
  u32('flags', 'Flags of open(2).'),
  u32('mode', 'File type and permission bits; the umask is applied unless FUSE_DONT_MASK was agreed.'),
  u32('umask', 'Umask of the caller.'),
  u32('open_flags', 'FUSE_OPEN_* flags.', { flags: 'openFlags', since: 33 }),
])

export const readIn = struct('fuse_read_in', 9, 'What to read from an open file or directory.', [
  u64('fh', 'Handle that open or opendir gave.'),
  u64(
    'offset',
    'Where to start: bytes in a file; in a directory the `off` of the last entry seen, 0 at first.',
  ),
  u32('size', 'At most so many bytes of reply.'),
  u32('read_flags', 'FUSE_READ_* flags.', { flags: 'readFlags' }),
  u64('lock_owner', 'Lock owner, valid with FUSE_READ_LOCKOWNER.', { meaning: 'opaque' }),
  u32('flags', 'Flags of open(2) as they are now (fcntl may change them).'),
  hidden('u32', 'padding'),
])

export const releaseIn = struct('fuse_release_in', 8, 'The last reference to an open file is gone.', [
  u64('fh', 'Handle that open or opendir gave.'),
  u32('flags', 'Flags of open(2).'),
  u32('release_flags', 'FUSE_RELEASE_* flags.', { flags: 'releaseFlags' }),
  u64('lock_owner', 'Lock owner whose flock(2) lock goes, with FUSE_RELEASE_FLOCK_UNLOCK.', {
    meaning: 'opaque',
  }),
])

export const fsyncIn = struct('fuse_fsync_in', 0, 'What to make durable.', [
  u64('fh', 'Handle that open or opendir gave.'),
  u32('fsync_flags', 'FUSE_FSYNC_* flags.', { flags: 'fsyncFlags' }),
  hidden('u32', 'padding'),
])

export const fileLock = struct('fuse_file_lock', 0, 'A range of a file and who locks it.', [
  u64('start', 'First byte.'),
  u64('end', 'Last byte, inclusive; Infinity reaches to the end of the file.', { meaning: 'lockEnd' }),
  u32('type', 'F_RDLCK 0, F_WRLCK 1 or F_UNLCK 2.'),
  u32('pid', 'Process that holds the lock.'),
])

export const lkIn = struct('fuse_lk_in', 9, 'A lock operation.', [
  u64('fh', 'Handle that open gave.'),
  u64('owner', 'Who locks: requests of one owner never conflict.', { meaning: 'opaque' }),
  nested('lk', fileLock, 'The range, the type and the process.'),
  u32('lk_flags', 'FUSE_LK_* flags.', { flags: 'lkFlags' }),
  hidden('u32', 'padding'),
])

export const getxattrIn = struct(
  'fuse_getxattr_in',
  0,
  'Room for an extended attribute or a list of names.',
  [u32('size', 'Bytes the caller has room for; 0 asks for the size only.'), hidden('u32', 'padding')],
)

export const getxattrOut = struct('fuse_getxattr_out', 0, 'Size of an extended attribute or of the list.', [
  u32('size', 'Bytes.'),
  hidden('u32', 'padding'),
])

export const writeOut = struct('fuse_write_out', 0, 'How much was written.', [
  u32('size', 'Bytes.'),
  hidden('u32', 'padding'),
])

export const copyFileRangeIn = struct('fuse_copy_file_range_in', 28, 'What to copy where.', [
  u64('fh_in', 'Handle of the source.'),
  u64('off_in', 'First byte in the source.'),
  u64('nodeid_out', 'Inode of the destination.'),
  u64('fh_out', 'Handle of the destination.'),
  u64('off_out', 'First byte in the destination.'),
  u64('len', 'Bytes to copy; fewer may be copied.'),
  u64('flags', 'Flags of copy_file_range(2): none so far.'),
])

export const initIn = struct(
  'fuse_init_in',
  36,
  'What the kernel offers.',
  [
    u32('major', 'Major protocol version: 7.'),
    u32('minor', 'Minor protocol version of the kernel.'),
    u32('max_readahead', 'Read-ahead the kernel would do, bytes.'),
    u32('flags', 'FUSE_* INIT flags, bits 0 to 31.', { flags: 'initFlags' }),
    u32('flags2', 'FUSE_* INIT flags, bits 32 to 63.', { since: 36 }),
    hidden('u32', 'unused', 11),
  ],
  { short: { size: 16, longWhen: 'length' } },
)

export const initOut = struct(
  'fuse_init_out',
  23,
  'What the server accepts.',
  [
    u32('major', 'Major protocol version: 7.'),
    u32('minor', 'Minor protocol version of the server; the smaller of both counts.'),
    u32('max_readahead', 'Read-ahead to do, bytes.'),
    u32('flags', 'FUSE_* INIT flags, bits 0 to 31.'),
    u16('max_background', 'Background requests in flight at most; 0 keeps the default.', ZERO),
    u16('congestion_threshold', 'Background requests from which the mount counts as congested.', ZERO),
    u32('max_write', 'Largest WRITE, bytes; at least 4096.'),
    u32('time_gran', 'Granularity of time stamps in nanoseconds, a power of ten up to 1e9.', { fallback: 1 }),
    u16('max_pages', 'Largest request in pages, with FUSE_MAX_PAGES.', { fallback: 0, since: 28 }),
    u16('map_alignment', 'log2 of the DAX alignment, with FUSE_MAP_ALIGNMENT.', { fallback: 0, since: 31 }),
    u32('flags2', 'FUSE_* INIT flags, bits 32 to 63, with FUSE_INIT_EXT.', { fallback: 0, since: 36 }),
    u32('max_stack_depth', 'How deep backing files may be stacked, with FUSE_PASSTHROUGH: 1 or 2.', {
      fallback: 0,
      since: 40,
    }),
    u16('request_timeout', 'Seconds after which the kernel aborts an unanswered connection.', {
      fallback: 0,
      since: 43,
    }),
    hidden('u16', 'unused', 11),
  ],
  { type: 'InitOut' },
)

export const sxTime = struct(
  'fuse_sx_time',
  39,
  'A point in time.',
  [
    i64('tv_sec', 'Seconds since 1970; may be negative.'),
    u32('tv_nsec', 'Nanoseconds to add.', ZERO),
    hidden('i32', '__reserved'),
  ],
  { type: 'StatxTime' },
)

export const statx = struct('fuse_statx', 39, 'Attributes as statx(2) shows them.', [
  u32('mask', 'STATX_* bits of the fields that hold something.'),
  u32('blksize', 'Preferred size of I/O in bytes.', { fallback: 4096 }),
  u64('attributes', 'STATX_ATTR_* bits. Kernel: discarded.', ZERO),
  u32('nlink', 'Number of hard links.'),
  u32('uid', 'Owner.'),
  u32('gid', 'Group.'),
  u16('mode', 'File type (S_IFMT) and permission bits.'),
  hidden('u16', '__spare0'),
  u64('ino', 'Inode number shown by stat(2) (never the nodeid).', { big: true }),
  u64('size', 'Size in bytes.'),
  u64('blocks', 'Space taken, in units of 512 bytes.'),
  u64('attributes_mask', 'STATX_ATTR_* bits that are supported. Kernel: discarded.', ZERO),
  nested('atime', sxTime, 'Last access.'),
  nested('btime', sxTime, 'Creation.'),
  nested('ctime', sxTime, 'Last change of the inode.'),
  nested('mtime', sxTime, 'Last change of the data.'),
  u32('rdev_major', 'Major number, of a device file.', ZERO),
  u32('rdev_minor', 'Minor number, of a device file.', ZERO),
  u32('dev_major', 'Major number of the device that holds the file. Kernel: ignored.', ZERO),
  u32('dev_minor', 'Minor number of the device that holds the file. Kernel: ignored.', ZERO),
  hidden('u64', '__spare2', 14),
])

export const dirent = struct('fuse_dirent', 0, 'A directory entry; the name follows, padded to 8 bytes.', [
  u64('ino', 'Inode number shown by readdir(3).', { big: true }),
  u64('off', 'Where the next READDIR goes on.'),
  u32('namelen', 'Bytes of the name.'),
  u32('type', 'DT_* type.'),
])

export const forgetOne = struct('fuse_forget_one', 16, 'Lookups of one inode that the kernel gives back.', [
  u64('nodeid', 'The inode.'),
  u64('nlookup', 'Lookups to subtract from its count.'),
])

export const removemappingOne = struct('fuse_removemapping_one', 31, 'A DAX mapping to remove.', [
  u64('moffset', 'Offset in the window.'),
  u64('len', 'Bytes.'),
])

const uringEntInOut = struct('fuse_uring_ent_in_out', 42, 'State of a ring entry, in both directions.', [
  u64('flags', 'None so far.'),
  u64('commit_id', 'Id that the commit must repeat.', { meaning: 'opaque' }),
  u32('payload_sz', 'Bytes in the payload buffer.'),
  hidden('u32', 'padding'),
  hidden('u64', 'reserved'),
])

/** Structs that no row names but the ABI check covers. */
export const looseStructs = [
  inHeader,
  outHeader,
  dirent,
  struct('fuse_direntplus', 21, 'A directory entry that counts as a lookup.', [
    nested('entry_out', entryOut, 'The entry; nodeid 0 counts no lookup.'),
    nested('dirent', dirent, 'The directory record.'),
  ]),
  struct('fuse_ioctl_iovec', 11, 'A piece of the memory of the caller of ioctl(2).', [
    u64('base', 'Address.', { meaning: 'opaque' }),
    u64('len', 'Bytes.'),
  ]),
  struct('fuse_ext_header', 38, 'Opens one extension.', [
    u32('size', 'Bytes, this header included.'),
    u32('type', 'FUSE_EXT_*; up to FUSE_MAX_NR_SECCTX it is a number of security contexts.'),
  ]),
  struct('fuse_secctx_header', 36, 'Opens the security contexts.', [
    u32('size', 'Bytes, this header included.'),
    u32('nr_secctx', 'How many follow.'),
  ]),
  struct('fuse_secctx', 36, 'A security context; a NUL-terminated name and the value follow.', [
    u32('size', 'Bytes of the value.'),
    hidden('u32', 'padding'),
  ]),
  struct('fuse_supp_groups', 38, 'Supplementary groups; the ids follow.', [
    u32('nr_groups', 'How many follow.'),
  ]),
  struct('fuse_backing_map', 40, 'Argument of FUSE_DEV_IOC_BACKING_OPEN.', [
    i32('fd', 'The backing file.'),
    u32('flags', 'Must be 0.'),
    hidden('u64', 'padding'),
  ]),
  uringEntInOut,
  struct('fuse_uring_cmd_req', 42, 'Command area of a submission.', [
    u64('flags', 'None so far.'),
    u64('commit_id', 'Id of the entry that is committed.', { meaning: 'opaque' }),
    u16('qid', 'Queue, that is the CPU of the caller.'),
    hidden('u8', 'padding', 6),
  ]),
  struct('fuse_uring_req_header', 42, 'Header buffer of a ring entry.', [
    { ...hidden('char', 'in_out', 128), doc: 'The in or out header.' },
    { ...hidden('char', 'op_in', 128), doc: 'The fixed struct of the operation.' },
    nested('ring_ent_in_out', uringEntInOut, 'State of the entry.'),
  ]),
] as const
