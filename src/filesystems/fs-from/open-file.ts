// An open file or directory: READ and WRITE in the pieces that a kernel would send, FLUSH and RELEASE at its end.
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
  FOPEN_STREAM,
  FUSE_FSYNC_FDATASYNC,
  FUSE_READ_LOCKOWNER,
  FUSE_WRITE_KILL_SUIDGID,
  FUSE_WRITE_LOCKOWNER,
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
import type { Node } from './nodes.js'

const PAGE = 4096
// Kernel: MAX_RW_COUNT, and the 32 bits of copy_file_range's answer.
const MOST_COPIED = 0x7fff_f000

const CANNOT_COPY: ReadonlySet<number> = new Set([EOPNOTSUPP, ENOSYS, EXDEV])

const readFrom = promisify(read)
const writeTo = promisify(write)
const closeBacked = promisify(close)

/** Names the owner of locks: one for all files of a process. */
const LOCK_OWNER = 0x6465_7666_7573_65n

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
  readonly #maxRead: number
  readonly #maxWrite: number
  #closed = false

  constructor(kernel: Kernel, node: Node, flags: number, opened: Opened) {
    this.#kernel = kernel
    this.node = kernel.nodes.use(node)
    this.flags = flags
    this.fh = opened.fh
    this.#opened = opened
    const { maxPages, maxWrite } = kernel.connection.negotiation
    this.#maxRead = maxPages * PAGE
    this.#maxWrite = maxWrite
  }

  get closed(): boolean {
    return this.#closed
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
    const start = this.#place(position)
    const got =
      this.#opened.backed < 0
        ? await this.#readServed(target, start, signal)
        : await passed(readFrom(this.#opened.backed, target, 0, target.byteLength, start)).then(
            ({ bytesRead }) => bytesRead,
          )
    if (position === undefined) this.position = start + got
    return got
  }

  async #readServed(target: Uint8Array, start: number, signal?: AbortSignal): Promise<number> {
    const { fh, openFlags } = this.#opened
    const direct = (openFlags & FOPEN_DIRECT_IO) !== 0
    let end = start + target.byteLength
    // Kernel: a cached file ends where its size says, whatever a read would bring.
    if (!direct) end = Math.min(end, (await this.#kernel.getattr(this.node, this.attributeFh)).size)
    let at = start
    while (at < end) {
      const offset = direct ? at : at - (at % PAGE)
      const size = Math.min(this.#maxRead, direct ? end - at : Math.ceil(end / PAGE) * PAGE - offset)
      const request = {
        fh,
        offset,
        size,
        flags: this.#sentFlags(),
        readFlags: FUSE_READ_LOCKOWNER,
        lockOwner: LOCK_OWNER,
      }
      const { data } = await this.#kernel.call('read', this.node.nodeid, request, signal)
      const piece = (data as Buffer).subarray(at - offset, end - offset)
      target.set(piece, at - start)
      at += piece.byteLength
      if ((data as Buffer).byteLength < size) break
    }
    return at - start
  }

  /** write(2) or pwrite(2): the bytes written. */
  async write(data: Uint8Array, position: number | undefined, signal?: AbortSignal): Promise<number> {
    this.#require(O_WRONLY)
    if (data.byteLength === 0) return 0
    let start = this.#place(position)
    if ((this.flags & O_APPEND) !== 0) start = (await this.#kernel.getattr(this.node, this.attributeFh)).size
    const killed = await removePrivileges(this.#kernel, this.node)
    const done =
      this.#opened.backed < 0
        ? await this.#writeServed(data, start, killed, signal)
        : await passed(writeTo(this.#opened.backed, data, 0, data.byteLength, start)).then(
            ({ bytesWritten }) => bytesWritten,
          )
    if (position === undefined || (this.flags & O_APPEND) !== 0) this.position = start + done
    if ((this.flags & O_DSYNC) !== 0) await this.sync((this.flags & O_SYNC) !== O_SYNC)
    return done
  }

  async #writeServed(data: Uint8Array, start: number, kill: boolean, signal?: AbortSignal): Promise<number> {
    const { fh, openFlags } = this.#opened
    let done = 0
    while (done < data.byteLength) {
      const offset = start + done
      const size = Math.min(data.byteLength - done, this.#maxWrite, this.#maxRead - (offset % PAGE))
      const writeFlags = FUSE_WRITE_LOCKOWNER | (kill ? FUSE_WRITE_KILL_SUIDGID : 0)
      const request = { fh, offset, writeFlags, flags: this.#sentFlags(), lockOwner: LOCK_OWNER }
      let written: number
      try {
        const reply = await this.#kernel.call(
          'write',
          this.node.nodeid,
          { ...request, data: data.subarray(done, done + size) },
          signal,
        )
        written = reply.value as number
        if (written > size || written < 0)
          throw new BadReply(`write: the answer is ${written} where ${size} bytes were sent`)
      } catch (error) {
        // Kernel: what was written before the failure counts; the next call meets it again.
        if (done > 0 && error instanceof Failure) return done
        throw error
      }
      done += written
      if (written < size) {
        // Kernel: a cached write that comes up short is EIO, unless something was written.
        if (done === 0 && (openFlags & FOPEN_DIRECT_IO) === 0)
          throw new BadReply('write: nothing was written, which only FOPEN_DIRECT_IO files may say')
        break
      }
    }
    return done
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
    await removePrivileges(this.#kernel, this.node)
    const fields = { fh: this.fh, offset, length, mode }
    if ((await this.#kernel.attempt('fallocate', this.node.nodeid, fields)) === undefined)
      throw new Failure(EOPNOTSUPP)
  }

  /** copy_file_range(2): the bytes copied, undefined where the filesystem has no such operation. */
  async copyTo(to: OpenFile, offIn: number, offOut: number, length: number): Promise<number | undefined> {
    this.#require(O_RDONLY)
    to.#require(O_WRONLY)
    const len = Math.min(length, MOST_COPIED)
    const fields = { fhIn: this.fh, offIn, nodeidOut: to.node.nodeid, fhOut: to.fh, offOut, len, flags: 0 }
    try {
      const reply =
        (await this.#kernel.attempt('copyFileRange64', this.node.nodeid, fields)) ??
        (await this.#kernel.attempt('copyFileRange', this.node.nodeid, fields))
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

  /** close(2): FLUSH, whose error is told, and RELEASE. */
  async close(): Promise<void> {
    this.#require(undefined)
    try {
      if (!this.isDirectory && this.#opened.asked && (this.#opened.openFlags & FOPEN_NOFLUSH) === 0)
        await this.#kernel.attempt('flush', this.node.nodeid, { fh: this.fh, lockOwner: LOCK_OWNER })
    } finally {
      await this.release()
    }
  }

  /** RELEASE or RELEASEDIR alone. */
  async release(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
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

  #sentFlags(): number {
    return this.flags | O_LARGEFILE
  }

  /** Throws EBADF for a file that is closed, or was opened for something else. */
  #require(access: number | undefined): void {
    const mode = this.flags & O_ACCMODE
    if (this.#closed) throw new Failure(EBADF)
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
