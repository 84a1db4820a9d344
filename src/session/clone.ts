// Further threads that serve a mount: each takes a clone of the connection's descriptor (FUSE_DEV_IOC_CLONE) and the
// negotiation of the first one. Stands where the session stands for the thread that mounted.
import { DeviceTransport } from '../device/device.js'
import { RingTransport } from '../device/ring.js'
import type { Transport } from '../device/transport.js'
import { ENODEV, describeErrno } from '../protocol/index.js'
import type { NameEncoding } from '../protocol/index.js'
import type { Dispatcher } from './dispatch.js'
import { syscalls } from '../syscalls/index.js'
import { OptionError, requireLinux, systemError } from './errors.js'
import type { Filesystem } from './filesystem.js'
import { largestPayload } from './init.js'
import type { Negotiation } from './init.js'
import { FIRST_RETRIEVAL } from './notify.js'
import { resolveOptions } from './options.js'
import type { ResolvedOptions, SessionOptions } from './options.js'
import { Served } from './served.js'
import { Siblings } from './siblings.js'
import { Counters } from './stats.js'

// Ids of NOTIFY_RETRIEVE that one thread can use before it meets those of the next.
const IDS_PER_CLONE = 2 ** 32

/** What `session.clone()` returns: plain data, to be sent to the worker thread of this process that will serve it. */
export interface Clone {
  /** A descriptor of the same connection; {@link serveClone} takes it over. */
  readonly fd: number
  /** Name of the channel over which the threads of this connection talk to each other. */
  readonly key: string
  /** 1 for the first clone of a session, 2 for the next, ... */
  readonly index: number
  readonly mountPoint: string
  /** The rules of the session that hold in every thread. */
  readonly rules: Pick<ResolvedOptions, 'access' | 'owner' | 'allowOther' | 'interruptGrace' | 'timeGran'>
  readonly encoding: NameEncoding
  readonly negotiation: Negotiation
  /** Where what it serves is counted, for the `stats()` of the thread that mounted. */
  readonly counters: SharedArrayBuffer
  /** Over io_uring: the queues that it serves, and how deep they are to begin with. */
  readonly ring?: { readonly queues: readonly number[]; readonly depth: number }
}

/** Why `filesystem` cannot be served by several threads; throws an {@link OptionError}. */
export function requireShareable(filesystem: { shareable?: boolean }, agreed: Negotiation['agreed']): void {
  if (filesystem.shareable !== true) {
    throw new OptionError(
      'a mount is served by several threads only if its filesystem says `shareable: true`: each thread has an object of its ' +
        'own, and nodeids and handles must mean the same to all of them',
    )
  }
  if (agreed.has('FUSE_PASSTHROUGH')) {
    throw new OptionError(
      "clones exclude passthrough, whose rules are kept per thread: mount with passthrough: 'off'",
    )
  }
}

/**
 * Serves a mount in this thread, too, through a clone that another thread made with `session.clone()`. INIT was answered there;
 * here the filesystem's `init` is called with its result, and `destroy` at the end. Kernel: a request is answered by the thread
 * that read it, and whichever thread is idle reads the next one.
 *
 * Throws an OptionError unless the filesystem says `shareable: true`, and what its `init` throws; the descriptor is closed then. Source: Documentation/filesystems/fuse/fuse.rst.
 */
export function serveClone<Name extends string | Buffer = string>(
  clone: Clone,
  filesystem: Filesystem<Name>,
  options: Pick<SessionOptions, 'onWarning' | 'busyPoll'> = {},
): CloneSession {
  requireLinux('device clones exist on Linux only')
  const { encoding, negotiation, rules } = clone
  let resolved: ResolvedOptions
  try {
    requireShareable(filesystem, negotiation.agreed)
    resolved = { ...resolveOptions({ ...options, encoding, maxWrite: negotiation.maxWrite }), ...rules }
  } catch (error) {
    syscalls.close(clone.fd)
    throw error
  }
  return new CloneSession(clone, filesystem as unknown as Filesystem, resolved)
}

/**
 * One thread's share of a mount, from {@link serveClone} to the end of the connection. Kernel: requests that it has read and not
 * answered when it is closed fail with ECONNABORTED; the other threads go on.
 */
export class CloneSession extends Served {
  readonly #clone: Clone
  readonly #siblings: Siblings

  /** Not for authors: use {@link serveClone}. */
  constructor(clone: Clone, filesystem: Filesystem, options: ResolvedOptions) {
    const { negotiation } = clone
    const transport = transportOf(clone, options.maxWrite)
    super(transport, filesystem, options, negotiation.wanted, new Counters(clone.counters))
    this.#clone = clone
    this.dispatcher.notifier.numberFrom(FIRST_RETRIEVAL + clone.index * IDS_PER_CLONE)
    this.#siblings = new Siblings(clone.key, {
      interrupted: (unique) => this.dispatcher.interrupts.interrupt(unique),
      retrieved: (unique, data) => this.dispatcher.notifier.retrieved(unique, data),
      ended: () => this.end(),
      left: () => undefined,
    })
    this.dispatcher.siblings = this.#siblings
    try {
      this.dispatcher.adopt(negotiation)
      this.serve()
      this.transport.negotiated?.(largestPayload(negotiation), negotiation.agreed)
    } catch (error) {
      this.end()
      throw error
    }
  }

  get mountPoint(): string {
    return this.#clone.mountPoint
  }

  /** What INIT settled, in the thread that mounted. */
  get negotiation(): Negotiation {
    return this.#clone.negotiation
  }

  protected override ending(): void {
    this.#siblings.leave(this.#clone.index)
  }
}

function transportOf({ fd, ring }: Clone, maxWrite: number): Transport {
  if (ring === undefined) return new DeviceTransport(fd, maxWrite)
  return new RingTransport(fd, maxWrite, { ...ring, ringOnly: true })
}

/** Makes clones of one connection, in the thread that mounted it. */
export class Cloning {
  readonly siblings: Siblings
  readonly #counters = new Map<number, Counters>()
  readonly #serving = new Set<number>()
  readonly #key: string
  #made = 0

  /** `dispatcher` is the one of the thread that mounted; `ended` is called when another thread ended the connection. */
  constructor(dispatcher: Dispatcher) {
    this.#key = `devfuse-${crypto.randomUUID()}`
    this.siblings = new Siblings(this.#key, {
      interrupted: (unique) => dispatcher.interrupts.interrupt(unique),
      retrieved: (unique, data) => dispatcher.notifier.retrieved(unique, data),
      ended: () => undefined,
      left: (index) => this.left(index),
    })
    dispatcher.siblings = this.siblings
  }

  /** How many other threads serve, as far as is known here. */
  get threads(): number {
    return this.#serving.size
  }

  /** What the other threads have counted, those that have ended, too. */
  get counters(): Counters[] {
    return [...this.#counters.values()]
  }

  /** What the thread that gets `fd` has to know; `queues` are those of a ring that it serves. */
  clone(
    connection: Pick<Clone, 'fd' | 'mountPoint' | 'negotiation'>,
    options: ResolvedOptions,
    queues: readonly number[] | undefined,
  ): Clone {
    const { encoding, ringDepth, access, owner, allowOther, interruptGrace, timeGran } = options
    const rules = { access, owner, allowOther, interruptGrace, timeGran }
    const ring = queues === undefined ? {} : { ring: { queues, depth: ringDepth } }
    const counters = Counters.share()
    const index = ++this.#made
    this.#counters.set(index, new Counters(counters))
    this.#serving.add(index)
    return { ...connection, rules, encoding, ...ring, key: this.#key, index, counters }
  }

  /** One that serves no more. */
  left(index: number): void {
    this.#serving.delete(index)
  }

  /** One that never served. */
  undo({ index }: Clone): void {
    this.left(index)
    this.#counters.delete(index)
  }
}

/** Throws an {@link OptionError} where threads cannot be added later. */
export function requireDevice({ name }: Transport): void {
  if (name !== 'ring') return
  throw new OptionError(
    'the queues of a ring are shared out when it is made: mount with the option `workers`; to add threads later, ' +
      "mount with transport: 'device'",
  )
}

/** A further descriptor of the connection. Throws with the reason where there can be none. */
export function cloneDescriptor(transport: Transport): number {
  if (transport.fd < 0)
    throw systemError(
      ENODEV,
      'ioctl',
      'there is no connection to clone: the session has ended, or its transport has no descriptor',
    )
  const fd = transport.clone()
  if (fd >= 0) return fd
  throw systemError(
    fd,
    'ioctl',
    `FUSE_DEV_IOC_CLONE failed: ${describeErrno(fd)}; the kernel has it since Linux 4.2, and /dev/fuse must be open to us`,
  )
}
