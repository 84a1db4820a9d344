// Listings: READDIR and READDIRPLUS go on behind the cookie of the last entry, whatever was made or removed since.
import { EBADF, ENOTDIR, ESTALE, FOPEN_CACHE_DIR, FOPEN_KEEP_CACHE } from '../../protocol/index.js'
import type {
  Dirent,
  Direntplus,
  Errno,
  Filesystem,
  OpendirRequest,
  OpenReply,
  ReaddirRequest,
  ReaddirplusRequest,
  ReleasedirRequest,
} from '../../protocol/index.js'
import { DT_DIR, S_IFMT } from '../../syscalls/index.js'
import { DOT, DOT_DOT } from './directory.js'
import type { OpenDirectory } from './directory.js'
import type { Tree } from './tree.js'

const TYPE_SHIFT = 12

export function directories(tree: Tree) {
  /** The open directory of a request. Offset 0 begins anew, as rewinddir(3) does. */
  const begin = (fh: number, offset: number): OpenDirectory | Errno => {
    const open = tree.opened.get(fh)
    if (open === undefined) return EBADF
    if (offset === 0) open.last = open.inode.directory.lastCookie
    tree.accessed(open.inode)
    return open
  }

  return {
    opendir({ nodeid }: OpendirRequest): OpenReply | Errno {
      const inode = tree.inode(nodeid)
      if (inode === undefined) return ESTALE
      if (!inode.isDirectory()) return ENOTDIR
      const fh = tree.opened.add({ inode, last: inode.directory.lastCookie })
      const openFlags = tree.wantsAtime(inode) ? FOPEN_CACHE_DIR : FOPEN_CACHE_DIR | FOPEN_KEEP_CACHE
      return { fh, openFlags }
    },

    releasedir({ fh }: ReleasedirRequest): void {
      tree.opened.remove(fh)
    },

    readdir({ fh, offset }: ReaddirRequest): Iterable<Dirent> | Errno {
      const open = begin(fh, offset)
      return typeof open === 'number' ? open : listing(open, offset)
    },

    readdirplus({ fh, offset }: ReaddirplusRequest): Iterable<Direntplus> | Errno {
      const open = begin(fh, offset)
      return typeof open === 'number' ? open : listingPlus(tree, open, offset)
    },
  } satisfies Filesystem
}

/** `.` and `..`, as far as they lie behind the offset; none in a directory that was removed. */
function* dots({ inode }: OpenDirectory, offset: number): Generator<Dirent & { off: number }> {
  if (inode.nlink === 0) return
  if (offset < DOT) yield { name: '.', ino: inode.nodeid, type: DT_DIR, off: DOT }
  if (offset < DOT_DOT) yield { name: '..', ino: inode.parent!.nodeid, type: DT_DIR, off: DOT_DOT }
}

function* listing(open: OpenDirectory, offset: number): Generator<Dirent> {
  yield* dots(open, offset)
  for (const { name, inode, cookie } of open.inode.directory.after(offset, open.last)) {
    yield { name, ino: inode.nodeid, type: (inode.mode & S_IFMT) >>> TYPE_SHIFT, off: cookie }
  }
}

function* listingPlus(tree: Tree, open: OpenDirectory, offset: number): Generator<Direntplus> {
  // Kernel: `.` and `..` are no lookups.
  for (const dot of dots(open, offset)) yield { ...dot, nodeid: 0 }
  for (const { name, inode, cookie } of open.inode.directory.after(offset, open.last)) {
    yield { ...tree.entry(inode), name, off: cookie }
  }
}
