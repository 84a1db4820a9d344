// New files: made with the caller's identity, so owner, group, mode, umask, set-gid directories and default ACLs come out as
// they do natively.
import { EEXIST, EMFILE, ENFILE, ESTALE } from '../../protocol/index.js'
import type {
  CreateRequest,
  Entry,
  Errno,
  Filesystem,
  MkdirRequest,
  MknodRequest,
  SymlinkRequest,
  TmpfileRequest,
} from '../../protocol/index.js'
import { O_CREAT, O_EXCL, O_TMPFILE } from '../../syscalls/index.js'
import { callerOf } from './open-files.js'
import type { OpenAnswer, OpenFiles } from './open-files.js'
import { BAD_NAME, isPlainName } from './plain-name.js'
import { STAT_MASK } from './tree.js'
import type { Tree } from './tree.js'

const MODE_BITS = 0o7777

export function create(tree: Tree, files: OpenFiles) {
  const { sys, recent } = tree

  /** Makes `name` by `make(descriptor of the parent)`, then looks it up. */
  const made = (nodeid: number, name: string, make: (dirfd: number) => number): Entry | Errno => {
    const parent = tree.inode(nodeid)
    if (parent === undefined) return ESTALE
    if (!isPlainName(name)) return BAD_NAME
    const dirfd = tree.descriptor(parent)
    if (dirfd < 0) return dirfd as Errno
    const result = make(dirfd)
    if (result < 0) return result as Errno
    const entry = tree.lookup(parent, dirfd, name)
    if (typeof entry === 'object') recent?.made(parent, name, tree.inode(entry.nodeid)!)
    return entry
  }

  /** Opens a new file by `open(descriptor of the parent)` and answers with it. */
  const opened = (
    nodeid: number,
    name: string | null,
    flags: number,
    open: (dirfd: number) => number,
  ): (Entry & OpenAnswer) | Errno => {
    const parent = tree.inode(nodeid)
    if (parent === undefined) return ESTALE
    if (name !== null && !isPlainName(name)) return BAD_NAME
    const dirfd = tree.descriptor(parent)
    if (dirfd < 0) return dirfd as Errno
    let fd = open(dirfd)
    if (fd === EMFILE || fd === ENFILE) fd = tree.retry(() => open(dirfd))
    if (fd < 0) return fd as Errno
    const result = sys.fstatx(fd, STAT_MASK, tree.found)
    if (result < 0) {
      sys.close(fd)
      return result as Errno
    }
    const inode = tree.adopt(name === null ? null : parent, name ?? '', dirfd)
    if (name === null) inode.orphan = true
    if (files.canMap(flags)) inode.mapping = 'open'
    try {
      // Several threads count who writes by nodeid, which the inode has from here on.
      tree.remember(inode, tree.found)
    } catch (error) {
      sys.close(fd)
      throw error
    }
    // Its attributes are those of an open file.
    const answer = files.created(inode, fd, flags)
    const entry = tree.remembered(inode, parent)
    if (name !== null && recent !== undefined) {
      recent.tell(parent, name, false)
      recent.made(parent, name, inode)
    }
    return { ...entry, ...answer }
  }

  return {
    mkdir: (request: MkdirRequest) =>
      made(request.nodeid, request.name, (dirfd) =>
        sys.mkdiratAs(callerOf(request), dirfd, request.name, request.mode & MODE_BITS),
      ),

    mknod: (request: MknodRequest) =>
      made(request.nodeid, request.name, (dirfd) =>
        sys.mknodatAs(callerOf(request), dirfd, request.name, request.mode, request.rdev),
      ),

    symlink: (request: SymlinkRequest) =>
      made(request.nodeid, request.name, (dirfd) =>
        sys.symlinkatAs(callerOf(request), request.target, dirfd, request.name),
      ),

    create(request: CreateRequest) {
      const { nodeid, name, flags, mode } = request
      const how = files.creationFlags(flags) | O_CREAT | O_EXCL
      const answer = opened(nodeid, name, flags, (dirfd) =>
        sys.openatAs(callerOf(request), dirfd, name, how, mode & MODE_BITS),
      )
      // Someone else made it since the kernel looked: ESTALE makes the kernel look again and check access to what is there.
      return answer === EEXIST && (flags & O_EXCL) === 0 ? ESTALE : answer
    },

    tmpfile(request: TmpfileRequest) {
      const { nodeid, flags, mode } = request
      // Kernel: O_TMPFILE with O_EXCL makes a file that can't be linked in later.
      const how = files.creationFlags(flags) | O_TMPFILE | (flags & O_EXCL)
      return opened(nodeid, null, flags, (dirfd) =>
        sys.openatAs(callerOf(request), dirfd, '.', how, mode & MODE_BITS),
      )
    },
  } satisfies Filesystem
}
