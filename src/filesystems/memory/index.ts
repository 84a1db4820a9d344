// devfuse/memory: a filesystem that lives in the memory of its process, as tmpfs lives in the kernel's.
// This file puts the parts together; start reading at tree.ts.
import { mount } from '../../index.js'
import type { Filesystem, Negotiation, Notifier, Session, SessionOptions } from '../../index.js'
import { attributes } from './attributes.js'
import { create } from './create.js'
import { data } from './data.js'
import { directories } from './directories.js'
import { inodeFlags } from './flags.js'
import { names } from './names.js'
import { resolveMemoryOptions } from './options.js'
import type { MemoryOptions, ResolvedMemoryOptions } from './options.js'
import { Tree } from './tree.js'
import { xattrs } from './xattrs.js'
import { requireDirectory } from '../mount-point.js'

export type { MemoryOptions } from './options.js'

/** A filesystem in memory; give it to `mount()` together with its `mountOptions`. */
export interface MemoryFilesystem extends Filesystem {
  /** Options that `mount()` needs for it: byte-exact names, the kernel features that it relies on, and yours. */
  readonly mountOptions: SessionOptions & { encoding: 'latin1' }
  /** What is taken of the options `size` and `inodes`, as they count it. */
  readonly used: { bytes: number; inodes: number }
}

/**
 * Makes an empty filesystem in memory, with all that POSIX and Linux expect of one: hard links, symlinks, special files,
 * sparse files, extended attributes, access lists, O_TMPFILE, renameat2(2) with every flag, birth times. Its content lasts
 * as long as the object: it may be mounted again after an unmount, but not twice at a time.
 *
 * Access times move as with relatime, or with `strictatime` at the first read after every open(2): what follows comes from the
 * kernel's cache, which nobody is asked about. POSIX and flock(2) locks are the kernel's own.
 *
 * Throws an `OptionError` for a bad option.
 */
export function memoryFilesystem(options: MemoryOptions = {}): MemoryFilesystem {
  const resolved = resolveMemoryOptions(options)
  const tree = new Tree(resolved)
  return {
    ...names(tree),
    ...create(tree),
    ...attributes(tree),
    ...xattrs(tree),
    ...directories(tree),
    ...data(tree),
    ...inodeFlags(tree),
    mountOptions: mountOptionsOf(resolved),
    get used() {
      return { bytes: tree.pool.used, inodes: tree.count }
    },
    init({ agreed }: Negotiation, notify: Notifier) {
      tree.reset()
      tree.notify = notify
      tree.writeback = agreed.has('FUSE_WRITEBACK_CACHE')
      tree.lists = agreed.has('FUSE_POSIX_ACL')
    },
  }
}

/** Mounts an empty filesystem in memory at `mountPoint`. */
export async function mountMemory(mountPoint: string, options: MemoryOptions = {}): Promise<Session> {
  const filesystem = memoryFilesystem(options)
  await requireDirectory(mountPoint)
  return mount(mountPoint, filesystem, filesystem.mountOptions)
}

type InitFlag = NonNullable<SessionOptions['want']>[number]

/** What it negotiates beyond the session's defaults, where the kernel offers it. */
const FEATURES: readonly InitFlag[] = [
  // O_TRUNC arrives with OPEN instead of in a SETATTR of its own.
  'FUSE_ATOMIC_O_TRUNC',
  // The umask counts only where there is no default access list.
  'FUSE_DONT_MASK',
  'FUSE_POSIX_ACL',
  // A symlink's target never changes; another target is another inode.
  'FUSE_CACHE_SYMLINKS',
  // Inodes are found again by their number.
  'FUSE_EXPORT_SUPPORT',
  'FUSE_HANDLE_KILLPRIV_V2',
  // Nobody changes a file behind the kernel's back, so a new mtime is no reason to drop its pages.
  'FUSE_EXPLICIT_INVAL_DATA',
]

function mountOptionsOf({
  session,
  writebackCache,
  atime,
}: ResolvedMemoryOptions): MemoryFilesystem['mountOptions'] {
  const root = process.geteuid?.() === 0
  const features = new Set(FEATURES)
  // Kernel: in exchange for idmapped mounts it no longer says who calls, which an access list needs.
  const open = session.access === undefined || session.access === 'all'
  if (open && session.allowRoot !== true && session.defaultPermissions !== false) {
    features.add('FUSE_ALLOW_IDMAP')
  }
  // Every readlink(2) has to be seen.
  if (atime === 'always') features.delete('FUSE_CACHE_SYMLINKS')
  for (const flag of session.refuse ?? []) features.delete(flag)
  return {
    fsName: 'memory',
    subtype: 'memory',
    ...(root && { allowOther: true }),
    defaultPermissions: true,
    suid: root,
    dev: root,
    ...session,
    passthrough: 'off',
    encoding: 'latin1',
    want: [...(session.want ?? []), ...(writebackCache ? (['FUSE_WRITEBACK_CACHE'] as const) : [])],
    prefer: [...features, ...(session.prefer ?? [])],
  }
}
