// A transport that plays one request again and again: what is left of a round trip without a kernel. Replies get their header and
// go nowhere.
import type { RequestReceiver, Transport } from 'devfuse'
import { IN_HEADER_SIZE, OUT_HEADER_SIZE, outHeader } from 'devfuse/protocol'

const MEMORY = 1024 * 1024
const NOTHING: Uint8Array = new Uint8Array(0)

/** Takes a request and does nothing: shows what the replay itself costs. */
export const nobody: RequestReceiver = { receive: () => false, ended: () => undefined }

export class ReplayTransport implements Transport {
  readonly name = 'replay'
  readonly memory: Buffer = Buffer.alloc(MEMORY)
  readonly view: DataView = new DataView(this.memory.buffer, this.memory.byteOffset, MEMORY)
  readonly fd = -1
  readonly connected = true
  readonly scarce = false
  /** Bytes of the last answer. */
  sent = 0
  receiver: RequestReceiver = nobody
  readonly #clock = new Float64Array(1)
  readonly #head = new DataView(new ArrayBuffer(OUT_HEADER_SIZE))
  #length = 0
  #last: { bytes: Uint8Array; view: DataView } = { bytes: NOTHING, view: this.#head }
  #body: Uint8Array = NOTHING
  #bodyAt = 0
  #error = 0

  get now(): number {
    return this.#clock[0]
  }

  start(receiver: RequestReceiver): void {
    this.receiver = receiver
  }

  /** Makes `message` the request that is played. */
  load(message: Uint8Array): void {
    this.memory.set(message)
    this.#length = message.byteLength
  }

  /** Plays the request `count` times to `receiver`. */
  play(count: number, receiver: RequestReceiver): void {
    const length = this.#length
    for (let played = 0; played < count; played++) receiver.receive(0, 0, IN_HEADER_SIZE, -1, length)
  }

  /** Plays it once: the whole answer, undefined where there is none. */
  answer(): Buffer | undefined {
    this.sent = 0
    this.play(1, this.receiver)
    if (this.sent === 0) return undefined
    const message = Buffer.alloc(this.sent)
    outHeader(new DataView(message.buffer, message.byteOffset), 0, this.sent, this.#error, 2)
    message.set(
      this.#body.subarray(this.#bodyAt, this.#bodyAt + this.sent - OUT_HEADER_SIZE),
      OUT_HEADER_SIZE,
    )
    return message
  }

  release(): void {
    // There is but one slot, and nobody else fills it.
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
    const size = OUT_HEADER_SIZE + length
    if (headroom) outHeader(this.#viewOf(bytes), offset - OUT_HEADER_SIZE, size, error, unique, resent)
    else outHeader(this.#head, 0, size, error, unique, resent)
    this.sent = size
    this.#error = error
    this.#body = bytes
    this.#bodyAt = offset
    return 0
  }

  replyFromFd(unique: number, resent: boolean, _fd: number, _offset: number, size: number): number {
    this.reply(unique, resent, 0, this.memory, OUT_HEADER_SIZE, size, false)
    return size
  }

  notify(): Promise<number> {
    return Promise.resolve(0)
  }

  clone(): number {
    return -1
  }

  setBusyPoll(): void {
    // Nothing is waited for.
  }

  detachAtExit(): void {
    // There is no mount.
  }

  stats(): Record<string, number> {
    return {}
  }

  close(): void {
    this.receiver = nobody
  }

  #viewOf(bytes: Uint8Array): DataView {
    if (bytes !== this.#last.bytes)
      this.#last = { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) }
    return this.#last.view
  }
}
