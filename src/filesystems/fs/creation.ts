// What has just been made: its entry, its owner and mode where the object took none, and how empty files come about.
import type { Entry } from '../../index.js'
import { wait } from './awaitable.js'
import type { Steps } from './awaitable.js'
import { codeOf, failure } from './failure.js'
import { O_EXCL } from '../../syscalls/index.js'
import type { Caller, StatsLike } from './path-filesystem.js'
import type { PathNode } from './path-node.js'
import type { Setters } from './setters.js'
import type { Tree } from './tree.js'

const S_ISGID = 0o2000
const EMPTY = Buffer.alloc(0)

export class Creation {
  readonly #tree: Tree
  readonly #setters: Setters

  constructor(tree: Tree, setters: Setters) {
    this.#tree = tree
    this.#setters = setters
  }

  /** Makes an empty file through `writeFile`, which would empty one that is there. True where there was none. */
  *writeEmpty(parent: PathNode, name: string, mode: number, flags: number, caller: Caller): Steps<boolean> {
    if ((yield* wait(this.#tree.find(parent, name, caller))) !== undefined) {
      if ((flags & O_EXCL) !== 0) throw failure('EEXIST', `${parent.pathOf(name)} exists`)
      return false
    }
    const { fs } = this.#tree
    yield* wait(
      fs.writeFile!(parent.pathOf(name), EMPTY, { mode: this.#tree.modeForObject(mode, false) }, caller),
    )
    return true
  }

  /** The entry of a name that was there already. */
  *existing(parent: PathNode, name: string, caller: Caller): Steps<Entry> {
    return this.#tree.entry(parent, name, yield* this.#stats(parent, name, caller))
  }

  /**
   * The entry of what was just made; one lookup counted. It belongs to the caller, with the mode that was asked for, as far
   * as the object lets it.
   */
  *created(parent: PathNode, name: string, mode: number, caller: Caller): Steps<Entry> {
    const tree = this.#tree
    const stats = yield* this.#stats(parent, name, caller)
    const entry = tree.entry(parent, name, stats)
    const node = tree.inodes.get(entry.nodeid)!
    const { attr } = entry
    const gid = (parent.mode & S_ISGID) !== 0 ? parent.gid : caller.gid
    const wrongOwner = attr.uid !== caller.uid || attr.gid !== gid
    const wrongMode = (attr.mode & 0o7777) !== (mode & 0o7777) && !isSymlinkMode(attr.mode)
    const untimed = stats.mtimeMs === undefined && stats.mtime === undefined && stats.mtimeNs === undefined
    if (untimed) tree.touched(node)
    tree.touched(parent)
    if (!wrongOwner && !wrongMode && !untimed) return entry
    if (wrongOwner) yield* attempt(this.#setters.chown(node, caller.uid, gid, undefined, caller))
    if (wrongMode) yield* attempt(this.#setters.chmod(node, mode, undefined, caller))
    entry.attr = tree.attr(node, yield* this.#stats(parent, name, caller))
    return entry
  }

  *#stats(parent: PathNode, name: string, caller: Caller): Steps<StatsLike> {
    const stats = yield* wait(this.#tree.find(parent, name, caller))
    if (stats !== undefined) return stats
    throw failure('EIO', `${parent.pathOf(name)} was made and is not there`)
  }
}

function isSymlinkMode(mode: number): boolean {
  return (mode & 0o170000) === 0o120000
}

/** What was made stays, whoever owns it: an object, or a server without the privilege, may not give it away. */
function* attempt(steps: Steps<void>): Steps<void> {
  try {
    yield* steps
  } catch (error) {
    const code = codeOf(error)
    if (code !== 'EPERM' && code !== 'EOPNOTSUPP' && code !== 'EACCES') throw error
  }
}
