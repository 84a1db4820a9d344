// A kernel in memory: the transport of tests and of authors who drive a filesystem without a mount.
// Requests are encoded by the table as the kernel would, replies decoded the same way.
import { IN_HEADER_SIZE, OUT_HEADER_SIZE, decodeReply, encodeRequest, outHeader } from '../protocol/index.js'
import { readSync } from 'node:fs'
import type { RequestReceiver, Transport, TransportStats } from './transport.js'

const SLOT_SIZE = 1024 * 1024 + 8192
const SLOT_COUNT = 8

/** A reply as the kernel sees it: `error` is 0 or -errno, the other fields are the operation's. */
export interface FakeReply {
  unique: number
  error: number
  [field: string]: unknown
}

interface Waiting {
  name: string
  resolve: (reply: FakeReply) => void
}

const ENOENT = -2
const ENOTTY = -25

export class FakeKernel implements Transport {
  readonly name = 'fake'
  readonly fd = -1
  readonly memory = Buffer.alloc(SLOT_SIZE * SLOT_COUNT)
  readonly view = new DataView(this.memory.buffer, this.memory.byteOffset, this.memory.byteLength)
  /** Raw messages that answered no request: notifications, and replies nobody waits for. */
  readonly strays: Buffer[] = []
  readonly #free = Array.from({ length: SLOT_COUNT }, (_, slot) => slot)
  readonly #waiting = new Map<number, Waiting>()
  #receiver: RequestReceiver | undefined
  #unique = 2
  #requests = 0
  #closed = false

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
    const promise = new Promise<FakeReply>((resolve) => this.#waiting.set(unique, { name, resolve }))
    this.deliver(encodeRequest(name, { unique, nodeid: 1, uid: 0, gid: 0, pid: 1, ...fields }))
    return { unique, promise }
  }

  /** Sends a request that takes no reply. */
  tell(name: string, fields: Record<string, unknown> = {}): void {
    this.deliver(encodeRequest(name, { unique: this.#unique, nodeid: 1, uid: 0, gid: 0, pid: 1, ...fields }))
    this.#unique += 2
  }

  /** Puts a whole message, well formed or not, into a slot. */
  deliver(message: Uint8Array): void {
    const slot = this.#free.pop()
    if (slot === undefined) throw new Error('every slot is taken: the session does not give them back')
    this.#requests++
    const header = slot * SLOT_SIZE
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

  replyFromFd(unique: number, resent: boolean, fd: number, offset: number, size: number): number {
    const bytes = Buffer.alloc(size)
    const length = readSync(fd, bytes, 0, size, offset)
    const sent = this.reply(unique, resent, 0, bytes, 0, length, false)
    return sent < 0 ? sent : length
  }

  notify(message: Uint8Array): Promise<number> {
    this.strays.push(Buffer.from(message))
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
    this.#closed = true
  }

  #take(unique: number, message: Buffer): number {
    const waiting = this.#waiting.get(unique)
    if (waiting === undefined) {
      this.strays.push(message)
      return ENOENT
    }
    this.#waiting.delete(unique)
    waiting.resolve(decodeReply(waiting.name, message))
    return 0
  }
}
