// The inodes that the view holds, as the kernel's inode cache does: what was looked up is counted and given back by FORGET.
import {
  S_IFMT,
  S_IFDIR,
  S_IFREG,
  S_IFLNK,
  S_IFCHR,
  S_IFBLK,
  S_IFIFO,
  S_IFSOCK,
} from '../../syscalls/index.js'
import type { Attr, Entry, KernelReply } from '../../index.js'
import { BadReply } from './failure.js'
import { Mutex } from './mutex.js'

const TYPES = new Set([S_IFDIR, S_IFREG, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK])

const ROOT = 1

/** One inode while something here uses it. */
export class Node {
  readonly nodeid: number
  /** Replies that named it and that have not been given back. */
  lookups = 0
  /** Uses: calls under way and open files. */
  uses = 0
  /** As last heard; undefined only for a root that was never asked about. */
  attr: Attr | undefined
  /** inode_lock of the kernel: whoever changes data or attributes. */
  readonly lock = new Mutex()

  constructor(nodeid: number, attr?: Attr) {
    this.nodeid = nodeid
    this.attr = attr
  }

  get isRoot(): boolean {
    return this.nodeid === ROOT
  }

  /** File type, the S_IFMT part of the mode. */
  get type(): number {
    return this.attr === undefined ? S_IFDIR : this.attr.mode & S_IFMT
  }
}

/** Throws a {@link BadReply} for attributes that the kernel would not believe. */
export function checkAttr(operation: string, attr: Attr, type?: number): void {
  const found = attr.mode & S_IFMT
  if (!TYPES.has(found))
    throw new BadReply(`${operation}: the mode 0o${attr.mode.toString(8)} has no file type (S_IFREG, ...)`)
  if (type !== undefined && found !== type)
    throw new BadReply(
      `${operation}: the file type changed from 0o${type.toString(8)} to 0o${found.toString(8)}`,
    )
  if (attr.size < 0 || attr.size > Number.MAX_SAFE_INTEGER)
    throw new BadReply(`${operation}: the size ${attr.size} is out of range`)
}

export class Nodes {
  readonly root = new Node(ROOT)
  readonly #nodes = new Map<number, Node>([[ROOT, this.root]])
  readonly #giveBack: (nodeid: number, nlookup: number) => void

  /** `giveBack` sends FORGET. */
  constructor(giveBack: (nodeid: number, nlookup: number) => void) {
    this.#giveBack = giveBack
  }

  /** Inodes held, the root not counted. */
  get size(): number {
    return this.#nodes.size - 1
  }

  /** Every inode that is held, but the root. */
  *[Symbol.iterator](): Iterator<Node> {
    for (const node of this.#nodes.values()) if (!node.isRoot) yield node
  }

  /** An entry in a reply: counts the lookup, and throws a {@link BadReply} (giving it back) where the kernel would say EIO. */
  found(operation: string, reply: KernelReply, type?: number): Node {
    const { nodeid, attr } = reply as unknown as Entry
    try {
      if (nodeid === 0) throw new BadReply(`${operation}: the new entry has nodeid 0`)
      if (nodeid === ROOT) throw new BadReply(`${operation}: the entry has the nodeid of the root, 1`)
      checkAttr(operation, attr, type)
    } catch (error) {
      if (nodeid !== 0 && nodeid !== ROOT) this.#giveBack(nodeid, 1)
      throw error
    }
    let node = this.#nodes.get(nodeid)
    // Kernel: another type under the same nodeid is another inode; the one before goes bad.
    if (node === undefined || node.type !== (attr.mode & S_IFMT)) {
      node = new Node(nodeid)
      this.#nodes.set(nodeid, node)
    }
    node.attr = attr
    node.lookups++
    return node
  }

  use(node: Node): Node {
    node.uses++
    return node
  }

  /** The last use gives the lookups back. */
  leave(node: Node): void {
    if (--node.uses > 0 || node.isRoot) return
    if (this.#nodes.get(node.nodeid) === node) this.#nodes.delete(node.nodeid)
    if (node.lookups > 0) this.#giveBack(node.nodeid, node.lookups)
    node.lookups = 0
  }
}
