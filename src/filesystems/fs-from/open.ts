// open(2): the path walk, the checks, and OPEN, CREATE, TMPFILE or MKNOD as the kernel chooses among them.
import {
  EEXIST,
  EINVAL,
  EISDIR,
  ELOOP,
  ENOENT,
  ENOSYS,
  ENOTDIR,
  ENXIO,
  EOPNOTSUPP,
  FATTR_SIZE,
  FOPEN_DIRECT_IO,
  FOPEN_PASSTHROUGH,
  FUSE_OPEN_KILL_SUIDGID,
} from '../../index.js'
import type { KernelReply } from '../../index.js'
import {
  O_ACCMODE,
  O_APPEND,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_LARGEFILE,
  O_NOCTTY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_SYNC,
  O_TMPFILE,
  O_TRUNC,
  O_WRONLY,
  S_IFDIR,
  S_IFLNK,
  S_IFREG,
} from '../../syscalls/index.js'
import { setattr } from './attributes.js'
import { int32Of } from './arguments.js'
import { BadReply, Failure, check, invalidArgument } from './failure.js'
import { MAY_READ, MAY_WRITE, isRoot } from './identity.js'
import type { Kernel, Scope } from './kernel.js'
import type { Node } from './nodes.js'
import { OpenFile } from './open-file.js'
import { creation } from './names.js'
import { parentOf, requireAccess, requireWritable, walk } from './walk.js'
import type { Place } from './walk.js'

const WORDS: Record<string, number> = {
  r: O_RDONLY,
  rs: O_RDONLY | O_SYNC,
  'r+': O_RDWR,
  'rs+': O_RDWR | O_SYNC,
  w: O_WRONLY | O_CREAT | O_TRUNC,
  wx: O_WRONLY | O_CREAT | O_TRUNC | O_EXCL,
  'w+': O_RDWR | O_CREAT | O_TRUNC,
  'wx+': O_RDWR | O_CREAT | O_TRUNC | O_EXCL,
  a: O_WRONLY | O_CREAT | O_APPEND,
  ax: O_WRONLY | O_CREAT | O_APPEND | O_EXCL,
  as: O_WRONLY | O_CREAT | O_APPEND | O_SYNC,
  'a+': O_RDWR | O_CREAT | O_APPEND,
  'ax+': O_RDWR | O_CREAT | O_APPEND | O_EXCL,
  'as+': O_RDWR | O_CREAT | O_APPEND | O_SYNC,
}
const SYNONYMS: Record<string, string> = {
  sr: 'rs',
  'sr+': 'rs+',
  xw: 'wx',
  'xw+': 'wx+',
  xa: 'ax',
  'xa+': 'ax+',
  sa: 'as',
  'sa+': 'as+',
}

/** Flags of open(2) from what node:fs takes. */
export function flagsOf(flags: string | number | null | undefined): number {
  const given = flags ?? 'r'
  if (typeof given === 'number') return int32Of(given, 'flags')
  const found = WORDS[SYNONYMS[given] ?? given]
  if (found === undefined) throw invalidArgument('flags', given, 'flags of open(2), such as "r" or "wx+"')
  return found
}

/** Opens what `path` leads to. The file holds its inode until it is closed. */
export async function open(
  kernel: Kernel,
  scope: Scope,
  path: string,
  flags: number,
  mode: number,
): Promise<OpenFile> {
  if ((flags & O_PATH) !== 0) throw new Failure(EOPNOTSUPP, 'O_PATH: there is nothing to hold a path with')
  if ((flags & O_TMPFILE) === O_TMPFILE) return openTemporary(kernel, scope, path, flags, mode)
  if ((flags & O_CREAT) !== 0 && (flags & O_DIRECTORY) !== 0) throw new Failure(EINVAL)
  const exclusive = (flags & (O_CREAT | O_EXCL)) === (O_CREAT | O_EXCL)
  const follow = (flags & O_NOFOLLOW) === 0 && !exclusive
  const place = await walk(kernel, scope, path, follow, (flags & O_CREAT) !== 0)
  const { node } = place
  if (node === undefined) {
    if ((flags & O_CREAT) === 0) throw new Failure(ENOENT)
    return create(kernel, scope, place, flags, mode)
  }
  if (exclusive) throw new Failure(EEXIST)
  return openNode(kernel, node, flags)
}

async function openNode(kernel: Kernel, node: Node, flags: number): Promise<OpenFile> {
  const writes = (flags & O_ACCMODE) !== O_RDONLY || (flags & O_TRUNC) !== 0
  if (node.type === S_IFLNK) throw new Failure(ELOOP)
  if (node.type === S_IFDIR && (writes || (flags & O_CREAT) !== 0)) throw new Failure(EISDIR)
  if (node.type !== S_IFDIR && (flags & O_DIRECTORY) !== 0) throw new Failure(ENOTDIR)
  if (node.type !== S_IFDIR && node.type !== S_IFREG)
    throw new Failure(ENXIO, 'devices, pipes and sockets are opened by the kernel, not by the filesystem')
  if (writes) requireWritable(kernel)
  await requireAccess(kernel, node, maskOf(flags))
  const file = await openKnown(kernel, node, flags)
  if ((flags & O_TRUNC) !== 0 && !kernel.agreed('FUSE_ATOMIC_O_TRUNC')) {
    try {
      await setattr(kernel, node, { valid: FATTR_SIZE, size: 0 })
    } catch (error) {
      await file.release()
      throw error
    }
  }
  return file
}

/** OPEN or OPENDIR of an inode that may be opened. */
export async function openKnown(kernel: Kernel, node: Node, flags: number): Promise<OpenFile> {
  const directory = node.type === S_IFDIR
  const trunc = kernel.agreed('FUSE_ATOMIC_O_TRUNC') ? 0 : O_TRUNC
  const sent = (flags | O_LARGEFILE) & ~(O_CREAT | O_EXCL | O_NOCTTY | O_CLOEXEC | trunc)
  const kill = killsSetid(kernel, (sent & O_TRUNC) !== 0) ? FUSE_OPEN_KILL_SUIDGID : 0
  const ask = (): Promise<KernelReply | undefined> =>
    kernel.attempt(directory ? 'opendir' : 'open', node.nodeid, { flags: sent, openFlags: kill })
  const reply = await ((sent & O_TRUNC) === 0 ? ask() : node.lock.run(ask))
  if (reply === undefined && !kernel.agreed(directory ? 'FUSE_NO_OPENDIR_SUPPORT' : 'FUSE_NO_OPEN_SUPPORT'))
    throw new Failure(ENOSYS)
  return opened(kernel, node, flags, reply)
}

async function create(
  kernel: Kernel,
  scope: Scope,
  place: Place,
  flags: number,
  mode: number,
): Promise<OpenFile> {
  const directory = parentOf(place)
  const made = await creation(kernel, place, (mode & 0o7777) | S_IFREG)
  const kill = killsSetid(kernel, (flags & O_TRUNC) !== 0 && (flags & O_EXCL) === 0)
    ? FUSE_OPEN_KILL_SUIDGID
    : 0
  const sent = (flags | O_LARGEFILE) & ~(O_NOCTTY | O_CLOEXEC)
  const reply = await kernel.attempt('create', directory.nodeid, { ...made, flags: sent, openFlags: kill })
  if (reply !== undefined) return created(kernel, scope, 'create', flags, reply)
  // Kernel: what the caller has just made he may open, whatever its mode.
  const entry = await kernel.call('mknod', directory.nodeid, made)
  const node = scope.use(kernel.nodes.found('mknod', entry, S_IFREG))
  return openKnown(kernel, node, flags & ~O_TRUNC)
}

async function openTemporary(
  kernel: Kernel,
  scope: Scope,
  path: string,
  flags: number,
  mode: number,
): Promise<OpenFile> {
  if ((flags & O_ACCMODE) === O_RDONLY) throw new Failure(EINVAL)
  const place = await walk(kernel, scope, path, true)
  const { node, trail } = place
  if (node === undefined) throw new Failure(ENOENT)
  const inside: Place = { ...place, trail: [...trail, node], name: '/', node: undefined, last: '' }
  if (node.type !== S_IFDIR) throw new Failure(ENOTDIR)
  const { name: _, ...made } = await creation(kernel, inside, (mode & 0o7777) | S_IFREG)
  const reply = await kernel.attempt('tmpfile', node.nodeid, { ...made, flags: flags | O_LARGEFILE })
  if (reply === undefined) throw new Failure(EOPNOTSUPP)
  return created(kernel, scope, 'tmpfile', flags, reply)
}

function created(
  kernel: Kernel,
  scope: Scope,
  operation: 'create' | 'tmpfile',
  flags: number,
  reply: KernelReply,
): OpenFile {
  const node = scope.use(kernel.nodes.found(operation, reply, S_IFREG))
  return opened(kernel, node, flags, reply)
}

function opened(kernel: Kernel, node: Node, flags: number, reply: KernelReply | undefined): OpenFile {
  const {
    fh = 0,
    openFlags = 0,
    backingId = 0,
  } = (reply ?? {}) as {
    fh?: number
    openFlags?: number
    backingId?: number
  }
  let backed = -1
  if ((openFlags & (FOPEN_PASSTHROUGH | FOPEN_DIRECT_IO)) === FOPEN_PASSTHROUGH) {
    backed = kernel.connection.openBacked(backingId, flags)
    if (backed === ENOENT) throw new BadReply(`the reply names backing id ${backingId}, which is not open`)
    check(Math.min(backed, 0))
  }
  return new OpenFile(kernel, node, flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC), {
    fh,
    openFlags,
    backed,
    asked: reply !== undefined,
  })
}

/** Kernel: with HANDLE_KILLPRIV_V2 the server clears setuid and setgid for callers without CAP_FSETID. */
const killsSetid = (kernel: Kernel, truncates: boolean): boolean =>
  truncates && kernel.agreed('FUSE_HANDLE_KILLPRIV_V2') && !isRoot(kernel.identity)

function maskOf(flags: number): number {
  const access = flags & O_ACCMODE
  const mask = access === O_RDONLY ? MAY_READ : access === O_WRONLY ? MAY_WRITE : MAY_READ | MAY_WRITE
  return (flags & O_TRUNC) === 0 ? mask : mask | MAY_WRITE
}
