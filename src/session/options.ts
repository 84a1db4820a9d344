// The options of mount(): validated in one place, every unknown key refused by name.
import type { Transferable } from 'node:worker_threads'
import { usableCpus } from '../device/cpus.js'
import { foldWords } from '../device/mount-options.js'
import type { MountOptions } from '../device/mount-options.js'
import { MOST_PER_QUEUE } from '../device/ring-queues.js'
import type { InitFlagName } from '../protocol/index.js'
import type { Access } from './access.js'
import { emitWarning } from './shutdown.js'
import { OptionError } from './errors.js'
import {
  abortSignal,
  boolean,
  flagList,
  func,
  integer,
  oneOf,
  owner,
  path,
  powerOfTen,
  powerOfTwo,
  requireBoolean,
  show,
  subtype,
  text,
  validate,
  words,
} from './option-checks.js'
import type { Check } from './option-checks.js'
import type { DevfuseWarning } from './errors.js'

/** Options of `mount()` and of the session behind it. */
export interface SessionOptions extends MountOptions {
  /**
   * How names reach handlers: `utf8` (default; a name that is not valid UTF-8 is answered EILSEQ), `latin1` (one
   * character per byte, so every name is exact) or `buffer` (a Buffer with the exact bytes).
   */
  encoding?: 'utf8' | 'latin1' | 'buffer'
  /** INIT flags to insist on beyond the defaults, in C spelling: `['FUSE_WRITEBACK_CACHE']`. mount() fails without them. */
  want?: readonly InitFlagName[]
  /** INIT flags to ask for where the kernel offers them; `want` insists on its own. */
  prefer?: readonly InitFlagName[]
  /** INIT flags not to ask for, though they are a default. */
  refuse?: readonly InitFlagName[]
  /**
   * Largest WRITE in bytes, 4096 to 16 MiB, and, rounded up to whole pages, largest READ. Default 1 MiB; the kernel's
   * `fs.fuse.max_pages_limit` bounds it.
   */
  maxWrite?: number
  /** Most bytes the kernel reads ahead; its own default where absent. */
  maxReadahead?: number
  /** Most background requests (readahead, writeback, asynchronous direct I/O) in flight. Default 64. */
  maxBackground?: number
  /** Background requests beyond which the kernel calls the device congested. Default 3/4 of maxBackground. */
  congestionThreshold?: number
  /** Granularity of timestamps in nanoseconds, a power of ten up to 1e9. Default 1. */
  timeGran?: number
  /**
   * Kernel: how deep filesystems may be stacked with this one, 1 or 2 (`max_stack_depth`). 2, the default, lets files
   * on overlayfs back a file here; 1 lets this mount be a layer of an overlayfs. A mirror chooses by its source: 1 where that is
   * a plain disk with nothing mounted below.
   */
  maxStackDepth?: 1 | 2
  /** Kernel: seconds after which a request without an answer aborts the connection. Default: never. */
  requestTimeout?: number
  /**
   * Milliseconds that a handler has to settle after its caller was interrupted. A caller that is being killed then gets
   * EINTR from the session, whatever the handler does, and `release` may follow while it is still at work; should it settle
   * later, what it gave out is taken back (`release`, `forget`, unlocking). Callers that go on living wait as long as the handler takes. Default 500.
   */
  interruptGrace?: number
  /**
   * `auto` (default): passthrough where kernel and privileges allow it, else the data is served by the library;
   * `on`: mounting fails with the reason where it is impossible; `off`: not negotiated.
   */
  passthrough?: 'auto' | 'on' | 'off'
  /**
   * Who may use the mount: `all` is `allowOther`; `rootAndOwner` is `allowRoot`, and `owner` leaves even root out where the
   * kernel would not. The session answers EACCES to everybody else's requests; what the kernel answers from its caches
   * (names and attributes with their validity) it cannot hide. Default: what `allowOther` and `allowRoot` say, which
   * without them is the owner, enforced by the kernel.
   */
  access?: Access
  /**
   * How requests reach this process. `device` (default): read(2) and write(2) on /dev/fuse. `ring`: FUSE over io_uring (Linux
   * 6.14 and newer, where root has turned it on); mounting fails with the reason where it is impossible. `auto`: whichever
   * measures better of what is possible, and the device while the guard is on; `session.stats()` says which and why. Over a ring there are no clones but
   * those of the option `workers`, no `notify.resend` and no `deadlockGuard`, and a killed writer waits for its handler.
   */
  transport?: 'auto' | 'device' | 'ring'
  /**
   * Entries of each of the ring's queues (one per possible CPU) to begin with, 1 to 1024. Default 32. Each takes a little more than
   * `maxWrite` of address space, and of memory what its requests have touched. A queue grows to 1024 while requests wait.
   */
  ringDepth?: number
  /** Longest busy poll for the next request, in microseconds; 0 turns it off. Default 200, used only while it pays. */
  busyPoll?: number
  /**
   * Answer EDEADLK, with a warning, where this thread waits for a request that only it could answer: a sync call on its own mount,
   * `execFileSync` of a program that uses it, `spawn` with its `cwd` there. Otherwise that would hang for ever. Default true.
   */
  deadlockGuard?: boolean
  /** Unmount on SIGINT, SIGTERM and SIGHUP. Default true; `process.exit()` and crashes always detach the mount. */
  handleSignals?: boolean
  /**
   * Unmounts when it is aborted, lazily where the mount is busy; `session.closed` tells when that is done. Aborted before the
   * mount is there, mount() rejects with an AbortError (code ABORT_ERR) and nothing is mounted.
   */
  signal?: AbortSignal
  /** Serve `devfuse stats` over a socket below /run/devfuse (or XDG_RUNTIME_DIR). Default false. */
  control?: boolean
  /** Gets what is survived and only reported. Default: `process.emitWarning`. */
  onWarning?: (warning: DevfuseWarning) => void
}

/** Options of `mount()` for a filesystem that a module exports. */
export interface ModuleOptions extends SessionOptions {
  /** Serve it in a worker thread of its own: the default. `false` imports the module into this thread. */
  worker?: boolean
  /**
   * For the module: its default export is called with it where that is a function or class, and `workerData` of
   * node:worker_threads is a copy of it. Anything that structured cloning can copy.
   */
  data?: unknown
  /**
   * Threads that serve the mount together, 1 (default) to 256, or `auto`: one for each CPU that this process may use. Each imports
   * the module and has a filesystem of its own from it, which has to say `shareable: true`. With `transport: 'ring'` each thread
   * serves the requests that are made on its CPUs. Takes away the deadlock guard and passthrough.
   */
  workers?: number | 'auto'
  /**
   * With `transport: 'ring'` and several workers: keep each on the CPUs that it serves, so that a request and its answer stay
   * on one. Programs and threads that a handler starts inherit that. With `worker: false` one of them is the calling thread, until
   * the end of the session. Default true.
   */
  pinWorkers?: boolean
  /** What of `data` moves to the worker instead of being copied: MessagePorts, ArrayBuffers, ... */
  transferList?: readonly Transferable[]
}

/** Options with every default filled in. */
export interface ResolvedOptions extends SessionOptions {
  encoding: 'utf8' | 'latin1' | 'buffer'
  want: readonly InitFlagName[]
  prefer: readonly InitFlagName[]
  refuse: readonly InitFlagName[]
  maxWrite: number
  maxBackground: number
  timeGran: number
  maxStackDepth: 1 | 2
  interruptGrace: number
  passthrough: 'auto' | 'on' | 'off'
  transport: 'auto' | 'device' | 'ring'
  ringDepth: number
  /** Why `transport` is what it is, once it was chosen. */
  transportReason?: string
  handleSignals: boolean
  deadlockGuard: boolean
  control: boolean
  onWarning: (warning: DevfuseWarning) => void
}

const MIN_WRITE = 4096
const MAX_WRITE = 16 * 1024 * 1024
const U16 = 0xffff
const U32 = 0xffff_ffff

const checks: { [Key in keyof Required<Omit<SessionOptions, keyof MountOptions>>]: Check } = {
  encoding: oneOf('utf8', 'latin1', 'buffer'),
  want: flagList,
  prefer: flagList,
  refuse: flagList,
  maxWrite: integer(MIN_WRITE, MAX_WRITE),
  maxReadahead: integer(0, U32),
  maxBackground: integer(1, U16),
  congestionThreshold: integer(1, U16),
  timeGran: powerOfTen,
  maxStackDepth: oneOf(1, 2),
  requestTimeout: integer(1, U16),
  interruptGrace: integer(1, 3_600_000),
  passthrough: oneOf('auto', 'on', 'off'),
  transport: oneOf('auto', 'device', 'ring'),
  ringDepth: integer(1, MOST_PER_QUEUE),
  busyPoll: integer(0, 1000),
  handleSignals: boolean,
  deadlockGuard: boolean,
  control: boolean,
  onWarning: func,
  signal: abortSignal,
  access: oneOf('all', 'owner', 'rootAndOwner'),
}

const mountChecks: { [Key in keyof Required<MountOptions>]: Check } = {
  fsName: text,
  subtype,
  allowOther: boolean,
  allowRoot: boolean,
  defaultPermissions: boolean,
  readOnly: boolean,
  suid: boolean,
  dev: boolean,
  noexec: boolean,
  noatime: boolean,
  nodiratime: boolean,
  relatime: boolean,
  strictatime: boolean,
  lazytime: boolean,
  nosymfollow: boolean,
  sync: boolean,
  dirsync: boolean,
  maxRead: integer(MIN_WRITE, MAX_WRITE),
  blockDevice: path,
  blksize: powerOfTwo,
  context: text,
  owner,
  options: words,
  syncInit: boolean,
  clearStale: boolean,
  autoUnmount: boolean,
}

/** How a passed descriptor was mounted, which the session has to know. */
const KNOWN_OF_PASSED = ['defaultPermissions', 'allowOther', 'allowRoot']

/** The names of all options of a session, for those who hand some of theirs on. */
export const sessionOptionNames: readonly string[] = Object.keys({ ...checks, ...mountChecks })

/** Options that say something about a module, and nothing about a session. */
export const moduleOptionNames = ['worker', 'data', 'transferList', 'workers', 'pinWorkers'] as const

const MOST_WORKERS = 256

/** Validates the options of a module that say how many threads serve it. Throws an {@link OptionError}. */
export function resolveWorkers({ workers = 1, pinWorkers = true }: ModuleOptions): {
  workers: number
  pinWorkers: boolean
} {
  const known = workers === 'auto' ? undefined : integer(1, MOST_WORKERS)(workers)
  if (known !== undefined)
    throw new OptionError(`option \`workers\` must be ${known} or 'auto', not ${show(workers)}`)
  requireBoolean('pinWorkers', pinWorkers)
  return { workers: workers === 'auto' ? usableCpus().length : workers, pinWorkers }
}

/** Validates options and fills in the defaults. Throws an {@link OptionError} that names the key and the fix. */
export function resolveOptions(given: SessionOptions): ResolvedOptions {
  validate(given, { ...checks, ...mountChecks })
  const options = settleAccess(foldOrRefuse(given))
  const resolved: ResolvedOptions = {
    encoding: 'utf8',
    want: [],
    prefer: [],
    refuse: [],
    maxWrite: 1024 * 1024,
    maxBackground: 64,
    timeGran: 1,
    maxStackDepth: 2,
    interruptGrace: 500,
    passthrough: 'auto',
    transport: 'device',
    ringDepth: 32,
    handleSignals: true,
    deadlockGuard: true,
    control: false,
    onWarning: emitWarning,
    ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
  }
  const { congestionThreshold, maxBackground } = resolved
  if (congestionThreshold !== undefined && congestionThreshold > maxBackground) {
    throw new OptionError(
      `option \`congestionThreshold\` (${congestionThreshold}) must not exceed \`maxBackground\` (${maxBackground})`,
    )
  }
  return resolved
}

/**
 * {@link resolveOptions}, with the `encoding` of the filesystem's property `mountOptions` where none is given: it says what the names of
 * that filesystem are.
 */
export function resolveFor(filesystem: object, given: SessionOptions): ResolvedOptions {
  if (typeof filesystem !== 'object' || filesystem === null)
    throw new OptionError(`a filesystem is an object of handlers, not ${show(filesystem)}`)
  const { mountOptions } = filesystem as { mountOptions?: SessionOptions }
  const encoding = given.encoding ?? mountOptions?.encoding
  return resolveOptions(encoding === undefined ? given : { ...given, encoding })
}

/** Validates options of a mount that is not served here. Throws an {@link OptionError} that names the key and the fix. */
export function resolveMountOptions(given: MountOptions): MountOptions {
  validate(given, mountChecks)
  const { syncInit, allowRoot } = given
  if (syncInit || allowRoot) {
    throw new OptionError(
      `\`${syncInit ? 'syncInit' : 'allowRoot'}\` takes a session: pass it where the mount is served` +
        (allowRoot ? ", as `access: 'rootAndOwner'`, and mount with allowOther" : ''),
    )
  }
  return foldOrRefuse(given)
}

/** Refuses what only whoever mounts can have. */
export function refuseMountOptions(options: SessionOptions): void {
  const wrong = Object.keys(options).find(
    (key) => Object.hasOwn(mountChecks, key) && !KNOWN_OF_PASSED.includes(key),
  )
  if (wrong !== undefined)
    throw new OptionError(`option \`${wrong}\` belongs to the mount, which was made already`)
}

function foldOrRefuse<Options extends MountOptions>(given: Options): Options {
  let options: Options
  try {
    options = foldWords(given)
  } catch (error) {
    throw new OptionError((error as Error).message)
  }
  if (options.options !== undefined) {
    // What became an option of its own is held to the same rules.
    const { options: _, ...folded } = options
    validate(
      Object.fromEntries(Object.entries(folded).filter(([key]) => Object.hasOwn(mountChecks, key))),
      mountChecks,
    )
  }
  if (options.blksize !== undefined && options.blockDevice === undefined)
    throw new OptionError('option `blksize` needs `blockDevice`: plain FUSE mounts have none')
  if (options.relatime && options.strictatime)
    throw new OptionError('options `relatime` and `strictatime` exclude each other')
  if (options.noatime && options.strictatime)
    throw new OptionError('options `noatime` and `strictatime` exclude each other')
  return options
}

/** `access` says in one word what allowOther and allowRoot say in two. */
function settleAccess(options: SessionOptions): SessionOptions {
  const { access = options.allowRoot ? 'rootAndOwner' : undefined } = options
  if (options.allowRoot && (options.allowOther || access !== 'rootAndOwner')) {
    throw new OptionError(
      "`allowRoot` means access: 'rootAndOwner'; leave the other of allowOther and access out",
    )
  }
  if (access === undefined) return options
  if (access === 'all' && options.allowOther === false)
    throw new OptionError("access: 'all' is `allowOther`, which is false here: leave one of the two out")
  return { ...options, access, allowOther: options.allowOther || access !== 'owner' }
}
