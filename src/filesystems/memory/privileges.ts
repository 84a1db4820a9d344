// Set-user-id and set-group-id bits and file capabilities, which go when others than the owner change a file.
// Kernel: with FUSE_HANDLE_KILLPRIV_V2 it says when, and leaves it to the server.
import { S_IFMT, S_IFREG, S_ISGID, S_ISUID, S_IXGRP } from '../../syscalls/index.js'
import type { MemoryInode } from './inode.js'
import type { Tree } from './tree.js'

const CAPABILITY = 'security.capability'

/** File capabilities go with every change of the data or the owner, whoever makes it. */
export function dropCapabilities(tree: Tree, inode: MemoryInode): void {
  if (inode.xattrs?.has(CAPABILITY) === true) tree.setXattr(inode, CAPABILITY, undefined)
}

/** What a write, truncation or change of owner takes away: setuid, and setgid where the group may execute. */
export function killSuidgid(inode: MemoryInode): void {
  inode.mode &= ~(S_ISUID | ((inode.mode & S_IXGRP) !== 0 ? S_ISGID : 0))
}

/**
 * Kernel: a SETATTR that sets nothing comes before a fallocate, a copy or a write because some bit has to go, by the rule above
 * or because the caller is not of the file's group. Without setuid it must be setgid.
 */
export function killOnDemand(inode: MemoryInode, caller: { gid: number }): void {
  if ((inode.mode & S_IFMT) !== S_IFREG) return
  const stranger = (inode.mode & S_ISUID) === 0 || inode.gid !== caller.gid
  if (stranger) inode.mode &= ~S_ISGID
  killSuidgid(inode)
}
