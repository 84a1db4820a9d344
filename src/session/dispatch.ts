// Dispatch: every request passes here once on its way in, decoded by the table and handed to the filesystem,
// and once on its way out, as a value, an errno or a thrown error. FORGET, INTERRUPT and INIT end here.
import type { RequestReceiver, Transport } from '../device/transport.js'
import { isGuarded } from './access.js'
import { EINTR, ENOSYS, EILSEQ, EIO, describeErrno } from '../protocol/index.js'
import { ILLEGAL_NAME, OVERFLOW, decoders, encodeInitOut, operations } from '../protocol/index.js'
import type {
  AnyRequest,
  BatchForgetRequest,
  DecodeContext,
  Errno,
  InitFlagName,
  InitRequest,
  InterruptRequest,
  NotifyReplyRequest,
  OperationInfo,
  ReleaseRequest,
} from '../protocol/index.js'
import { groupsOf } from './caller.js'
import { errnoForKernel, handlerWarning } from './errors.js'
import type { Filesystem } from './filesystem.js'
import { handlersOf } from './handlers.js'
import type { Handler } from './handlers.js'
import { NegotiationError, largestPayload, negotiate } from './init.js'
import type { Negotiation } from './init.js'
import { Interrupts } from './interrupts.js'
import { Notifier } from './notify.js'
import type { ResolvedOptions } from './options.js'
import { Passthrough } from './passthrough.js'
import { promiseOf, settlesWithin } from './patience.js'
import type { BackingDevice } from './backing.js'
import { whyNoBacking } from './privilege.js'
import { ReplyWriter } from './replies.js'
import type { Siblings } from './siblings.js'
import { Counters } from './stats.js'
import { StickyGuard } from './sticky.js'
import { TakeBack } from './take-back.js'
import { isTraced, traced } from './tracing.js'

/** How long the end of a session waits for handlers that do not settle, in milliseconds. */
const PATIENCE = 5000

const FORGET = 2
const RELEASE = 18
const INIT = 26
const INTERRUPT = 36
const DESTROY = 38
const NOTIFY_REPLY = 41
const BATCH_FORGET = 42
const LSEEK = 46

/** What the dispatcher tells its session. */
export interface DispatchEvents {
  /** INIT was answered; requests flow. */
  ready(): void
  /** INIT could not be settled. */
  failed(error: Error): void
  /** The device ended. */
  ended(errno: number): void
}

export class Dispatcher implements RequestReceiver {
  readonly interrupts: Interrupts
  readonly counters: Counters
  readonly passthrough: Passthrough
  readonly notifier: Notifier
  negotiation: Negotiation | undefined
  /** The other threads that serve this connection, where there are any. */
  siblings: Siblings | undefined
  readonly #transport: Transport
  readonly #filesystem: Filesystem
  readonly #options: ResolvedOptions
  readonly #wanted: ReadonlySet<InitFlagName>
  readonly #device: BackingDevice
  readonly #events: DispatchEvents
  readonly #handlers: (Handler | undefined)[]
  readonly #replies: ReplyWriter
  readonly #given: TakeBack
  readonly #context: DecodeContext & { setxattrExt: boolean }
  readonly #sticky: StickyGuard
  #finished = false
  /** Handlers and data jobs that have not settled, and who waits for the last of them. */
  #unsettled = 0
  #quiet: (() => void) | undefined

  constructor(
    transport: Transport,
    filesystem: Filesystem,
    options: ResolvedOptions,
    wanted: ReadonlySet<InitFlagName>,
    device: BackingDevice,
    events: DispatchEvents,
    counters = new Counters(),
  ) {
    this.counters = counters
    this.#transport = transport
    this.#filesystem = filesystem
    this.#options = options
    this.#wanted = wanted
    this.#device = device
    this.#events = events
    this.#sticky = new StickyGuard(device, wanted, isGuarded(options))
    this.passthrough = new Passthrough(device, options.passthrough === 'off')
    // A late answer finds nobody, and is taken back as any other that nobody waits for.
    this.interrupts = new Interrupts(options.interruptGrace, ({ request, info, since }) =>
      this.#replies.error(request, info, EINTR, since),
    )
    this.notifier = new Notifier(transport, options.encoding, () => {
      if (this.negotiation === undefined) throw new NegotiationError('INIT has not been answered yet')
      return this.negotiation
    })
    this.#given = new TakeBack(filesystem, this.passthrough, device)
    this.#replies = new ReplyWriter(
      transport,
      this.passthrough,
      this.counters,
      this.#given,
      options.encoding,
      device,
    )
    this.#context = {
      encoding: options.encoding,
      setxattrExt: false,
      signalOf: (request) => this.interrupts.signalOf(request),
      groupsOf,
    }
    this.#handlers = handlersOf(filesystem, this.passthrough, options, () => this.negotiation)
  }

  receive(slot: number, header: number, op: number, payload: number, end: number): boolean {
    const { view } = this.#transport
    const opcode = view.getUint32(header + 4, true)
    try {
      return this.#take(opcode, slot, header, op, payload, end)
    } catch (error) {
      // The others of its batch must not suffer, and nobody may wait for ever.
      this.#reportThrown(operations[opcode]?.name ?? `opcode ${opcode}`, error)
      if (operations[opcode]?.reply !== 'none') this.#refuse(view, header, EIO)
      return false
    }
  }

  #take(opcode: number, slot: number, header: number, op: number, payload: number, end: number): boolean {
    const { view, memory } = this.#transport
    const decoder = decoders[opcode]
    const info = operations[opcode]
    if (decoder === undefined || info === undefined) {
      this.#refuse(view, header, ENOSYS)
      return false
    }
    const at = payload < 0 ? op + decoder.size(this.#context) : payload
    const request = decoder.decode(memory, view, header, op, at, end, this.#context)
    if (typeof request !== 'object') {
      this.#refuse(
        view,
        header,
        request === OVERFLOW ? info.overflow : request === ILLEGAL_NAME ? EILSEQ : EIO,
      )
      return false
    }
    if (info.payload === undefined) {
      this.#call(request, info, -1)
      return false
    }
    const fields = request as unknown as Record<string, Buffer>
    this.counters.brought(opcode, fields[info.payload].byteLength)
    if (!this.#transport.scarce) return this.#call(request, info, slot)
    // A request that keeps its slot while its handler waits must not keep the last one: what ends the wait may
    // be another request.
    fields[info.payload] = Buffer.from(fields[info.payload])
    this.#call(request, info, -1)
    return false
  }

  ended(errno: number): void {
    this.#events.ended(errno)
  }

  /**
   * The connection is over: cancels what is in flight, waits for it to settle, because threads may still be at work on
   * descriptors of the filesystem, and lets the filesystem clean up.
   */
  async finish(): Promise<void> {
    if (this.#finished) return
    this.#finished = true
    this.interrupts.abortAll()
    this.notifier.end()
    if (this.#unsettled > 0) {
      // With the device closed nothing else may keep the process alive, and `destroy` has yet to be called.
      await settlesWithin(new Promise<void>((resolve) => (this.#quiet = resolve)), PATIENCE)
    }
    this.passthrough.clear()
    if (this.negotiation === undefined) return
    try {
      await this.#filesystem.destroy?.()
    } catch (error) {
      this.#reportThrown('destroy', error)
    }
  }

  /** Returns whether slot `slot` stays taken until the handler has settled; -1 says that there is none to keep. */
  #call(request: AnyRequest, info: OperationInfo, slot: number): boolean {
    const since = this.#transport.now
    // Kernel: the open has ended before its RELEASE is sent, whatever the handler still does.
    if (info.opcode === RELEASE) this.passthrough.release(request.nodeid, (request as ReleaseRequest).fh)
    let handler = this.#handlers[info.opcode]
    if (isTraced(info.opcode)) handler = traced(this.#device, request, info, handler)
    if (info.reply === 'session' || info.reply === 'none') {
      this.#own(request, info, handler)
      return false
    }
    if (handler === undefined) {
      this.#answer(request, info, info.absent, since, false)
      return false
    }
    let result: unknown
    let promise: Promise<unknown> | undefined
    try {
      result = handler.call(this.#filesystem, request)
      promise = promiseOf(result)
      // Even a native promise may have been given a constructor that throws.
      if (promise !== undefined) this.#await(promise, request, info, since, slot)
    } catch (error) {
      this.#fail(request, info, error, since)
      return false
    }
    if (promise === undefined) {
      this.#answer(request, info, result, since, true)
      return false
    }
    this.interrupts.add(request, info, since)
    this.#unsettled++
    return slot >= 0
  }

  #await(
    promise: Promise<unknown>,
    request: AnyRequest,
    info: OperationInfo,
    since: number,
    slot: number,
  ): void {
    promise.then(
      (value) => {
        if (slot >= 0) this.#transport.release(slot)
        this.#answer(request, info, value, since, true)
        this.#settled()
      },
      (error: unknown) => {
        if (slot >= 0) this.#transport.release(slot)
        this.#fail(request, info, error, since)
        this.#settled()
      },
    )
  }

  #answer(request: AnyRequest, info: OperationInfo, value: unknown, since: number, handled: boolean): void {
    if (this.#finished) {
      // Nobody is left to receive what the answer gives out, and nobody will ever release it.
      this.#given.takeBack(request, info, value)
      this.interrupts.delete(request)
      return
    }
    const result = handled && info.sticky ? this.#sticky.check(info, value) : value
    try {
      const pending = this.#replies.write(request, info, result, since)
      if (pending === undefined) {
        this.interrupts.delete(request)
        return
      }
      this.interrupts.add(request, info, since)
      this.#unsettled++
      pending.then(
        () => {
          this.interrupts.delete(request)
          this.#settled()
        },
        (error: unknown) => {
          this.#fail(request, info, error, since)
          this.#settled()
        },
      )
    } catch (error) {
      this.#given.takeBack(request, info, value)
      this.#fail(request, info, error, since)
    }
  }

  #fail(request: AnyRequest, info: OperationInfo, error: unknown, since: number): void {
    const { errno, expected } = errnoForKernel(error)
    if (!expected && !this.#finished) this.#reportThrown(info.name, error)
    if (!this.#finished) this.#replies.error(request, info, errno, since)
    this.interrupts.delete(request)
  }

  #settled(): void {
    if (--this.#unsettled === 0) this.#quiet?.()
  }

  /** Requests that the session answers by itself, or that take no answer. */
  #own(request: AnyRequest, info: OperationInfo, handler: Handler | undefined): void {
    switch (info.opcode) {
      case INIT:
        this.#init(request as unknown as InitRequest)
        return
      case FORGET:
        this.counters.received(FORGET)
        this.#forget(handler, request)
        return
      case BATCH_FORGET:
        this.counters.received(BATCH_FORGET)
        for (const item of (request as unknown as BatchForgetRequest).items) this.#forget(handler, item)
        return
      case INTERRUPT:
        this.counters.received(INTERRUPT)
        this.#interrupt((request as unknown as InterruptRequest).interrupted)
        return
      case DESTROY:
        this.#replies.error(request, info, 0, this.#transport.now)
        return
      case NOTIFY_REPLY: {
        const { unique, data } = request as unknown as NotifyReplyRequest
        this.counters.received(NOTIFY_REPLY)
        if (!this.notifier.retrieved(unique, data)) this.siblings?.retrieved(unique, data)
        return
      }
      default:
        // CUSE_INIT and the DAX mappings never come through this device.
        if (info.reply !== 'none') this.#replies.error(request, info, ENOSYS, this.#transport.now)
    }
  }

  // Kernel: EAGAIN would have the interrupt sent again, but is taken only on the descriptor that its request was read from.
  #interrupt(unique: number): void {
    if (!this.interrupts.interrupt(unique)) this.siblings?.interrupt(unique)
  }

  #forget(handler: Handler | undefined, item: unknown): void {
    if (handler === undefined) return
    try {
      promiseOf(handler.call(this.#filesystem, item as AnyRequest))?.catch((error: unknown) =>
        this.#reportThrown('forget', error),
      )
    } catch (error) {
      this.#reportThrown('forget', error)
    }
  }

  #init(request: InitRequest): void {
    // Kernel: a major version it does not know makes it ask again with ours.
    try {
      const noBacking = this.#transport.backing === undefined ? whyNoBacking() : undefined
      const { answer, negotiation } = negotiate(request, this.#wanted, this.#options, noBacking)
      this.#prepare(negotiation)
      const result = this.#replies.encoded(request, (view, at) => encodeInitOut(view, at, answer))
      if (result < 0) throw new Error(`the kernel did not take the answer to INIT: ${describeErrno(result)}`)
      this.#transport.negotiated?.(largestPayload(negotiation), negotiation.agreed)
      this.negotiation = negotiation
      this.#events.ready()
    } catch (error) {
      this.#replies.raw(request.unique, -71)
      this.#events.failed(error as Error)
    }
  }

  /** Takes over what INIT settled on another descriptor of the same connection. */
  adopt(negotiation: Negotiation): void {
    this.#prepare(negotiation)
    this.negotiation = negotiation
  }

  #prepare(negotiation: Negotiation): void {
    const { agreed } = negotiation
    this.#context.setxattrExt = agreed.has('FUSE_SETXATTR_EXT')
    this.passthrough.negotiated(agreed, negotiation.passthroughUnavailable)
    // Kernel: it asks without writing back what it has collected, and takes holes for zeros; ENOSYS makes it go by its own size.
    if (agreed.has('FUSE_WRITEBACK_CACHE')) this.#handlers[LSEEK] = undefined
    this.#replies.reserve(negotiation.maxPages * 4096)
    const begun: unknown = this.#filesystem.init?.(negotiation, this.notifier)
    promiseOf(begun)?.catch((error: unknown) => this.#reportThrown('init', error))
  }

  /** Answers a request that could not be decoded. */
  #refuse(view: DataView, header: number, errno: Errno): void {
    const high = view.getUint32(header + 12, true)
    const unique = (high & 0x7fff_ffff) * 0x1_0000_0000 + view.getUint32(header + 8, true)
    this.#replies.raw(high >>> 31 === 1 ? -unique : unique, errno)
  }

  #reportThrown(name: string, error: unknown): void {
    this.#device.report(handlerWarning(name, error))
  }
}
