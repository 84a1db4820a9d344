// Clears set-user-id and set-group-id bits where the kernel leaves that to the server (FUSE_HANDLE_KILLPRIV_V2).
import { EPERM } from '../../protocol/index.js'
import type { Request } from '../../protocol/index.js'
import { S_IFMT, S_IFDIR, S_ISGID, S_ISUID, S_IXGRP } from '../../syscalls/index.js'
import { isEntitled, mayClear } from '../entitled.js'
import { STAT_MASK } from './tree.js'
import type { Tree } from './tree.js'

const MODE_BITS = 0o7777

/**
 * What a write by the caller, or chown(2), does to the mode of a file natively: setuid goes; setgid goes where the group may execute
 * or the caller is neither of the group nor privileged. Capabilities (security.capability) go by themselves, with the server's own write.
 * With `asked` the caller may be anybody: EPERM for one who has no right to it.
 */
export function killPrivileges(tree: Tree, fd: number, caller: Request, asked = false): number {
  const { sys, found } = tree
  const result = sys.fstatx(fd, STAT_MASK, found)
  if (result < 0) return result
  const { mode } = found
  if ((mode & S_IFMT) === S_IFDIR) return 0
  let bits = mode & MODE_BITS & ~S_ISUID
  if ((bits & S_ISGID) !== 0 && ((mode & S_IXGRP) !== 0 || !isEntitled(caller, found.gid))) bits &= ~S_ISGID
  if (bits === (mode & MODE_BITS)) return 0
  if (asked && !mayClear(caller, found)) return EPERM
  return sys.fchmodat(-1, `/proc/self/fd/${fd}`, bits)
}

/** setgid goes, nothing else: an access ACL was set by someone outside the group. */
export function killSetgid(tree: Tree, fd: number): void {
  const { sys, found } = tree
  if (sys.fstatx(fd, STAT_MASK, found) < 0 || (found.mode & S_ISGID) === 0) return
  sys.fchmodat(-1, `/proc/self/fd/${fd}`, found.mode & MODE_BITS & ~S_ISGID)
}
