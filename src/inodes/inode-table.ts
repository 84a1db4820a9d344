// The nodes that the kernel knows, by nodeid, with the lookup counts that decide when one may be forgotten.

/** Nodeid of the root, fixed by the protocol (FUSE_ROOT_ID). */
export const ROOT_NODEID = 1

/** What an {@link InodeTable} keeps per node; a filesystem's own node class extends it. */
export class Inode {
  /** Number by which the kernel names this node; 0 until it is added to a table. */
  nodeid = 0
  /** Replies that named this node and that the kernel has not given back by FORGET. */
  lookups = 0
}

/**
 * Maps nodeids to nodes. Nodeids are integers that are never used twice in a table, so a late FORGET or notification
 * can't hit another node, and `generation` can stay 0; unless the filesystem brings its own, see {@link add}.
 *
 * Every reply that carries an entry (lookup, mknod, mkdir, symlink, link, create, tmpfile and each readdirplus entry with a
 * nodeid) is one {@link remember}; every FORGET is one {@link forget}.
 */
export class InodeTable<Node extends Inode> {
  readonly root: Node
  readonly #nodes = new Map<number, Node>()
  #next: number

  /**
   * The root gets nodeid 1 and stays for ever: the kernel never looks it up. The table's own nodeids begin with `first`: where the
   * filesystem brings nodeids, a number beyond all of those.
   */
  constructor(root: Node, first = ROOT_NODEID + 1) {
    this.root = root
    this.#next = first
    this.add(root, ROOT_NODEID)
    root.lookups = 1
  }

  /** Nodes in the table, the root included. */
  get size(): number {
    return this.#nodes.size
  }

  /** The node, or undefined after it was forgotten (a request that names it is answered with ESTALE). */
  get(nodeid: number): Node | undefined {
    return this.#nodes.get(nodeid)
  }

  /**
   * Gives the node a nodeid: `wanted`, unless that is 0 or taken, else the table's next one that is not taken. It stays in the table
   * until its lookups are all given back. Who asks for the same nodeid for another file later has to give its entries another
   * `generation`.
   */
  add(node: Node, wanted = 0): Node {
    if (wanted !== 0 && !this.#nodes.has(wanted)) node.nodeid = wanted
    else {
      while (this.#nodes.has(this.#next)) this.#next++
      node.nodeid = this.#next++
    }
    this.#nodes.set(node.nodeid, node)
    return node
  }

  /** Counts a reply that names the node. */
  remember(node: Node): void {
    node.lookups++
  }

  /** Gives `nlookup` replies back; returns the node when that was the last of them and it has left the table. */
  forget(nodeid: number, nlookup: number): Node | undefined {
    const node = this.#nodes.get(nodeid)
    if (!node || node === this.root) return undefined
    node.lookups -= nlookup
    if (node.lookups > 0) return undefined
    this.#nodes.delete(nodeid)
    return node
  }

  /** Every node, the root first. */
  [Symbol.iterator](): IterableIterator<Node> {
    return this.#nodes.values()
  }
}
