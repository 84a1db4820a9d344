// Set-user-id and set-group-id bits and file capabilities, which go when others than the owner change a file.
// Kernel: with FUSE_HANDLE_KILLPRIV_V2 it says when, and leaves it to the server.
import { EPERM } from '../../protocol/index.js'
import type { Request } from '../../protocol/index.js'
import { S_ISGID, S_ISUID, S_IXGRP } from '../../syscalls/index.js'
import { isEntitled, mayClear } from '../entitled.js'
import type { MemoryInode } from './inode.js'
import type { Tree } from './tree.js'

const CAPABILITY = 'security.capability'

/** File capabilities go with every change of the data or the owner, whoever makes it; those of a directory mean nothing, and stay. */
export function dropCapabilities(tree: Tree, inode: MemoryInode): void {
  if (!inode.isDirectory() && inode.xattrs?.has(CAPABILITY) === true)
    tree.setXattr(inode, CAPABILITY, undefined)
}

/**
 * What a write, truncation or change of owner takes away: setuid, and setgid where the group may execute or the caller is a stranger.
 * With `asked` the caller may be anybody: EPERM for one who has no right to it.
 */
export function killSuidgid(inode: MemoryInode, caller: Request, asked = false): number {
  const { mode } = inode
  if (inode.isDirectory() || (mode & (S_ISUID | S_ISGID)) === 0) return 0
  let kept = mode & ~S_ISUID
  if ((mode & S_ISGID) !== 0 && ((mode & S_IXGRP) !== 0 || !isEntitled(caller, inode.gid))) kept &= ~S_ISGID
  // Who has it open for writing may have got the descriptor from somebody else.
  if (asked && kept !== mode && inode.writers === 0 && !mayClear(caller, inode)) return EPERM
  inode.mode = kept
  return 0
}
