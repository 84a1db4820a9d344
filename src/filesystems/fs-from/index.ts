// fsFrom() of devfuse/fs: a filesystem seen through the calls of node:fs/promises, without a mount and without a kernel.
// This file puts the parts together; walk.ts and open-file.ts are where a kernel's work is done.
import { constants } from 'node:fs'
import type FsPromises from 'node:fs/promises'
import { connect } from '../../index.js'
import type { Connection, Filesystem } from '../../index.js'
import { calls } from './calls.js'
import type { FollowOptions } from './calls.js'
import { Caller } from './caller.js'
import { copies } from './copy.js'
import { fileCopies } from './copy-file.js'
import { fileCalls } from './file-calls.js'
import { Kernel, OFFERED } from './kernel.js'
import { resolveOptions } from './options.js'
import type { FsFromOptions } from './options.js'
import type { Mode, PathLike } from 'node:fs'
import { removals } from './removal.js'
import { trees } from './trees.js'

export type { FollowOptions } from './calls.js'
export type { FsFromOptions } from './options.js'

/** What was still open, or still held, when a view was closed. */
export interface Leaks {
  /** Paths of files and directories that were opened and not closed. They are released now. */
  open: string[]
  /** Inodes that calls still under way hold: their lookups have not been given back. */
  inodes: number[]
}

/** The calls of node:fs/promises that a view has, as they are typed there. */
export type FsCalls = Pick<
  typeof FsPromises,
  | 'access'
  | 'appendFile'
  | 'chmod'
  | 'chown'
  | 'copyFile'
  | 'cp'
  | 'lchmod'
  | 'lchown'
  | 'link'
  | 'lstat'
  | 'lutimes'
  | 'mkdir'
  | 'mkdtemp'
  | 'open'
  | 'opendir'
  | 'readFile'
  | 'readdir'
  | 'readlink'
  | 'realpath'
  | 'rename'
  | 'rm'
  | 'rmdir'
  | 'stat'
  | 'statfs'
  | 'symlink'
  | 'truncate'
  | 'unlink'
  | 'utimes'
  | 'watch'
  | 'writeFile'
  | 'constants'
>

/** FileHandle of node:fs/promises, and the calls that it lacks. Its `fd` is no descriptor: calls of node:fs refuse it with EBADF. */
export interface FsHandle extends FsPromises.FileHandle {
  /** lseek(2): where the next data (SEEK_DATA) or hole (SEEK_HOLE) begins, in bytes. ENXIO past the end. */
  seek(offset: number, whence: 'data' | 'hole'): Promise<number>
  /** fallocate(2) with FALLOC_FL_* flags of `devfuse/syscalls`, bytes. EOPNOTSUPP where the filesystem has no such operation. */
  fallocate(offset: number, length: number, mode?: number): Promise<void>
}

/** What {@link fsFrom} returns: node:fs/promises over a filesystem, and the calls that it lacks. */
export interface FsView extends Omit<FsCalls, 'open'>, AsyncDisposable {
  /** open(2), with the flags of node:fs or their numbers. */
  open(path: PathLike, flags?: string | number, mode?: Mode): Promise<FsHandle>
  /** renameat2(2) with RENAME_NOREPLACE, RENAME_EXCHANGE or RENAME_WHITEOUT (`devfuse/syscalls`). */
  rename2(oldPath: PathLike, newPath: PathLike, flags: number): Promise<void>
  /** getxattr(2). ENODATA where there is no such attribute, EOPNOTSUPP where the filesystem has none at all. */
  getxattr(path: PathLike, name: string, options?: FollowOptions): Promise<Buffer>
  /** setxattr(2); `flags` are XATTR_CREATE 1 and XATTR_REPLACE 2. */
  setxattr(
    path: PathLike,
    name: string,
    value: string | Uint8Array,
    options?: FollowOptions & { flags?: number },
  ): Promise<void>
  /** listxattr(2): the names. */
  listxattr(path: PathLike, options?: FollowOptions): Promise<string[]>
  /** removexattr(2). */
  removexattr(path: PathLike, name: string, options?: FollowOptions): Promise<void>
  /** The connection underneath, once INIT is done: what was negotiated, counters, single requests. */
  connection(): Promise<Connection>
  /**
   * Releases what is still open and ends the session, so that `destroy` is called. Tells what was left open, for tests:
   * `assert.deepEqual(await fs.close(), { open: [], inodes: [] })`.
   */
  close(): Promise<Leaks>
}

let devices = 0

/**
 * Shows `filesystem` through the calls of `node:fs/promises`, without a mount, /dev/fuse or privileges: for tests of a
 * filesystem, and to use one from a program. It does what the kernel does on a mount: walks paths by LOOKUP and gives every
 * lookup back, follows links, negotiates INIT, cuts reads and writes to size, and believes no answer that the kernel would
 * not believe; requests and replies pass the same wire. Nothing is cached between calls: validity times count as 0.
 *
 * ```ts
 * import { fsFrom } from 'devfuse/fs'
 *
 * await using fs = fsFrom(myFilesystem)
 * await fs.writeFile('/notes.txt', 'hello')
 * console.log(await fs.readdir('/'), (await fs.stat('/notes.txt')).size)
 * ```
 *
 * Paths begin at the root, with or without a slash. Errors are those of node:fs (`code`, `errno`, `syscall`, `path`); where an
 * answer of the filesystem is to blame, `cause` says what was wrong with it. Options that the filesystem asks for in a property
 * `mountOptions`, as mirror() does, hold unless yours differ.
 *
 * Locks, `watch`, device files and pipes are not there: they belong to the kernel. Throws an OptionError for bad options;
 * what INIT or `init` refuse, the first call rejects with.
 */
export function fsFrom<Options extends FsFromOptions>(
  filesystem: Filesystem<Options['encoding'] extends 'buffer' ? Buffer : string>,
  options?: Options,
): FsView {
  const { session, behaviour } = resolveOptions(filesystem as Filesystem, options ?? {})
  const kernel = connect(filesystem as Filesystem, {
    ...session,
    offer: OFFERED,
    defaultPermissions: behaviour.defaultPermissions,
  }).then((connection) => new Kernel(connection, behaviour))
  const caller = new Caller(kernel)
  const dev = ++devices
  const single = calls(caller, dev)
  const view = { ...single, ...fileCalls(caller, dev), ...fileCopies(caller), ...trees(caller, single) }
  const { mkdirOne: _, rmdirOne: __, ...all } = { ...view, ...removals(single), ...copies(view) }
  let closing: Promise<Leaks> | undefined
  const close = (): Promise<Leaks> => (closing ??= end(caller))
  return {
    ...(all as unknown as FsView),
    constants,
    connection: async () => (await kernel).connection,
    close,
    [Symbol.asyncDispose]: async () => void (await close()),
  }
}

async function end(caller: Caller): Promise<Leaks> {
  const kernel = await caller.end()
  const open = [...caller.open.values()]
  const files = [...caller.open.keys()]
  const busy = files.filter((file) => file.busy)
  for (const file of files) if (!busy.includes(file)) await file.release()
  const inodes = [...kernel.nodes].map(({ nodeid }) => nodeid)
  // What is under way may wait for ever; it ends with the connection.
  const last = busy.map((file) => file.release())
  await kernel.connection.close()
  await Promise.all(last)
  return { open, inodes }
}
