// FileHandle of node:fs/promises over an open file of the view, with the calls that node:fs lacks.
import { EventEmitter } from 'node:events'
import type { BigIntStats, ReadStream, Stats, TimeLike, WriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { ReadableStream } from 'node:stream/web'
import { EBADF } from '../../index.js'
import { SEEK_DATA, SEEK_HOLE } from '../../syscalls/index.js'
import { chmod, chown, status, utimes } from './attributes.js'
import type { Action, Caller } from './caller.js'
import {
  bytesOfText,
  codingOf,
  idOf,
  integerOf,
  modeOf,
  objectOf,
  positionOf,
  rangeOf,
  sizeOf,
  uint32Of,
  viewOf,
  viewsOf,
} from './arguments.js'
import type { Coding } from './arguments.js'
import { bytesOfView, contentOf, readAll, writeAll } from './content.js'
import { Failure, invalidArgument } from './failure.js'
import { readStreamOf, webStreamOf, writeStreamOf } from './handle-streams.js'
import type { Streamed } from './handle-streams.js'
import type { OpenFile } from './open-file.js'
import { statsOf } from './stats.js'
import { timestampOf } from './times.js'

type View = NodeJS.ArrayBufferView
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
  /** The ends of the streams that keep it open. */
  readonly #streams = new Set<Promise<void>>()
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
    const options = (typeof offset === 'object' ? offset : { offset, length, position }) ?? {}
    const given = isView ? options : objectOf(target ?? undefined)
    const buffer = isView ? target : viewOf(given.buffer ?? Buffer.alloc(DEFAULT_READ), 'buffer')
    const bytes = rangeOf(buffer, given.offset, given.length)
    const at = positionOf(given.position)
    const bytesRead = await this.#run('read', () => this.#file.read(bytes, at))
    return { bytesRead, buffer }
  }

  async readv(
    buffers: readonly View[],
    position?: number | null,
  ): Promise<{ bytesRead: number; buffers: readonly View[] }> {
    const targets = viewsOf(buffers).map(bytesOfView)
    const all = Buffer.allocUnsafe(targets.reduce((sum, { byteLength }) => sum + byteLength, 0))
    const { bytesRead } = await this.read(all, 0, all.byteLength, position)
    let at = 0
    for (const target of targets) {
      target.set(all.subarray(at, Math.min(bytesRead, at + target.byteLength)))
      at = Math.min(bytesRead, at + target.byteLength)
    }
    return { bytesRead, buffers }
  }

  async write(
    data: View | string,
    offset?: number | ReadOptions | null,
    length?: number | BufferEncoding | null,
    position?: number | bigint | null,
  ): Promise<{ bytesWritten: number; buffer: View | string }> {
    const given = (typeof offset === 'object' ? offset : { offset, length, position }) ?? {}
    const isView = ArrayBuffer.isView(data)
    const bytes = isView ? rangeOf(data, given.offset, given.length) : bytesOfText(data, length)
    const at = positionOf(isView ? given.position : offset)
    const bytesWritten = await this.#run('write', () => this.#file.write(bytes, at))
    return { bytesWritten, buffer: data }
  }

  async writev(
    buffers: readonly View[],
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffers: readonly View[] }> {
    const all = Buffer.concat(viewsOf(buffers).map(bytesOfView))
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

  async writeFile(data: unknown, options?: Coding): Promise<void> {
    const { encoding, signal } = codingOf(options)
    const content = contentOf(data, encoding)
    return this.#run('write', () => writeAll(this.#file, content, encoding, signal))
  }

  appendFile(data: unknown, options?: Coding): Promise<void> {
    return this.writeFile(data, options)
  }

  stat(options?: { bigint?: boolean }): Promise<Stats | BigIntStats> {
    return this.#run('fstat', async (kernel) =>
      statsOf(await status(kernel, this.#file.node, this.#file.attributeFh), this.#dev, options?.bigint),
    )
  }

  async truncate(len = 0): Promise<void> {
    const size = sizeOf(len)
    return this.#run('ftruncate', () => this.#file.truncate(size))
  }

  async chmod(mode: number | string): Promise<void> {
    const bits = modeOf(mode)
    return this.#run('fchmod', (kernel) => chmod(kernel, this.#file.node, bits))
  }

  async chown(uid: number, gid: number): Promise<void> {
    const ids = [idOf(uid, 'uid'), idOf(gid, 'gid')] as const
    return this.#run('fchown', (kernel) => chown(kernel, this.#file.node, ...ids))
  }

  async utimes(atime: TimeLike, mtime: TimeLike): Promise<void> {
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
  async seek(offset: number, whence: 'data' | 'hole'): Promise<number> {
    const at = integerOf(offset, 'offset', 0)
    if (whence !== 'data' && whence !== 'hole') throw invalidArgument('whence', whence, '"data" or "hole"')
    return this.#run('lseek', () => this.#file.seek(at, whence === 'data' ? SEEK_DATA : SEEK_HOLE))
  }

  /** fallocate(2) with FALLOC_FL_* flags: `length` bytes at `offset`. */
  async fallocate(offset: number, length: number, mode = 0): Promise<void> {
    const range = [integerOf(offset, 'offset'), integerOf(length, 'length'), uint32Of(mode, 'mode')] as const
    return this.#run('fallocate', () => this.#file.allocate(...range))
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
    await Promise.all(this.#streams)
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
    const open = this.#closing === undefined
    let end!: () => void
    const ended = new Promise<void>((resolve) => (end = resolve))
    return {
      fd: this.#fd,
      read: (target, at) => this.#run('read', () => this.#file.read(target, positionOf(at)), open),
      write: (data, at) => this.#run('write', () => this.#file.write(data, positionOf(at)), open),
      sync: () => this.#run('fsync', () => this.#file.sync(false), open),
      close: () => {
        this.#streams.delete(ended)
        end()
        return this.close()
      },
      onClose: (listener) => {
        this.#streams.add(ended)
        this.once('close', listener)
      },
    }
  }

  readLines(options?: object): ReturnType<typeof createInterface> {
    return createInterface({ input: this.createReadStream(options), crlfDelay: Infinity })
  }

  readableWebStream(): ReadableStream<Uint8Array> {
    return webStreamOf((target) => this.#run('read', () => this.#file.read(target, undefined)))
  }

  #run<T>(syscall: string, action: Action<T>, open = this.#closing === undefined): Promise<T> {
    const held = open && this.#file.hold()
    const call = this.#caller.run(syscall, (kernel, scope) => {
      if (!held) throw new Failure(EBADF)
      return action(kernel, scope)
    })
    return held ? call.finally(() => this.#file.letGo()) : call
  }
}
