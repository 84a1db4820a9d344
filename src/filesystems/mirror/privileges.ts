// Clears set-user-id and set-group-id bits where the kernel leaves that to the server (FUSE_HANDLE_KILLPRIV_V2).
import { S_IFMT, S_IFREG, S_ISGID, S_ISUID, S_IXGRP } from '../../syscalls/index.js'
import { STAT_MASK } from './tree.js'
import type { Tree } from './tree.js'

const MODE_BITS = 0o7777

/**
 * What a write by the caller does to the mode of a regular file natively: setuid goes; setgid goes where the group may execute
 * or the caller is not of the group. Capabilities (security.capability) go by themselves, with the server's own write.
 */
export function killPrivileges(tree: Tree, fd: number, caller: { gid: number }): void {
  const { sys, found } = tree
  if (sys.fstatx(fd, STAT_MASK, found) < 0) return
  const { mode } = found
  if ((mode & S_IFMT) !== S_IFREG) return
  let bits = mode & MODE_BITS & ~S_ISUID
  if ((mode & S_IXGRP) !== 0 || found.gid !== caller.gid) bits &= ~S_ISGID
  if (bits !== (mode & MODE_BITS)) sys.fchmodat(-1, `/proc/self/fd/${fd}`, bits)
}

/** setgid goes, nothing else: an access ACL was set by someone outside the group. */
export function killSetgid(tree: Tree, fd: number): void {
  const { sys, found } = tree
  if (sys.fstatx(fd, STAT_MASK, found) < 0 || (found.mode & S_ISGID) === 0) return
  sys.fchmodat(-1, `/proc/self/fd/${fd}`, found.mode & MODE_BITS & ~S_ISGID)
}
