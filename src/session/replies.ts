// Replies: encodes what a handler returned, by the table's kind, and writes it to the transport.
// Last stop of a request.
import type { Transport } from '../device/transport.js'
import { EINVAL, EIO, ENOENT, ERANGE, OUT_HEADER_SIZE, describeErrno } from '../protocol/index.js'
import { EncodedDirents, encodeEntry, encodeOpenReply } from '../protocol/index.js'
import type {
  AnyRequest,
  Dirent,
  Direntplus,
  Entry,
  IoctlRequest,
  NameEncoding,
  OperationInfo,
  ReplyKind,
  Request,
} from '../protocol/index.js'
import type { BackingDevice } from './backing.js'
import { DirentWriter } from './dirents.js'
import { warning } from './errors.js'
import { encodeIoctl } from './ioctl.js'
import {
  checkNodeid,
  checkNumber,
  choiceOf,
  misfit,
  namesOf,
  servedOpen,
  sourceOf,
  whyNoNames,
  whyRefused,
} from './misfits.js'
import { ServedData } from './own-descriptor.js'
import type { Passthrough } from './passthrough.js'
import type { Counters } from './stats.js'
import type { TakeBack } from './take-back.js'

const OPEN = 14
const STATFS = 17
const LISTXATTR = 23
const OPENDIR = 27
const CARRY_DATA: ReadonlySet<ReplyKind> = new Set(['data', 'string', 'xattr', 'dirents', 'direntplus'])
const MIN_SCRATCH = 128 * 1024
const MAX_ERRNO = 511

export class ReplyWriter {
  readonly #transport: Transport
  readonly #passthrough: Passthrough
  readonly #counters: Counters
  readonly #given: TakeBack
  readonly #encoding: NameEncoding
  readonly #device: BackingDevice
  #scratch = Buffer.alloc(OUT_HEADER_SIZE + MIN_SCRATCH)
  #view = new DataView(this.#scratch.buffer, this.#scratch.byteOffset, this.#scratch.byteLength)

  constructor(
    transport: Transport,
    passthrough: Passthrough,
    counters: Counters,
    given: TakeBack,
    encoding: NameEncoding,
    device: BackingDevice,
  ) {
    this.#transport = transport
    this.#passthrough = passthrough
    this.#counters = counters
    this.#given = given
    this.#encoding = encoding
    this.#device = device
  }

  /** Makes room for the largest listing that the kernel will ask for, in bytes. */
  reserve(size: number): void {
    if (size + OUT_HEADER_SIZE <= this.#scratch.byteLength) return
    this.#scratch = Buffer.alloc(OUT_HEADER_SIZE + size)
    this.#view = new DataView(this.#scratch.buffer, this.#scratch.byteOffset, this.#scratch.byteLength)
  }

  /** Answers with an errno alone; a negative `unique` is that of a resent request. */
  raw(unique: number, errno: number): number {
    return this.#transport.reply(Math.abs(unique), unique < 0, errno, this.#scratch, OUT_HEADER_SIZE, 0, true)
  }

  /** Answers with whatever `encode` writes; for the session's own replies. */
  encoded(request: Request, encode: (view: DataView, at: number) => number): number {
    const length = encode(this.#view, OUT_HEADER_SIZE)
    return this.#transport.reply(
      request.unique,
      request.resent,
      0,
      this.#scratch,
      OUT_HEADER_SIZE,
      length,
      true,
    )
  }

  error(request: Request, info: OperationInfo, errno: number, since: number): void {
    this.#send(request, info, errno, since, this.#scratch, 0, true)
  }

  /**
   * Answers `request` with what its handler returned. A promise only where the answer has to wait for data;
   * throws a TypeError where the value does not fit the operation.
   */
  write(request: AnyRequest, info: OperationInfo, value: unknown, since: number): Promise<void> | undefined {
    if (typeof value === 'number' && value < 0) {
      if (!Number.isInteger(value) || value < -MAX_ERRNO) throw misfit(info, value, 'a negative errno')
      this.error(request, info, value, since)
      return undefined
    }
    const at = OUT_HEADER_SIZE
    switch (info.reply) {
      case 'empty':
        // Errnos of os.constants.errno are positive, and an Error may be returned: taking one for success would be a lie.
        if (value !== undefined && value !== null && value !== 0)
          throw misfit(info, value, 'nothing, 0 or a negative errno')
        if (this.#send(request, info, 0, since, this.#scratch, 0, true) < 0)
          this.#given.takeBack(request, info, 0)
        return undefined
      case 'struct':
        if (info.opcode === OPEN || info.opcode === OPENDIR) {
          this.#open(request, info, value, since)
          return undefined
        }
        // Every field of STATFS has a default, so a filesystem without the method answers it, too.
        if (info.opcode === STATFS) value ||= {}
        if (typeof value !== 'object' || value === null) throw misfit(info, value, 'an object')
        if (info.lookup) this.#checkEntry(request, info, value)
        this.#sendScratch(request, info, since, info.encode(this.#view, at, value), value)
        return undefined
      case 'create':
        this.#create(request, info, value, since)
        return undefined
      case 'number':
        checkNumber(info, value, request)
        this.#explain(info, whyRefused(info, value, request))
        this.#sendScratch(request, info, since, info.encode(this.#view, at, value), value)
        return undefined
      case 'data':
        return this.#data(request, info, value, since)
      case 'string': {
        const bytes = this.#bytes(info, value)
        this.#send(request, info, 0, since, bytes, bytes.byteLength, false)
        return undefined
      }
      case 'xattr':
        this.#xattr(request, info, value, since)
        return undefined
      case 'dirents':
      case 'direntplus':
        return this.#listing(request, info, value, since)
      case 'ioctl':
        this.#ioctl(request, info, value, since)
        return undefined
      default:
        throw misfit(info, value, 'nothing')
    }
  }

  #open(request: AnyRequest, info: OperationInfo, value: unknown, since: number): void {
    // An open without a choice of its own is as good as `{}`.
    const choice = choiceOf(info, value || {})
    const { flags } = request as unknown as { flags: number }
    const open =
      info.opcode === OPEN ? this.#passthrough.open(request.nodeid, choice, flags) : servedOpen(choice)
    this.#sendScratch(request, info, since, info.encode(this.#view, OUT_HEADER_SIZE, open), open)
  }

  #create(request: AnyRequest, info: OperationInfo, value: unknown, since: number): void {
    const choice = choiceOf(info, value)
    const { flags } = request as unknown as { flags: number }
    this.#checkEntry(request, info, choice)
    // Nothing is counted before the entry is known to be whole.
    const size = encodeEntry(this.#view, OUT_HEADER_SIZE, choice as Entry)
    const { nodeid } = choice as Entry
    const open = this.#passthrough.open(nodeid, choice, flags)
    const length = size + encodeOpenReply(this.#view, OUT_HEADER_SIZE + size, open)
    this.#sendScratch(request, info, since, length, { nodeid, fh: open.fh })
  }

  #data(request: AnyRequest, info: OperationInfo, value: unknown, since: number): Promise<void> | undefined {
    const { size } = request as unknown as { size: number }
    if (value instanceof Uint8Array) {
      this.#send(request, info, 0, since, value, Math.min(value.byteLength, size), false)
      return undefined
    }
    const source = sourceOf(info, value)
    const sent = this.#transport.replyFromFd(
      request.unique,
      request.resent,
      source.fd,
      source.offset,
      Math.min(source.size, size),
    )
    if (typeof sent === 'number') {
      this.#count(info, since, sent)
      return undefined
    }
    // Another open of the same handle may replace the descriptor before a thread comes to read.
    const own = source instanceof ServedData ? source.own : undefined
    const done = own === undefined ? sent : own.during(() => sent)
    return done.then((result) => this.#count(info, since, result))
  }

  #count(info: OperationInfo, since: number, sent: number): void {
    this.#counters.answered(info.opcode, since, this.#transport.now, Math.min(sent, 0), Math.max(sent, 0))
  }

  #checkEntry(request: AnyRequest, info: OperationInfo, value: object): void {
    checkNodeid(info, value)
    this.#explain(info, whyRefused(info, value, request))
  }

  #explain(info: OperationInfo, reason: string | undefined): void {
    if (reason === undefined) return
    const message = `the kernel takes the answer of ${info.name} for EIO: ${reason}`
    this.#device.report(warning('ERR_DEVFUSE_REPLY', message))
  }

  #xattr(request: AnyRequest, info: OperationInfo, value: unknown, since: number): void {
    const { size } = request as unknown as { size: number }
    if (typeof value === 'number') {
      if (size !== 0)
        throw misfit(info, value, 'the value itself, since the caller asked for more than its size')
      this.#sendScratch(request, info, since, info.encode(this.#view, OUT_HEADER_SIZE, value), value)
      return
    }
    const isList = info.opcode === LISTXATTR
    const bytes =
      isList && Array.isArray(value) ? namesOf(info, value, this.#encoding) : this.#bytes(info, value)
    if (isList) this.#explain(info, whyNoNames(bytes))
    if (size === 0) {
      this.#sendScratch(
        request,
        info,
        since,
        info.encode(this.#view, OUT_HEADER_SIZE, bytes.byteLength),
        value,
      )
    } else if (bytes.byteLength > size) {
      this.error(request, info, ERANGE, since)
    } else {
      this.#send(request, info, 0, since, bytes, bytes.byteLength, false)
    }
  }

  #ioctl(request: AnyRequest, info: OperationInfo, value: unknown, since: number): void {
    const length = encodeIoctl(
      info,
      this.#scratch,
      this.#view,
      OUT_HEADER_SIZE,
      value,
      request as unknown as IoctlRequest,
    )
    if (length === undefined) throw misfit(info, value, 'an integer or { result, data }')
    this.#sendScratch(request, info, since, length, value)
  }

  #listing(
    request: AnyRequest,
    info: OperationInfo,
    value: unknown,
    since: number,
  ): Promise<void> | undefined {
    if (typeof value !== 'object' || value === null) throw misfit(info, value, 'an iterable of entries')
    const { offset, size } = request as unknown as { offset: number; size: number }
    if (EncodedDirents.is(value)) {
      this.#encodedListing(request, info, value, size, since)
      return undefined
    }
    const plus = info.reply === 'direntplus'
    const giveBack = (nodeid: number): void => this.#given.forget(nodeid)
    if (Symbol.asyncIterator in value) {
      // The scratch buffer serves other answers while we wait for entries.
      const own = Buffer.allocUnsafe(size)
      const writer = new DirentWriter(own, 0, size, offset, plus, this.#encoding, giveBack)
      return writer.takeAsync(value as AsyncIterable<Dirent | Direntplus>).then((length) => {
        this.#finishListing(request, info, writer, own, length, false, since)
      })
    }
    if (!(Symbol.iterator in value)) throw misfit(info, value, 'an iterable of entries')
    this.reserve(size)
    const writer = new DirentWriter(
      this.#scratch,
      OUT_HEADER_SIZE,
      size,
      offset,
      plus,
      this.#encoding,
      giveBack,
    )
    const length = writer.take(value as Iterable<Dirent | Direntplus>)
    this.#finishListing(request, info, writer, this.#scratch, length, true, since)
    return undefined
  }

  #encodedListing(
    request: AnyRequest,
    info: OperationInfo,
    listing: EncodedDirents<'dirent' | 'direntplus'>,
    size: number,
    since: number,
  ): void {
    const { bytes, kind } = listing
    const { reply } = info
    if (`${kind}s` !== reply && kind !== reply) throw misfit(info, listing, `a listing of ${reply}`)
    if (bytes.byteLength > size)
      throw misfit(info, listing, `a listing of ${size} bytes at most, not ${bytes.byteLength},`)
    const sent = this.#send(request, info, 0, since, bytes, bytes.byteLength, false)
    if (sent < 0) this.#given.takeBack(request, info, listing)
    listing.sent?.()
  }

  #finishListing(
    request: AnyRequest,
    info: OperationInfo,
    writer: DirentWriter,
    bytes: Buffer,
    length: number,
    headroom: boolean,
    since: number,
  ): void {
    if (length < 0) {
      this.error(request, info, EINVAL, since)
      return
    }
    const sent = this.#send(request, info, 0, since, bytes, length, headroom)
    if (sent < 0) writer.giveAllBack()
  }

  #sendScratch(
    request: AnyRequest,
    info: OperationInfo,
    since: number,
    length: number,
    value: unknown,
  ): void {
    const sent = this.#send(request, info, 0, since, this.#scratch, length, true)
    if (sent < 0) this.#given.undo(request, info, value)
  }

  #send(
    request: Request,
    info: OperationInfo,
    error: number,
    since: number,
    bytes: Uint8Array,
    length: number,
    headroom: boolean,
  ): number {
    const offset = headroom ? OUT_HEADER_SIZE : 0
    const sent = this.#transport.reply(request.unique, request.resent, error, bytes, offset, length, headroom)
    // An answer that nobody waits for was given before, to a caller that was killed.
    if (sent === ENOENT) return sent
    this.#counters.answered(
      info.opcode,
      since,
      this.#transport.now,
      error,
      CARRY_DATA.has(info.reply) ? length : 0,
    )
    if (sent === EINVAL || sent === EIO) {
      this.#device.report(
        warning(
          'ERR_DEVFUSE_REPLY',
          `the kernel did not take the answer to ${info.name}: ${describeErrno(sent)}`,
        ),
      )
    }
    return sent
  }

  #bytes(info: OperationInfo, value: unknown): Uint8Array {
    if (value instanceof Uint8Array) return value
    if (typeof value === 'string') return Buffer.from(value, this.#encoding === 'latin1' ? 'latin1' : 'utf8')
    throw misfit(info, value, 'a string or a Uint8Array')
  }
}
