// A kernel in memory: the transport of tests and of authors who drive a filesystem without a mount.
// Requests are encoded by the table as the kernel would, replies decoded the same way.
import { IN_HEADER_SIZE, OUT_HEADER_SIZE, decodeReply, encodeRequest, outHeader } from '../protocol/index.js'
import { read } from 'node:fs'
import { MemoryBackingFiles } from './backing-files.js'
import type { RequestReceiver, Transport, TransportStats } from './transport.js'

const DEFAULT_MAX_WRITE = 1024 * 1024
// Room for the header, the structs, and a setxattr(2) of the most that it may carry.
const SLOT_OVERHEAD = 8192 + 65536
const SLOT_COUNT = 8

/** A reply as the kernel sees it: `error` is 0 or -errno, the other fields are the operation's. */
export interface FakeReply {
  unique: number
  error: number
  [field: string]: unknown
}

/** Gets what answers no request: a whole notification, or a reply that nobody waits for. */
export type StrayListener = (message: Buffer) => void

interface Waiting {
  name: string
  resolve: (reply: FakeReply) => void
}

const ENOENT = -2
const EIO = -5
const EINVAL = -22
const ENOTTY = -25
const ECONNABORTED = -103
const ENOTCONN = -107

export class FakeKernel implements Transport {
  readonly name = 'memory'
  readonly fd = -1
  readonly memory: Buffer
  readonly view: DataView
  readonly backing = new MemoryBackingFiles()
  /** Raw messages that answered no request, unless a listener takes them. */
  readonly strays: Buffer[] = []
  readonly #slotSize: number
  readonly #free = Array.from({ length: SLOT_COUNT }, (_, slot) => slot)
  readonly #queue: Uint8Array[] = []
  readonly #waiting = new Map<number, Waiting>()
  readonly #onStray: StrayListener
  #receiver: RequestReceiver | undefined
  #unique = 2
  #requests = 0
  #closed = false

  /** `maxWrite` bounds the data of a request, in bytes. */
  constructor(maxWrite = DEFAULT_MAX_WRITE, onStray?: StrayListener) {
    this.#slotSize = maxWrite + SLOT_OVERHEAD
    this.memory = Buffer.alloc(this.#slotSize * SLOT_COUNT)
    this.view = new DataView(this.memory.buffer, this.memory.byteOffset, this.memory.byteLength)
    this.#onStray = onStray ?? ((message) => this.strays.push(message))
  }

  get connected(): boolean {
    return !this.#closed
  }

  get now(): number {
    return performance.now()
  }

  get scarce(): boolean {
    return this.#free.length < 3
  }

  /** Slots that are free right now; all of them once every request has been answered. */
  get freeSlots(): number {
    return this.#free.length
  }

  get closed(): boolean {
    return this.#closed
  }

  start(receiver: RequestReceiver): void {
    this.#receiver = receiver
  }

  /** Sends a request as the kernel would; resolves with the decoded reply. */
  request(name: string, fields: Record<string, unknown> = {}): Promise<FakeReply> {
    return this.post(name, fields).promise
  }

  /** The same, with the unique that an INTERRUPT can name. */
  post(name: string, fields: Record<string, unknown> = {}): { unique: number; promise: Promise<FakeReply> } {
    const unique = this.#unique
    this.#unique += 2
    if (this.#closed) return { unique, promise: Promise.resolve({ unique, error: ENOTCONN }) }
    const promise = new Promise<FakeReply>((resolve) => this.#waiting.set(unique, { name, resolve }))
    this.deliver(encodeRequest(name, { unique, nodeid: 1, uid: 0, gid: 0, pid: 1, ...fields }))
    return { unique, promise }
  }

  /** Sends a request that takes no reply. */
  tell(name: string, fields: Record<string, unknown> = {}): void {
    this.deliver(encodeRequest(name, { unique: this.#unique, nodeid: 1, uid: 0, gid: 0, pid: 1, ...fields }))
    this.#unique += 2
  }

  /** Puts a whole message, well formed or not, into a slot; it waits for one while all are taken. */
  deliver(message: Uint8Array): void {
    if (this.#closed) return
    if (message.byteLength > this.#slotSize)
      throw new RangeError(`a request of ${message.byteLength} bytes is larger than what was agreed on`)
    const slot = this.#free.pop()
    if (slot === undefined) {
      this.#queue.push(message)
      return
    }
    this.#requests++
    const header = slot * this.#slotSize
    this.memory.set(message, header)
    const kept = this.#receiver?.receive(
      slot,
      header,
      header + IN_HEADER_SIZE,
      -1,
      header + message.byteLength,
    )
    if (kept !== true) this.release(slot)
  }

  /** The caller of request `unique` is gone: its reply will be refused with ENOENT. */
  drop(unique: number): void {
    this.#waiting.delete(unique)
  }

  /** Ends the connection as an unmount does. */
  unmount(errno = -19): void {
    this.#receiver?.ended(errno)
  }

  release(slot: number): void {
    if (this.#free.includes(slot)) throw new Error(`slot ${slot} was released twice`)
    this.#free.push(slot)
    const next = this.#queue.shift()
    if (next !== undefined) this.deliver(next)
  }

  reply(
    unique: number,
    resent: boolean,
    error: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
    _headroom: boolean,
  ): number {
    const message = Buffer.alloc(OUT_HEADER_SIZE + length)
    outHeader(new DataView(message.buffer, message.byteOffset), 0, message.byteLength, error, unique, resent)
    message.set(bytes.subarray(offset, offset + length), OUT_HEADER_SIZE)
    return this.#take(unique, message)
  }

  replyFromFd(unique: number, resent: boolean, fd: number, offset: number, size: number): Promise<number> {
    const bytes = Buffer.allocUnsafe(size)
    return new Promise((resolve) => {
      read(fd, bytes, 0, size, offset, (error, length) => {
        const errno = error === null ? 0 : (error.errno ?? EIO)
        const sent = this.reply(unique, resent, errno, bytes, 0, errno === 0 ? length : 0, false)
        resolve(sent < 0 ? sent : errno < 0 ? errno : length)
      })
    })
  }

  notify(message: Uint8Array): Promise<number> {
    if (this.#closed) return Promise.resolve(ENOTCONN)
    this.#onStray(Buffer.from(message))
    return Promise.resolve(0)
  }

  clone(): number {
    return ENOTTY
  }

  detachAtExit(): void {
    // There is no mount.
  }

  setBusyPoll(): void {
    // There is nothing to wait for.
  }

  stats(): TransportStats {
    return { requests: this.#requests }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#queue.length = 0
    this.backing.clear()
    // Kernel: whoever waits when a connection is aborted gets ECONNABORTED.
    for (const [unique, { resolve }] of this.#waiting) resolve({ unique, error: ECONNABORTED })
    this.#waiting.clear()
  }

  #take(unique: number, message: Buffer): number {
    const waiting = this.#waiting.get(unique)
    if (waiting === undefined) {
      this.#onStray(message)
      return ENOENT
    }
    this.#waiting.delete(unique)
    let reply: FakeReply
    try {
      reply = decodeReply(waiting.name, message)
    } catch (error) {
      waiting.resolve({ unique, error: EIO, cause: error })
      return EINVAL
    }
    waiting.resolve(reply)
    return 0
  }
}
