// The kernel's page cache of a file: when what it holds may stay over an open (FOPEN_KEEP_CACHE), though the object may change by
// itself. Kernel: with FUSE_AUTO_INVAL_DATA it asks for size and mtime before each read, and drops its pages where one differs.
import type { Attr } from '../../index.js'
import type { PathNode } from './path-node.js'
import type { Tree } from './tree.js'

/** Two changes within a tick of the object's clock have one time. Milliseconds, coarse filesystems included. */
const TICK = 2000

/** Takes note of new attributes; `dated` says that the object told mtime and ctime. */
export function attributesSeen(node: PathNode, attr: Attr, dated: boolean): void {
  const before = node.attr
  node.dated = dated
  if (before === undefined) return
  const sameData =
    before.size === attr.size && before.mtime === attr.mtime && before.mtimensec === attr.mtimensec
  const sameInode = before.ctime === attr.ctime && before.ctimensec === attr.ctimensec
  // Content may have been changed, and its time put back.
  if (sameData && !sameInode) node.racy = true
}

/** The kernel was given content. Of a file that has just been changed it may be the content before the next change in the same tick. */
export function contentGiven(node: PathNode): void {
  const { attr } = node
  const changed = attr === undefined ? Infinity : attr.ctime * 1000 + (attr.ctimensec ?? 0) / 1e6
  if (Date.now() - changed < TICK) node.racy = true
}

/** Whether the pages may stay; where not, this open drops them, and what is read from now on counts afresh. */
export function mayKeepPages(node: PathNode, { options, revalidates }: Tree): boolean {
  if (!revalidates) return false
  // Changes may be seen late, by size and mtime, but not never.
  if (options.attrValid > 0) return node.timed
  const keep = node.dated && !node.racy
  node.racy = false
  return keep
}
