// RENAME: over existing targets and of open files, and for objects that can only copy and remove.
import { EEXIST, EINVAL, ENOENT, ENOTEMPTY, EXDEV } from '../../index.js'
import type { Errno } from '../../index.js'
import { modeOf } from './attributes.js'
import { run, wait } from './awaitable.js'
import type { Steps } from './awaitable.js'
import { readAll } from './content.js'
import { namesIn } from './listing.js'
import type { Caller } from './path-filesystem.js'
import type { PathNode } from './path-node.js'
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

  *rename(
    from: { parent: PathNode; name: string },
    to: { parent: PathNode; name: string },
    flags: number,
    caller: Caller,
  ): Steps<Errno | undefined> {
    const tree = this.#tree
    // Objects have no call that exchanges two names at once, and three renames would show what never was.
    if ((flags & ~RENAME_NOREPLACE) !== 0) return EINVAL
    const stats = yield* wait(tree.find(from.parent, from.name, caller))
    if (stats === undefined) return ENOENT
    const node = tree.adopt(from.parent, from.name, stats)
    node.mode = modeOf(stats, tree.options)
    let target: PathNode | undefined
    try {
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
    } finally {
      tree.tidy(node)
      if (target !== undefined) tree.tidy(target)
    }
    return undefined
  }

  *#carryOut(
    node: PathNode,
    target: PathNode | undefined,
    from: { parent: PathNode; name: string },
    to: { parent: PathNode; name: string },
    caller: Caller,
  ): Steps<Errno | undefined> {
    const { fs } = this.#tree
    const path = from.parent.pathOf(from.name)
    const newPath = to.parent.pathOf(to.name)
    if (target !== undefined && target.opens !== undefined) yield* this.#removal.keepOpen(target, caller)
    yield* this.#removal.letGo(node)
    if (node.remembered?.symlink !== undefined) {
      // Only the name in memory moves; what it replaces is the object's.
      if (target !== undefined && target.remembered?.symlink === undefined && target.hiddenPath === undefined)
        yield* this.#removal.remove(newPath, caller)
      return undefined
    }
    if (fs.rename !== undefined) {
      yield* this.#inPeace(node, () => wait(fs.rename!(path, newPath, caller)))
      return undefined
    }
    if (!this.#canCopy()) return EXDEV
    yield* this.#inPeace(node, () => this.#copyAndRemove(node, path, newPath, caller))
    return undefined
  }

  #canCopy(): boolean {
    const { fs } = this.#tree
    const copies = fs.copyFile !== undefined || (fs.readFile !== undefined && fs.writeFile !== undefined)
    return copies && (fs.unlink !== undefined || fs.rm !== undefined)
  }

  *#copyAndRemove(node: PathNode, path: string, newPath: string, caller: Caller): Steps<unknown> {
    const { fs } = this.#tree
    if (!node.isDirectory) {
      if (fs.copyFile !== undefined) yield* wait(fs.copyFile(path, newPath, 0, caller))
      else {
        const bytes = yield* readAll(yield* wait(fs.readFile!(path, caller)))
        yield* wait(fs.writeFile!(newPath, bytes, {}, caller))
      }
      return yield* this.#removal.remove(path, caller)
    }
    if (fs.mkdir !== undefined)
      yield* wait(fs.mkdir(newPath, { mode: this.#tree.modeForObject(node.mode, true) }, caller))
    for (const name of yield* namesIn(this.#tree, node, caller)) {
      const stats = yield* wait(this.#tree.find(node, name, caller))
      if (stats === undefined) continue
      const child = this.#tree.adopt(node, name, stats)
      if (child.remembered?.symlink !== undefined) continue
      yield* this.#copyAndRemove(child, `${path}/${name}`, `${newPath}/${name}`, caller)
      this.#tree.tidy(child)
    }
    if (fs.mkdir === undefined) return undefined
    if (fs.rmdir !== undefined) return yield* wait(fs.rmdir(path, caller))
    return yield* wait(fs.rm!(path, { recursive: true, force: false }, caller))
  }

  /** While nothing of the file, or of what lies below, is written back to its old path. */
  *#inPeace(node: PathNode, step: () => Steps<unknown>): Steps<void> {
    if (node.content !== undefined) {
      yield* wait(node.content.during(() => run(step())))
      return
    }
    const below = [...contentsBelow(node)]
    for (const content of below) yield* wait(content.during(() => undefined))
    yield* step()
  }
}

function* contentsBelow(node: PathNode): Iterable<NonNullable<PathNode['content']>> {
  if (node.content !== undefined) yield node.content
  if (node.children !== undefined) for (const child of node.children.values()) yield* contentsBelow(child)
}
