// Names: MKDIR, SYMLINK, LINK, UNLINK, RMDIR, RENAME, with what the kernel decides before it asks.
import { EBUSY, EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EPERM } from '../../index.js'
import { RENAME_EXCHANGE, RENAME_NOREPLACE, S_IFDIR, S_IFLNK } from '../../syscalls/index.js'
import { Failure } from './failure.js'
import { MAY_EXEC, MAY_WRITE, checkSticky, isMember, isRoot } from './identity.js'
import type { Kernel, Scope } from './kernel.js'
import type { Node } from './nodes.js'
import { wire } from './paths.js'
import { parentOf, requireAccess, requireSearch, requireWritable, walk } from './walk.js'
import type { Place } from './walk.js'

/** The fields that every request to make something has: name, mode, umask, and the group for a set-gid directory. */
export async function creation(
  kernel: Kernel,
  place: Place,
  mode: number,
): Promise<{ name: Buffer; mode: number; umask: number; extensions?: { groups: number[] } }> {
  requireWritable(kernel)
  const directory = parentOf(place)
  await requireSearch(kernel, directory)
  await requireAccess(kernel, directory, MAY_WRITE | MAY_EXEC)
  const { umask } = kernel.identity
  const kept = kernel.agreed('FUSE_DONT_MASK') ? mode : mode & ~umask
  const made = { name: wire(place.name), mode: kept, umask }
  return { ...made, ...(await groupsFor(kernel, directory)) }
}

/** Kernel: with CREATE_SUPP_GROUP it tells the supplementary group of the caller that the directory has. */
async function groupsFor(kernel: Kernel, directory: Node): Promise<{ extensions?: { groups: number[] } }> {
  const { identity } = kernel
  if (identity.groups.length === 0 || !kernel.agreed('FUSE_CREATE_SUPP_GROUP')) return {}
  const { gid } = await kernel.known(directory)
  return gid === identity.gid || !isMember(identity, gid) ? {} : { extensions: { groups: [gid] } }
}

/** A place where something new may be made. */
async function vacant(kernel: Kernel, scope: Scope, path: string, asDirectory: boolean): Promise<Place> {
  const place = await walk(kernel, scope, stripped(path), false)
  if (place.last !== '' || place.node !== undefined) throw new Failure(EEXIST)
  // Kernel: only a directory may be made under a name that ends in a slash.
  if (path.endsWith('/') && !asDirectory) throw new Failure(ENOENT)
  return place
}

/** mkdir(2). */
export async function mkdir(kernel: Kernel, scope: Scope, path: string, mode: number): Promise<void> {
  const place = await vacant(kernel, scope, path, true)
  const { mode: kept, ...made } = await creation(kernel, place, mode & 0o1777)
  const reply = await kernel.call('mkdir', parentOf(place).nodeid, { ...made, mode: kept })
  scope.use(kernel.nodes.found('mkdir', reply, S_IFDIR))
}

/** symlink(2). */
export async function symlink(kernel: Kernel, scope: Scope, target: string, path: string): Promise<void> {
  if (target === '') throw new Failure(ENOENT)
  const place = await vacant(kernel, scope, path, false)
  const { name, extensions } = await creation(kernel, place, 0)
  const reply = await kernel.call('symlink', parentOf(place).nodeid, {
    name,
    target: wire(target),
    extensions,
  })
  scope.use(kernel.nodes.found('symlink', reply, S_IFLNK))
}

/** link(2): another name for what `existing` is, links included. */
export async function link(kernel: Kernel, scope: Scope, existing: string, path: string): Promise<void> {
  const { node } = await walk(kernel, scope, existing, false)
  if (node === undefined) throw new Failure(ENOENT)
  const place = await vacant(kernel, scope, path, false)
  const { name } = await creation(kernel, place, 0)
  if (node.type === S_IFDIR) throw new Failure(EPERM)
  const fields = { oldnodeid: node.nodeid, newname: name }
  const reply = await kernel.attempt('link', parentOf(place).nodeid, fields)
  if (reply === undefined) throw new Failure(EPERM)
  scope.use(kernel.nodes.found('link', reply, node.type))
}

/** unlink(2). */
export async function unlink(kernel: Kernel, scope: Scope, path: string): Promise<void> {
  const place = await walk(kernel, scope, stripped(path), false)
  if (place.last !== '') throw new Failure(EISDIR)
  if (place.node === undefined) throw new Failure(ENOENT)
  if (place.node.type === S_IFDIR) throw new Failure(EISDIR)
  if (path.endsWith('/')) throw new Failure(ENOTDIR)
  await requireRemovable(kernel, parentOf(place), place.node)
  await kernel.call('unlink', parentOf(place).nodeid, { name: wire(place.name) })
}

/** rmdir(2). */
export async function rmdir(kernel: Kernel, scope: Scope, path: string): Promise<void> {
  const place = await walk(kernel, scope, stripped(path), false)
  if (place.last === '.') throw new Failure(EINVAL)
  if (place.last === '..') throw new Failure(ENOTEMPTY)
  if (place.last === '/') throw new Failure(EBUSY)
  if (place.node === undefined) throw new Failure(ENOENT)
  if (place.node.type !== S_IFDIR) throw new Failure(ENOTDIR)
  await requireRemovable(kernel, parentOf(place), place.node)
  await kernel.call('rmdir', parentOf(place).nodeid, { name: wire(place.name) })
}

/** rename(2), or renameat2(2) with RENAME_* flags. */
export async function rename(
  kernel: Kernel,
  scope: Scope,
  from: string,
  to: string,
  flags: number,
): Promise<void> {
  const old = await walk(kernel, scope, stripped(from), false)
  const place = await walk(kernel, scope, stripped(to), false)
  if (old.last !== '' || place.last !== '') throw new Failure(EBUSY)
  const { node } = old
  if (node === undefined) throw new Failure(ENOENT)
  const exchange = (flags & RENAME_EXCHANGE) !== 0
  if (exchange && (flags & RENAME_NOREPLACE) !== 0) throw new Failure(EINVAL)
  if ((flags & RENAME_NOREPLACE) !== 0 && place.node !== undefined) throw new Failure(EEXIST)
  if (exchange && place.node === undefined) throw new Failure(ENOENT)
  if (node.type !== S_IFDIR && (from.endsWith('/') || (!exchange && to.endsWith('/'))))
    throw new Failure(ENOTDIR)
  if (holds(node, place)) throw new Failure(EINVAL)
  if (place.node !== undefined && holds(place.node, old)) throw new Failure(exchange ? EINVAL : ENOTEMPTY)
  // Kernel: two names of one inode are left as they are.
  if (place.node === node) return
  await requireRemovable(kernel, parentOf(old), node)
  if (place.node === undefined) await creation(kernel, place, 0)
  else await requireReplaceable(kernel, node, place.node, parentOf(place), exchange)
  if (parentOf(old) !== parentOf(place)) {
    await requireMovable(kernel, node)
    if (exchange && place.node !== undefined) await requireMovable(kernel, place.node)
  }
  await send(kernel, old, place, flags)
}

/** Kernel: with its parent a directory changes what its `..` is, so it must be writable itself. */
async function requireMovable(kernel: Kernel, node: Node): Promise<void> {
  if (node.type === S_IFDIR) await requireAccess(kernel, node, MAY_WRITE)
}

async function send(kernel: Kernel, old: Place, place: Place, flags: number): Promise<void> {
  const { nodeid } = parentOf(old)
  const fields = { newdir: parentOf(place).nodeid, name: wire(old.name), newname: wire(place.name) }
  if (flags === 0) {
    await kernel.call('rename', nodeid, fields)
  } else if ((await kernel.attempt('rename2', nodeid, { ...fields, flags })) === undefined) {
    throw new Failure(EINVAL)
  }
}

/** may_delete of the kernel. */
async function requireRemovable(kernel: Kernel, directory: Node, node: Node): Promise<void> {
  requireWritable(kernel)
  await requireAccess(kernel, directory, MAY_WRITE | MAY_EXEC)
  if (!isRoot(kernel.identity))
    checkSticky(kernel.identity, await kernel.getattr(directory), await kernel.known(node))
}

async function requireReplaceable(
  kernel: Kernel,
  node: Node,
  victim: Node,
  directory: Node,
  exchange: boolean,
): Promise<void> {
  await requireRemovable(kernel, directory, victim)
  if (exchange) return
  if (node.type === S_IFDIR && victim.type !== S_IFDIR) throw new Failure(ENOTDIR)
  if (node.type !== S_IFDIR && victim.type === S_IFDIR) throw new Failure(EISDIR)
}

/** Whether a directory is on the way to a place. */
const holds = (node: Node, { trail }: Place): boolean => trail.includes(node)

/** Without slashes at the end, where they only say that a directory is meant. */
const stripped = (path: string): string => path.replace(/(?<=[^/])\/+$/, '')
