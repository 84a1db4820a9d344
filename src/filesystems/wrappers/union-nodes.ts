// The inodes of a union: which layers stand behind each, and the lookups that every layer has to get back.
import { Inode, InodeTable, ROOT_NODEID } from '../../inodes/index.js'
import type { Attr, Entry } from '../../index.js'
import { giveBack, settle } from './proxy.js'
import type { AnyFilesystem } from './proxy.js'

/** One layer's share of an inode. */
export interface Part {
  readonly layer: number
  readonly nodeid: number
  /** Lookups in that layer that have not been given back. */
  lookups: number
}

/** A file or directory of the union; only directories have several parts, the uppermost first. */
export class UnionNode extends Inode {
  readonly parts: Part[]

  constructor(parts: Part[]) {
    super()
    this.parts = parts
  }

  partIn(layer: number): Part | undefined {
    return this.parts.find((part) => part.layer === layer)
  }
}

export class UnionNodes {
  readonly table: InodeTable<UnionNode>
  readonly #byPart = new Map<string, UnionNode>()
  readonly #layers: readonly AnyFilesystem[]

  constructor(layers: readonly AnyFilesystem[]) {
    this.#layers = layers
    const roots = layers.map((_, layer) => ({ layer, nodeid: ROOT_NODEID, lookups: 0 }))
    this.table = new InodeTable(new UnionNode(roots))
    for (const part of roots) this.#byPart.set(keyOf(part), this.table.root)
  }

  /** The inode that these parts make, for an answer that names it. */
  remember(found: readonly Part[]): UnionNode {
    const known = found.map((part) => this.#byPart.get(keyOf(part))).find((node) => node !== undefined)
    const node = known ?? this.table.add(new UnionNode([]))
    for (const part of found) {
      const held = node.partIn(part.layer)
      if (held?.nodeid === part.nodeid) held.lookups += part.lookups
      else this.#add(node, part)
    }
    this.table.remember(node)
    return node
  }

  /** The union's number of an inode of a layer, undefined where the kernel does not know it. */
  known(layer: number, nodeid: number): number | undefined {
    return this.#byPart.get(keyOf({ layer, nodeid }))?.nodeid
  }

  /** FORGET: the last one gives every layer back what it is owed. */
  forget(nodeid: number, nlookup: number): void {
    const node = this.table.forget(nodeid, nlookup)
    if (node === undefined) return
    for (const part of node.parts) {
      if (this.#byPart.get(keyOf(part)) === node) this.#byPart.delete(keyOf(part))
      this.giveBack(part)
    }
  }

  giveBack({ layer, nodeid, lookups }: Part): void {
    if (lookups > 0) giveBack(this.#layers[layer], nodeid, lookups)
  }

  #add(node: UnionNode, part: Part): void {
    node.parts.push({ ...part })
    node.parts.sort((a, b) => a.layer - b.layer)
    this.#byPart.set(keyOf(part), node)
  }
}

const keyOf = ({ layer, nodeid }: Pick<Part, 'layer' | 'nodeid'>): string => `${layer}:${nodeid}`

/** An inode number that no other layer shows: the layer goes into its upper bits. */
export function inoIn(layer: number, ino: number | bigint): number | bigint {
  return layer === 0 ? ino : BigInt.asUintN(64, BigInt(ino) ^ (BigInt(layer) << 56n))
}

/** An answer as the union gives it: with its own nodeid, and an inode number of its own. */
export function asUnion(answer: object, layer: number, nodeid?: number): object {
  const { attr, stat } = answer as Partial<Entry> & { stat?: Attr }
  return {
    ...answer,
    ...(nodeid === undefined ? {} : { nodeid }),
    ...(attr && { attr: { ...attr, ino: inoIn(layer, attr.ino) } }),
    ...(stat && { stat: { ...stat, ino: inoIn(layer, stat.ino) } }),
  }
}

/** Asks one layer after the other until `enough`; sync as long as the answers are. */
export function each<T>(
  items: readonly T[],
  ask: (item: T) => unknown,
  enough: (answer: unknown, item: T) => boolean,
  at = 0,
): unknown {
  if (at >= items.length) return undefined
  return settle(ask(items[at]), (answer) =>
    enough(answer, items[at]) ? answer : each(items, ask, enough, at + 1),
  )
}
