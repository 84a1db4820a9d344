// The known part of an object: which nodeid is which path. Nodes come with lookups, move with renames and go with FORGET;
// those that something has to be remembered of stay.
import { InodeTable } from '../../inodes/index.js'
import { ENOENT } from '../../index.js'
import type { Entry, Errno } from '../../index.js'
import { attrOf, copyOf, inoTold, modeOf, overlay, setMtime, setSize, typeOf } from './attributes.js'
import { isPromise, then } from './awaitable.js'
import { describe } from './failure.js'
import type { ResolvedFsOptions } from './options.js'
import type { Awaitable, Caller, PathFilesystem, StatsLike } from './path-filesystem.js'
import { S_IFDIR, S_IFLNK, S_IFMT } from '../../syscalls/index.js'
import { PathNode } from './path-node.js'
import type { Place } from './path-node.js'
import { statMethod } from './stat-method.js'

type Attr = Entry['attr']

/** Inode numbers that are made from a path stay below 2^48 and above what small counters of objects reach. */
const MADE_INO = 2 ** 40

export class Tree {
  readonly fs: PathFilesystem
  readonly options: ResolvedFsOptions
  readonly inodes: InodeTable<PathNode>
  readonly root: PathNode
  /** Files that are hidden in `/`, by name. */
  readonly hidden = new Set<string>()
  /** The kernel looks at size and mtime before it trusts its pages. */
  revalidates = false
  /** What would lock us out of the object is kept in memory. */
  readonly keepsAccess: boolean
  readonly #lstat: ReturnType<typeof statMethod>
  readonly #inos = new Map<number, PathNode>()
  /** Nodes with several names, by what the object calls them. */
  readonly #linked = new Map<string, PathNode>()

  constructor(fs: PathFilesystem, options: ResolvedFsOptions) {
    this.fs = fs
    this.options = options
    this.root = new PathNode(null, S_IFDIR, 1)
    this.#inos.set(1, this.root)
    this.inodes = new InodeTable(this.root)
    this.keepsAccess = fs.checksPermissions === true && options.remember
    this.#lstat = statMethod(fs)
  }

  /** What the object says of a path; undefined where there is nothing. Other errors are thrown. */
  lstat(path: string, caller: Caller): Awaitable<StatsLike | undefined> {
    try {
      const stats = this.#lstat(path, caller)
      if (isPromise(stats)) return stats.then((value) => this.#whole(path, value, caller), missing)
      return this.#whole(path, stats, caller)
    } catch (error) {
      return missing(error)
    }
  }

  /** What the object says of a node; undefined where it has no way to say anything any more. */
  stats(node: PathNode, caller: Caller): Awaitable<StatsLike | undefined> | undefined {
    const { gone, hiddenPath, opens, remembered } = node
    if (opens !== undefined && (gone || !this.fs.stableHandles)) {
      for (const { handle, writable } of opens)
        if (handle?.stat !== undefined && (writable || gone)) return handle.stat()
    }
    if (gone && hiddenPath === undefined) return undefined
    if (remembered?.symlink !== undefined)
      return { type: 'symlink', size: Buffer.byteLength(remembered.symlink) }
    if (remembered?.directory) return { type: 'directory' }
    return this.lstat(node.path, caller)
  }

  /** Programs go by the size of a symlink, and some objects tell none: it is the length of the target. */
  #whole(
    path: string,
    stats: StatsLike | undefined | null,
    caller: Caller,
  ): Awaitable<StatsLike | undefined> {
    if (stats === undefined || stats === null) return undefined
    if (typeof stats !== 'object')
      throw new TypeError(
        `attributes have to be an object, or undefined where nothing is, not ${describe(stats)}: ${path}`,
      )
    if (Number(stats.size ?? 0) > 0 || typeOf(stats) !== S_IFLNK || this.fs.readlink === undefined)
      return stats
    return then(this.fs.readlink(path, caller), (target) => ({
      ...copyOf(stats),
      size: Buffer.byteLength(target),
    }))
  }

  /** What a path is, memory included; undefined where there is nothing. */
  find(parent: PathNode, name: string, caller: Caller): Awaitable<StatsLike | undefined> {
    const remembered = parent.children?.get(name)?.remembered
    if (remembered !== undefined) {
      if (remembered.symlink !== undefined)
        return { type: 'symlink', size: Buffer.byteLength(remembered.symlink) }
      if (remembered.directory) return { type: 'directory' }
    }
    if (parent === this.root && this.hidden.has(name)) return undefined
    return this.lstat(parent.pathOf(name), caller)
  }

  /** The node of what was found under a name: the one that is known, or a new one. */
  adopt(parent: PathNode, name: string, stats: StatsLike): PathNode {
    const known = parent.children?.get(name)
    const told = inoTold(stats)
    if (known !== undefined) {
      if (this.#isStill(known, stats, told)) return known
      this.detach(known, { parent, name })
    }
    const key = linkKeyOf(stats, told)
    const linked = key === undefined ? undefined : this.#linked.get(key)
    if (linked !== undefined && !linked.gone && this.#isStill(linked, stats, told)) {
      this.name(linked, parent, name)
      return linked
    }
    const node = new PathNode({ parent, name }, modeOf(stats, this.options), 0)
    node.objectIno = told
    node.ino = this.#inoFor(node, told)
    this.#inos.set(node.ino, node)
    node.linkKey = key
    if (key !== undefined) this.#linked.set(key, node)
    this.inodes.add(node)
    ;(parent.children ??= new Map()).set(name, node)
    return node
  }

  /** The entry of a name; one lookup counted. */
  entry(parent: PathNode, name: string, stats: StatsLike): Entry {
    const node = this.adopt(parent, name, stats)
    const attr = this.attr(node, stats)
    this.inodes.remember(node)
    return {
      nodeid: node.nodeid,
      entryValid: this.options.entryValid,
      attrValid: this.options.attrValid,
      attr,
    }
  }

  /** The attributes that the kernel gets: of the object, of memory, and of what is still being written. */
  attr(node: PathNode, stats: StatsLike): Attr {
    const attr = attrOf(node, stats, this.options)
    const { content } = node
    if (content?.dirty) {
      setSize(attr, content.size)
      setMtime(attr, content.mtime)
    } else if (node.opens !== undefined) {
      for (const { written } of node.opens) if (written > attr.size) setSize(attr, written)
    }
    if (node === this.root) attr.ino = node.ino
    return attr
  }

  /** The attributes of what has no name any more, as far as they are known. */
  lastAttr(node: PathNode): Attr | Errno {
    const { attr, content, remembered } = node
    if (attr === undefined) return ENOENT
    attr.nlink = 0
    if (content?.loaded) {
      setSize(attr, content.size)
      if (content.dirty) setMtime(attr, content.mtime)
    }
    if (remembered !== undefined) overlay(attr, remembered, remembered.mtimeThen)
    return attr
  }

  /** A further name of a known node. */
  name(node: PathNode, parent: PathNode, name: string): void {
    const place = { parent, name }
    if (node.place === null) node.place = place
    else (node.aliases ??= []).push(place)
    ;(parent.children ??= new Map()).set(name, node)
  }

  /** A name is gone. What it named lives on while the kernel knows it or it is open. */
  detach(node: PathNode, { parent, name }: Place): void {
    if (parent.children?.get(name) === node) parent.children.delete(name)
    const { place } = node
    const isFirst = place !== null && place.parent === parent && place.name === name
    if (isFirst) {
      node.place = node.aliases?.shift() ?? null
    } else {
      node.aliases = node.aliases?.filter((alias) => alias.parent !== parent || alias.name !== name)
    }
    if (isFirst) node.moved()
    if (node.place !== null) return
    node.gone = true
    if (node.lookups <= 0 && node.opens === undefined) this.#drop(node)
  }

  /** A name moved; what was at the target has been detached. */
  move(node: PathNode, from: Place, to: Place): void {
    if (from.parent.children?.get(from.name) === node) from.parent.children.delete(from.name)
    ;(to.parent.children ??= new Map()).set(to.name, node)
    if (node.place?.parent === from.parent && node.place.name === from.name) node.place = to
    else
      node.aliases = node.aliases?.map((alias) =>
        alias.parent === from.parent && alias.name === from.name ? to : alias,
      )
    node.moved()
  }

  forget(nodeid: number, nlookup: number): void {
    const node = this.inodes.get(nodeid)
    if (node === undefined || node === this.root) return
    node.lookups -= nlookup
    this.tidy(node)
  }

  /** Lets go of a node that nothing holds any more, and of directories above that it was the last to hold. */
  tidy(node: PathNode): void {
    for (let at: PathNode = node; at !== this.root && at.lookups <= 0 && at.idle;) {
      const parent = at.place?.parent
      this.#drop(at)
      if (parent === undefined) return
      at = parent
    }
  }

  /** Permission bits as the object gets them: never so few that it would refuse us what the kernel allows a caller. */
  modeForObject(mode: number, isDirectory: boolean): number {
    const bits = mode & 0o7777
    return this.keepsAccess ? bits | (isDirectory ? 0o700 : 0o600) : bits
  }

  /** Notes that the content of a file or directory was changed: an object without times would show none of it. */
  touched(node: PathNode): void {
    if (!this.options.remember || (node.timed && node.remembered?.mtime === undefined)) return
    const now = Date.now() / 1000
    Object.assign(node.remember(), { mtime: now, ctime: now, mtimeThen: undefined })
  }

  #drop(node: PathNode): void {
    for (const { parent, name } of [...(node.place === null ? [] : [node.place]), ...(node.aliases ?? [])]) {
      if (parent.children?.get(name) === node) parent.children.delete(name)
    }
    this.inodes.forget(node.nodeid, node.lookups)
    if (this.#inos.get(node.ino) === node) this.#inos.delete(node.ino)
    const { linkKey } = node
    if (linkKey !== undefined && this.#linked.get(linkKey) === node) this.#linked.delete(linkKey)
  }

  /** Whether a known node can be what the object tells of now. */
  #isStill(node: PathNode, stats: StatsLike, told: number | undefined): boolean {
    const type = typeOf(stats)
    if (type !== 0 && type !== (node.mode & S_IFMT)) return false
    // Only objects with real files have numbers that say that one was put in the place of another.
    if (!this.fs.stableHandles || told === undefined || node.objectIno === undefined) return true
    return told === node.objectIno
  }

  /** The object's own number where no other file has it, else one made from the path. */
  #inoFor(node: PathNode, told: number | undefined): number {
    if (told !== undefined && Number.isSafeInteger(told) && !this.#inos.has(told)) return told
    return this.madeIno(node.path)
  }

  /** A number for a path, the same each time unless another file has it. */
  madeIno(path: string): number {
    let low = 0x811c9dc5
    let high = 0x01000193
    for (let at = 0; at < path.length; at++) {
      const unit = path.charCodeAt(at)
      low = Math.imul(low ^ unit, 0x01000193)
      high = Math.imul(high ^ unit, 0x85ebca6b)
    }
    let ino = MADE_INO + ((high >>> 0) & 0xffff) * 2 ** 32 + (low >>> 0)
    while (this.#inos.has(ino)) ino++
    return ino
  }
}

function missing(error: unknown): undefined {
  if (isMissing(error)) return undefined
  throw error
}

/** Whether an error says that there is nothing at a path. */
export function isMissing(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  const { code, errno } = error as { code?: unknown; errno?: unknown }
  if (typeof code === 'string') return code === 'ENOENT' || code === 'ENOTDIR'
  return errno === ENOENT || errno === -ENOENT
}

/** Tells two names of one file from two files; only objects that count names can. */
function linkKeyOf(stats: StatsLike, told: number | undefined): string | undefined {
  if (told === undefined || stats.nlink === undefined || stats.nlink <= 1) return undefined
  if (typeOf(stats) === S_IFDIR) return undefined
  return `${String(stats.dev ?? 0)}:${told}`
}
