// fsFilesystem: the inode-level filesystem over a filesystem by path. This file puts the parts together; start at tree.ts.
import { OptionError } from '../../index.js'
import type { Filesystem, SessionOptions } from '../../index.js'
import { attributeHandlers } from './attribute-handlers.js'
import { isPromise } from './awaitable.js'
import { Creation } from './creation.js'
import { Directories } from './directories.js'
import { Files } from './files.js'
import { Moves } from './moves.js'
import { names } from './names.js'
import { resolvePathOptions } from './options.js'
import type { PathOptions } from './options.js'
import type { Caller, PathFilesystem } from './path-filesystem.js'
import { requirePathFilesystem } from './recognise.js'
import { Removal } from './removal.js'
import { Setters } from './setters.js'
import { Tree } from './tree.js'
import { xattrs } from './xattrs.js'

/** A filesystem over paths; give it to `mount()` together with its {@link mountOptions}. */
export interface FsFilesystem extends Filesystem {
  /** Options that `mount()` needs for it: who checks permissions, read-only, and the kernel features that it relies on. */
  readonly mountOptions: SessionOptions
  /** Nodes that are known, and open files. */
  readonly known: { nodes: number; files: number }
}

/** Methods that change something. Handles may, too, but no object can do with handles alone. */
const CHANGES: readonly (keyof PathFilesystem)[] = [
  'writeFile',
  'mkdir',
  'rmdir',
  'unlink',
  'rm',
  'rename',
  'link',
  'symlink',
  'mknod',
  'chmod',
  'chown',
  'lchown',
  'utimes',
  'lutimes',
  'truncate',
  'setxattr',
  'removexattr',
]

/** Who asks where nobody does: before a mount, and at its end. */
export const NOBODY: Caller = { uid: 0, gid: 0, pid: 0, signal: new AbortController().signal }

/**
 * Makes an inode-level filesystem of a filesystem by path: for `mount`, for wrappers, for tests without a mount. `mountFs`
 * does this and the mounting in one call. Throws an `OptionError` for a bad option, and for an object of another kind, which
 * `recognise` makes one of.
 */
export function fsFilesystem(fs: PathFilesystem, options: PathOptions = {}): FsFilesystem {
  requirePathFilesystem(fs)
  return filesystemOver(fs, options, false)
}

/** The same for an object whose `init` has been called already. */
export function filesystemOver(fs: PathFilesystem, options: PathOptions, started: boolean): FsFilesystem {
  const readOnly = options.readOnly ?? fs.readOnly ?? !CHANGES.some((name) => fs[name] !== undefined)
  const tree = new Tree(fs, resolvePathOptions(options, readOnly))
  const setters = new Setters(tree)
  const creation = new Creation(tree, setters)
  const removal = new Removal(tree)
  const files = new Files(tree, creation, removal)
  const directories = new Directories(tree, fs.cheapStat === true)
  return {
    ...names(tree, creation, removal, new Moves(tree, removal)),
    ...attributeHandlers(tree, setters, files.table),
    ...files.handlers,
    ...directories.handlers,
    ...xattrs(tree),
    mountOptions: {
      encoding: 'utf8',
      defaultPermissions: fs.access === undefined,
      readOnly,
      // O_TRUNC arrives with OPEN, so that a file is emptied and written in one go.
      prefer: ['FUSE_ATOMIC_O_TRUNC'],
    },
    get known() {
      return { nodes: tree.inodes.size, files: files.table.size }
    },
    init(negotiation) {
      const initialised = started ? undefined : fs.init?.()
      if (isPromise(initialised))
        throw new OptionError(
          '`init` of the object returned a promise: mount it with mountFs, which waits for it',
        )
      files.writeback = negotiation.agreed.has('FUSE_WRITEBACK_CACHE')
      tree.revalidates = negotiation.agreed.has('FUSE_AUTO_INVAL_DATA')
    },
    async destroy() {
      directories.clear()
      await files.clear(NOBODY)
      await fs.destroy?.()
    },
  }
}
