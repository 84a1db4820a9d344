// An open file or directory: where it stands, who may change it at a time, and FLUSH and RELEASE at its end.
import { close, read, write } from 'node:fs'
import { promisify } from 'node:util'
import {
  EBADF,
  EINVAL,
  EIO,
  EISDIR,
  ENOSYS,
  ENXIO,
  EOPNOTSUPP,
  ESPIPE,
  EXDEV,
  FATTR_FH,
  FATTR_LOCKOWNER,
  FATTR_SIZE,
  FOPEN_DIRECT_IO,
  FOPEN_NOFLUSH,
  FOPEN_NONSEEKABLE,
  FOPEN_PARALLEL_DIRECT_WRITES,
  FOPEN_STREAM,
  FUSE_FSYNC_FDATASYNC,
} from '../../index.js'
import {
  O_ACCMODE,
  O_APPEND,
  O_DSYNC,
  O_LARGEFILE,
  O_RDONLY,
  O_SYNC,
  O_WRONLY,
  SEEK_DATA,
  S_IFDIR,
} from '../../syscalls/index.js'
import { removePrivileges, setattr } from './attributes.js'
import { BadReply, Failure } from './failure.js'
import type { Kernel } from './kernel.js'
import { Mutex } from './mutex.js'
import type { Node } from './nodes.js'
import { LOCK_OWNER, readPieces, writePieces } from './pieces.js'
import type { Served } from './pieces.js'

// Kernel: the most that one call reads, writes or copies.
const MAX_RW_COUNT = 0x7fff_f000

const CANNOT_COPY: ReadonlySet<number> = new Set([EOPNOTSUPP, ENOSYS, EXDEV])

const readFrom = promisify(read)
const writeTo = promisify(write)
const closeBacked = promisify(close)

/** What the reply to the open said. */
export interface Opened {
  readonly fh: number
  readonly openFlags: number
  /** A descriptor of the file behind it, with passthrough; -1 without. */
  readonly backed: number
  /** False where the filesystem has switched OPEN off: then RELEASE is not sent either. */
  readonly asked: boolean
}

export class OpenFile {
  readonly node: Node
  readonly flags: number
  readonly fh: number
  /** Where reads and writes without a position go on. */
  position = 0
  readonly #kernel: Kernel
  readonly #opened: Opened
  readonly #served: Served
  /** f_pos_lock of the kernel: whoever reads or writes where the file stands. */
  readonly #standing = new Mutex()
  #underWay = 0
  #whenIdle: (() => void)[] = []
  #closing = false
  #released = false

  constructor(kernel: Kernel, node: Node, flags: number, opened: Opened) {
    this.#kernel = kernel
    this.node = kernel.nodes.use(node)
    this.flags = flags
    this.fh = opened.fh
    this.#opened = opened
    const { fh, openFlags } = opened
    this.#served = { kernel, node, fh, openFlags, flags: this.#sentFlags(), attributeFh: this.attributeFh }
  }

  /** Nothing new may begin. */
  get closed(): boolean {
    return this.#closing
  }

  /** Calls are under way that hold it. */
  get busy(): boolean {
    return this.#underWay > 0
  }

  /** A call begins, and keeps the file from being released until {@link letGo}. False where it is closed. */
  hold(): boolean {
    if (this.#closing) return false
    this.#underWay++
    return true
  }

  letGo(): void {
    if (--this.#underWay > 0) return
    for (const resolve of this.#whenIdle.splice(0)) resolve()
  }

  get isDirectory(): boolean {
    return this.node.type === S_IFDIR
  }

  /** `fh` for requests about attributes; Kernel: those of directories do not carry it. */
  get attributeFh(): number | undefined {
    return this.isDirectory || !this.#opened.asked ? undefined : this.fh
  }

  /** read(2) or pread(2) into `target`: the bytes read, 0 at the end of the file. */
  async read(target: Uint8Array, position: number | undefined, signal?: AbortSignal): Promise<number> {
    this.#require(O_RDONLY)
    if (this.isDirectory) throw new Failure(EISDIR)
    const room = target.subarray(0, MAX_RW_COUNT)
    return this.#inTurn(position, async () => {
      const start = this.#place(position)
      const got =
        this.#opened.backed < 0
          ? await readPieces(this.#served, room, start, signal)
          : await passed(readFrom(this.#opened.backed, room, 0, room.byteLength, start)).then(
              ({ bytesRead }) => bytesRead,
            )
      if (position === undefined) this.position = start + got
      return got
    })
  }

  /** write(2) or pwrite(2): the bytes written. */
  async write(data: Uint8Array, position: number | undefined, signal?: AbortSignal): Promise<number> {
    this.#require(O_WRONLY)
    if (data.byteLength === 0) return 0
    const taken = data.subarray(0, MAX_RW_COUNT)
    const done = await this.#inTurn(position, () => this.#writeInTurn(taken, position, signal))
    if ((this.flags & O_DSYNC) !== 0) await this.sync((this.flags & O_SYNC) !== O_SYNC)
    return done
  }

  async #writeInTurn(data: Uint8Array, position: number | undefined, signal?: AbortSignal): Promise<number> {
    const place = this.#place(position)
    const locked = async (): Promise<number> => {
      const appends = (this.flags & O_APPEND) !== 0
      const start = appends ? (await this.#kernel.getattr(this.node, this.attributeFh)).size : place
      const killed = await removePrivileges(this.#kernel, this.node)
      const done =
        this.#opened.backed < 0
          ? await writePieces(this.#served, data, start, killed, signal)
          : await passed(writeTo(this.#opened.backed, data, 0, data.byteLength, start)).then(
              ({ bytesWritten }) => bytesWritten,
            )
      if (position === undefined) this.position = start + done
      return done
    }
    return this.#sharesLock(place + data.byteLength) ? locked() : this.node.lock.run(locked)
  }

  /** Kernel: fuse_dio_wr_exclusive_lock, the other way round. */
  #sharesLock(end: number): boolean {
    const parallel = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES
    const { openFlags } = this.#opened
    const size = this.node.attr?.size ?? 0
    return (openFlags & parallel) === parallel && (this.flags & O_APPEND) === 0 && end <= size
  }

  /** Who reads or writes where the file stands waits for all who do. */
  #inTurn<T>(position: number | undefined, action: () => Promise<T>): Promise<T> {
    const free = position !== undefined || (this.#opened.openFlags & FOPEN_STREAM) !== 0
    return free ? action() : this.#standing.run(action)
  }

  /** ftruncate(2). */
  async truncate(size: number): Promise<void> {
    if ((this.flags & O_ACCMODE) === O_RDONLY || this.isDirectory) throw new Failure(EINVAL)
    await setattr(this.#kernel, this.node, {
      valid: FATTR_SIZE | FATTR_LOCKOWNER | (this.attributeFh === undefined ? 0 : FATTR_FH),
      fh: this.attributeFh,
      size,
      lockOwner: LOCK_OWNER,
    })
  }

  /** fsync(2) or fdatasync(2). */
  async sync(dataOnly: boolean): Promise<void> {
    this.#require(undefined)
    const fields = { fh: this.fh, fsyncFlags: dataOnly ? FUSE_FSYNC_FDATASYNC : 0 }
    await this.#kernel.attempt(this.isDirectory ? 'fsyncdir' : 'fsync', this.node.nodeid, fields)
  }

  /** lseek(2) with SEEK_DATA or SEEK_HOLE: where the next data or hole begins. */
  async seek(offset: number, whence: number): Promise<number> {
    this.#require(undefined)
    const reply = await this.#kernel.attempt('lseek', this.node.nodeid, { fh: this.fh, offset, whence })
    if (reply !== undefined) return reply.value as number
    // Kernel: without the operation a file is all data, with a hole at its end.
    const { size } = await this.#kernel.getattr(this.node, this.attributeFh)
    if (offset >= size) throw new Failure(ENXIO)
    return whence === SEEK_DATA ? offset : size
  }

  /** fallocate(2). */
  async allocate(offset: number, length: number, mode: number): Promise<void> {
    this.#require(O_WRONLY)
    if (offset < 0 || length <= 0) throw new Failure(EINVAL)
    const fields = { fh: this.fh, offset, length, mode }
    const reply = await this.node.lock.run(async () => {
      await removePrivileges(this.#kernel, this.node)
      return this.#kernel.attempt('fallocate', this.node.nodeid, fields)
    })
    if (reply === undefined) throw new Failure(EOPNOTSUPP)
  }

  /** copy_file_range(2): the bytes copied, undefined where the filesystem has no such operation. */
  async copyTo(to: OpenFile, offIn: number, offOut: number, length: number): Promise<number | undefined> {
    this.#require(O_RDONLY)
    to.#require(O_WRONLY)
    const len = Math.min(length, MAX_RW_COUNT)
    const fields = { fhIn: this.fh, offIn, nodeidOut: to.node.nodeid, fhOut: to.fh, offOut, len, flags: 0 }
    try {
      const reply = await to.node.lock.run(
        async () =>
          (await this.#kernel.attempt('copyFileRange64', this.node.nodeid, fields)) ??
          (await this.#kernel.attempt('copyFileRange', this.node.nodeid, fields)),
      )
      if (reply === undefined) return undefined
      const copied = reply.value as number
      if (copied > len) throw new BadReply(`copyFileRange: ${copied} of ${len} bytes copied`)
      return copied
    } catch (error) {
      // Kernel: then it copies through the page cache.
      if (error instanceof Failure && CANNOT_COPY.has(error.errno)) return undefined
      throw error
    }
  }

  /** close(2), after the calls that hold the file: FLUSH, whose error is told, and RELEASE. */
  async close(): Promise<void> {
    if (this.#closing) throw new Failure(EBADF)
    this.#closing = true
    await this.#idle()
    try {
      if (!this.isDirectory && this.#opened.asked && (this.#opened.openFlags & FOPEN_NOFLUSH) === 0)
        await this.#kernel.attempt('flush', this.node.nodeid, { fh: this.fh, lockOwner: LOCK_OWNER })
    } finally {
      await this.release()
    }
  }

  /** RELEASE or RELEASEDIR alone, after the calls that hold the file. */
  async release(): Promise<void> {
    this.#closing = true
    await this.#idle()
    if (this.#released) return
    this.#released = true
    try {
      if (this.#opened.backed >= 0) await closeBacked(this.#opened.backed)
      const operation = this.isDirectory ? 'releasedir' : 'release'
      // Kernel: nobody hears of what RELEASE answers.
      if (this.#opened.asked)
        await this.#kernel.connection.send(operation, {
          nodeid: this.node.nodeid,
          fh: this.fh,
          flags: this.#sentFlags(),
        })
    } finally {
      this.#kernel.nodes.leave(this.node)
      this.#kernel.flushForgets()
    }
  }

  async #idle(): Promise<void> {
    if (this.#underWay > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve))
  }

  #sentFlags(): number {
    return this.flags | O_LARGEFILE
  }

  /** Throws EBADF for a file that is closed, or was opened for something else. */
  #require(access: number | undefined): void {
    const mode = this.flags & O_ACCMODE
    if (this.#released) throw new Failure(EBADF)
    if (access === O_RDONLY && mode === O_WRONLY) throw new Failure(EBADF)
    if (access === O_WRONLY && mode === O_RDONLY) throw new Failure(EBADF)
  }

  #place(position: number | undefined): number {
    if (position === undefined) return (this.#opened.openFlags & FOPEN_STREAM) === 0 ? this.position : 0
    if ((this.#opened.openFlags & (FOPEN_NONSEEKABLE | FOPEN_STREAM)) !== 0) throw new Failure(ESPIPE)
    return position
  }
}

/** A call on a real file behind this one fails as the call here. */
async function passed<T>(call: Promise<T>): Promise<T> {
  try {
    return await call
  } catch (error) {
    throw new Failure((error as NodeJS.ErrnoException).errno ?? EIO)
  }
}
