// What a server may tell the kernel unasked: one row per notification. The code travels in the `error` member of
// the out header, with `unique` 0.

import type { Notification } from './schema.js'
import { hidden, i64, struct, u32, u64 } from './schema.js'

export const notifications: readonly Notification[] = [
  {
    code: 1,
    name: 'poll',
    since: 11,
    out: struct('fuse_notify_poll_wakeup_out', 11, 'Whom to wake.', [
      u64('kh', 'Kernel handle of the POLL request.', { meaning: 'opaque' }),
    ]),
    doc: 'Wakes the pollers of an open file; they ask again with POLL. Kernel: an unknown handle is ignored.',
  },
  {
    code: 2,
    name: 'invalInode',
    since: 12,
    out: struct('fuse_notify_inval_inode_out', 12, 'What is stale.', [
      u64('ino', 'The inode.', { js: 'nodeid' }),
      i64('off', 'First stale byte; negative: attributes only.'),
      i64('len', 'Stale bytes; 0 or less: to the end.'),
    ]),
    doc: 'Drops cached attributes and, from `off`, cached data of an inode. ENOENT: the kernel does not know it.',
  },
  {
    code: 3,
    name: 'invalEntry',
    since: 12,
    out: struct('fuse_notify_inval_entry_out', 12, 'Which name is stale.', [
      u64('parent', 'The directory.'),
      u32('namelen', 'Bytes of the name.'),
      u32('flags', 'FUSE_EXPIRE_ONLY or 0.', { flags: 'invalEntryFlags', fallback: 0, since: 38 }),
    ]),
    nameLength: 'namelen',
    doc: 'Drops a cached name. Kernel: before 7.38 FUSE_EXPIRE_ONLY is overlooked and the entry is dropped.',
  },
  {
    code: 4,
    name: 'store',
    since: 15,
    out: struct('fuse_notify_store_out', 15, 'Where the data belongs.', [
      u64('nodeid', 'The inode.'),
      u64('offset', 'First byte.'),
      u32('size', 'Bytes that follow.'),
      hidden('u32', 'padding'),
    ]),
    payload: { js: 'data', size: 'size' },
    doc: 'Puts data into the page cache of an inode; the file grows when the data goes past its end.',
  },
  {
    code: 5,
    name: 'retrieve',
    since: 15,
    out: struct('fuse_notify_retrieve_out', 15, 'What is wanted.', [
      u64('notify_unique', 'Id that the NOTIFY_REPLY carries as its `unique`.'),
      u64('nodeid', 'The inode.'),
      u64('offset', 'First byte.'),
      u32('size', 'At most so many bytes.'),
      hidden('u32', 'padding'),
    ]),
    doc: 'Asks for cached data of an inode; a NOTIFY_REPLY request brings it.',
  },
  {
    code: 6,
    name: 'delete',
    since: 18,
    out: struct('fuse_notify_delete_out', 18, 'Which name is gone.', [
      u64('parent', 'The directory.'),
      u64('child', 'The inode the name stood for.'),
      u32('namelen', 'Bytes of the name.'),
      hidden('u32', 'padding'),
    ]),
    nameLength: 'namelen',
    doc: 'Says that a name was removed behind the mount: drops it, and those who watch the file itself with inotify(7) hear of it.',
  },
  {
    code: 7,
    name: 'resend',
    since: 40,
    doc: 'Makes the kernel send every unanswered request again, with bit 63 of `unique` set.',
  },
  {
    code: 8,
    name: 'incEpoch',
    since: 44,
    doc: 'Makes every cached name of the mount stale at once.',
  },
  {
    code: 9,
    name: 'prune',
    since: 45,
    out: struct('fuse_notify_prune_out', 45, 'How many inodes follow.', [
      u32('count', 'Inodes that follow.'),
      hidden('u32', 'padding'),
      hidden('u64', 'spare'),
    ]),
    list: { js: 'nodeids', count: 'count' },
    doc: 'Asks the kernel to drop unused cached names of these inodes, so that it forgets them.',
  },
]
