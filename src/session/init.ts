// INIT negotiation: what the kernel offers, what we want and what is agreed are three named sets.
// First request of every connection; it ends here and never reaches the filesystem as a request.
import { readFileSync } from 'node:fs'
import { initFlags } from '../protocol/index.js'
import type { InitFlagName, InitOut, OperationName } from '../protocol/index.js'
import { OptionError } from './errors.js'
import type { ResolvedOptions } from './options.js'

/** The newest protocol minor that the table describes: 7.45. */
export const PROTOCOL_MINOR = 45

// Kernel: 7.31 came with Linux 5.4. Older ones have shorter structs for half of the operations.
const OLDEST_MINOR = 31

/** What was settled at INIT; read it from `session.negotiation`. */
export interface Negotiation {
  /** Minor version of the kernel's protocol, and the one spoken from now on (7.x). */
  readonly kernelMinor: number
  readonly minor: number
  /** Flags that the kernel offered. */
  readonly offered: ReadonlySet<InitFlagName>
  /** Flags that we asked for: defaults, those the filesystem's methods call for, and the options. */
  readonly wanted: ReadonlySet<InitFlagName>
  /** Flags in force: wanted and offered. */
  readonly agreed: ReadonlySet<InitFlagName>
  /** Bytes. */
  readonly maxWrite: number
  /** Bytes. */
  readonly maxReadahead: number
  readonly maxPages: number
  readonly maxBackground: number
  readonly congestionThreshold: number
  /** Nanoseconds. */
  readonly timeGran: number
  /** 0 when passthrough is not agreed. */
  readonly maxStackDepth: number
  /** Seconds, 0 for never. */
  readonly requestTimeout: number
  /**
   * Why `{ fh, passthrough: fd }` will be served by the library, undefined where the kernel will serve it: the kernel
   * lacks it, it was not asked for, or this process lacks the privilege. (With FUSE_PASSTHROUGH agreed and the privilege
   * missing, ids that a privileged process opened still work.)
   */
  readonly passthroughUnavailable: string | undefined
}

/** The fields of fuse_init_in that negotiation looks at. */
export interface InitOffer {
  major: number
  minor: number
  maxReadahead: number
  flags: number
  flags2: number
}

const DEFAULTS: readonly InitFlagName[] = [
  'FUSE_ASYNC_READ',
  'FUSE_BIG_WRITES',
  'FUSE_MAX_PAGES',
  'FUSE_INIT_EXT',
  'FUSE_ASYNC_DIO',
  'FUSE_AUTO_INVAL_DATA',
  'FUSE_PARALLEL_DIROPS',
  'FUSE_HAS_IOCTL_DIR',
  'FUSE_SETXATTR_EXT',
  'FUSE_HAS_EXPIRE_ONLY',
  'FUSE_HAS_RESEND',
  'FUSE_ABORT_ERROR',
]

/** Flags that a method of the filesystem calls for. */
const BY_METHOD: readonly [OperationName, readonly InitFlagName[]][] = [
  ['readdirplus', ['FUSE_DO_READDIRPLUS']],
  ['setlk', ['FUSE_POSIX_LOCKS', 'FUSE_FLOCK_LOCKS']],
]

/** Bytes of the largest payload that a request or its answer can have. */
export function largestPayload({ maxWrite, maxPages }: { maxWrite: number; maxPages: number }): number {
  return Math.max(maxWrite, maxPages * pageSize())
}

/** Flags that only other transports or newer kernels give a meaning; asking for them would promise what nobody keeps. */
const IMPOSSIBLE: Partial<Record<InitFlagName, string>> = {
  FUSE_MAP_ALIGNMENT: 'DAX mappings exist on virtiofs only',
  FUSE_HAS_INODE_DAX: 'DAX exists on virtiofs only',
  FUSE_INIT_RESERVED: 'the bit is reserved',
}

/** The set of flags to ask for. Throws an OptionError that names a wish which can never be fulfilled. */
export function wishes(options: ResolvedOptions, has: (method: OperationName) => boolean): Set<InitFlagName> {
  const known = new Set(initFlags.map(({ name }) => name))
  for (const name of [...options.want, ...options.prefer, ...options.refuse]) {
    if (!known.has(name)) {
      throw new OptionError(
        `unknown INIT flag ${JSON.stringify(name)}; they are spelled as in linux/fuse.h: FUSE_POSIX_ACL`,
      )
    }
  }
  const wanted = new Set(DEFAULTS)
  for (const [method, flags] of BY_METHOD) if (has(method)) for (const flag of flags) wanted.add(flag)
  // Kernel: with AUTO it asks for plain listings, too, whenever attributes seem not to be needed.
  if (has('readdirplus') && has('readdir')) wanted.add('FUSE_READDIRPLUS_AUTO')
  const asked = [...options.want, ...options.prefer]
  if (options.passthrough !== 'off' && !asked.includes('FUSE_WRITEBACK_CACHE')) wanted.add('FUSE_PASSTHROUGH')
  if (options.requestTimeout !== undefined) wanted.add('FUSE_REQUEST_TIMEOUT')
  for (const flag of asked) wanted.add(flag)
  if (options.transport === 'ring') {
    wanted.add('FUSE_OVER_IO_URING')
    // Kernel: NOTIFY_RESEND finds requests that were read from the device only.
    if (!asked.includes('FUSE_HAS_RESEND')) wanted.delete('FUSE_HAS_RESEND')
  }
  // Kernel: AUTO wins where both are agreed on, so the default steps back for a wish.
  if (asked.includes('FUSE_EXPLICIT_INVAL_DATA') && !asked.includes('FUSE_AUTO_INVAL_DATA')) {
    wanted.delete('FUSE_AUTO_INVAL_DATA')
  }
  for (const flag of options.refuse) {
    if (asked.includes(flag)) throw new OptionError(`${flag} is both wanted and refused`)
    wanted.delete(flag)
  }
  if (!wanted.has('FUSE_DO_READDIRPLUS') && !asked.includes('FUSE_READDIRPLUS_AUTO')) {
    wanted.delete('FUSE_READDIRPLUS_AUTO')
  }
  refuseImpossible(wanted, options)
  return wanted
}

function refuseImpossible(wanted: Set<InitFlagName>, options: ResolvedOptions): void {
  for (const flag of wanted) {
    const reason = IMPOSSIBLE[flag]
    if (reason !== undefined) throw new OptionError(`${flag} cannot be had: ${reason}`)
  }
  refuseRing(wanted, options)
  if (
    wanted.has('FUSE_WRITEBACK_CACHE') &&
    (wanted.has('FUSE_PASSTHROUGH') || options.passthrough === 'on')
  ) {
    // Kernel: process_init_reply silently leaves passthrough off when both are asked for.
    throw new OptionError(
      'FUSE_WRITEBACK_CACHE excludes FUSE_PASSTHROUGH: the kernel does not combine them; ' +
        "leave one out (passthrough: 'off', or no FUSE_WRITEBACK_CACHE in `want`)",
    )
  }
  if (options.passthrough === 'on' && !wanted.has('FUSE_PASSTHROUGH')) {
    throw new OptionError("passthrough: 'on' needs FUSE_PASSTHROUGH, which `refuse` names")
  }
  if (options.passthrough === 'off' && wanted.has('FUSE_PASSTHROUGH')) {
    throw new OptionError("passthrough: 'off' and FUSE_PASSTHROUGH in `want` contradict each other")
  }
  if (wanted.has('FUSE_ALLOW_IDMAP') && !options.defaultPermissions) {
    // Kernel: the connection would answer ECONNREFUSED to every call.
    throw new OptionError('FUSE_ALLOW_IDMAP needs the option defaultPermissions: true')
  }
  if (wanted.has('FUSE_ALLOW_IDMAP') && options.access !== undefined && options.access !== 'all') {
    // Kernel: from then on only requests that create something carry ids.
    throw new OptionError('FUSE_ALLOW_IDMAP hides who calls, so `access` and `allowRoot` cannot be enforced')
  }
  if (wanted.has('FUSE_READDIRPLUS_AUTO') && !wanted.has('FUSE_DO_READDIRPLUS')) {
    throw new OptionError('FUSE_READDIRPLUS_AUTO needs FUSE_DO_READDIRPLUS')
  }
}

function refuseRing(wanted: Set<InitFlagName>, { transport }: ResolvedOptions): void {
  if (wanted.has('FUSE_OVER_IO_URING') !== (transport === 'ring')) {
    throw new OptionError(
      transport === 'ring'
        ? "transport: 'ring' needs FUSE_OVER_IO_URING, which `refuse` names"
        : "FUSE_OVER_IO_URING cannot be had by a wish: it comes with the option transport: 'ring'",
    )
  }
  if (transport === 'ring' && wanted.has('FUSE_HAS_RESEND')) {
    throw new OptionError(
      "FUSE_HAS_RESEND excludes transport: 'ring': the kernel resends nothing over a ring",
    )
  }
}

/** The connection cannot work: a too old protocol, or a wish that this kernel does not grant. */
export class NegotiationError extends Error {
  readonly code = 'ERR_DEVFUSE_NEGOTIATION'
  readonly errno = -71
}

/**
 * Settles INIT: the answer for the kernel and the record of it. `noBacking` says why this process cannot open backing ids.
 * Throws a {@link NegotiationError}.
 */
export function negotiate(
  offer: InitOffer,
  wanted: ReadonlySet<InitFlagName>,
  options: ResolvedOptions,
  noBacking: string | undefined,
): { answer: Required<InitOut>; negotiation: Negotiation } {
  if (offer.major !== 7 || offer.minor < OLDEST_MINOR) {
    throw new NegotiationError(
      `the kernel speaks FUSE ${offer.major}.${offer.minor}; devfuse needs 7.${OLDEST_MINOR} (Linux 5.4) or newer`,
    )
  }
  const offered = new Set<InitFlagName>()
  for (const { name, bit } of initFlags) if (hasBit(offer, bit)) offered.add(name)
  const insisted = [...options.want]
  if (options.requestTimeout !== undefined) insisted.push('FUSE_REQUEST_TIMEOUT')
  if (options.transport === 'ring') insisted.push('FUSE_OVER_IO_URING')
  const missing = insisted.filter((flag) => !offered.has(flag))
  if (missing.length > 0) {
    throw new NegotiationError(
      `this kernel (FUSE 7.${offer.minor}) does not offer ${missing.join(', ')}, which the options insist on`,
    )
  }
  // Kernel: the upper half of the flags counts with FUSE_INIT_EXT only.
  const upper = wanted.has('FUSE_INIT_EXT') && offered.has('FUSE_INIT_EXT')
  const agreed = new Set<InitFlagName>()
  for (const { name, bit } of initFlags) {
    if (wanted.has(name) && offered.has(name) && (bit < 32 || upper)) agreed.add(name)
  }
  const passthroughUnavailable = whyNoPassthrough(offer, wanted, offered, options) ?? noBacking
  if (options.passthrough === 'on' && passthroughUnavailable !== undefined) {
    throw new NegotiationError(`passthrough: 'on' is impossible: ${passthroughUnavailable}`)
  }

  const page = pageSize()
  // Kernel: a request that does not fit into an entry of a ring is a BUG in the kernel, and an extended attribute has 64 KiB.
  const fewest = agreed.has('FUSE_OVER_IO_URING') ? DEFAULT_MAX_PAGES : 1
  const maxPages = agreed.has('FUSE_MAX_PAGES')
    ? Math.max(Math.min(Math.ceil(options.maxWrite / page), maxPagesLimit()), fewest)
    : DEFAULT_MAX_PAGES
  let flags = 0
  let flags2 = 0
  for (const { name, bit } of initFlags) {
    if (!agreed.has(name)) continue
    if (bit < 32) flags |= 1 << bit
    else flags2 |= 1 << (bit - 32)
  }
  const answer: Required<InitOut> = {
    major: 7,
    minor: Math.min(offer.minor, PROTOCOL_MINOR),
    maxReadahead: Math.min(offer.maxReadahead, options.maxReadahead ?? offer.maxReadahead),
    flags: flags >>> 0,
    flags2: flags2 >>> 0,
    maxBackground: options.maxBackground,
    congestionThreshold:
      options.congestionThreshold ?? Math.max(1, Math.floor((options.maxBackground * 3) / 4)),
    maxWrite: Math.min(options.maxWrite, maxPages * page),
    timeGran: options.timeGran,
    maxPages,
    mapAlignment: 0,
    maxStackDepth: agreed.has('FUSE_PASSTHROUGH') ? options.maxStackDepth : 0,
    requestTimeout: agreed.has('FUSE_REQUEST_TIMEOUT') ? (options.requestTimeout ?? 0) : 0,
  }
  const negotiation: Negotiation = {
    kernelMinor: offer.minor,
    minor: answer.minor,
    offered,
    wanted,
    agreed,
    maxWrite: answer.maxWrite,
    maxReadahead: answer.maxReadahead,
    maxPages,
    maxBackground: answer.maxBackground,
    congestionThreshold: answer.congestionThreshold,
    timeGran: answer.timeGran,
    maxStackDepth: answer.maxStackDepth,
    requestTimeout: answer.requestTimeout,
    passthroughUnavailable,
  }
  return { answer, negotiation }
}

function hasBit({ flags, flags2 }: InitOffer, bit: number): boolean {
  return ((bit < 32 ? flags >>> bit : flags2 >>> (bit - 32)) & 1) === 1
}

function whyNoPassthrough(
  { minor }: InitOffer,
  wanted: ReadonlySet<InitFlagName>,
  offered: ReadonlySet<InitFlagName>,
  options: ResolvedOptions,
): string | undefined {
  if (options.passthrough === 'off') return "it is turned off (passthrough: 'off')"
  if (wanted.has('FUSE_WRITEBACK_CACHE')) return 'FUSE_WRITEBACK_CACHE excludes it'
  if (!wanted.has('FUSE_PASSTHROUGH')) return '`refuse` names FUSE_PASSTHROUGH'
  if (!wanted.has('FUSE_INIT_EXT')) return '`refuse` names FUSE_INIT_EXT, without which no newer flag counts'
  if (offered.has('FUSE_PASSTHROUGH')) return undefined
  return minor < 40
    ? `the kernel speaks FUSE 7.${minor}, and passthrough came with 7.40 (Linux 6.9)`
    : 'the kernel was built without CONFIG_FUSE_PASSTHROUGH'
}

// Kernel: FUSE_DEFAULT_MAX_PAGES_PER_REQ.
const DEFAULT_MAX_PAGES = 32

/** `fs.fuse.max_pages_limit`; kernels before 6.14 have a fixed 256. */
function maxPagesLimit(): number {
  try {
    return Number(readFileSync('/proc/sys/fs/fuse/max_pages_limit', 'latin1')) || 256
  } catch {
    return 256
  }
}

const AT_PAGESZ = 6

function pageSize(): number {
  try {
    const vector = readFileSync('/proc/self/auxv')
    for (let at = 0; at + 16 <= vector.length; at += 16) {
      if (vector.readUInt32LE(at) === AT_PAGESZ) return vector.readUInt32LE(at + 8)
    }
  } catch {
    // Without /proc the size of x64 is the best guess, and too small a one does no harm.
  }
  return 4096
}
