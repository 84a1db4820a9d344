// The access list of a session: who may use the mount, enforced request by request. The kernel knows only `everybody`
// (allow_other) and `nobody but the owner`, and for a passed descriptor somebody else has chosen between them.
import { EACCES } from '../protocol/index.js'
import type { AnyRequest, OperationInfo } from '../protocol/index.js'
import type { ResolvedOptions } from './options.js'

/**
 * Who may use a mount. With a list every open is asked for: ENOSYS to OPEN and OPENDIR, after which the kernel would ask for none, opens
 * the file. With FUSE_WRITEBACK_CACHE anybody who gets at a cached name may set its modification time.
 */
export type Access = 'all' | 'owner' | 'rootAndOwner'

const GETATTR = 3
const SETATTR = 4
const FUSE_GETATTR_FH = 1
const FATTR_FH = 1 << 6
// FATTR_MTIME | FATTR_CTIME
const FATTR_FLUSHED = (1 << 5) | (1 << 10)

/**
 * Operations on a path or inode. Kernel: all others act on files that were opened by somebody who might, whoever holds
 * them now; it sends them for writeback, readahead and the last close with the ids of whatever task happens to run.
 */
const BY_PATH = new Set([
  1, // lookup
  GETATTR,
  SETATTR,
  5, // readlink
  6, // symlink
  8, // mknod
  9, // mkdir
  10, // unlink
  11, // rmdir
  12, // rename
  13, // link
  14, // open
  17, // statfs
  21, // setxattr
  22, // getxattr
  23, // listxattr
  24, // removexattr
  27, // opendir
  34, // access
  35, // create
  37, // bmap
  45, // rename2
  51, // tmpfile
  52, // statx
])

type Handler = (this: unknown, request: AnyRequest) => unknown

/** Puts the access list in front of a handler: whoever is not on it gets EACCES, and the filesystem is not asked. */
export type AccessGuard = (info: OperationInfo, handler: unknown) => unknown

/** Whether the session has an access list that leaves somebody out. */
export function isGuarded({ access }: Pick<ResolvedOptions, 'access'>): boolean {
  return access !== undefined && access !== 'all'
}

/**
 * The guard that the options ask for. `owner` is the user whom the mount was made for; `cachesWrites` says whether
 * FUSE_WRITEBACK_CACHE was agreed on.
 */
export function accessGuard(
  { access, owner }: Pick<ResolvedOptions, 'access' | 'owner'>,
  cachesWrites: () => boolean,
): AccessGuard {
  if (!isGuarded({ access })) return (_, handler) => handler
  const allowed = owner?.uid ?? process.getuid?.() ?? 0
  const refuses = (request: AnyRequest, opcode: number): boolean =>
    request.uid !== allowed &&
    !(access === 'rootAndOwner' && request.uid === 0) &&
    !isOfOpenFile(request, opcode, cachesWrites)
  return ({ opcode, absent }, handler) => {
    // Without a handler most operations fail anyway; those that succeed must not.
    if (!BY_PATH.has(opcode) || (handler === undefined && absent !== 0)) return handler
    return function guarded(this: unknown, request: AnyRequest): unknown {
      if (refuses(request, opcode)) return EACCES
      return handler === undefined ? absent : (handler as Handler).call(this, request)
    }
  }
}

/**
 * Kernel: a write at the end asks for the size, and a flush of cached writes sets the times, with whatever ids. Such a flush cannot
 * be told from utimensat(2) of the modification time alone, so with cached writes that passes.
 */
function isOfOpenFile(request: AnyRequest, opcode: number, cachesWrites: () => boolean): boolean {
  const { getattrFlags = 0, valid = 0 } = request as unknown as { getattrFlags?: number; valid?: number }
  if (opcode === GETATTR) return (getattrFlags & FUSE_GETATTR_FH) !== 0
  if (opcode !== SETATTR) return false
  return (valid & FATTR_FH) !== 0 || (valid === FATTR_FLUSHED && cachesWrites())
}
