// FileHandle of node:fs/promises over an open file of the view, with the calls that node:fs lacks.
import { EventEmitter } from 'node:events'
import type { BigIntStats, ReadStream, Stats, TimeLike, WriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { ReadableStream } from 'node:stream/web'
import { EBADF } from '../../index.js'
import { SEEK_DATA, SEEK_HOLE } from '../../syscalls/index.js'
import { chmod, chown, status, utimes } from './attributes.js'
import type { Action, Caller } from './caller.js'
import { bytesOfView, readAll, writeAll } from './content.js'
import { Failure, invalidArgument } from './failure.js'
import { readStreamOf, webStreamOf, writeStreamOf } from './handle-streams.js'
import type { Streamed } from './handle-streams.js'
import type { OpenFile } from './open-file.js'
import { modeOf } from './options.js'
import { statsOf } from './stats.js'
import { timestampOf } from './times.js'

type View = NodeJS.ArrayBufferView
type Coding = { encoding?: BufferEncoding | null; signal?: AbortSignal } | BufferEncoding | null | undefined
interface ReadOptions {
  buffer?: View
  offset?: number | null
  length?: number | null
  position?: number | bigint | null
}

// A number that no descriptor of a process has, so that using it by mistake fails with EBADF.
let nextFd = 0x7fff_ffff

const DEFAULT_READ = 16384

/** An open file; closing it sends FLUSH and RELEASE. */
export class FsFileHandle extends EventEmitter {
  readonly #fd = nextFd--
  readonly #caller: Caller
  readonly #file: OpenFile
  readonly #dev: number
  #closing: Promise<void> | undefined

  /** Not for authors: use `open`. */
  constructor(caller: Caller, file: OpenFile, path: string, dev: number) {
    super()
    this.#caller = caller
    this.#file = file
    this.#dev = dev
    caller.open.set(file, path)
  }

  /** There is no descriptor behind it: a number that calls of node:fs refuse with EBADF, -1 once it is closed. */
  get fd(): number {
    return this.#closing === undefined ? this.#fd : -1
  }

  async read(
    target?: View | ReadOptions,
    offset?: number | ReadOptions | null,
    length?: number | null,
    position?: number | bigint | null,
  ): Promise<{ bytesRead: number; buffer: View }> {
    const isView = ArrayBuffer.isView(target)
    const given =
      (isView ? (typeof offset === 'object' ? offset : { offset, length, position }) : target) ?? {}
    const buffer = isView ? target : (given.buffer ?? Buffer.alloc(DEFAULT_READ))
    const bytes = rangeOf(buffer, given.offset, given.length)
    const bytesRead = await this.#run('read', () => this.#file.read(bytes, positionOf(given.position)))
    return { bytesRead, buffer }
  }

  async readv(
    buffers: readonly View[],
    position?: number | null,
  ): Promise<{ bytesRead: number; buffers: readonly View[] }> {
    let bytesRead = 0
    for (const buffer of buffers) {
      const at = position === undefined || position === null ? null : position + bytesRead
      const got = await this.read(buffer, 0, buffer.byteLength, at)
      bytesRead += got.bytesRead
      if (got.bytesRead < buffer.byteLength) break
    }
    return { bytesRead, buffers }
  }

  async write(
    data: View | string,
    offset?: number | ReadOptions | null,
    length?: number | BufferEncoding | null,
    position?: number | bigint | null,
  ): Promise<{ bytesWritten: number; buffer: View | string }> {
    const text = typeof data === 'string'
    const bytes = text
      ? Buffer.from(data, (length as BufferEncoding | null) ?? 'utf8')
      : typeof offset === 'object'
        ? rangeOf(data, offset?.offset, offset?.length)
        : rangeOf(data, offset, length as number)
    const at = text ? offset : typeof offset === 'object' ? offset?.position : position
    const bytesWritten = await this.#run('write', () =>
      this.#file.write(bytes, positionOf(at as number | bigint | null | undefined)),
    )
    return { bytesWritten, buffer: data }
  }

  async writev(
    buffers: readonly View[],
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffers: readonly View[] }> {
    const all = Buffer.concat(buffers.map(bytesOfView))
    const { bytesWritten } = await this.write(all, 0, all.byteLength, position)
    return { bytesWritten, buffers }
  }

  async readFile(options?: Coding): Promise<string | Buffer> {
    const { encoding, signal } = codingOf(options)
    const content = await this.#run('read', async (kernel) => {
      const { attr } = await status(kernel, this.#file.node, this.#file.attributeFh)
      return readAll(this.#file, attr.size, signal)
    })
    return encoding ? content.toString(encoding) : content
  }

  writeFile(data: unknown, options?: Coding): Promise<void> {
    const { encoding, signal } = codingOf(options)
    return this.#run('write', () => writeAll(this.#file, data, encoding ?? 'utf8', signal))
  }

  appendFile(data: unknown, options?: Coding): Promise<void> {
    return this.writeFile(data, options)
  }

  stat(options?: { bigint?: boolean }): Promise<Stats | BigIntStats> {
    return this.#run('fstat', async (kernel) =>
      statsOf(await status(kernel, this.#file.node, this.#file.attributeFh), this.#dev, options?.bigint),
    )
  }

  truncate(size = 0): Promise<void> {
    return this.#run('ftruncate', () => this.#file.truncate(Math.max(0, size)))
  }

  chmod(mode: number | string): Promise<void> {
    return this.#run('fchmod', (kernel) => chmod(kernel, this.#file.node, modeOf(mode, 0)))
  }

  chown(uid: number, gid: number): Promise<void> {
    return this.#run('fchown', (kernel) => chown(kernel, this.#file.node, uid, gid))
  }

  utimes(atime: TimeLike, mtime: TimeLike): Promise<void> {
    const times = [timestampOf(atime, 'atime'), timestampOf(mtime, 'mtime')] as const
    return this.#run('futime', (kernel) => utimes(kernel, this.#file.node, ...times))
  }

  sync(): Promise<void> {
    return this.#run('fsync', () => this.#file.sync(false))
  }

  datasync(): Promise<void> {
    return this.#run('fdatasync', () => this.#file.sync(true))
  }

  /** lseek(2): where the next data (SEEK_DATA) or hole (SEEK_HOLE) begins, in bytes. ENXIO past the end. */
  seek(offset: number, whence: 'data' | 'hole'): Promise<number> {
    return this.#run('lseek', () => this.#file.seek(offset, whence === 'data' ? SEEK_DATA : SEEK_HOLE))
  }

  /** fallocate(2) with FALLOC_FL_* flags: `length` bytes at `offset`. */
  fallocate(offset: number, length: number, mode = 0): Promise<void> {
    return this.#run('fallocate', () => this.#file.allocate(offset, length, mode))
  }

  /** Waits for the calls under way, then FLUSH, whose error it tells, and RELEASE; idempotent. */
  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#closing = this.#close()
      this.emit('close')
    }
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#caller.open.delete(this.#file)
    if (this.#file.closed) return
    await this.#caller.run('close', () => this.#file.close())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** A stream keeps the handle open until it is closed itself; `close` ends it. */
  createReadStream(options: object = {}): ReadStream {
    return readStreamOf(this.#streamed(), options)
  }

  createWriteStream(options: object = {}): WriteStream {
    return writeStreamOf(this.#streamed(), options)
  }

  #streamed(): Streamed {
    const open = this.#closing === undefined && this.#file.hold()
    let held = open
    const run = <T>(syscall: string, action: () => Promise<T>): Promise<T> =>
      this.#caller.run(syscall, () => {
        if (!open) throw new Failure(EBADF)
        return action()
      })
    return {
      fd: this.#fd,
      read: (target, at) => run('read', () => this.#file.read(target, positionOf(at))),
      write: (data, at) => run('write', () => this.#file.write(data, positionOf(at))),
      sync: () => run('fsync', () => this.#file.sync(false)),
      close: () => {
        if (held) this.#file.letGo()
        held = false
        return this.close()
      },
      onClose: (listener) => this.once('close', listener),
    }
  }

  readLines(options?: object): ReturnType<typeof createInterface> {
    return createInterface({ input: this.createReadStream(options), crlfDelay: Infinity })
  }

  readableWebStream(): ReadableStream<Uint8Array> {
    return webStreamOf((target) => this.#run('read', () => this.#file.read(target, undefined)))
  }

  #run<T>(syscall: string, action: Action<T>): Promise<T> {
    const held = this.#closing === undefined && this.#file.hold()
    const call = this.#caller.run(syscall, (kernel, scope) => {
      if (!held) throw new Failure(EBADF)
      return action(kernel, scope)
    })
    return held ? call.finally(() => this.#file.letGo()) : call
  }
}

/** The part of a view that offset and length name; throws as node:fs does where it has no such part. */
function rangeOf(view: View, offset?: number | null, length?: number | null): Uint8Array {
  const bytes = bytesOfView(view)
  const start = offset ?? 0
  const size = length ?? bytes.byteLength - start
  if (!(start >= 0 && start <= bytes.byteLength)) throw outOfRange('offset', start, bytes.byteLength)
  if (!(size >= 0 && start + size <= bytes.byteLength))
    throw outOfRange('length', size, bytes.byteLength - start)
  return bytes.subarray(start, start + size)
}

function outOfRange(name: string, value: number, most: number): RangeError {
  const message = `The value of "${name}" is out of range. It must be >= 0 && <= ${most}. Received ${value}`
  return Object.assign(new RangeError(message), { code: 'ERR_OUT_OF_RANGE' })
}

function positionOf(position: number | bigint | null | undefined): number | undefined {
  const at = Number(position ?? -1)
  if (!Number.isSafeInteger(at)) throw invalidArgument('position', position, 'an integer')
  return at < 0 ? undefined : at
}

/** Encoding and signal in the options of readFile and writeFile. */
export function codingOf(options: Coding): { encoding?: BufferEncoding | null; signal?: AbortSignal } {
  return typeof options === 'string' ? { encoding: options } : (options ?? {})
}
