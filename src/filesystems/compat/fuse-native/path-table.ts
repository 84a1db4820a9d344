// The paths of the files that the kernel knows by nodeid: a tree of names, kept up to date by renames and removals.
import { Inode, InodeTable } from '../../../inodes/index.js'

/** A file by the name it was looked up under; its other hard links are nodes of their own, as in libfuse. */
export class PathInode extends Inode {
  parent: PathInode | undefined
  name: string
  /** Names below it that have a node. */
  readonly children = new Map<string, PathInode>()
  /** The name is gone; `parent` and `name` say what it was. */
  removed = false
  /** It was removed while open and lives on under a hidden name until it is closed. */
  hidden = false
  /** Open files of it. */
  opens = 0
  /** Option autoCache: what it was like when it was last seen, and when that was (`performance.now()`). */
  seen: { size: number; mtime: number; mtimensec: number; at: number } | undefined
  /** Option autoCache: cached data is still good. */
  cached = false

  constructor(parent: PathInode | undefined, name: string) {
    super()
    this.parent = parent
    this.name = name
  }

  /** The path, `/` for the root; of something removed its last one. */
  get path(): string {
    return this.parent === undefined ? '/' : this.parent.below(this.name)
  }

  /** The path of a name in this directory. */
  below(name: string): string {
    return this.parent === undefined ? `/${name}` : `${this.path}/${name}`
  }
}

/** The nodes by nodeid and by name. One that is forgotten stays for `remember` seconds, with the number that stat(2) shows. */
export class PathTable {
  readonly #nodes = new InodeTable<PathInode>(new PathInode(undefined, ''))
  readonly #remember: number
  /** Those that the kernel has forgotten, with the time to forget them here. */
  readonly #leaving = new Map<PathInode, number>()

  constructor(remember: number) {
    this.#remember = remember
  }

  /** Undefined for a nodeid that is not in use, and for something removed. */
  get(nodeid: number): PathInode | undefined {
    const node = this.#nodes.get(nodeid)
    return node?.removed === true ? undefined : node
  }

  /** The node of a name, for a reply that names it: counts a lookup. */
  remember(parent: PathInode, name: string): PathInode {
    let node = parent.children.get(name)
    if (node === undefined) {
      node = new PathInode(parent, name)
      parent.children.set(name, node)
    }
    // Forgotten by the kernel, but kept for what is below it: nodeids are never used twice.
    if (this.#nodes.get(node.nodeid) !== node) this.#nodes.add(node)
    this.#leaving.delete(node)
    this.#nodes.remember(node)
    return node
  }

  forget(nodeid: number, nlookup: number): void {
    const node = this.#nodes.get(nodeid)
    if (node === undefined || node === this.#nodes.root) return
    if (node.lookups > nlookup || node.removed || this.#remember === 0) {
      if (this.#nodes.forget(nodeid, nlookup) !== undefined) this.#prune(node)
      return
    }
    node.lookups = 0
    if (this.#remember === Infinity) return
    this.#leaving.set(node, performance.now() + this.#remember * 1000)
    if (this.#leaving.size === 1) this.#leaveIn(this.#remember * 1000)
  }

  /** A name is gone, and with it what it named, as far as it is known here. */
  remove(parent: PathInode, name: string): void {
    const node = parent.children.get(name)
    if (node === undefined) return
    parent.children.delete(name)
    node.removed = true
    this.#leaving.delete(node)
    if (node.lookups === 0) this.#nodes.forget(node.nodeid, 0)
    this.#prune(parent)
  }

  /** It has another name now, instead of whatever had it before. */
  move(node: PathInode, parent: PathInode, name: string): void {
    if (parent.children.get(name) === node) return
    this.remove(parent, name)
    const old = node.parent
    old?.children.delete(node.name)
    node.parent = parent
    node.name = name
    parent.children.set(name, node)
    if (old !== undefined) this.#prune(old)
  }

  /** Names that nobody knows and that nothing known is below of. */
  #prune(from: PathInode): void {
    for (let node: PathInode | undefined = from; node !== undefined; node = node.parent) {
      if (node.children.size > 0 || this.#nodes.get(node.nodeid) === node) return
      if (node.parent?.children.get(node.name) === node) node.parent.children.delete(node.name)
    }
  }

  #leaveIn(milliseconds: number): void {
    setTimeout(() => this.#leave(), milliseconds).unref()
  }

  #leave(): void {
    const now = performance.now()
    for (const [node, due] of this.#leaving) {
      if (due > now) {
        this.#leaveIn(due - now)
        return
      }
      this.#leaving.delete(node)
      this.#nodes.forget(node.nodeid, 0)
      this.#prune(node)
    }
  }
}
