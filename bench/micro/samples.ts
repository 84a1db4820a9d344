// One request of every operation, as the kernel sends it, and a filesystem that answers them from prepared objects, so that what is
// measured is the library's share.
import { ENOENT, FUSE_GETATTR_FH } from 'devfuse'
import type { AttrReply, Direntplus, Entry, Filesystem, OperationName } from 'devfuse'

export interface Sample {
  /** What the request is, where the operation alone does not say it. */
  variant?: string
  fields: Readonly<Record<string, unknown>>
  /** `error` of the answer. Default: 0. */
  error?: number
}

/** The operation cannot be measured, and why. */
export interface Unmeasured {
  unmeasured: string
}

/** Nodeids of the two answers of READ. */
const BYTES = 2
const DESCRIPTOR = 3
const FILE = { nodeid: BYTES, fh: 1 }
const PAGE = 4096
const ENTRIES = 30
const LOCK = { start: 0, end: 99, type: 1, pid: 1234 }
const NEW = { nodeid: 1, name: 'a-file-name.txt', mode: 0o100644, umask: 0o022 }

const NO_ANSWER = 'the kernel in this benchmark never sends it: a mount with DAX does'

const samples: Record<OperationName, Sample[] | Unmeasured> = {
  lookup: [
    { fields: { nodeid: 1, name: 'a-file-name.txt' } },
    { variant: 'missing', fields: { nodeid: 1, name: 'missing' }, error: ENOENT },
  ],
  forget: [{ fields: { nodeid: BYTES, nlookup: 1 } }],
  getattr: [
    { fields: { nodeid: BYTES } },
    { variant: 'open file', fields: { ...FILE, getattrFlags: FUSE_GETATTR_FH } },
  ],
  setattr: [{ fields: { ...FILE, valid: 1, mode: 0o100600 } }],
  readlink: [{ fields: { nodeid: BYTES } }],
  symlink: [{ fields: { nodeid: 1, name: 'link', target: '../where/it/leads' } }],
  mknod: [{ fields: NEW }],
  mkdir: [{ fields: NEW }],
  unlink: [{ fields: { nodeid: 1, name: 'a-file-name.txt' } }],
  rmdir: [{ fields: { nodeid: 1, name: 'a-directory' } }],
  rename: [{ fields: { nodeid: 1, newdir: 2, name: 'from.txt', newname: 'to.txt' } }],
  link: [{ fields: { nodeid: 1, oldnodeid: 2, newname: 'another-name.txt' } }],
  open: [{ fields: { nodeid: BYTES, flags: 0o100000 } }],
  read: [
    { variant: '4 KiB of a Buffer', fields: { ...FILE, offset: 0, size: PAGE } },
    { variant: '4 KiB of a descriptor', fields: { nodeid: DESCRIPTOR, fh: 1, offset: 0, size: PAGE } },
  ],
  write: [{ variant: '4 KiB', fields: { ...FILE, offset: 0, data: Buffer.alloc(PAGE) } }],
  statfs: [{ fields: { nodeid: 1 } }],
  release: [{ fields: FILE }],
  fsync: [{ fields: FILE }],
  setxattr: [{ fields: { nodeid: BYTES, name: 'user.a', value: Buffer.from('a value') } }],
  getxattr: [
    { fields: { nodeid: BYTES, name: 'user.a', size: 256 } },
    { variant: 'size only', fields: { nodeid: BYTES, name: 'user.a', size: 0 } },
  ],
  listxattr: [{ fields: { nodeid: BYTES, size: 256 } }],
  removexattr: [{ fields: { nodeid: BYTES, name: 'user.a' } }],
  flush: [{ fields: FILE }],
  init: { unmeasured: 'once per mount' },
  opendir: [{ fields: { nodeid: 1, flags: 0 } }],
  readdir: [{ variant: `${ENTRIES} entries`, fields: { nodeid: 1, fh: 1, offset: 0, size: PAGE } }],
  releasedir: [{ fields: { nodeid: 1, fh: 1 } }],
  fsyncdir: [{ fields: { nodeid: 1, fh: 1 } }],
  getlk: [{ fields: { ...FILE, owner: 7n, lk: LOCK } }],
  setlk: [{ fields: { ...FILE, owner: 7n, lk: LOCK } }],
  setlkw: [{ fields: { ...FILE, owner: 7n, lk: LOCK } }],
  access: [{ fields: { nodeid: BYTES, mask: 4 } }],
  create: [{ fields: { ...NEW, flags: 0o100101 } }],
  interrupt: [{ fields: { interrupted: 2 } }],
  bmap: [{ fields: { nodeid: BYTES, block: 5, blocksize: PAGE } }],
  destroy: [{ fields: {} }],
  ioctl: [{ fields: { ...FILE, cmd: 0x80086601, outSize: 8 } }],
  poll: [{ fields: { ...FILE, kh: 1, events: 1 } }],
  notifyReply: [{ fields: { notifyUnique: 9, offset: 0, data: Buffer.alloc(64) } }],
  batchForget: [
    {
      variant: '16 inodes',
      fields: { items: Array.from({ length: 16 }, () => ({ nodeid: 2, nlookup: 1 })) },
    },
  ],
  fallocate: [{ fields: { ...FILE, offset: 0, length: PAGE, mode: 0 } }],
  readdirplus: [{ variant: `${ENTRIES} entries`, fields: { nodeid: 1, fh: 1, offset: 0, size: 2 * PAGE } }],
  rename2: [{ fields: { nodeid: 1, newdir: 2, name: 'from.txt', newname: 'to.txt', flags: 1 } }],
  lseek: [{ fields: { ...FILE, offset: 0, whence: 3 } }],
  copyFileRange: [
    { fields: { ...FILE, fhIn: 1, offIn: 0, nodeidOut: 2, fhOut: 1, offOut: 0, len: PAGE, flags: 0 } },
  ],
  setupmapping: { unmeasured: NO_ANSWER },
  removemapping: { unmeasured: NO_ANSWER },
  syncfs: [{ fields: { nodeid: 1 } }],
  tmpfile: [{ fields: { ...NEW, flags: 0o100102 } }],
  statx: [{ fields: { nodeid: BYTES, sxMask: 0xfff } }],
  copyFileRange64: [
    { fields: { ...FILE, fhIn: 1, offIn: 0, nodeidOut: 2, fhOut: 1, offOut: 0, len: PAGE, flags: 0 } },
  ],
  cuseInit: { unmeasured: 'once per character device' },
}

/** Every operation of the table and what is sent of it. */
export const operationSamples: Readonly<Record<OperationName, Sample[] | Unmeasured>> = samples

const attr = {
  ino: 1_234_567,
  size: 40_960,
  blocks: 80,
  atime: 1_790_000_000,
  mtime: 1_790_000_001,
  ctime: 1_790_000_002,
  atimensec: 123_456_789,
  mtimensec: 223_456_789,
  ctimensec: 323_456_789,
  mode: 0o100644,
  nlink: 1,
  uid: 1000,
  gid: 1000,
  rdev: 0,
  blksize: PAGE,
}

const time = { tvSec: attr.atime, tvNsec: attr.atimensec }

/** Answers every sample; `fd` is a descriptor to read from. */
export function preparedFilesystem(fd: number): Filesystem {
  const entry: Entry = { nodeid: BYTES, generation: 1, entryValid: 1, attrValid: 1, attr }
  const attributes: AttrReply = { attrValid: 1, attr }
  const opened = { fh: 1 }
  const created = { ...entry, fh: 1 }
  const bytes = Buffer.alloc(PAGE)
  const descriptor = { fd, offset: 0, size: PAGE }
  const value = Buffer.from('a value')
  const attributeNames = Buffer.from('user.a\0user.b\0')
  const lock = { start: 0, end: Infinity, type: 2, pid: 0 }
  const statfs = { blocks: 1000, bfree: 500, bavail: 500, files: 100, ffree: 50 }
  const control = { result: 0, data: Buffer.alloc(8) }
  const list = Array.from({ length: ENTRIES }, (_, index) => ({
    name: `entry-number-${index}`,
    ino: 9,
    type: 8,
  }))
  const plus: Direntplus[] = list.map(({ name }) => ({ ...entry, name }))
  const statx = {
    attrValid: 1,
    stat: {
      ...{ mask: 0xfff, nlink: 1, uid: 1000, gid: 1000, mode: 0o100644, ino: attr.ino },
      ...{ size: attr.size, blocks: attr.blocks, atime: time, btime: time, ctime: time, mtime: time },
    },
  }
  return {
    lookup: ({ name }) => (name === 'missing' ? ENOENT : entry),
    forget: () => undefined,
    getattr: () => attributes,
    setattr: () => attributes,
    readlink: () => 'where/it/leads',
    symlink: () => entry,
    mknod: () => entry,
    mkdir: () => entry,
    unlink: () => undefined,
    rmdir: () => undefined,
    rename: () => undefined,
    link: () => entry,
    open: () => opened,
    read: ({ nodeid }) => (nodeid === BYTES ? bytes : descriptor),
    write: ({ data }) => data.byteLength,
    statfs: () => statfs,
    release: () => undefined,
    fsync: () => undefined,
    setxattr: () => undefined,
    getxattr: () => value,
    listxattr: () => attributeNames,
    removexattr: () => undefined,
    flush: () => undefined,
    opendir: () => opened,
    readdir: () => list,
    releasedir: () => undefined,
    fsyncdir: () => undefined,
    getlk: () => lock,
    setlk: () => undefined,
    setlkw: () => undefined,
    access: () => undefined,
    create: () => created,
    bmap: () => 7,
    ioctl: () => control,
    poll: () => 1,
    fallocate: () => undefined,
    readdirplus: () => plus,
    lseek: () => 0,
    copyFileRange: () => PAGE,
    syncfs: () => undefined,
    tmpfile: () => created,
    statx: () => statx,
  }
}
