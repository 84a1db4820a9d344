// Open files of the mirror: OPEN to RELEASE. Opens of one inode with the same flags share one descriptor.
import {
  EACCES,
  EBADF,
  ELOOP,
  ENXIO,
  EPERM,
  ESTALE,
  FOPEN_DIRECT_IO,
  FOPEN_KEEP_CACHE,
  FOPEN_NOFLUSH,
} from '../../protocol/index.js'
import type { Errno, OpenRequest, ReleaseRequest } from '../../protocol/index.js'
import { HandleTable } from '../../inodes/index.js'
import { writebackOpenFlags } from '../../index.js'
import {
  O_ACCMODE,
  O_APPEND,
  O_CLOEXEC,
  O_DSYNC,
  O_NOATIME,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_SYNC,
  O_TRUNC,
} from '../../syscalls/index.js'
import type { Credentials } from '../../syscalls/index.js'
import { freesMuch } from './freeing.js'
import type { MirrorInode } from './inode.js'
import { canWrite, isProtected, readsAndWrites } from './open-file.js'
import type { OpenFile } from './open-file.js'
import { killPrivileges } from './privileges.js'
import { RefusedOpens } from './refused-opens.js'
import { SharedFiles } from './shared-files.js'
import { STAT_MASK } from './tree.js'
import type { Tree } from './tree.js'

/** What the reply to an open says besides the entry. */
export interface OpenAnswer {
  fh: number
  openFlags: number
  passthrough?: number
}

// O_APPEND and O_DIRECT stay away. Kernel: the offsets of WRITE requests are final, and pwrite(2) would ignore them with
// O_APPEND; O_DIRECT asks for aligned memory, which a request's payload is not. With passthrough the kernel opens the
// backing file anew with the caller's own flags.
const KEPT = O_ACCMODE | O_SYNC | O_DSYNC | O_NOATIME
// O_NONBLOCK: should the name lead to a FIFO by now, opening it must not wait for a writer.
const ALWAYS = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK

export class OpenFiles {
  readonly table: HandleTable<OpenFile> | SharedFiles
  readonly #tree: Tree
  readonly #refused = new RefusedOpens()
  /** Where closing what was written to has no errors to report either, the kernel need not send FLUSH. */
  flushless = false
  /** The kernel reads and writes the files itself. */
  passthrough: boolean
  /** FUSE_WRITEBACK_CACHE was agreed on. */
  writeback = false
  /** Has the kernel write the pages of a nodeid that it has not written yet; undefined where it holds none back. */
  writePages: ((nodeid: number) => Promise<unknown>) | undefined
  /** Takes back the attributes that the kernel caches of a nodeid; undefined without a kernel. */
  forgetAttributes: ((nodeid: number) => Promise<unknown>) | undefined

  constructor(tree: Tree) {
    this.#tree = tree
    this.table = tree.crew === undefined ? new HandleTable() : new SharedFiles(tree, tree.crew)
    this.passthrough = tree.options.passthrough !== 'off'
  }

  /** The descriptor behind an `fh`, or EBADF; what is not done with it at once belongs into {@link with}. */
  fd(fh: number): number {
    return this.table.get(fh)?.fd ?? EBADF
  }

  /** Calls `use` with the descriptor behind an `fh`, which stays open until the result has settled; or EBADF. */
  with<Result>(fh: number, use: (fd: number, file: OpenFile) => Result): Result | typeof EBADF {
    const file = this.table.get(fh)
    return file === undefined ? EBADF : this.#during(file, () => use(file.fd, file))
  }

  open(request: OpenRequest): OpenAnswer | Errno | Promise<OpenAnswer | Errno> {
    const inode = this.#tree.inode(request.nodeid)
    if (inode === undefined) return ESTALE
    const { flags, pid } = request
    const byName = !this.#refused.was(pid, inode)
    let file = this.#find(inode, this.#kept(flags), byName)
    // A file that the server may write and not read: whole pages can be written all the same.
    if (file === EACCES && this.writeback) file = this.#find(inode, flags & KEPT, byName)
    // An append-only file (chattr +a) can be opened for writing in no other way, so every write to it ends up at its end anyway.
    // Not where the kernel sends whole pages again, from their beginning.
    if (file === EPERM && (flags & O_APPEND) !== 0 && !this.writeback)
      file = this.#find(inode, flags & (KEPT | O_APPEND), byName)
    if (file === ESTALE && byName) this.#refused.add(pid, inode)
    if (typeof file === 'number') return file as Errno
    if ((flags & O_TRUNC) === 0) return this.#answer(file)
    this.#hold(file)
    const finish = (result: number): OpenAnswer | Errno | Promise<OpenAnswer> => {
      if (result >= 0 && request.killSuidgid) killPrivileges(this.#tree, file.fd, request)
      const answer = result < 0 ? (result as Errno) : this.#answer(file)
      this.#drop(file)
      return answer
    }
    const result = this.truncate(file, 0)
    return typeof result === 'number' ? finish(result) : result.then(finish)
  }

  /** Flags for an open that creates the file. */
  creationFlags(flags: number): number {
    return this.#kept(flags) | ALWAYS
  }

  /** A file that was just created and opened with the caller's `flags`. */
  created(inode: MirrorInode, fd: number, flags: number): OpenAnswer {
    return this.opened(this.#add(inode, fd, this.#kept(flags)))
  }

  /** An answer that comes once the kernel has dropped what it knows of the attributes. */
  unlearned<Answer>(nodeid: number, answer: Answer): Answer | Promise<Answer> {
    if (this.forgetAttributes === undefined || this.#tree.options.cache.attrValid === 0) return answer
    return this.forgetAttributes(nodeid).then(() => answer)
  }

  /** Whether an open with these flags can lead to a mapping that is written to, which only the real file notices. */
  canMap(flags: number): boolean {
    return this.passthrough && readsAndWrites({ flags })
  }

  /** Counts an open: its handle. */
  opened(file: OpenFile): OpenAnswer {
    this.#hold(file)
    const keep = file.inode.device.cache.keepData ? FOPEN_KEEP_CACHE : 0
    const openFlags =
      keep | ((this.flushless && file.inode.device.local) || !canWrite(file) ? FOPEN_NOFLUSH : 0)
    const fh = this.table.add(file)
    if (file.inode.device.generated) return { fh, openFlags: openFlags | FOPEN_DIRECT_IO }
    return this.passthrough ? { fh, openFlags, passthrough: file.fd } : { fh, openFlags }
  }

  release({ fh }: Pick<ReleaseRequest, 'fh'>): void {
    const file = this.table.remove(fh)
    if (file !== undefined) this.#drop(file)
  }

  /** ftruncate(2), off the loop's thread where it frees much. */
  truncate(file: OpenFile, size: number): number | Promise<number> {
    const { sys, found } = this.#tree
    const { fd } = file
    const result = sys.fstatx(fd, STAT_MASK, found)
    if (result < 0) return result
    const long = freesMuch(found, size)
    if (canWrite(file)) {
      return long ? this.#during(file, () => sys.ftruncateAsync(fd, size)) : sys.ftruncate(fd, size)
    }
    // Kernel: an open only for reading truncates, too, with O_TRUNC, but ftruncate(2) wants a descriptor open for writing.
    const path = `/proc/self/fd/${fd}`
    return long ? this.#during(file, () => sys.truncateAsync(path, size)) : sys.truncate(path, size)
  }

  /** The open of `inode` that may write, if there is one. */
  writable(inode: MirrorInode): OpenFile | undefined {
    return inode.files?.find(canWrite)
  }

  /** Whether an open of `inode` may write, whichever thread has it. */
  isWritten(inode: MirrorInode): boolean {
    return this.#tree.crew?.state.written(inode.nodeid) ?? this.writable(inode) !== undefined
  }

  /** The session has ended and sends no more RELEASE. */
  clear(): void {
    for (const file of [...this.table]) this.#drop(file)
  }

  /** What is asked for of the source. */
  #kept(flags: number): number {
    return (this.writeback ? writebackOpenFlags(flags) : flags) & KEPT
  }

  /** What the kernel was told about a file that may be mapped from now on is taken back before it is. */
  #answer(file: OpenFile): OpenAnswer | Promise<OpenAnswer> {
    const answer = this.opened(file)
    const { inode } = file
    if (inode.mapping === 'open' || !this.canMap(file.flags)) return answer
    inode.mapping = 'open'
    return this.unlearned(inode.nodeid, answer)
  }

  #find(inode: MirrorInode, flags: number, byName: boolean): OpenFile | number {
    const tree = this.#tree
    const shared = inode.files?.find((file) => file.flags === flags)
    if (inode.parent === null || !byName) {
      if (shared !== undefined && this.#mayShare(shared)) return shared
      const link = tree.magicLink(inode)
      if (typeof link === 'number') return link
      return this.#adopt(inode, flags, tree.openat(-1, link, (flags | ALWAYS) & ~O_NOFOLLOW))
    }
    if (shared !== undefined) {
      // An open by a name that leads to another file by now must get that one: ESTALE makes the kernel look it up again.
      const result = tree.statName(inode.parent, inode.name)
      if (result !== 0 || !inode.is(tree.found)) return ESTALE
      if (!isProtected(shared, tree.found)) return shared
    }
    const dirfd = tree.descriptor(inode.parent)
    if (dirfd < 0) return dirfd
    return this.#adopt(inode, flags, tree.openVerified(inode, dirfd, inode.name, flags | ALWAYS))
  }

  #mayShare(file: OpenFile): boolean {
    const { sys, found } = this.#tree
    return !canWrite(file) || (sys.fstatx(file.fd, STAT_MASK, found) === 0 && !isProtected(file, found))
  }

  #adopt(inode: MirrorInode, flags: number, fd: number): OpenFile | number {
    // A symlink, a socket or a FIFO in the place of the file that the kernel knows.
    if (fd === ELOOP || fd === ENXIO) return ESTALE
    return fd < 0 ? fd : this.#add(inode, fd, flags)
  }

  #add(inode: MirrorInode, fd: number, flags: number): OpenFile {
    const file: OpenFile = { inode, fd, flags, users: 0 }
    if (this.#tree.crew !== undefined) return file
    if (inode.files === null) inode.files = [file]
    else inode.files.push(file)
    return file
  }

  /** A killed caller is answered before its job has run, and its file released: the job must not meet another file. */
  #during<Result>(file: OpenFile, job: () => Result): Result {
    this.#hold(file)
    const drop = () => this.#drop(file)
    let result: Result | undefined
    try {
      result = job()
    } finally {
      if (!(result instanceof Promise)) drop()
    }
    if (result instanceof Promise) result.then(drop, drop)
    return result
  }

  #hold(file: OpenFile): void {
    const { crew } = this.#tree
    if (crew === undefined) file.users++
    else crew.state.hold(file.fd)
  }

  #drop(file: OpenFile): void {
    const { crew } = this.#tree
    const left = crew === undefined ? --file.users : crew.state.drop(file.fd)
    if (left === 0) this.#close(file)
  }

  #close(file: OpenFile): void {
    const { inode, fd } = file
    const { shared } = this.#tree
    if (shared !== undefined) {
      shared.closeFile(fd)
      return
    }
    const left = inode.files?.filter((other) => other !== file) ?? []
    inode.files = left.length > 0 ? left : null
    if (left.length === 0) this.#tree.released(inode, fd)
    this.#tree.close(inode, fd)
  }
}

/** Who asks, as the calls ending in `As` take it. */
export function callerOf(request: {
  uid: number
  gid: number
  umask?: number
  extensions?: { groups?: number[] }
}): Credentials {
  const groups = request.extensions?.groups
  return {
    uid: request.uid,
    gid: request.gid,
    umask: request.umask ?? 0,
    groups: groups === undefined ? NO_GROUPS : Uint32Array.from(groups),
    // Kernel: an unprivileged caller's set-id bits are judged on the source as if it had asked there.
    keepFsetid: request.uid === 0,
    // The kernel has checked CAP_MKNOD before it sent the request.
    keepMknod: true,
  }
}

const NO_GROUPS = new Uint32Array(0)
