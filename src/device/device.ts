// The /dev/fuse transport: batches of requests read by the addon into slots, replies by one write(2)
// or writev(2). First stop of a request in JavaScript, and the last one of its reply.
import { CHANNEL_STATS, loadNative } from '../native.js'
import type { NativeChannel } from '../native.js'
import { IN_HEADER_SIZE, OUT_HEADER_SIZE, outHeader } from '../protocol/index.js'
import { syscalls } from '../syscalls/index.js'
import { pinnedMemory } from '../syscalls/memory.js'
import type { RequestReceiver, Transport, TransportStats } from './transport.js'

const EBADF = -9
const POLLERR = 8
const F_DUPFD_CLOEXEC = 1030
const SLOT_COUNT = 16
// All but the last one, which is a clock.
const COUNTERS = CHANNEL_STATS.slice(0, -1)
const NOW = CHANNEL_STATS.indexOf('now')

// Kernel: read(2) on /dev/fuse fails with EINVAL unless the buffer holds FUSE_MIN_READ_BUFFER (8192) bytes
// and header + fuse_write_in (80 bytes) + max_write. The rest leaves room for extensions and long names.
const SLOT_OVERHEAD = 8192

// Kernel: XATTR_SIZE_MAX; a request that does not fit is answered E2BIG in our place.
const MOST_XATTR = 65536

// The memory of the last connection, for the next one: blocks of this size that come and go leave a heap that only grows.
let spare: ArrayBuffer | undefined

function takeMemory(size: number): ArrayBuffer {
  const memory = spare
  spare = undefined
  return memory?.byteLength === size ? memory : pinnedMemory(size)
}

export class DeviceTransport implements Transport {
  readonly name = 'device'
  readonly memory: Buffer
  readonly view: DataView
  readonly #channel: NativeChannel
  readonly #slotSize: number
  readonly #head = Buffer.alloc(OUT_HEADER_SIZE)
  readonly #headView: DataView
  #receiver: RequestReceiver | undefined
  #held = 0
  readonly #counters: Float64Array
  #closed = false
  #lastBytes: Uint8Array | undefined
  #lastView: DataView | undefined

  constructor(fd: number, maxWrite: number) {
    const native = loadNative()
    this.#slotSize = Math.ceil((Math.max(maxWrite, MOST_XATTR) + SLOT_OVERHEAD) / 4096) * 4096
    const memory = takeMemory(this.#slotSize * SLOT_COUNT)
    this.memory = Buffer.from(memory)
    this.view = new DataView(memory)
    this.#headView = new DataView(this.#head.buffer, this.#head.byteOffset, OUT_HEADER_SIZE)
    this.#channel = new native.Channel(
      fd,
      memory,
      this.#slotSize,
      SLOT_COUNT,
      (count) => this.#batch(count),
      (errno) => this.#receiver?.ended(errno),
    )
    this.#counters = this.#channel.stats
  }

  get fd(): number {
    return this.#closed ? -1 : this.#channel.fd
  }

  get connected(): boolean {
    // Kernel: polling a connection that has ended says POLLERR.
    const bits = this.fd < 0 ? POLLERR : syscalls.pollNow(this.fd, 0)
    return bits >= 0 && (bits & POLLERR) === 0
  }

  get now(): number {
    return this.#counters[NOW]
  }

  get scarce(): boolean {
    return this.#held > SLOT_COUNT - 4
  }

  start(receiver: RequestReceiver): void {
    this.#receiver = receiver
    this.#channel.start()
  }

  release(slot: number): void {
    this.#held--
    this.#channel.release(slot)
  }

  reply(
    unique: number,
    resent: boolean,
    error: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
    headroom: boolean,
  ): number {
    if (headroom) {
      outHeader(
        this.#viewOf(bytes),
        offset - OUT_HEADER_SIZE,
        OUT_HEADER_SIZE + length,
        error,
        unique,
        resent,
      )
      return this.#channel.send(bytes, offset - OUT_HEADER_SIZE, OUT_HEADER_SIZE + length)
    }
    outHeader(this.#headView, 0, OUT_HEADER_SIZE + length, error, unique, resent)
    if (length === 0) return this.#channel.send(this.#head, 0, OUT_HEADER_SIZE)
    return this.#channel.sendv(this.#head, 0, OUT_HEADER_SIZE, bytes, offset, length)
  }

  replyFromFd(
    unique: number,
    resent: boolean,
    fd: number,
    offset: number,
    size: number,
  ): number | Promise<number> {
    return this.#channel.sendFromFd(resent ? -unique : unique, fd, offset, size, false)
  }

  async notify(message: Uint8Array): Promise<number> {
    // A descriptor of its own: this one may be closed, and its number given away, before a thread gets to write.
    const fd = this.fd < 0 ? EBADF : syscalls.fcntl(this.fd, F_DUPFD_CLOEXEC)
    if (fd < 0) return fd
    const result = await syscalls.writeAsync(fd, message)
    syscalls.close(fd)
    return result < 0 ? result : 0
  }

  clone(): number {
    return this.#channel.clone()
  }

  detachAtExit(path: string, minor: number): void {
    this.#channel.detachAtExit(path, minor)
  }

  guard(
    onDeadlock: ((verdict: number, opcode: number, pid: number) => void) | null,
    mountPoint: string,
  ): void {
    this.#channel.guard(onDeadlock, mountPoint)
  }

  setBusyPoll(microseconds: number): void {
    this.#channel.setBusyPoll(microseconds)
  }

  stats(): TransportStats {
    const counters = this.#channel.stats
    return Object.fromEntries(COUNTERS.map((name, index) => [name, counters[index] ?? 0]))
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#channel.close()
    // A slot still held belongs to a handler, or to a thread that writes its data somewhere.
    if (this.#held === 0) spare = this.memory.buffer as ArrayBuffer
  }

  #batch(count: number): void {
    const { slots, lengths } = this.#channel
    const receiver = this.#receiver as RequestReceiver
    for (let i = 0; i < count; i++) {
      const slot = slots[i]
      const header = slot * this.#slotSize
      if (receiver.receive(slot, header, header + IN_HEADER_SIZE, -1, header + lengths[i])) this.#held++
      else slots[i] = ~slot
    }
  }

  // Sync replies all come from the session's one scratch buffer, so one remembered view serves them.
  #viewOf(bytes: Uint8Array): DataView {
    if (bytes !== this.#lastBytes || this.#lastView === undefined) {
      this.#lastBytes = bytes
      this.#lastView = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    }
    return this.#lastView
  }
}
