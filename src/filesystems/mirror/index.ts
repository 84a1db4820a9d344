// devfuse/mirror: a directory tree, mounted a second time, its file data served by the kernel (passthrough).
// This file puts the parts together; start reading at tree.ts.
import { realpathSync } from 'node:fs'
import { sep } from 'node:path'
import { OptionError, mount } from '../../index.js'
import type { Filesystem, Negotiation, Notifier, Session, SessionOptions } from '../../index.js'
import { isLocalFilesystem, ST_NODEV, ST_NOEXEC, ST_NOSUID, ST_RDONLY } from '../../syscalls/index.js'
import { attributes } from './attributes.js'
import type { Watching } from './coherence.js'
import { create } from './create.js'
import type { Crew } from './crew.js'
import { data } from './data.js'
import { Directories } from './directories.js'
import { names } from './names.js'
import { OpenFiles } from './open-files.js'
import { accessOf, resolveMirrorOptions } from './options.js'
import type { MirrorOptions, ResolvedMirrorOptions } from './options.js'
import { NO_DATA } from './pending.js'
import { closeSource, hasNothingMountedBelow, openSource } from './source.js'
import type { Source } from './source.js'
import { mountTeam } from './team.js'
import type { MirrorTeam } from './team.js'
import { Tree } from './tree.js'
import { UnopenedDirectories, keepsListings } from './unopened-directories.js'
import { xattrs } from './xattrs.js'
import { requireDirectory } from '../mount-point.js'

export { SourceError } from './source.js'
export type { CacheTimes, MirrorOptions } from './options.js'
export type { Watching } from './coherence.js'
export type { PendingCounts } from './pending.js'

/** A filesystem that mirrors a directory; give it to `mount()` together with its {@link mountOptions}. */
export interface MirrorFilesystem extends Filesystem, Disposable {
  /** The directory, as it was given. */
  readonly source: string
  /** Options that `mount()` needs for it: byte-exact names, the kernel features that it relies on, and yours. */
  readonly mountOptions: SessionOptions & { encoding: 'latin1' }
  /** The source is a private copy of the mount tree, so that a mount point inside the source is harmless (needs root). */
  readonly detached: boolean
  /** Inodes that the kernel knows, and descriptors held for inodes that are not open. */
  readonly known: { inodes: number; pathDescriptors: number }
  /** How watching the source goes; only with `cache: 'strong'`. */
  readonly watching: Watching | undefined
  /** Closes every descriptor. Called by itself when the session ends; idempotent. */
  dispose(): void
}

/**
 * Makes a filesystem that mirrors the directory `source`: everything behaves as on the source, nothing outside it can be
 * reached. New files belong to whoever makes them. What is mounted below the source at this moment is mirrored with it, as by
 * `mount --rbind`; what is mounted there later is not (root), or is (otherwise).
 *
 * A file that shows by several mounts of one filesystem is a file of its own in each (Linux 5.8), with the rights of that mount: what is
 * changed by one of them is to the others like a change on the source, and locks by one do not meet those by another.
 *
 * Access times are kept as the options say (`noatime`, `nodiratime`, `relatime`, `strictatime`, `readOnly`; for root), else as
 * the source's own mount does; a later `mount -o remount` changes nothing, because the kernel does not tell of it.
 *
 * Where the source is ext4, xfs or btrfs, nodeids are its inode numbers, so that file handles of the mount (NFS) hold as long as
 * the files do. For a source that is a part of its filesystem, that means the files seen since the server started.
 *
 * While a filesystem of the source is frozen (fsfreeze(8)), whoever changes something there stops the mirror until it is thawed.
 *
 * POSIX and flock(2) locks are the kernel's own: they work between all users of the mount, waiting for one can be
 * interrupted, and they do not meet locks taken on the source.
 *
 * Throws an `OptionError` for a bad option and a {@link SourceError} where the source can't be opened.
 */
export function mirror(source: string, options: MirrorOptions = {}): MirrorFilesystem {
  const resolved = resolveMirrorOptions(options)
  const opened = openSource(source, accessOf(resolved.session))
  try {
    return assemble(source, opened, resolved, () => closeSource(opened))
  } catch (error) {
    closeSource(opened)
    throw error
  }
}

/** Not for authors: the mirror of a source that is open, and closed by `close`; `crew` are the other threads that serve it. */
export function assemble(
  source: string,
  opened: Source,
  resolved: ResolvedMirrorOptions,
  close: () => void,
  crew?: Crew,
): MirrorFilesystem {
  const tree = new Tree(opened, resolved, crew)
  const files = new OpenFiles(tree)
  const directories = new Directories(tree)
  const unopened = keepsListings(opened, resolved, crew)
    ? new UnopenedDirectories(tree, directories)
    : undefined
  crew?.listen({
    gone: (nodeid) => tree.shared?.gone(nodeid),
    list: (order) => directories.list(order),
    close: (fd) => directories.close(fd),
  })
  let disposed = false
  const dispose = () => {
    if (disposed) return
    disposed = true
    files.clear()
    directories.clear()
    unopened?.clear()
    tree.dispose()
    close()
    crew?.dispose()
  }
  return {
    ...names(tree),
    ...create(tree, files),
    ...attributes(tree, files),
    ...xattrs(tree),
    ...(unopened ?? directories).handlers,
    ...data(tree, files, unopened ?? directories),
    source,
    shareable: crew !== undefined,
    mountOptions: mountOptionsOf(opened, resolved, unopened !== undefined),
    detached: opened.detached,
    get watching() {
      return tree.coherence?.watching
    },
    get known() {
      return {
        inodes: crew === undefined ? tree.inodes.size : crew.state.size + 1,
        pathDescriptors: tree.descriptors.size,
      }
    },
    stats: () => ({
      inodes: tree.inodes.size,
      pathDescriptors: tree.descriptors.size,
      ...(tree.coherence && watchStats(tree.coherence.watching)),
    }),
    init(negotiation: Negotiation, notify: Notifier) {
      tree.coherence?.begin(negotiation, notify)
      if (unopened !== undefined) unopened.agreed = negotiation.agreed.has(NO_OPENDIR)
      const { passthroughUnavailable } = negotiation
      files.passthrough = passthroughUnavailable === undefined
      files.writeback = negotiation.agreed.has('FUSE_WRITEBACK_CACHE')
      // Without passthrough FLUSH is what writes dirty mapped pages to the source on close.
      files.flushless = files.passthrough && isRoot()
      // Kernel: what is dirty is written before it is dropped.
      if (files.writeback) files.writePages = (nodeid) => notify.invalInode(nodeid).catch(() => false)
      files.forgetAttributes = (nodeid) => notify.invalInode(nodeid, NO_DATA).catch(() => false)
    },
    destroy: dispose,
    dispose,
    [Symbol.dispose]: dispose,
  }
}

/** Options of {@link mountMirror}: those of a mirror, and how many threads serve it. */
export interface MountMirrorOptions extends MirrorOptions {
  /**
   * Threads that serve the mirror together: 1 (default) to 256, or `auto`, as in `mount()`. With several, passthrough is off, because
   * its rules are kept per thread; the source has to be on ext4, xfs or btrfs, with nothing mounted below it, and takes root.
   */
  workers?: number | 'auto'
  /** Over io_uring: keep each thread on its CPUs, the calling one included, until the end of the session. Default true. */
  pinWorkers?: boolean
}

/**
 * Mounts a mirror of `source` at `mountPoint`. A mount point inside the source, or the source itself, is fine for root; for
 * others it is refused, because a lookup that met our own mount would wait for ourselves.
 */
export async function mountMirror(
  source: string,
  mountPoint: string,
  options: MountMirrorOptions = {},
): Promise<Session> {
  const { workers = 1, pinWorkers, ...rest } = options
  if (workers !== 1) return mountShared(source, mountPoint, rest, { workers, pinWorkers })
  const filesystem = mirror(source, rest)
  try {
    await requireDirectory(mountPoint)
    if (!filesystem.detached) refuseInside(source, mountPoint)
    return await mount(mountPoint, filesystem, filesystem.mountOptions)
  } catch (error) {
    filesystem.dispose()
    throw error
  }
}

async function mountShared(
  source: string,
  mountPoint: string,
  options: MirrorOptions,
  team: MirrorTeam,
): Promise<Session> {
  const resolved = resolveMirrorOptions(options)
  const opened = openSource(source, accessOf(resolved.session))
  try {
    await requireDirectory(mountPoint)
    if (!opened.detached) refuseInside(source, mountPoint)
    return await mountTeam(opened, mountPoint, resolved, mountOptionsOf(opened, resolved, false), team)
  } finally {
    // Each thread has a copy of its own.
    closeSource(opened)
  }
}

function refuseInside(source: string, mountPoint: string): void {
  const outer = realpathSync.native(source)
  const inner = realpathSync.native(mountPoint)
  if (inner !== outer && !inner.startsWith(outer === sep ? sep : outer + sep)) return
  throw new OptionError(
    `the mount point ${mountPoint} lies inside the source ${source}, and only root (CAP_SYS_ADMIN) can keep a mirror from ` +
      'meeting itself there: choose a mount point outside the source',
  )
}

function watchStats(watching: Watching) {
  const { state: watch, names: namesTakenBack, inodes: inodesTakenBack, ...rest } = watching
  return { watch, namesTakenBack, inodesTakenBack, ...rest }
}

type InitFlag = NonNullable<SessionOptions['want']>[number]

/** What the mirror negotiates beyond the session's defaults, where the kernel offers it. */
const FEATURES: readonly InitFlag[] = [
  // O_TRUNC arrives with OPEN instead of in a SETATTR of its own.
  'FUSE_ATOMIC_O_TRUNC',
  // The umask is applied on the source, where a default ACL overrides it.
  'FUSE_DONT_MASK',
  'FUSE_POSIX_ACL',
  // A symlink's target never changes; another target is another inode.
  'FUSE_CACHE_SYMLINKS',
  // `.` and `..` are answered by nodeid.
  'FUSE_EXPORT_SUPPORT',
  // Without it the kernel asks for security.capability before every write, passthrough or not.
  'FUSE_HANDLE_KILLPRIV_V2',
  // The caller's group that matches the directory's, for new files in set-gid directories.
  'FUSE_CREATE_SUPP_GROUP',
]

/** Idmapped mounts; needs `defaultPermissions`, and hides who calls from an access list. */
const IDMAP: InitFlag = 'FUSE_ALLOW_IDMAP'

/** ENOSYS to the first OPENDIR is meant: the kernel opens and caches directories by itself. */
const NO_OPENDIR: InitFlag = 'FUSE_NO_OPENDIR_SUPPORT'

const MAX_SOURCE_NAME = 255
const AUTO: InitFlag = 'FUSE_READDIRPLUS_AUTO'

function mountOptionsOf(
  source: Source,
  options: ResolvedMirrorOptions,
  unopened: boolean,
): MirrorFilesystem['mountOptions'] {
  const { session, passthrough } = options
  const root = isRoot()
  const { flags, type } = source.statistics
  const refused = new Set(session.refuse)
  const asked = [...(session.want ?? []), ...(session.prefer ?? [])]
  const open = session.allowRoot !== true && (session.access ?? 'all') === 'all'
  const features = [...FEATURES]
  if (open && session.defaultPermissions !== false) features.push(IDMAP)
  if (unopened) features.push(NO_OPENDIR)
  return {
    fsName: shortened(source.path),
    subtype: 'mirror',
    ...(root && { allowOther: true }),
    // Modes and owners are the source's own, so what they allow is what the kernel shall allow.
    defaultPermissions: true,
    // A mirror gives no rights that the source's own mount denies.
    suid: root && (flags & ST_NOSUID) === 0,
    dev: root && (flags & ST_NODEV) === 0,
    noexec: (flags & ST_NOEXEC) !== 0,
    readOnly: (flags & ST_RDONLY) !== 0,
    // Where no file lies on a stack, now or later, the mirror may become a layer of overlayfs.
    maxStackDepth: source.detached && isLocalFilesystem(type) && hasNothingMountedBelow(source.path) ? 1 : 2,
    ...session,
    passthrough,
    encoding: 'latin1',
    prefer: [...new Set([...features.filter((flag) => !refused.has(flag)), ...(session.prefer ?? [])])],
    // A statx(2) per entry of every listing costs less than the LOOKUP that `ls -l`, `git status` and the like would send.
    refuse: asked.includes(AUTO) ? session.refuse : [...refused.add(AUTO)],
  }
}

/** Kernel: the name of a source has 255 bytes at most; of a longer path its end says more than its beginning. */
function shortened(path: string): string {
  const bytes = Buffer.from(path)
  if (bytes.byteLength <= MAX_SOURCE_NAME) return path
  let end = bytes.subarray(3 - MAX_SOURCE_NAME)
  // UTF-8: not in the middle of a character.
  while ((end[0] & 0xc0) === 0x80) end = end.subarray(1)
  return `...${end.toString()}`
}

function isRoot(): boolean {
  return process.geteuid?.() === 0
}
