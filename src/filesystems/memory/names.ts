// Names: lookup and forget, removing, renaming and linking, and the targets of symlinks.
import {
  EEXIST,
  EINVAL,
  EISDIR,
  ENAMETOOLONG,
  ENOENT,
  ENOSPC,
  ENOTDIR,
  ENOTEMPTY,
  EPERM,
  ESTALE,
} from '../../protocol/index.js'
import type {
  Entry,
  Errno,
  Filesystem,
  ForgetOne,
  LinkRequest,
  LookupRequest,
  NegativeEntry,
  ReadlinkRequest,
  RenameRequest,
  RmdirRequest,
  UnlinkRequest,
} from '../../protocol/index.js'
import { RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT, S_IFCHR } from '../../syscalls/index.js'
import { now } from './clock.js'
import type { Directory } from './directory.js'
import { forbidsRemoval, isImmutable, isProtected } from './flags.js'
import { makeIn } from './inherited.js'
import { MemoryInode } from './inode.js'
import { FOREVER } from './tree.js'
import type { Tree } from './tree.js'

/** Longest name in bytes. */
export const NAME_MAX = 255

type DirectoryInode = MemoryInode & { directory: Directory }

/** The directory of a request, if `name` can be one in it. */
export function directoryFor(tree: Tree, nodeid: number, name: string): DirectoryInode | Errno {
  const inode = tree.inode(nodeid)
  if (inode === undefined) return ESTALE
  if (!inode.isDirectory()) return ENOTDIR
  if (name.length > NAME_MAX) return ENAMETOOLONG
  return name === '' || name === '.' || name === '..' || name.includes('/') ? EINVAL : inode
}

/** The same for a name that is about to be made: the directory has not been removed, and the name is free. */
export function directoryForNew(tree: Tree, nodeid: number, name: string): DirectoryInode | Errno {
  const directory = directoryFor(tree, nodeid, name)
  if (typeof directory === 'number') return directory
  if (directory.nlink === 0) return ENOENT
  if (isImmutable(directory)) return EPERM
  return directory.directory.get(name) === undefined ? directory : EEXIST
}

export function names(tree: Tree) {
  const remove = (nodeid: number, name: string, refuse: (inode: MemoryInode) => Errno | undefined) => {
    const directory = directoryFor(tree, nodeid, name)
    if (typeof directory === 'number') return directory
    const inode = directory.directory.get(name)
    if (inode === undefined) return ENOENT
    if (forbidsRemoval(directory, inode)) return EPERM
    const refused = refuse(inode)
    if (refused !== undefined) return refused
    directory.directory.delete(name)
    tree.unlinked(directory, inode, now())
    return undefined
  }

  /** Why `inode` may not take the place of `other`. */
  const refuseReplace = (inode: MemoryInode, other: MemoryInode): Errno | undefined => {
    if (!other.isDirectory()) return inode.isDirectory() ? ENOTDIR : undefined
    if (!inode.isDirectory()) return EISDIR
    return other.directory.size > 0 ? ENOTEMPTY : undefined
  }

  /** A character device 0:0 where the name was, by which overlayfs hides a file of a lower layer. */
  const leaveWhiteout = (directory: DirectoryInode, name: string, request: RenameRequest) => {
    const whiteout = makeIn(tree, directory, S_IFCHR, request, { rdev: 0 })
    if (typeof whiteout === 'number') return whiteout
    return () => tree.link(directory, name, whiteout, now())
  }

  const exchange = (from: DirectoryInode, name: string, to: DirectoryInode, newname: string) => {
    const [a, b] = [from.directory.get(name)!, to.directory.get(newname)]
    if (b === undefined) return ENOENT
    if (forbidsRemoval(to, b)) return EPERM
    if ((a.isDirectory() && isInside(to, a)) || (b.isDirectory() && isInside(from, b))) return EINVAL
    const time = now()
    for (const [inode, lost, won, wonName] of [
      [a, from, to, newname],
      [b, to, from, name],
    ] as const) {
      won.directory.set(wonName, inode)
      if (inode.isDirectory()) {
        inode.parent = won
        lost.nlink--
        won.nlink++
      }
      inode.ctime = time
      won.modified(time)
    }
    return from === to ? undefined : movedAway(a, b)
  }

  /** Kernel: to a listing that it has cached, `..` does not change. */
  const movedAway = (...inodes: MemoryInode[]): Promise<void> | undefined => {
    const directories = inodes.filter((inode) => inode.isDirectory())
    if (directories.length === 0) return undefined
    return Promise.all(directories.map((directory) => tree.invalidate(directory, 0))).then(() => undefined)
  }

  return {
    lookup({ nodeid, name }: LookupRequest): Entry | NegativeEntry | Errno {
      if (name === '.' || name === '..') {
        // Kernel: how it reconnects a file that it knows by handle (FUSE_EXPORT_SUPPORT).
        const inode = tree.inode(nodeid)
        const found = name === '.' ? inode : inode?.parent
        return found === undefined ? ESTALE : tree.entry(found)
      }
      const directory = directoryFor(tree, nodeid, name)
      if (typeof directory === 'number') return directory
      const inode = directory.directory.get(name)
      return inode === undefined ? { nodeid: 0, entryValid: FOREVER } : tree.entry(inode)
    },

    forget({ nodeid, nlookup }: ForgetOne): void {
      tree.forget(nodeid, nlookup)
    },

    readlink({ nodeid }: ReadlinkRequest): string | Errno {
      const inode = tree.inode(nodeid)
      if (inode === undefined) return ESTALE
      if (inode.target === undefined) return EINVAL
      tree.accessed(inode)
      return inode.target.toString()
    },

    unlink: ({ nodeid, name }: UnlinkRequest): void | Errno =>
      remove(nodeid, name, (inode) => (inode.isDirectory() ? EISDIR : undefined)),

    rmdir: ({ nodeid, name }: RmdirRequest): void | Errno =>
      remove(nodeid, name, (inode) => {
        if (!inode.isDirectory()) return ENOTDIR
        return inode.directory.size > 0 ? ENOTEMPTY : undefined
      }),

    rename(request: RenameRequest): void | Errno | Promise<void> {
      const { nodeid, name, newdir, newname, flags } = request
      const from = directoryFor(tree, nodeid, name)
      if (typeof from === 'number') return from
      const to = directoryFor(tree, newdir, newname)
      if (typeof to === 'number') return to
      const inode = from.directory.get(name)
      if (inode === undefined || to.nlink === 0) return ENOENT
      if (isImmutable(to) || forbidsRemoval(from, inode)) return EPERM
      if ((flags & RENAME_EXCHANGE) !== 0) {
        return (flags & ~RENAME_EXCHANGE) !== 0 ? EINVAL : exchange(from, name, to, newname)
      }
      const other = to.directory.get(newname)
      if (other !== undefined && forbidsRemoval(to, other)) return EPERM
      if (other !== undefined && (flags & RENAME_NOREPLACE) !== 0) return EEXIST
      if (inode.isDirectory() && isInside(to, inode)) return EINVAL
      // Two names of one file: rename(2) does nothing.
      if (other === inode) return undefined
      const refused = other && refuseReplace(inode, other)
      if (refused !== undefined) return refused
      const whiteout = (flags & RENAME_WHITEOUT) !== 0 ? leaveWhiteout(from, name, request) : undefined
      if (typeof whiteout === 'number') return whiteout

      const time = now()
      if (other !== undefined) tree.unlinked(to, other, time)
      tree.link(to, newname, inode, time)
      from.directory.delete(name)
      tree.unlinked(from, inode, time)
      whiteout?.()
      return from === to ? undefined : movedAway(inode)
    },

    link({ nodeid, oldnodeid, newname }: LinkRequest): Entry | Errno {
      const inode = tree.inode(oldnodeid)
      if (inode === undefined) return ESTALE
      const directory = directoryForNew(tree, nodeid, newname)
      if (typeof directory === 'number') return directory
      if (inode.isDirectory()) return EPERM
      if (isProtected(inode)) return EPERM
      if (inode.nlink === 0 && !inode.linkable) return ENOENT
      if (inode.nlink > 0 && tree.isFull) return ENOSPC
      inode.linkable = false
      tree.link(directory, newname, inode, now())
      return tree.entry(inode)
    },
  } satisfies Filesystem
}

/** Whether `directory` is `above`, or lies below it. */
function isInside(directory: MemoryInode, above: MemoryInode): boolean {
  for (let at: MemoryInode | undefined = directory; at !== undefined; at = at.parent) {
    if (at === above) return true
    if (at.parent === at) return false
  }
  return false
}
