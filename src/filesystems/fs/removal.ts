// Removing names: what is still open lives on, in the object's handle, under a hidden name, or in memory.
import { randomBytes } from 'node:crypto'
import { EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EOPNOTSUPP, EPERM } from '../../index.js'
import type { Errno } from '../../index.js'
import { modeOf } from './attributes.js'
import { run, wait } from './awaitable.js'
import type { Steps } from './awaitable.js'
import type { Caller } from './path-filesystem.js'
import { S_IFDIR, S_IFMT } from '../../syscalls/index.js'
import type { OpenFile } from './open-file.js'
import type { PathNode } from './path-node.js'
import { namesIn } from './listing.js'
import type { Tree } from './tree.js'

export class Removal {
  readonly #tree: Tree
  /** Two mounts may hide files of one object. */
  readonly #mount = randomBytes(6).toString('hex')
  #hidden = 0

  constructor(tree: Tree) {
    this.#tree = tree
  }

  *unlink(parent: PathNode, name: string, caller: Caller): Steps<Errno | undefined> {
    const tree = this.#tree
    const { fs } = tree
    const stats = yield* wait(tree.find(parent, name, caller))
    if (stats === undefined) return ENOENT
    const node = tree.adopt(parent, name, stats)
    node.mode = modeOf(stats, tree.options)
    if (node.isDirectory) return EISDIR
    try {
      if (node.remembered?.symlink === undefined) {
        if (fs.unlink === undefined && fs.rm === undefined) return EPERM
        if (!(yield* this.keepOpen(node, caller)))
          yield* this.#inPeace(node, () => this.remove(parent.pathOf(name), caller))
      }
      this.keepDirectory(parent)
      tree.touched(parent)
      tree.detach(node, { parent, name })
      yield* this.settle(node, caller)
    } finally {
      tree.tidy(node)
    }
    return undefined
  }

  *rmdir(parent: PathNode, name: string, caller: Caller): Steps<Errno | undefined> {
    const tree = this.#tree
    const { fs } = tree
    const stats = yield* wait(tree.find(parent, name, caller))
    if (stats === undefined) return ENOENT
    const node = tree.adopt(parent, name, stats)
    if ((modeOf(stats, tree.options) & S_IFMT) !== S_IFDIR) return ENOTDIR
    const path = parent.pathOf(name)
    try {
      // What is removed recursively, or has entries in memory, has to be empty by our own knowledge.
      if (!(yield* this.isEmpty(node, caller))) return ENOTEMPTY
      if (fs.rmdir !== undefined) {
        if (!node.remembered?.directory) yield* wait(fs.rmdir(path, caller))
      } else if (fs.mkdir !== undefined) {
        if (fs.rm === undefined) return EPERM
        yield* wait(fs.rm(path, { recursive: true, force: false }, caller))
      } else if (!tree.options.remember) {
        return EOPNOTSUPP
      }
      this.keepDirectory(parent)
      tree.touched(parent)
      tree.detach(node, { parent, name })
    } finally {
      tree.tidy(node)
    }
    return undefined
  }

  /** Whether a directory holds nothing, in the object and in memory. */
  *isEmpty(node: PathNode, caller: Caller): Steps<boolean> {
    return (yield* namesIn(this.#tree, node, caller)).size === 0
  }

  /**
   * Sees to it that an open file outlives the loss of its name. True where that name is gone already, because the file
   * was hidden.
   */
  *keepOpen(node: PathNode, caller: Caller): Steps<boolean> {
    if (node.opens === undefined) return false
    const { fs } = this.#tree
    if (node.aliases !== undefined && node.aliases.length > 0) {
      // It lives on under another name, which the handles don't know.
      yield* this.letGo(node)
      return false
    }
    if (node.content !== undefined) {
      yield* wait(node.content.need(Infinity))
      return false
    }
    if (fs.open === undefined) return false
    if (fs.stableHandles) {
      yield* this.#keepPositions(node, caller)
      return false
    }
    if (fs.rename === undefined) return false
    const name = `.fuse_hidden_${this.#mount}_${++this.#hidden}`
    const path = `/${name}`
    yield* this.letGo(node)
    this.#tree.hidden.add(name)
    try {
      yield* wait(fs.rename(node.path, path, caller))
    } catch (error) {
      this.#tree.hidden.delete(name)
      throw error
    }
    node.hiddenPath = path
    node.moved()
    return true
  }

  /** What only appends gets a handle that writes at positions while there is a path to open: pages of a mapping have places. */
  *#keepPositions(node: PathNode, caller: Caller): Steps<void> {
    const appending = [...node.opens!].filter((file) => file.writable && file.appends)
    const isOpen = (file: OpenFile): boolean => node.opens?.has(file) ?? false
    for (const file of appending) {
      // Released while another one was opened.
      if (!isOpen(file)) continue
      try {
        yield* wait(file.ownPositions.reopened(this.#tree.fs, caller))
      } catch {
        // The name goes all the same; a write to a place will say what is wrong.
      }
      if (isOpen(file)) continue
      yield* wait(file.positioned?.letGo())
      file.positioned?.leave()
    }
  }

  /** Undoes the hiding of {@link keepOpen}: what was to take the file's place did not. */
  *bringBack(node: PathNode, path: string, caller: Caller): Steps<void> {
    const { hiddenPath } = node
    if (hiddenPath === undefined) return
    yield* this.letGo(node)
    yield* wait(this.#tree.fs.rename!(hiddenPath, path, caller))
    this.#tree.hidden.delete(hiddenPath.slice(1))
    node.hiddenPath = undefined
    node.moved()
  }

  /** Closes the handles of a node and of what lies below, which cannot follow it to another path. */
  *letGo(node: PathNode): Steps<void> {
    if (node.opens !== undefined && !this.#tree.fs.stableHandles)
      for (const file of node.opens) yield* wait(file.letGo())
    if (node.children !== undefined) for (const child of node.children.values()) yield* this.letGo(child)
  }

  /**
   * Lets go of what nothing needs any more, after the last open of a node has ended or its name is gone: what was hidden for
   * opens that are over goes, too. Before its name is gone it stays, for {@link bringBack}.
   */
  *settle(node: PathNode, caller: Caller): Steps<void> {
    const { hiddenPath } = node
    if (hiddenPath !== undefined && node.gone && node.opens === undefined) {
      node.hiddenPath = undefined
      node.moved()
      yield* this.remove(hiddenPath, caller)
      this.#tree.hidden.delete(hiddenPath.slice(1))
    }
    this.#tree.tidy(node)
  }

  /** Where directories exist by their entries alone, one that loses an entry stays all the same. */
  keepDirectory(node: PathNode): void {
    if (this.#tree.fs.mkdir === undefined && node !== this.#tree.root && this.#tree.options.remember)
      node.remember().directory = true
  }

  /** While nothing is written back to the path. */
  *#inPeace(node: PathNode, step: () => Steps<void>): Steps<void> {
    if (node.content === undefined) yield* step()
    else yield* wait(node.content.during(() => run(step())))
  }

  /** Removes what is no directory from the object. */
  *remove(path: string, caller: Caller): Steps<void> {
    const { fs } = this.#tree
    if (fs.unlink !== undefined) yield* wait(fs.unlink(path, caller))
    else yield* wait(fs.rm!(path, { recursive: false, force: false }, caller))
  }
}
