// What a directory lists: the object's entries in whatever form, with what only memory knows of.
import { types } from 'node:util'
import { typeOf } from './attributes.js'
import { wait } from './awaitable.js'
import type { Steps } from './awaitable.js'
import { describe } from './failure.js'
import type { Caller, EntryLike, Listing, StatsLike } from './path-filesystem.js'
import { S_IFDIR, S_IFLNK } from '../../syscalls/index.js'
import type { PathNode } from './path-node.js'
import type { Tree } from './tree.js'

/** An entry, as far as the listing tells it. */
export interface ListedEntry {
  name: string
  /** S_IFMT bits, 0 where it is not told. */
  type: number
  /** Attributes, where the listing has them. */
  stats: StatsLike | undefined
}

const NO_ENTRIES: readonly EntryLike[] = []

export function entryOf(entry: EntryLike): ListedEntry {
  if (typeof entry === 'string') return { name: entry, type: 0, stats: undefined }
  if (types.isUint8Array(entry)) return { name: Buffer.from(entry).toString(), type: 0, stats: undefined }
  const name = nameOf(entry)
  // A mode alone is what some Dirents have, too.
  const hasStats = entry.size !== undefined || entry.mtimeMs !== undefined || entry.mtime !== undefined
  return {
    name,
    type: typeOf(entry),
    stats: hasStats ? entry : undefined,
  }
}

/** The name of an entry, in whatever form the object gave it. */
export function nameOf(entry: EntryLike): string {
  const name = typeof entry === 'string' || types.isUint8Array(entry) ? entry : entry?.name
  if (typeof name === 'string') return name
  if (types.isUint8Array(name)) return Buffer.from(name).toString()
  throw new TypeError(`an entry of a listing has to be a name or an object with one, not ${describe(entry)}`)
}

/** Asks the object for a listing; what it has no way to list is empty. */
export function list(tree: Tree, node: PathNode, caller: Caller): Listing | PromiseLike<Listing> {
  const { fs } = tree
  if (fs.readdir === undefined || (node.remembered?.directory && fs.mkdir !== undefined)) return NO_ENTRIES
  return fs.readdir(node.path, caller)
}

/** Entries that only memory has: directories and symlinks that the object can't hold. */
export function remembered(node: PathNode): ListedEntry[] {
  if (node.children === undefined) return []
  const entries: ListedEntry[] = []
  for (const [name, child] of node.children) {
    if (child.remembered?.symlink !== undefined) entries.push({ name, type: S_IFLNK, stats: undefined })
    else if (child.remembered?.directory) entries.push({ name, type: S_IFDIR, stats: undefined })
  }
  return entries
}

/** Whether a listed name is shown: not what is hidden, not what every directory has. */
export function isShown(tree: Tree, node: PathNode, name: string): boolean {
  if (name === '.' || name === '..' || name === '') return false
  return node !== tree.root || !tree.hidden.has(name)
}

/** Every name in a directory. */
export function* namesIn(tree: Tree, node: PathNode, caller: Caller): Steps<Set<string>> {
  const names = new Set<string>()
  for (const { name } of remembered(node)) names.add(name)
  const listing = yield* wait(list(tree, node, caller))
  const add = (entry: EntryLike): void => {
    const { name } = entryOf(entry)
    if (isShown(tree, node, name)) names.add(name)
  }
  if (!(Symbol.asyncIterator in listing)) {
    for (const entry of listing) add(entry)
    return names
  }
  const iterator = listing[Symbol.asyncIterator]()
  for (;;) {
    const { done, value } = yield* wait<IteratorResult<EntryLike>>(iterator.next())
    if (done) return names
    add(value)
  }
}
