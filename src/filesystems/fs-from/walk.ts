// Path walk: from a path to an inode by LOOKUP and READLINK, name by name, with the errors of path_resolution(7).
import { S_IFDIR, S_IFLNK } from '../../syscalls/index.js'
import { EACCES, EINVAL, EIO, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EROFS } from '../../index.js'
import type { NegativeEntry } from '../../index.js'
import { Failure } from './failure.js'
import { MAY_EXEC, may } from './identity.js'
import type { Kernel, Scope } from './kernel.js'
import type { Node } from './nodes.js'
import { wire } from './paths.js'

const MAX_LINKS = 40
// Kernel: FUSE_NAME_MAX.
const NAME_MAX = 1024
const PATH_MAX = 4096

/** Where a path leads. */
export interface Place {
  /** The directories on the way, the root first and the one that holds `name` last. */
  readonly trail: readonly Node[]
  /** Their names, the root's left out. */
  readonly names: readonly string[]
  /** Last name of the path after all links; empty for the root and for what ends in `.` or `..`. */
  readonly name: string
  /** What `name` is, undefined where there is no such name. */
  readonly node: Node | undefined
  /** The path asked for a directory by ending in a slash. */
  readonly slash: boolean
  /** What stands in the place of a name: `.` or `..` or `/`. */
  readonly last: '' | '.' | '..' | '/'
}

/** Walks `path`; a link at its end is followed where `follow` says so. `creates` is open(2) with O_CREAT. */
export async function walk(
  kernel: Kernel,
  scope: Scope,
  path: string,
  follow: boolean,
  creates = false,
): Promise<Place> {
  if (path === '') throw new Failure(ENOENT)
  let trail = [kernel.nodes.root]
  let names: string[] = []
  let rest = namesOf(path)
  let slash = endsInSlash(path)
  let links = 0
  let last: Place['last'] = '/'
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    const directory = trail[trail.length - 1]
    await requireSearch(kernel, directory)
    if (name === '.' || name === '..') {
      if (name === '..') {
        trail = trail.slice(0, Math.max(1, trail.length - 1))
        names = names.slice(0, -1)
      }
      last = name
      continue
    }
    last = ''
    const final = rest.length === 0
    // Kernel: O_CREAT makes files, so it does not even look what a name with a slash behind it is.
    if (final && creates && slash) throw new Failure(EISDIR)
    const node = await lookup(kernel, scope, directory, name)
    if (node === undefined) {
      if (!final) throw new Failure(ENOENT)
      return { trail, names, name, node, slash, last }
    }
    if (node.type === S_IFLNK && (!final || follow || slash)) {
      if (++links > MAX_LINKS) throw new Failure(ELOOP)
      const target = await readlink(kernel, node)
      if (target === '') throw new Failure(ENOENT)
      if (target.startsWith('/')) {
        trail = [kernel.nodes.root]
        names = []
        last = '/'
      }
      if (final) slash ||= endsInSlash(target)
      rest = [...namesOf(target), ...rest]
      continue
    }
    if (final) {
      if (slash && node.type !== S_IFDIR) throw new Failure(ENOTDIR)
      return { trail, names, name, node, slash, last }
    }
    trail = [...trail, node]
    names = [...names, name]
  }
  const node = trail[trail.length - 1]
  return { trail, names, name: '', node, slash, last }
}

/** The inode at a path; ENOENT where there is none. */
export async function find(
  kernel: Kernel,
  scope: Scope,
  path: string,
  follow: boolean,
  from?: Node,
): Promise<Node> {
  // From an open directory only a single name is looked up.
  const node = from ? await lookup(kernel, scope, from, path) : (await walk(kernel, scope, path, follow)).node
  if (node === undefined) throw new Failure(ENOENT)
  return node
}

/** The directory in which the last name of a place stands. */
export const parentOf = ({ trail }: Place): Node => trail[trail.length - 1]

/** LOOKUP; undefined where there is no such name. */
export async function lookup(
  kernel: Kernel,
  scope: Scope,
  directory: Node,
  name: string,
): Promise<Node | undefined> {
  if (name.length > NAME_MAX) throw new Failure(ENAMETOOLONG)
  try {
    const reply = await kernel.call('lookup', directory.nodeid, { name: wire(name) })
    if ((reply as unknown as NegativeEntry).nodeid === 0) return undefined
    return scope.use(kernel.nodes.found('lookup', reply))
  } catch (error) {
    if (error instanceof Failure && error.errno === ENOENT) return undefined
    throw error
  }
}

/** READLINK: the target of a link. */
export async function readlink(kernel: Kernel, node: Node): Promise<string> {
  if (node.type !== S_IFLNK) throw new Failure(EINVAL)
  const { data } = await kernel.call('readlink', node.nodeid)
  const target = (data as Buffer).toString('latin1')
  if (target.length >= PATH_MAX) throw new Failure(EIO)
  // Kernel: it is a string in C.
  return target.split('\0', 1)[0]
}

/** A directory in which names may be looked up. */
export async function requireSearch(kernel: Kernel, node: Node): Promise<void> {
  if (node.type !== S_IFDIR) throw new Failure(ENOTDIR)
  await requireAccess(kernel, node, MAY_EXEC)
}

/** Kernel: with default_permissions it decides by mode and owner, without it leaves that to the filesystem. */
export async function requireAccess(kernel: Kernel, node: Node, mask: number): Promise<void> {
  if (!kernel.behaviour.defaultPermissions || mask === 0) return
  // The attributes of the root come with no lookup.
  const attr = node.isRoot ? await kernel.getattr(node) : await kernel.known(node)
  if (!may(kernel.identity, attr, mask)) throw new Failure(EACCES)
}

/** Throws EROFS on a view that was made read-only. */
export function requireWritable({ behaviour }: Kernel): void {
  if (behaviour.readOnly) throw new Failure(EROFS)
}

const namesOf = (path: string): string[] => path.split('/').filter((name) => name !== '')
const endsInSlash = (path: string): boolean => path.endsWith('/')
