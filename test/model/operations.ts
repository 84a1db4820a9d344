// The operations that random sequences are made of: how each is drawn, what it does to a world, how it prints.
import * as fs from 'node:fs'
import * as fc from 'fast-check'
import { EBADF } from 'devfuse'
import * as sys from 'devfuse/syscalls'
import { SLOTS, USER, attempted, calls } from './world.js'
import type { Outcome, World } from './world.js'

/** One system call, with its arguments. */
export interface Operation {
  /** As a line of the script that is printed. */
  readonly line: string
  run(world: World): Outcome
}

type Drawn = fc.Arbitrary<Operation>

/** Few names, so that operations meet. */
const name = fc.constantFrom('a', 'b', 'c', 'd', 'd/a', 'd/b', 'd/e', 'd/e/a', 'f', 'f/a', 'l', 'l/a')
const slot = fc.nat({ max: SLOTS - 1 })
const MAX_OFFSET = 70_000
const PAGE = 4096
/** Anywhere, and often at the edge of a page. */
const offset = fc.oneof(
  fc.nat({ max: MAX_OFFSET }),
  fc.nat({ max: 16 }).map((pages) => pages * PAGE),
  fc.constantFrom(0, 1, PAGE - 1, PAGE + 1),
)
const length = fc.oneof(fc.nat({ max: 9000 }), fc.constantFrom(0, 1, PAGE, 2 * PAGE))
const byte = fc.integer({ min: 1, max: 255 })
const mode = fc.constantFrom(
  0o644,
  0o600,
  0o666,
  0o755,
  0o777,
  0o4755,
  0o2755,
  0o2775,
  0o2644,
  0o1777,
  0o400,
  0,
)
const id = fc.constantFrom(0, USER, USER + 1, -1)
const seconds = fc.constantFrom(0, 1, 1000, 999_999_999, sys.UTIME_NOW)
const nanoseconds = fc.constantFrom(0, 1, 999_999_999, sys.UTIME_OMIT, sys.UTIME_NOW)
const xattr = fc.constantFrom('user.a', 'user.b', 'user.long-name')
const xattrFlags = fc.constantFrom(0, 0, sys.XATTR_CREATE, sys.XATTR_REPLACE)

const FLAGS = {
  O_WRONLY: sys.O_WRONLY,
  O_RDWR: sys.O_RDWR,
  O_CREAT: sys.O_CREAT,
  O_EXCL: sys.O_EXCL,
  O_TRUNC: sys.O_TRUNC,
  O_APPEND: sys.O_APPEND,
  O_DIRECTORY: sys.O_DIRECTORY,
  O_NOFOLLOW: sys.O_NOFOLLOW,
} as const
const flag = fc.constantFrom(...(Object.keys(FLAGS) as (keyof typeof FLAGS)[]))
const openFlags = fc.oneof(
  fc.constant<(keyof typeof FLAGS)[]>(['O_RDWR', 'O_CREAT']),
  fc.constant<(keyof typeof FLAGS)[]>(['O_RDWR']),
  fc.uniqueArray(flag, { maxLength: 4 }),
)
const RENAME_FLAGS = [0, 0, 0, sys.RENAME_NOREPLACE, sys.RENAME_EXCHANGE, sys.RENAME_WHITEOUT]
const FALLOCATE_MODES = [
  0,
  sys.FALLOC_FL_KEEP_SIZE,
  sys.FALLOC_FL_PUNCH_HOLE | sys.FALLOC_FL_KEEP_SIZE,
  sys.FALLOC_FL_ZERO_RANGE,
  sys.FALLOC_FL_ZERO_RANGE | sys.FALLOC_FL_KEEP_SIZE,
]

/** Draws the arguments, and prints them as the call prints. */
function operation<Arguments extends readonly unknown[]>(
  call: string,
  drawn: { [Index in keyof Arguments]: fc.Arbitrary<Arguments[Index]> },
  run: (world: World, ...args: Arguments) => Outcome,
): Drawn {
  return (fc.tuple(...(drawn as fc.Arbitrary<unknown>[])) as unknown as fc.Arbitrary<Arguments>).map(
    (args) => ({
      line: `${call}(${args.map(show).join(', ')})`,
      run: (world) => run(world, ...args),
    }),
  )
}

function show(value: unknown): string {
  if (value instanceof Uint8Array) return `<${Buffer.from(value).toString('hex')}>`
  return JSON.stringify(value)
}

const AT = sys.AT_FDCWD

/** A call of node:fs on an open file; it refuses -1 before the kernel could. */
function withFile(world: World, of: number, call: (fd: number) => number): number {
  const fd = world.files[of]
  return fd < 0 ? EBADF : attempted(() => call(fd))
}

const opening: Drawn[] = [
  operation('open', [slot, name, openFlags, mode] as const, (world, into, path, words, bits) => {
    const flags = words.reduce((all, word) => all | FLAGS[word], sys.O_NONBLOCK | sys.O_CLOEXEC)
    return world.keep(into, calls.openat(AT, world.path(path), flags, bits))
  }),
  operation('openTmpfile', [slot, name, mode] as const, (world, into, path, bits) =>
    world.keep(into, calls.openat(AT, world.path(path), sys.O_TMPFILE | sys.O_RDWR | sys.O_CLOEXEC, bits)),
  ),
  operation('linkOpenFile', [slot, name] as const, (world, from, path) =>
    calls.linkat(AT, `/proc/self/fd/${world.files[from]}`, AT, world.path(path), sys.AT_SYMLINK_FOLLOW),
  ),
  operation('close', [slot] as const, (world, which) => world.close(which)),
  operation('fstat', [slot] as const, (world, which) => world.fstat(which)),
]

const data: Drawn[] = [
  operation('pwrite', [slot, offset, length, byte] as const, (world, to, at, size, fill) =>
    withFile(world, to, (fd) => fs.writeSync(fd, Buffer.alloc(size, fill), 0, size, at)),
  ),
  operation('write', [slot, length, byte] as const, (world, to, size, fill) =>
    withFile(world, to, (fd) => fs.writeSync(fd, Buffer.alloc(size, fill))),
  ),
  operation('pread', [slot, offset, length] as const, (world, from, at, size) => {
    const bytes = Buffer.alloc(size)
    const read = withFile(world, from, (fd) => fs.readSync(fd, bytes, 0, size, at))
    return read < 0 ? read : runs(bytes.subarray(0, read))
  }),
  operation('ftruncate', [slot, offset] as const, (world, of, size) =>
    calls.ftruncate(world.files[of], size),
  ),
  operation('truncate', [name, offset] as const, (world, path, size) =>
    calls.truncate(world.path(path), size),
  ),
  operation(
    'fallocate',
    [slot, fc.constantFrom(...FALLOCATE_MODES), offset, length] as const,
    (world, of, how, at, size) => calls.fallocate(world.files[of], how, at, size),
  ),
  operation(
    'copy_file_range',
    [slot, offset, slot, offset, length] as const,
    (world, from, fromAt, to, toAt, size) =>
      calls.copyFileRange(world.files[from], fromAt, world.files[to], toAt, size),
  ),
  operation(
    'lseek',
    [slot, offset, fc.constantFrom(sys.SEEK_SET, sys.SEEK_CUR, sys.SEEK_END)] as const,
    // The positions in a directory are each filesystem's own.
    (world, of, at, whence) => (world.isDirectory(of) ? 0 : calls.lseek(world.files[of], at, whence)),
  ),
  operation('fsync', [slot] as const, (world, which) => calls.fsync(world.files[which])),
]

const names: Drawn[] = [
  operation('mkdir', [name, mode] as const, (world, path, bits) => calls.mkdirat(AT, world.path(path), bits)),
  operation('rmdir', [name] as const, (world, path) =>
    calls.unlinkat(AT, world.path(path), sys.AT_REMOVEDIR),
  ),
  operation('unlink', [name] as const, (world, path) => calls.unlinkat(AT, world.path(path))),
  operation('rename', [name, name, fc.constantFrom(...RENAME_FLAGS)] as const, (world, from, to, flags) =>
    calls.renameat2(AT, world.path(from), AT, world.path(to), flags),
  ),
  operation('link', [name, name] as const, (world, from, to) =>
    calls.linkat(AT, world.path(from), AT, world.path(to), 0),
  ),
  operation(
    'symlink',
    [fc.constantFrom('a', 'd', './b', 'nowhere', '.'), name] as const,
    (world, target, path) => calls.symlinkat(target, AT, world.path(path)),
  ),
  operation('mkfifo', [name, mode] as const, (world, path, bits) =>
    calls.mknodat(AT, world.path(path), sys.S_IFIFO | bits, 0),
  ),
  operation('readlink', [name] as const, (world, path) => calls.readlinkat(AT, world.path(path))),
  operation('readdir', [fc.oneof(name, fc.constant('.'))] as const, (world, path) => world.readdir(path)),
]

/** An access list with one more user, and with a mask. */
const accessList = fc
  .tuple(fc.nat({ max: 7 }), fc.nat({ max: 7 }), fc.nat({ max: 7 }), fc.nat({ max: 7 }), fc.nat({ max: 7 }))
  .map(([owner, user, group, mask, other]) => {
    const bytes = Buffer.alloc(4 + 5 * 8)
    bytes.writeUInt32LE(2)
    const entries = [
      [0x01, owner, -1],
      [0x02, user, USER],
      [0x04, group, -1],
      [0x10, mask, -1],
      [0x20, other, -1],
    ]
    entries.forEach(([tag, permissions, who], index) => {
      bytes.writeUInt16LE(tag, 4 + index * 8)
      bytes.writeUInt16LE(permissions, 6 + index * 8)
      bytes.writeInt32LE(who, 8 + index * 8)
    })
    return bytes
  })
const listName = fc.constantFrom('system.posix_acl_access', 'system.posix_acl_default')
const value = fc.uint8Array({ maxLength: 40 })

const attributes: Drawn[] = [
  operation('stat', [name] as const, (world, path) => world.stat(path)),
  operation('chmod', [name, mode] as const, (world, path, bits) =>
    calls.fchmodat(AT, world.path(path), bits),
  ),
  operation('lchown', [name, id, id] as const, (world, path, uid, gid) => {
    // Kernel: natively EPERM where a stranger's chown(2) that sets nothing would clear set-id bits; FUSE asks for no right first.
    if (uid === -1 && gid === -1 && process.geteuid?.() !== 0) return 0
    return calls.fchownat(AT, world.path(path), uid, gid, sys.AT_SYMLINK_NOFOLLOW)
  }),
  operation(
    'utimensat',
    [name, seconds, nanoseconds, seconds, nanoseconds] as const,
    (world, path, ...times) => calls.utimensat(AT, world.path(path), ...times, sys.AT_SYMLINK_NOFOLLOW),
  ),
  operation('setxattr', [name, xattr, value, xattrFlags] as const, (world, path, which, bytes, flags) =>
    calls.lsetxattr(world.path(path), which, bytes, flags),
  ),
  operation('getxattr', [name, fc.oneof(xattr, listName)] as const, (world, path, which) =>
    world.getxattr(path, which),
  ),
  operation('listxattr', [name] as const, (world, path) => world.xattrs(path)),
  operation('removexattr', [name, fc.oneof(xattr, listName)] as const, (world, path, which) =>
    calls.lremovexattr(world.path(path), which),
  ),
  operation('setacl', [name, listName, accessList] as const, (world, path, which, list) =>
    calls.setxattr(world.path(path), which, list),
  ),
]

/** Who calls from now on. */
const caller: Drawn = operation('seteuid', [fc.constantFrom(0, USER)] as const, (_world, uid) => {
  become(uid)
  return 0
})

/** Changes the caller: root, or an ordinary user in a group of its own. */
export function become(uid: number): void {
  process.seteuid?.(0)
  process.setegid?.(uid)
  if (uid !== 0) process.seteuid?.(uid)
}

/** Random sequences; each operation works on whatever the ones before have left. */
export const sequences: fc.Arbitrary<Operation[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.oneof(...opening) },
    { weight: 6, arbitrary: fc.oneof(...data) },
    { weight: 6, arbitrary: fc.oneof(...names) },
    { weight: 4, arbitrary: fc.oneof(...attributes) },
    { weight: 1, arbitrary: caller },
  ),
  { minLength: 1, maxLength: 40, size: 'max' },
)

/** Bytes as runs of one value: `3 x 07, 5 x 00`. */
function runs(bytes: Buffer): string {
  const parts: string[] = []
  for (let at = 0; at < bytes.byteLength;) {
    let end = at + 1
    while (end < bytes.byteLength && bytes[end] === bytes[at]) end++
    parts.push(`${end - at} x ${bytes[at].toString(16).padStart(2, '0')}`)
    at = end
  }
  return parts.join(', ')
}
