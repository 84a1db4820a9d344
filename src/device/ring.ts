// The io_uring transport: requests come through entries of an io_uring and are answered into them. /dev/fuse is served
// beside it, for INIT and for what comes through it alone (INTERRUPT, nearly every FORGET). First and last stop with `transport: 'ring'`.
import { CHANNEL_STATS, RING_ANSWERS, loadNative } from '../native.js'
import type { NativeRing } from '../native.js'
import { EBADF, EINVAL, EIO, ENODEV, describeErrno, operations } from '../protocol/index.js'
import type { InitFlagName } from '../protocol/index.js'
import { DeviceTransport } from './device.js'
import { F_DUPFD_CLOEXEC, syscalls } from '../syscalls/index.js'
import { possibleCpus } from './cpus.js'
import { RingKicks } from './ring-kicks.js'
import { RingQueues, opcodeAt, uniqueAt } from './ring-queues.js'
import type { Entry } from './ring-queues.js'
import type { RequestReceiver, Transport, TransportStats } from './transport.js'

const NOTIFY_REPLY = 41
const COUNTERS = CHANNEL_STATS.slice(0, -1)
const NOW = CHANNEL_STATS.indexOf('now')

// Kernel: struct fuse_uring_req_header.
const AT_OP_IN = 128
const AT_PAYLOAD_SIZE = 256 + 16

/** Slots of the ring are numbered from here, those of the device from 0. */
const FIRST_SLOT = 1 << 20

export interface RingOptions {
  /** Entries of each queue to begin with. */
  depth: number
  /** The queues that this thread owns; another thread owns the others. Default: all. */
  queues?: readonly number[]
  /** Another thread reads the device, and the negotiation was its business. */
  ringOnly?: boolean
}

export class RingTransport implements Transport {
  memory: Buffer
  view: DataView
  readonly #device: DeviceTransport
  readonly #ring: NativeRing
  readonly #queues: RingQueues
  readonly #options: RingOptions
  readonly #answers: Int32Array
  readonly #counters: Float64Array
  /** From performance.now() to the clock of the counters, in milliseconds. */
  readonly #clock: number
  /** Requests whose handlers have not settled, by unique. */
  readonly #held = new Map<number, Entry>()
  readonly #kicks: RingKicks
  #receiver: RequestReceiver | undefined
  /** The request that is being received, and its unique. */
  #current: Entry | undefined
  #unique = 0
  #active = false
  #closed = false
  #flushing = false
  #busyPoll: number | undefined

  /** The device is `fd`, as in {@link DeviceTransport}. */
  constructor(fd: number, maxWrite: number, options: RingOptions) {
    this.#device = new DeviceTransport(fd, maxWrite)
    this.memory = this.#device.memory
    this.view = this.#device.view
    this.#options = options
    this.#ring = new (loadNative().Ring)(fd, (count) => (count < 0 ? this.#lost() : this.#batch(count)))
    this.#answers = this.#ring.answers
    this.#counters = this.#ring.stats
    this.#queues = new RingQueues(this.#ring, options.depth)
    this.#kicks = new RingKicks(this.#ring, this.#held)
    this.#clock = Number(process.hrtime.bigint()) / 1e6 - performance.now()
  }

  /** `device` until INIT was answered. */
  get name(): 'ring' | 'device' {
    return this.#active ? 'ring' : 'device'
  }

  get fd(): number {
    return this.#device.fd
  }

  get connected(): boolean {
    return this.#device.connected
  }

  get now(): number {
    return this.#active ? this.#counters[NOW] : this.#device.now
  }

  get scarce(): boolean {
    // An entry stays taken until its answer anyway.
    return this.#current === undefined && this.#device.scarce
  }

  negotiated(size: number, agreed: ReadonlySet<InitFlagName>): void {
    if (!agreed.has('FUSE_OVER_IO_URING')) throw new Error('INIT did not agree on FUSE_OVER_IO_URING')
    // Kernel: from the answer to INIT on, requests wait until every queue has an entry.
    const queues = this.#options.queues ?? Array.from({ length: possibleCpus() }, (_, cpu) => cpu)
    const error = this.#queues.open(size, queues)
    if (error < 0) {
      throw new Error(
        `the kernel did not take the buffers of the ring: ${describeErrno(error)}; mount with transport: 'device'`,
      )
    }
    this.#active = true
    // What still comes by the device is rarely waited for.
    this.#device.setBusyPoll(0)
    if (this.#busyPoll !== undefined) this.#ring.setBusyPoll(this.#busyPoll)
    this.#counters[NOW] = performance.now() + this.#clock
    this.#ring.start()
  }

  start(receiver: RequestReceiver): void {
    this.#receiver = receiver
    if (this.#options.ringOnly === true) return
    const { memory, view } = this.#device
    this.#device.start({
      receive: (slot, header, op, payload, end) => {
        this.memory = memory
        this.view = view
        this.#counters[NOW] = this.#device.now
        return receiver.receive(slot, header, op, payload, end)
      },
      ended: (errno) => receiver.ended(errno),
    })
  }

  release(slot: number): void {
    if (slot < FIRST_SLOT) {
      this.#device.release(slot)
      return
    }
    const entry = this.#queues.entry(slot - FIRST_SLOT)
    const { answered } = entry
    entry.kept = false
    entry.answered = 0
    if (answered < 0) this.#answer(entry, answered, 0)
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
    const entry = this.#take(unique)
    // The kernel tells whether anybody waits for it.
    if (entry === undefined) return this.#device.reply(unique, resent, error, bytes, offset, length, headroom)
    if (this.#closed) return EBADF
    if (length > this.#queues.payloadSize) {
      this.#answer(entry, EIO, 0)
      return EINVAL
    }
    if (entry.kept) {
      // Its handler still looks at the payload, which the answer would give back to the kernel.
      entry.answered = error
      return 0
    }
    if (length > 0) entry.arena.memory.set(bytes.subarray(offset, offset + length), entry.payload)
    this.#answer(entry, error, length)
    return 0
  }

  replyFromFd(
    unique: number,
    resent: boolean,
    fd: number,
    offset: number,
    size: number,
  ): number | Promise<number> {
    const entry = this.#take(unique)
    if (entry === undefined) return this.#device.replyFromFd(unique, resent, fd, offset, size)
    if (this.#closed) return EBADF
    let sent
    try {
      sent = this.#ring.replyFromFd(entry.index, fd, offset, size)
    } catch (error) {
      // Whoever catches this has the entry still to answer.
      this.#held.set(unique, entry)
      throw error
    }
    if (typeof sent === 'number') {
      this.#queues.left(entry)
      return sent
    }
    // It stays among the held ones, so that an interrupt can answer it.
    this.#held.set(unique, entry)
    return sent.then((result) => {
      if (this.#held.get(unique) === entry) {
        this.#held.delete(unique)
        this.#queues.left(entry)
      }
      return result
    })
  }

  notify(message: Uint8Array): Promise<number> {
    return this.#device.notify(message)
  }

  clone(): number {
    // Kernel: the entries of a queue can be registered on any descriptor of the connection.
    return this.fd < 0 ? EBADF : syscalls.fcntl(this.fd, F_DUPFD_CLOEXEC)
  }

  detachAtExit(path: string, minor: number): void {
    this.#device.detachAtExit(path, minor)
  }

  setBusyPoll(microseconds: number): void {
    this.#busyPoll = microseconds
    if (this.#active) this.#ring.setBusyPoll(microseconds)
    else this.#device.setBusyPoll(microseconds)
  }

  stats(): TransportStats {
    const device = this.#device.stats()
    if (!this.#active) return device
    const sums = COUNTERS.map((name, index) => [name, (device[name] ?? 0) + this.#counters[index]])
    return {
      ...Object.fromEntries(sums),
      deviceRequests: device['requests'] ?? 0,
      ...this.#queues.stats(),
      ringKicks: this.#kicks.sent,
    }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    // The ring first: its commands hold the connection open.
    this.#queues.close()
    this.#held.clear()
    this.#device.close()
  }

  /** The kernel takes no entry any more. Where the device is read, too, that tells. */
  #lost(): void {
    if (this.#options.ringOnly === true && !this.#closed) this.#receiver?.ended(ENODEV)
  }

  #batch(count: number): void {
    const { slots } = this.#ring
    const receiver = this.#receiver as RequestReceiver
    for (let i = 0; i < count && !this.#closed; i++) {
      const entry = this.#queues.entry(slots[i])
      const { header, payload, index } = entry
      const { memory, view } = entry.arena
      this.memory = memory
      this.view = view
      const unique = uniqueAt(entry.arena, header)
      const end = payload + view.getUint32(header + AT_PAYLOAD_SIZE, true)
      this.#queues.entered(entry)
      const opcode = opcodeAt(entry.arena, header)
      if (opcode === NOTIFY_REPLY) {
        this.#retrieved(entry, unique, end)
        continue
      }
      this.#current = entry
      this.#unique = unique
      const kept = receiver.receive(FIRST_SLOT + index, header, header + AT_OP_IN, payload, end)
      if (this.#current === undefined) continue
      this.#current = undefined
      // Kernel: whoever lists a directory waits for the end of the FORGETs of what READDIRPLUS has looked up and could not be taken.
      if (operations[opcode]?.reply === 'none') {
        this.#answer(entry, 0, 0)
        continue
      }
      this.#hold(entry, unique, kept)
    }
    this.#kicks.goOn()
  }

  #hold(entry: Entry, unique: number, kept: boolean): void {
    entry.kept = kept
    this.#held.set(unique, entry)
    if (this.#queues.grow(entry.queue)) this.#kicks.start(entry.queue)
  }

  // Kernel: a NOTIFY_REPLY has its struct in the payload, too, and needs no answer, but its entry does.
  #retrieved(entry: Entry, unique: number, end: number): void {
    const { header, payload, index } = entry
    const ours = this.#kicks.has(unique)
    if (!ours) (this.#receiver as RequestReceiver).receive(FIRST_SLOT + index, header, payload, -1, end)
    this.#answer(entry, 0, 0)
    if (!ours) return
    this.#ring.flush()
    this.#kicks.back(entry)
  }

  #take(unique: number): Entry | undefined {
    const current = this.#current
    if (current !== undefined && this.#unique === unique) {
      this.#current = undefined
      return current
    }
    const entry = this.#held.get(unique)
    if (entry !== undefined) this.#held.delete(unique)
    return entry
  }

  #answer(entry: Entry, error: number, length: number): void {
    const answers = this.#answers
    if (answers[0] === RING_ANSWERS) this.#ring.flush()
    const at = 2 + 3 * answers[0]++
    answers[at] = entry.index
    answers[at + 1] = error
    answers[at + 2] = length
    this.#queues.left(entry)
    this.#counters[NOW] = performance.now() + this.#clock
    if (answers[1] !== 0 || this.#flushing) return
    // Outside a turn: what settles together goes out together.
    this.#flushing = true
    queueMicrotask(() => {
      this.#flushing = false
      if (!this.#closed) this.#ring.flush()
    })
  }
}
