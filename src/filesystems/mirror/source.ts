// The root of a mirror: opens the source so that nothing mounted later can show up inside it, our own mount included.
import { realpathSync } from 'node:fs'
import { readMountInfo } from '../../index.js'
import { errnoName } from '../../protocol/index.js'
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
  MOUNT_ATTR__ATIME,
  MS_PRIVATE,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  syscalls,
} from '../../syscalls/index.js'
import type { FilesystemStatistics, Syscalls } from '../../syscalls/index.js'

/** The source directory, opened. */
export interface Source {
  readonly path: string
  /** O_PATH descriptor of the root. */
  readonly fd: number
  /** Readable descriptor of the root: open_by_handle_at(2) takes no O_PATH one. -1 where the root can't be read. */
  readonly mountFd: number
  /**
   * The root is a private copy of the mount tree, taken before our own mount exists: a mount point inside the source is
   * harmless. Needs CAP_SYS_ADMIN; without it a lookup of our own mount would wait for ourselves.
   */
  readonly detached: boolean
  readonly statistics: FilesystemStatistics
}

/** The source can't be opened: `errno` (negative), `code`, `syscall` and `path` say why. */
export class SourceError extends Error {
  readonly errno: number
  readonly code: string
  readonly syscall: string
  readonly path: string
  constructor(path: string, syscall: string, errno: number) {
    const code = errnoName(errno) ?? String(errno)
    super(`cannot mirror ${path}: ${syscall} failed with ${code}${hints[code] ?? ''}`)
    this.name = 'SourceError'
    this.errno = errno
    this.code = code
    this.syscall = syscall
    this.path = path
  }
}

const hints: Record<string, string> = {
  ENOENT: '; the source must exist',
  ENOTDIR: '; the source must be a directory',
  EACCES: '; the source must be searchable by this user',
  ENOTCONN: '; the source is a FUSE mount whose server is gone: unmount it first',
}

/** How the source is accessed, as the mount is; what is absent stays as the source's own mount has it. */
export interface SourceAccess {
  readOnly?: boolean
  noatime?: boolean
  nodiratime?: boolean
  relatime?: boolean
  strictatime?: boolean
}

/** Opens the source directory. Throws a {@link SourceError}. */
export function openSource(path: string, access: SourceAccess): Source {
  const copy = openDetached(path, access)
  const fd = copy >= 0 ? copy : syscalls.openat(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC)
  if (fd < 0) throw new SourceError(path, 'openat', fd)
  const statistics = syscalls.fstatfs(fd)
  if (typeof statistics === 'number') {
    syscalls.close(fd)
    throw new SourceError(path, 'fstatfs', statistics)
  }
  const mountFd = syscalls.openat(fd, '.', O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  return { path, fd, mountFd, detached: copy >= 0, statistics }
}

function openDetached(path: string, access: SourceAccess): number {
  const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE
  const copy = syscalls.openTree(AT_FDCWD, path, flags)
  if (copy < 0) return copy
  // Kernel: a copy of a shared mount is its peer, so mounts made below the source would appear in it.
  const isolated = syscalls.mountSetPropagation(copy, '', AT_EMPTY_PATH | AT_RECURSIVE, MS_PRIVATE)
  setAccess(copy, access)
  const fd = isolated < 0 ? isolated : syscalls.openat(copy, '.', O_PATH | O_DIRECTORY | O_CLOEXEC)
  // Kernel: the copy is dissolved when the descriptor of open_tree is closed, so that one is the root we keep.
  if (fd < 0) {
    syscalls.close(copy)
    return fd
  }
  syscalls.close(fd)
  return copy
}

/**
 * Access times are the source's: whoever reads or lists a file there moves them, the kernel included, as the flags of the copy
 * say. Kernel: FUSE leaves them to the server and does not tell it the flags of the mount.
 */
function setAccess(copy: number, access: SourceAccess): void {
  const { readOnly, noatime, nodiratime, relatime, strictatime } = access
  const times = noatime ? MOUNT_ATTR_NOATIME : strictatime ? MOUNT_ATTR_STRICTATIME : 0
  const attrSet = times | (nodiratime ? MOUNT_ATTR_NODIRATIME : 0) | (readOnly ? MOUNT_ATTR_RDONLY : 0)
  const attrClr = noatime || strictatime || relatime ? MOUNT_ATTR__ATIME : 0
  syscalls.mountSetattr(copy, '', AT_EMPTY_PATH | AT_RECURSIVE, { attrSet, attrClr })
}

export function closeSource(source: Source): void {
  syscalls.close(source.fd)
  if (source.mountFd >= 0) syscalls.close(source.mountFd)
}

/** Where something is mounted below a directory; undefined where nothing is. */
export function mountBelow(path: string): string | undefined {
  const folder = realpathSync.native(path, 'latin1').replace(/\/*$/, '/')
  return readMountInfo().find(({ mountPointBytes: at }) => at.startsWith(folder) && at !== folder)?.mountPoint
}

/** False also where that can't be told: a source that only a magic link (proc(5)) leads to has no path. */
export function hasNothingMountedBelow(path: string): boolean {
  try {
    return mountBelow(path) === undefined
  } catch {
    return false
  }
}

/** statfs(2) of `name` in `dirfd`, or of `dirfd` itself (''). */
export function statisticsOf(sys: Syscalls, dirfd: number, name: string): FilesystemStatistics | undefined {
  const fd = name === '' ? dirfd : sys.openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC)
  if (fd < 0) return undefined
  const statistics = sys.fstatfs(fd)
  if (fd !== dirfd) sys.close(fd)
  return typeof statistics === 'number' ? undefined : statistics
}
