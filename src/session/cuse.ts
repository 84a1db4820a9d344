// CUSE: a character device served from user space. Answers CUSE_INIT, the first request on /dev/cuse, and leaves the others
// to the dispatcher, as on a mount.
import { DeviceTransport } from '../device/device.js'
import type { RequestReceiver } from '../device/transport.js'
import {
  CUSE_INIT_INFO_MAX,
  CUSE_UNRESTRICTED_IOCTL,
  EEXIST,
  OUT_HEADER_SIZE,
  cuseInitDecoder,
  describeErrno,
  encodeCuseInitOut,
} from '../protocol/index.js'
import type { CuseInitRequest, DecodeContext } from '../protocol/index.js'
import { AT_FDCWD, O_CLOEXEC, O_NONBLOCK, O_RDWR, syscalls } from '../syscalls/index.js'
import { OptionError, requireLinux, systemError } from './errors.js'
import type { Filesystem } from './filesystem.js'
import { NegotiationError, PROTOCOL_MINOR } from './init.js'
import type { Negotiation } from './init.js'
import { requireOptions } from './option-checks.js'
import { resolveOptions } from './options.js'
import type { ResolvedOptions, SessionOptions } from './options.js'
import { Served } from './served.js'

/**
 * The operations that the kernel sends for a character device. Kernel: `nodeid` is 0 in all of them, and so is `offset` of `read` and
 * `write`: a device has no position, what comes next is up to the handler.
 */
export type CuseDevice = Pick<
  Filesystem,
  'open' | 'read' | 'write' | 'release' | 'ioctl' | 'poll' | 'init' | 'destroy'
>

/** Options of {@link cuse}. */
export interface CuseOptions extends Pick<SessionOptions, 'interruptGrace' | 'busyPoll' | 'onWarning'> {
  /** Device number; the kernel chooses where `major` is 0 or absent. */
  major?: number
  minor?: number
  /**
   * CUSE_UNRESTRICTED_IOCTL: any command of ioctl(2) arrives, with the argument in `arg` and no data; the answer `{ retry }`
   * names the pieces of the caller's memory that are needed. Without it the size in the command says what is copied.
   */
  unrestrictedIoctl?: boolean
  /** Largest READ and WRITE, bytes. Default 1 MiB. */
  maxRead?: number
  maxWrite?: number
}

const ENODEV = -19
const KEYS = [
  'major',
  'minor',
  'unrestrictedIoctl',
  'maxRead',
  'maxWrite',
  'interruptGrace',
  'busyPoll',
  'onWarning',
]

// Kernel: a device number has 12 bits for the major and 20 for the minor part.
const LIMITS = { major: 0xfff, minor: 0xfffff, maxRead: 16 << 20, maxWrite: 16 << 20 } as const

/**
 * Makes the character device `/dev/NAME` and serves it until {@link CuseSession.close} or the end of the process; resolves once the
 * kernel has made it. Needs a kernel with CONFIG_CUSE and the right to open /dev/cuse.
 *
 * Throws an OptionError for a name or option that cannot work, an Error with `errno`, `code` and `syscall` where /dev/cuse cannot
 * be opened or the name is taken. Source: fs/fuse/cuse.c, Documentation/filesystems/fuse/fuse.rst.
 */
export async function cuse(
  name: string,
  device: CuseDevice,
  options: CuseOptions = {},
): Promise<CuseSession> {
  requireLinux('character devices (CUSE) exist on Linux only')
  check(name, options)
  const { interruptGrace, busyPoll, onWarning, maxWrite } = options
  // What is wrong with an option is said before anything is opened.
  const resolved = resolveOptions({ interruptGrace, busyPoll, onWarning, maxWrite, passthrough: 'off' })
  const fd = syscalls.openat(AT_FDCWD, '/dev/cuse', O_RDWR | O_NONBLOCK | O_CLOEXEC)
  if (fd < 0) {
    throw systemError(
      fd,
      'open',
      `opening /dev/cuse says ${describeErrno(fd)}; it takes root, and a kernel with CONFIG_CUSE (modprobe cuse)`,
    )
  }
  return new CuseSession(fd, name, device, options, resolved).start()
}

function check(name: string, options: CuseOptions): void {
  if (typeof name !== 'string' || !/^(?!\.{0,2}$)[\w.+:!@-]+$/.test(name)) {
    throw new OptionError(
      `${JSON.stringify(name)} cannot be the name of a device below /dev: letters, digits and _ . + : ! @ - only`,
    )
  }
  for (const [key, value] of Object.entries(requireOptions(options))) {
    if (!KEYS.includes(key))
      throw new OptionError(`unknown option \`${key}\`; the options are ${KEYS.join(', ')}`)
    const limit = LIMITS[key as keyof typeof LIMITS]
    if (value === undefined || limit === undefined) continue
    const least = key.startsWith('max') ? 4096 : 0
    if (!Number.isInteger(value) || value < least || value > limit)
      throw new OptionError(
        `option \`${key}\` must be an integer from ${least} to ${limit}, not ${String(value)}`,
      )
  }
  const { unrestrictedIoctl = false } = options
  if (typeof unrestrictedIoctl !== 'boolean')
    throw new OptionError(
      `option \`unrestrictedIoctl\` must be true or false, not ${String(unrestrictedIoctl)}`,
    )
}

/** A character device from {@link cuse} to its end. `await using` removes it at the end of the block. */
export class CuseSession extends Served implements RequestReceiver {
  /** `/dev/NAME`. */
  readonly path: string
  readonly #name: string
  readonly #options: CuseOptions
  #settle!: { resolve: () => void; reject: (error: Error) => void }
  readonly #ready = new Promise<void>((resolve, reject) => (this.#settle = { resolve, reject }))

  /** Not for authors: use {@link cuse}. */
  constructor(fd: number, name: string, device: CuseDevice, options: CuseOptions, resolved: ResolvedOptions) {
    super(new DeviceTransport(fd, resolved.maxWrite), device, resolved)
    this.path = `/dev/${name}`
    this.#name = name
    this.#options = options
  }

  /** Not for authors: serves until the device is there. */
  async start(): Promise<this> {
    this.serve(this)
    try {
      await this.#ready
    } catch (error) {
      await this.close()
      throw error
    }
    return this
  }

  /** Not for authors: the first request, which is CUSE_INIT; the dispatcher gets all others. */
  receive(slot: number, header: number, op: number, payload: number, end: number): boolean {
    const { dispatcher, transport } = this
    if (dispatcher.negotiation !== undefined) return dispatcher.receive(slot, header, op, payload, end)
    const { memory, view } = transport
    const context: DecodeContext = {
      encoding: 'utf8',
      setxattrExt: false,
      signalOf: () => AbortSignal.abort(),
      groupsOf: () => undefined,
    }
    const request =
      view.getUint32(header + 4, true) === cuseInitDecoder.opcode
        ? cuseInitDecoder.decode(memory, view, header, op, op + cuseInitDecoder.size(context), end, context)
        : undefined
    if (typeof request === 'object') this.#init(request as unknown as CuseInitRequest)
    else this.#settle.reject(new NegotiationError('the first request on /dev/cuse was not CUSE_INIT'))
    return false
  }

  /** Not for authors: the kernel has ended the connection. */
  ended(errno: number): void {
    this.#settle.reject(systemError(errno, 'read', `the device ended: ${describeErrno(errno)}`))
    this.dispatcher.ended(errno)
  }

  #init({ unique, minor }: CuseInitRequest): void {
    const { major: devMajor = 0, minor: devMinor = 0, unrestrictedIoctl, maxRead = 1 << 20 } = this.#options
    const maxWrite = this.#options.maxWrite ?? 1 << 20
    const bytes = Buffer.alloc(OUT_HEADER_SIZE + 128 + CUSE_INIT_INFO_MAX)
    const spoken = Math.min(minor, PROTOCOL_MINOR)
    const flags = unrestrictedIoctl ? CUSE_UNRESTRICTED_IOCTL : 0
    const out = { major: 7, minor: spoken, flags, maxRead, maxWrite, devMajor, devMinor }
    let length = encodeCuseInitOut(new DataView(bytes.buffer, bytes.byteOffset), OUT_HEADER_SIZE, out)
    length += bytes.write(`DEVNAME=${this.#name}\0`, OUT_HEADER_SIZE + length, 'latin1')
    try {
      this.dispatcher.adopt(agreement(minor, spoken, maxWrite))
    } catch (error) {
      this.#settle.reject(error as Error)
      return
    }
    const sent = this.transport.reply(unique, false, 0, bytes, OUT_HEADER_SIZE, length, true)
    // Kernel: it makes the device inside this write, and ends the connection where it cannot.
    if (sent === 0 && this.transport.connected) this.#settle.resolve()
    else this.#settle.reject(this.#refused(sent))
  }

  #refused(errno: number): Error {
    if (errno < 0 && errno !== ENODEV)
      return systemError(
        errno,
        'write',
        `the kernel did not take the answer to CUSE_INIT: ${describeErrno(errno)}`,
      )
    return systemError(
      EEXIST,
      'write',
      `the kernel did not make ${this.path}: there is a device of that name or number already`,
    )
  }
}

/** CUSE_INIT negotiates no flags of a mount. */
function agreement(kernelMinor: number, minor: number, maxWrite: number): Negotiation {
  const none = { offered: new Set<never>(), wanted: new Set<never>(), agreed: new Set<never>() }
  const limits = { maxWrite, maxReadahead: 0, maxPages: 32, maxBackground: 0, congestionThreshold: 0 }
  const rest = { timeGran: 1, maxStackDepth: 0, requestTimeout: 0 }
  return {
    kernelMinor,
    minor,
    ...none,
    ...limits,
    ...rest,
    passthroughUnavailable: 'a device has no backing files',
  }
}
