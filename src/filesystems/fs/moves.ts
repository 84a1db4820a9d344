// RENAME: over existing targets and of open files, and for objects that can only copy and remove.
import { EEXIST, EINVAL, ENOENT, ENOTEMPTY, EXDEV } from '../../index.js'
import type { Errno } from '../../index.js'
import { inoTold, modeOf, mtimeTold } from './attributes.js'
import { run, wait } from './awaitable.js'
import type { Steps } from './awaitable.js'
import { readAll } from './content.js'
import { codeOf } from './failure.js'
import { namesIn } from './listing.js'
import type { Awaitable, Caller, StatsLike } from './path-filesystem.js'
import type { PathNode, Place } from './path-node.js'
import type { Removal } from './removal.js'
import type { Tree } from './tree.js'

const RENAME_NOREPLACE = 1

export class Moves {
  readonly #tree: Tree
  readonly #removal: Removal

  constructor(tree: Tree, removal: Removal) {
    this.#tree = tree
    this.#removal = removal
  }

  *rename(from: Place, to: Place, flags: number, caller: Caller): Steps<Errno | undefined> {
    const tree = this.#tree
    // Objects have no call that exchanges two names at once, and three renames would show what never was.
    if ((flags & ~RENAME_NOREPLACE) !== 0) return EINVAL
    const stats = yield* wait(tree.find(from.parent, from.name, caller))
    if (stats === undefined) return ENOENT
    const node = tree.adopt(from.parent, from.name, stats)
    node.mode = modeOf(stats, tree.options)
    let target: PathNode | undefined
    try {
      yield* wait(tree.fs.checkPath?.(to.parent.pathOf(to.name), caller))
      const targetStats = yield* wait(tree.find(to.parent, to.name, caller))
      if (targetStats !== undefined) {
        if (flags === RENAME_NOREPLACE) return EEXIST
        target = tree.adopt(to.parent, to.name, targetStats)
        target.mode = modeOf(targetStats, tree.options)
        if (target === node) return undefined
        if (target.isDirectory && !(yield* this.#removal.isEmpty(target, caller))) return ENOTEMPTY
      }
      const refused = yield* this.#carryOut(node, target, from, to, caller)
      if (refused !== undefined) return refused
      this.#removal.keepDirectory(from.parent)
      if (target !== undefined) tree.detach(target, to)
      tree.move(node, from, to)
      for (const { parent } of [from, to]) tree.touched(parent)
      if (node.isSymlink && node.remembered?.symlink === undefined)
        yield* this.#keepLink(node, stats, to.parent.pathOf(to.name), caller)
      // Those that were opened while it moved.
      yield* this.#removal.letGo(node)
      if (target !== undefined) yield* this.#removal.settle(target, caller)
    } finally {
      tree.tidy(node)
      if (target !== undefined) tree.tidy(target)
    }
    return undefined
  }

  *#carryOut(
    node: PathNode,
    target: PathNode | undefined,
    from: Place,
    to: Place,
    caller: Caller,
  ): Steps<Errno | undefined> {
    const newPath = to.parent.pathOf(to.name)
    const hidden = target !== undefined && (yield* this.#removal.keepOpen(target, caller))
    yield* this.#removal.letGo(node)
    try {
      return yield* this.#move(node, target, from.parent.pathOf(from.name), newPath, caller)
    } catch (error) {
      if (hidden) yield* this.#removal.bringBack(target, newPath, caller)
      throw error
    }
  }

  *#move(
    node: PathNode,
    target: PathNode | undefined,
    path: string,
    newPath: string,
    caller: Caller,
  ): Steps<Errno | undefined> {
    const { fs } = this.#tree
    if (node.remembered?.symlink !== undefined) {
      // Only the name in memory moves; what it replaces is the object's.
      if (target !== undefined && target.remembered?.symlink === undefined && target.hiddenPath === undefined)
        yield* this.#removal.remove(newPath, caller)
    } else if (fs.rename !== undefined) {
      yield* this.#inPeace(node, () => this.#renameOver(target, path, newPath, caller))
    } else {
      if (!this.#canCopy()) return EXDEV
      yield* this.#inPeace(node, () => this.#copyAndRemove(node, target, path, newPath, caller))
    }
    return undefined
  }

  /** An empty directory or a symlink at the target is in the way of some objects. */
  *#renameOver(target: PathNode | undefined, path: string, newPath: string, caller: Caller): Steps<unknown> {
    const { fs } = this.#tree
    try {
      return yield* wait(fs.rename!(path, newPath, caller))
    } catch (error) {
      const code = codeOf(error)
      if (code !== 'EISDIR' && code !== 'EEXIST') throw error
      if (target?.isDirectory && fs.rmdir !== undefined) yield* wait(fs.rmdir(newPath, caller))
      else if (target?.isSymlink) yield* this.#removal.remove(newPath, caller)
      else throw error
      return yield* wait(fs.rename!(path, newPath, caller))
    }
  }

  #canCopy(): boolean {
    const { fs } = this.#tree
    const copies = fs.copyFile !== undefined || (fs.readFile !== undefined && fs.writeFile !== undefined)
    return copies && (fs.unlink !== undefined || fs.rm !== undefined)
  }

  /** Everything is copied before anything is removed: what fails on the way loses nothing. */
  *#copyAndRemove(
    node: PathNode,
    target: PathNode | undefined,
    path: string,
    newPath: string,
    caller: Caller,
  ): Steps<void> {
    yield* this.#copy(node, path, newPath, target?.isDirectory === true, caller)
    yield* this.#remove(node, path, caller)
  }

  *#copy(node: PathNode, path: string, newPath: string, isThere: boolean, caller: Caller): Steps<void> {
    const { fs } = this.#tree
    if (!node.isDirectory) {
      const stats = yield* wait(this.#tree.lstat(path, caller))
      if (fs.copyFile !== undefined) {
        yield* wait(fs.copyFile(path, newPath, 0, caller))
      } else {
        const bytes = yield* readAll(yield* wait(fs.readFile!(path, caller)))
        const mode = this.#tree.modeForObject(node.mode, false)
        yield* wait(fs.writeFile!(newPath, Buffer.from(bytes), { mode }, caller))
      }
      if (stats === undefined) return
      const copied = yield* wait(this.#tree.lstat(newPath, caller))
      if (copied !== undefined) yield* this.#keepTimes(node, stats, copied, newPath, caller)
      return
    }
    const mode = this.#tree.modeForObject(node.mode, true)
    if (fs.mkdir !== undefined && !isThere) yield* wait(fs.mkdir(newPath, { mode }, caller))
    for (const [name, child] of yield* this.#below(node, caller))
      yield* this.#copy(child, `${path}/${name}`, `${newPath}/${name}`, false, caller)
  }

  /** Some objects have to make a symlink anew to move it: it is the same all the same. */
  *#keepLink(node: PathNode, stats: StatsLike, newPath: string, caller: Caller): Steps<void> {
    const moved = yield* wait(this.#tree.lstat(newPath, caller))
    if (moved === undefined) return
    node.objectIno = inoTold(moved)
    yield* this.#keepTimes(node, stats, moved, newPath, caller)
  }

  /** A copy tells the time of copying, where it tells any. */
  *#keepTimes(
    node: PathNode,
    stats: StatsLike,
    copied: StatsLike,
    newPath: string,
    caller: Caller,
  ): Steps<void> {
    const { fs, options } = this.#tree
    const { atime, mtime, atimensec = 0, mtimensec = 0 } = this.#tree.attr(node, stats)
    const told = mtimeTold(copied)
    if (told === undefined || told === mtimeTold(stats)) return
    const seconds = mtime + mtimensec / 1e9
    if (fs.utimes !== undefined && !node.isSymlink)
      yield* wait(fs.utimes(newPath, atime + atimensec / 1e9, seconds, caller))
    else if (options.remember) Object.assign(node.remember(), { mtime: seconds, mtimeThen: told })
  }

  *#remove(node: PathNode, path: string, caller: Caller): Steps<void> {
    const { fs } = this.#tree
    if (!node.isDirectory) {
      yield* this.#removal.remove(path, caller)
      return
    }
    for (const [name, child] of yield* this.#below(node, caller)) {
      yield* this.#remove(child, `${path}/${name}`, caller)
      this.#tree.tidy(child)
    }
    if (fs.mkdir === undefined) return
    if (fs.rmdir !== undefined) yield* wait(fs.rmdir(path, caller))
    else yield* wait(fs.rm!(path, { recursive: true, force: false }, caller))
  }

  /** What the object has in a directory; what memory has moves with its node. */
  *#below(node: PathNode, caller: Caller): Steps<[string, PathNode][]> {
    const found: [string, PathNode][] = []
    for (const name of yield* namesIn(this.#tree, node, caller)) {
      const stats = yield* wait(this.#tree.find(node, name, caller))
      if (stats === undefined) continue
      const child = this.#tree.adopt(node, name, stats)
      if (child.remembered?.symlink === undefined) found.push([name, child])
    }
    return found
  }

  /** While nothing of the file, or of what lies below, is written back to its old path. */
  *#inPeace(node: PathNode, step: () => Steps<unknown>): Steps<void> {
    const contents = [...contentsBelow(node)]
    const hold = (at: number): Awaitable<unknown> =>
      at === contents.length ? run(step()) : contents[at].during(() => hold(at + 1))
    yield* wait(hold(0))
  }
}

function* contentsBelow(node: PathNode): Iterable<NonNullable<PathNode['content']>> {
  if (node.content !== undefined) yield node.content
  if (node.children !== undefined) for (const child of node.children.values()) yield* contentsBelow(child)
}
