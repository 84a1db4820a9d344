// Notifications: what a filesystem tells the kernel unasked, from cache invalidation to waking pollers. Written off the
// event loop, because the kernel may wait inside for requests that only the loop can answer.
import type { Transport } from '../device/transport.js'
import {
  ENOENT,
  FUSE_EXPIRE_ONLY,
  describeErrno,
  encodeNotifyDelete,
  encodeNotifyIncEpoch,
  encodeNotifyInvalEntry,
  encodeNotifyInvalInode,
  encodeNotifyPoll,
  encodeNotifyPrune,
  encodeNotifyResend,
  encodeNotifyRetrieve,
  encodeNotifyStore,
} from '../protocol/index.js'
import type { NameEncoding } from '../protocol/index.js'
import { OptionError, systemError } from './errors.js'
import type { Negotiation } from './init.js'
import { NegotiationError, largestPayload } from './init.js'

/** A name as the filesystem knows it: a string in the session's encoding, or its bytes. */
type Name = string | Uint8Array

/** Bytes of the largest fixed part of a notification, with its header. */
const HEAD_SIZE = 64
/** Room for what goes with retrieved data, in whole pages. */
const RETRIEVE_MARGIN = 4096
/** Inodes in one PRUNE message. */
const PRUNE_CHUNK = 512
/** Notifications inside the kernel at a time: a blocked one must not use up the threads that serve data. */
const MOST_IN_FLIGHT = 4

/**
 * Where the uniques of retrievals begin. Kernel: over io_uring the answer to a NOTIFY_REPLY is looked up by its unique among the
 * requests, whose own ones are even and count up from 2.
 */
export const FIRST_RETRIEVAL = 2 ** 52
const UNIQUE_STEP = 2

const ENOTCONN = -107

/**
 * Notifications of one session, as `session.notify`. Each method resolves when the kernel has done it: true, or false where the
 * kernel did not know the inode or name, so that there was nothing to do. Those for one inode keep their order.
 *
 * They may be called at any time, inside handlers, too. But do not *await* one before answering the very request that holds
 * the inode or directory it is about: the kernel finishes it only after your answer.
 *
 * Rejects with an Error that has `errno`, `code` and `syscall` where the kernel refuses, and with a NegotiationError where it
 * is too old. Source: Documentation/filesystems/fuse/fuse.rst, fs/fuse/dev.c.
 */
export class Notifier {
  readonly #transport: Transport
  readonly #encoding: BufferEncoding
  readonly #negotiation: () => Negotiation
  readonly #tails = new Map<number, Promise<unknown>>()
  readonly #waiting: (() => void)[] = []
  readonly #retrievals = new Map<number, (data: Buffer) => void>()
  #inFlight = 0
  #unique = FIRST_RETRIEVAL
  #ended = false

  /** Not for authors: use `session.notify`. */
  constructor(transport: Transport, encoding: NameEncoding, negotiation: () => Negotiation) {
    this.#transport = transport
    this.#encoding = encoding === 'latin1' ? 'latin1' : 'utf8'
    this.#negotiation = negotiation
  }

  /** FUSE_NOTIFY_POLL: wakes whoever polls the file; `kh` is that of the POLL request. They ask again with POLL. */
  async pollWakeup(kh: bigint): Promise<boolean> {
    if (typeof kh !== 'bigint' && !Number.isSafeInteger(kh))
      throw new OptionError(
        `notify.pollWakeup takes the \`kh\` of a POLL request, a bigint, not ${typeof kh}`,
      )
    return await this.#small(0, (view) => encodeNotifyPoll(view, 0, { kh }))
  }

  /**
   * FUSE_NOTIFY_INVAL_INODE: drops the cached attributes of an inode, and its cached data from byte `off` on for `len` bytes
   * (0: to the end). A negative `off` leaves the data alone. Waits for dirty data to be written back.
   */
  async invalInode(nodeid: number, off = 0, len = 0): Promise<boolean> {
    requireInteger('invalInode', 'nodeid', nodeid)
    requireInteger('invalInode', 'off', off, Number.MIN_SAFE_INTEGER)
    requireInteger('invalInode', 'len', len, Number.MIN_SAFE_INTEGER)
    return await this.#small(nodeid, (view) => encodeNotifyInvalInode(view, 0, { nodeid, off, len }))
  }

  /** FUSE_NOTIFY_INVAL_ENTRY: drops the cached name `name` of directory `parent`, and the attributes of the directory. */
  invalEntry(parent: number, name: Name): Promise<boolean> {
    return this.#named('invalEntry', parent, name, (view, bytes) =>
      encodeNotifyInvalEntry(view, 0, { parent, name: bytes, flags: 0 }),
    )
  }

  /**
   * FUSE_NOTIFY_INVAL_ENTRY with FUSE_EXPIRE_ONLY: the name is looked up again before its next use, but stays while in use.
   * Needs FUSE_HAS_EXPIRE_ONLY (7.38): older kernels would drop the name instead.
   */
  expireEntry(parent: number, name: Name): Promise<boolean> {
    if (!this.#negotiation().agreed.has('FUSE_HAS_EXPIRE_ONLY'))
      return this.#tooOld('expireEntry', 'FUSE_HAS_EXPIRE_ONLY')
    return this.#named('expireEntry', parent, name, (view, bytes) =>
      encodeNotifyInvalEntry(view, 0, { parent, name: bytes, flags: FUSE_EXPIRE_ONLY }),
    )
  }

  /**
   * FUSE_NOTIFY_DELETE: `name` in `parent`, which stood for `child`, was removed behind the mount. Like invalEntry, and those
   * who watch the file itself with inotify(7) hear of it (IN_DELETE_SELF); watchers of the directory do not.
   */
  delete(parent: number, child: number, name: Name): Promise<boolean> {
    return this.#named('delete', parent, name, (view, bytes) =>
      encodeNotifyDelete(view, 0, { parent, child, name: bytes }),
    )
  }

  /** FUSE_NOTIFY_STORE: puts `data` into the page cache of an inode from byte `offset` on; the file grows where it ends past its end. */
  async store(nodeid: number, offset: number, data: Uint8Array): Promise<boolean> {
    if (!(data instanceof Uint8Array))
      throw new OptionError(`notify.store takes the data as a Uint8Array or Buffer, not ${typeof data}`)
    requireInteger('store', 'nodeid', nodeid)
    requireInteger('store', 'offset', offset)
    const { maxWrite } = this.#negotiation()
    return this.#inTurn(nodeid, async () => {
      let known = true
      for (let at = 0; known && at < data.byteLength; at += maxWrite) {
        const chunk = data.subarray(at, at + maxWrite)
        const message = Buffer.alloc(HEAD_SIZE + chunk.byteLength)
        encodeNotifyStore(viewOf(message), 0, { nodeid, offset: offset + at, size: chunk.byteLength })
        const length = message.readUInt32LE(0)
        message.set(chunk, length - chunk.byteLength)
        known = await this.#write(message.subarray(0, length))
      }
      return known
    })
  }

  /**
   * FUSE_NOTIFY_RETRIEVE: the cached data of an inode, at most `size` bytes from `offset`. Shorter where the cache has less,
   * empty where it has nothing.
   */
  async retrieve(nodeid: number, offset: number, size: number): Promise<Buffer> {
    requireInteger('retrieve', 'nodeid', nodeid)
    // Kernel: the answer repeats the offset, and one that is no number of ours could not be read.
    requireInteger('retrieve', 'offset', offset)
    requireInteger('retrieve', 'size', size)
    requireInteger('retrieve', 'offset + size', offset + size)
    const negotiation = this.#negotiation()
    // Kernel: over io_uring the struct of a NOTIFY_REPLY goes with the data, and what does not fit is a BUG in the kernel.
    const most = negotiation.agreed.has('FUSE_OVER_IO_URING')
      ? Math.min(negotiation.maxWrite, largestPayload(negotiation) - RETRIEVE_MARGIN)
      : negotiation.maxWrite
    return this.#inTurn(nodeid, async () => {
      const parts: Buffer[] = []
      for (let at = 0; at < size; at += most) {
        const wanted = Math.min(most, size - at)
        const part = await this.#retrieveChunk(nodeid, offset + at, wanted)
        parts.push(part)
        if (part.byteLength < wanted) break
      }
      return Buffer.concat(parts)
    })
  }

  /** FUSE_NOTIFY_RESEND: the kernel sends every unanswered request again, `resent` set. Needs FUSE_HAS_RESEND (7.40). */
  resend(): Promise<boolean> {
    const { agreed } = this.#negotiation()
    if (agreed.has('FUSE_OVER_IO_URING')) {
      return Promise.reject(
        new NegotiationError("the kernel resends nothing over io_uring: mount with transport: 'device'"),
      )
    }
    if (!agreed.has('FUSE_HAS_RESEND')) return this.#tooOld('resend', 'FUSE_HAS_RESEND')
    return this.#small(0, (view) => encodeNotifyResend(view, 0))
  }

  /** FUSE_NOTIFY_INC_EPOCH: every cached name of the mount is looked up again before its next use. Needs 7.44. */
  incEpoch(): Promise<boolean> {
    if (this.#negotiation().kernelMinor < 44) return this.#tooOld('incEpoch', 'protocol 7.44')
    return this.#small(0, (view) => encodeNotifyIncEpoch(view, 0))
  }

  /** FUSE_NOTIFY_PRUNE: drops unused cached names of the inodes, so that the kernel forgets them. Needs 7.45. */
  async prune(nodeids: readonly number[]): Promise<boolean> {
    if (!Array.isArray(nodeids)) throw new OptionError('notify.prune takes an array of nodeids')
    for (const nodeid of nodeids) requireInteger('prune', 'nodeid', nodeid)
    if (this.#negotiation().kernelMinor < 45) return await this.#tooOld('prune', 'protocol 7.45')
    let known = true
    for (let at = 0; at < nodeids.length; at += PRUNE_CHUNK) {
      const chunk = nodeids.slice(at, at + PRUNE_CHUNK)
      const done = await this.#send(0, () => {
        const message = Buffer.alloc(HEAD_SIZE + 8 * chunk.length)
        return message.subarray(0, encodeNotifyPrune(viewOf(message), 0, { nodeids: chunk }))
      })
      known &&= done
    }
    return known
  }

  /** A NOTIFY_REPLY came in: whether it was asked for here. */
  retrieved(unique: number, data: Buffer): boolean {
    const done = this.#retrievals.get(unique)
    done?.(Buffer.from(data))
    return done !== undefined
  }

  /** Keeps the ids of this thread apart from those of others that serve the same connection. */
  numberFrom(unique: number): void {
    this.#unique = unique
  }

  /** The session has ended: what waits for the kernel waits no longer. */
  end(): void {
    this.#ended = true
    for (const done of this.#retrievals.values()) done(Buffer.alloc(0))
  }

  async #retrieveChunk(nodeid: number, offset: number, size: number): Promise<Buffer> {
    const notifyUnique = this.#unique
    this.#unique += UNIQUE_STEP
    const reply = new Promise<Buffer>((resolve) => this.#retrievals.set(notifyUnique, resolve))
    try {
      const message = Buffer.alloc(HEAD_SIZE)
      const length = encodeNotifyRetrieve(viewOf(message), 0, { notifyUnique, nodeid, offset, size })
      const known = await this.#write(message.subarray(0, length))
      return known ? await reply : Buffer.alloc(0)
    } finally {
      this.#retrievals.delete(notifyUnique)
    }
  }

  #small(nodeid: number, encode: (view: DataView) => number): Promise<boolean> {
    return this.#send(nodeid, () => {
      const message = Buffer.alloc(HEAD_SIZE)
      return message.subarray(0, encode(viewOf(message)))
    })
  }

  async #named(
    method: string,
    parent: number,
    name: Name,
    encode: (view: DataView, name: Uint8Array) => number,
  ): Promise<boolean> {
    requireInteger(method, 'parent', parent)
    if (typeof name !== 'string' && !(name instanceof Uint8Array))
      throw new OptionError(`notify.${method} takes the name as a string or its bytes, not ${typeof name}`)
    return await this.#send(parent, () => {
      const bytes = typeof name === 'string' ? Buffer.from(name, this.#encoding) : name
      const message = Buffer.alloc(HEAD_SIZE + bytes.byteLength)
      return message.subarray(0, encode(viewOf(message), bytes))
    })
  }

  /** Sends what `make` makes, after everything sent for the same inode before. */
  #send(nodeid: number, make: () => Uint8Array): Promise<boolean> {
    return this.#inTurn(nodeid, () => this.#write(make()))
  }

  /** Does `send` after everything sent for the same inode before. */
  #inTurn<Result>(nodeid: number, send: () => Promise<Result>): Promise<Result> {
    const before = this.#tails.get(nodeid) ?? Promise.resolve()
    const sent = before.then(send)
    const tail = sent.catch(() => undefined)
    this.#tails.set(nodeid, tail)
    void tail.then(() => this.#tails.get(nodeid) === tail && this.#tails.delete(nodeid))
    return sent
  }

  async #write(message: Uint8Array): Promise<boolean> {
    // Whoever is let go on may find that another one was faster.
    while (this.#inFlight >= MOST_IN_FLIGHT) await new Promise<void>((go) => this.#waiting.push(go))
    this.#inFlight++
    try {
      const result = this.#ended ? ENOTCONN : await this.#transport.notify(message)
      if (result === ENOENT) return false
      if (result < 0)
        throw systemError(result, 'write', `the kernel refused a notification: ${describeErrno(result)}`)
      return true
    } finally {
      this.#inFlight--
      this.#waiting.shift()?.()
    }
  }

  #tooOld(method: string, need: string): Promise<never> {
    const { kernelMinor } = this.#negotiation()
    return Promise.reject(
      new NegotiationError(`notify.${method} needs ${need}; this kernel speaks 7.${kernelMinor}`),
    )
  }
}

function requireInteger(method: string, name: string, value: number, least = 0): void {
  if (Number.isSafeInteger(value) && value >= least) return
  const range = least === 0 ? ' from 0 to 2^53-1' : ''
  throw new OptionError(`notify.${method} takes as \`${name}\` an integer${range}, not ${String(value)}`)
}

function viewOf(message: Buffer): DataView {
  return new DataView(message.buffer, message.byteOffset, message.byteLength)
}
