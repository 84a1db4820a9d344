// connect(): a filesystem with a kernel in memory in front of it. Requests are sent by name and pass the same session,
// dispatcher and wire as those of a mount.
import { FakeKernel } from '../device/fake-kernel.js'
import type { FakeReply } from '../device/fake-kernel.js'
import { decodeNotification, initFlags, operationsByName } from '../protocol/index.js'
import type { InitFlagName, OperationName } from '../protocol/index.js'
import { OptionError } from './errors.js'
import type { Filesystem } from './filesystem.js'
import { PROTOCOL_MINOR } from './init.js'
import { flagList, func, requireOptions, validate } from './option-checks.js'
import { resolveOptions } from './options.js'
import type { Negotiation } from './init.js'
import type { SessionOptions } from './options.js'
import { serve } from './serve.js'
import type { Closed } from './closed.js'
import type { Session } from './session.js'

/** A reply as a kernel reads it: `error` is 0 or -errno; the rest are the fields of the operation, see docs/operations.md. */
export type KernelReply = FakeReply

/** Fields of a request: those of its class, and `nodeid`, `uid`, `gid`, `pid` of the header. What is missing is 0, `nodeid` 1. */
export type RequestFields = Readonly<Record<string, unknown>>

/** A notification that the filesystem sent through `session.notify`, decoded; `kind` is its name. */
export interface KernelNotification {
  kind: string
  [field: string]: unknown
}

/** Options of {@link connect}: those of a session, and what kernel to be. */
export interface ConnectOptions extends SessionOptions {
  /** INIT flags that this kernel offers. Default: all that exist, but for those of other transports. */
  offer?: readonly InitFlagName[]
  /** Minor version of the protocol that this kernel speaks (7.x), 31 or newer. Default: the newest known. */
  minor?: number
  /** Gets every notification. */
  onNotify?: (notification: KernelNotification) => void
}

/** These need a device of their own. */
const NOT_IN_MEMORY: ReadonlySet<InitFlagName> = new Set([
  'FUSE_MAP_ALIGNMENT',
  'FUSE_HAS_INODE_DAX',
  'FUSE_OVER_IO_URING',
  'FUSE_INIT_RESERVED',
  'FUSE_REQUEST_TIMEOUT',
])

// Kernel: VM_READAHEAD_PAGES, 128 KiB.
const MAX_READAHEAD = 131072

/** A filesystem and the kernel in memory that asks it. */
export class Connection implements AsyncDisposable {
  /** The session behind it: `negotiation`, `stats()`, `notify`, `openBacking`. */
  readonly session: Session
  readonly #kernel: FakeKernel

  /** Not for authors: use {@link connect}. */
  constructor(session: Session, kernel: FakeKernel) {
    this.session = session
    this.#kernel = kernel
  }

  /** What INIT settled. */
  get negotiation(): Negotiation {
    return this.session.negotiation
  }

  /**
   * Sends a request and resolves with the decoded reply; a failure is its `error`. Structs become fields (`attr`, `nodeid`,
   * `fh`), data and strings `data`, listings `entries` (names with one character per byte), numbers `value`. Aborting `signal`
   * sends INTERRUPT.
   *
   * Throws a RangeError for an unknown operation, one that has no reply, or one larger than what was agreed on.
   */
  send(
    operation: OperationName,
    fields: RequestFields = {},
    { signal }: { signal?: AbortSignal } = {},
  ): Promise<KernelReply> {
    if (operationsByName[operation]?.reply === 'none')
      throw new RangeError(`${operation} has no reply to wait for: use tell('${operation}', ...)`)
    if (signal === undefined) return this.#kernel.request(operation, fields)
    const { unique, promise } = this.#kernel.post(operation, fields)
    const interrupt = (): void => this.#kernel.tell('interrupt', { interrupted: unique })
    if (signal.aborted) interrupt()
    else signal.addEventListener('abort', interrupt, { once: true })
    return promise.finally(() => signal.removeEventListener('abort', interrupt))
  }

  /** Sends a request that has no reply: `forget`, `batchForget`, `interrupt`, `notifyReply`. */
  tell(operation: OperationName, fields: RequestFields = {}): void {
    this.#kernel.tell(operation, fields)
  }

  /**
   * What a kernel does with a reply that says FOPEN_PASSTHROUGH: opens the file behind `backingId` anew, with the flags of the
   * open. A descriptor that the caller closes, or -errno.
   */
  openBacked(backingId: number, flags: number): number {
    return this.#kernel.backing.reopen(backingId, flags)
  }

  /** Ends the session; what still waits for an answer gets ECONNABORTED, and `destroy` is called. */
  async close(): Promise<Closed> {
    await this.session.unmount()
    return this.session.closed
  }

  /** The same as {@link close}, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/**
 * Connects `filesystem` to a kernel in memory: no mount, no /dev/fuse, no privilege. Every request passes the same session
 * as on a mount, so that a wrong answer fails as it would there.
 *
 * ```ts
 * await using connection = await connect({ lookup: () => ENOENT })
 * const { error } = await connection.send('lookup', { nodeid: 1, name: 'missing' }) // -2
 * ```
 *
 * For calls by path instead of requests see `fsFrom`. Throws as `serve` does for options that cannot work.
 */
export async function connect<Options extends ConnectOptions>(
  filesystem: Filesystem<Options['encoding'] extends 'buffer' ? Buffer : string>,
  options?: Options,
): Promise<Connection> {
  const given: ConnectOptions = options === undefined ? {} : requireOptions(options)
  const { offer, minor = PROTOCOL_MINOR, onNotify, ...rest } = given
  validate({ offer, onNotify }, { offer: flagList, onNotify: func })
  if (!Number.isInteger(minor) || minor < 0 || minor > 0xffff_ffff)
    throw new OptionError(
      `option \`minor\` must be a version of the protocol, 31 or newer, not ${String(minor)}`,
    )
  resolveOptions(rest)
  const init = { major: 7, minor, maxReadahead: MAX_READAHEAD, ...bitsOf(offer) }
  const kernel: FakeKernel = new FakeKernel(rest.maxWrite, (message) => heard(kernel, message, onNotify))
  // There is no mount that a signal would have to take away.
  const started = serve(filesystem as Filesystem, kernel, { ...rest, handleSignals: false })
  const [session] = await Promise.all([started, kernel.request('init', init)])
  return new Connection(session, kernel)
}

function bitsOf(offer: readonly InitFlagName[] | undefined): { flags: number; flags2: number } {
  const unknown = offer?.find((name) => initFlags.every((flag) => flag.name !== name))
  if (unknown !== undefined) throw new OptionError(`option \`offer\` names ${unknown}, which is no INIT flag`)
  let flags = 0
  let flags2 = 0
  for (const { name, bit } of initFlags) {
    if (NOT_IN_MEMORY.has(name) || (offer !== undefined && !offer.includes(name))) continue
    if (name === 'FUSE_PASSTHROUGH' && process.platform !== 'linux') continue
    if (bit < 32) flags |= 1 << bit
    else flags2 |= 1 << (bit - 32)
  }
  return { flags: flags >>> 0, flags2: flags2 >>> 0 }
}

function heard(kernel: FakeKernel, message: Buffer, onNotify: ConnectOptions['onNotify']): void {
  // A reply that comes too late has a unique, a notification has none.
  if (message.readBigUInt64LE(8) !== 0n) return
  const notification = decodeNotification(message)
  onNotify?.(notification)
  if (notification.kind !== 'retrieve') return
  // Nothing is cached here, so there is nothing to hand back.
  const { notifyUnique, offset } = notification
  kernel.tell('notifyReply', { unique: notifyUnique, offset, data: '' })
}
