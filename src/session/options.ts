// The options of mount(): validated in one place, every unknown key refused by name.
import type { MountOptions } from '../device/mount-options.js'
import type { InitFlagName } from '../protocol/index.js'
import { OptionError } from './errors.js'
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
  /** Largest WRITE and READ in bytes, 4096 to 16 MiB. Default 1 MiB; the kernel's `fs.fuse.max_pages_limit` bounds it. */
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
   * on overlayfs back a file here; 1 lets this mount be a layer of an overlayfs.
   */
  maxStackDepth?: 1 | 2
  /** Kernel: seconds after which a request without an answer aborts the connection. Default: never. */
  requestTimeout?: number
  /**
   * Milliseconds that a handler has to settle after its caller was interrupted. A caller that is being killed then gets
   * EINTR from the session, whatever the handler does; should it settle later, what it gave out is taken back (`release`,
   * `forget`, unlocking). Callers that go on living wait as long as the handler takes. Default 500.
   */
  interruptGrace?: number
  /**
   * `auto` (default): passthrough where kernel and privileges allow it, else the data is served by the library;
   * `on`: mounting fails with the reason where it is impossible; `off`: not negotiated.
   */
  passthrough?: 'auto' | 'on' | 'off'
  /** Longest busy poll for the next request, in microseconds; 0 turns it off. Default 200, used only while it pays. */
  busyPoll?: number
  /** Unmount on SIGINT, SIGTERM and SIGHUP. Default true; `process.exit()` and crashes always detach the mount. */
  handleSignals?: boolean
  /** Serve `devfuse stats` over a socket below /run/devfuse (or XDG_RUNTIME_DIR). Default false. */
  control?: boolean
  /** Gets what is survived and only reported. Default: `process.emitWarning`. */
  onWarning?: (warning: DevfuseWarning) => void
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
  handleSignals: boolean
  control: boolean
  onWarning: (warning: DevfuseWarning) => void
}

type Check = (value: unknown) => string | undefined

const boolean: Check = (value) => (typeof value === 'boolean' ? undefined : 'true or false')
const func: Check = (value) => (typeof value === 'function' ? undefined : 'a function')
const oneOf =
  (...values: readonly unknown[]): Check =>
  (value) =>
    values.includes(value) ? undefined : `one of ${values.map((one) => JSON.stringify(one)).join(', ')}`
const integer =
  (min: number, max: number): Check =>
  (value) =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max
      ? undefined
      : `an integer from ${min} to ${max}`
const text: Check = (value) =>
  typeof value === 'string' && value.length > 0 && !value.includes('\0') ? undefined : 'a string without NUL'
const subtype: Check = (value) =>
  typeof value === 'string' && /^[^\0,\s]+$/.test(value) ? undefined : 'a word without commas or spaces'
const flagList: Check = (value) =>
  Array.isArray(value) && value.every((one) => typeof one === 'string')
    ? undefined
    : 'an array of INIT flag names'
const powerOfTen: Check = (value) =>
  Number.isInteger(Math.log10(value as number)) && (value as number) >= 1 && (value as number) <= 1e9
    ? undefined
    : 'a power of ten from 1 to 1e9 (nanoseconds)'

const MIN_WRITE = 4096
const MAX_WRITE = 16 * 1024 * 1024
const U16 = 0xffff
const U32 = 0xffff_ffff

const checks: { [Key in keyof Required<SessionOptions>]: Check } = {
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
  busyPoll: integer(0, 1000),
  handleSignals: boolean,
  control: boolean,
  onWarning: func,
  fsName: text,
  subtype,
  allowOther: boolean,
  defaultPermissions: boolean,
  readOnly: boolean,
  suid: boolean,
  dev: boolean,
  noexec: boolean,
  noatime: boolean,
  sync: boolean,
  dirsync: boolean,
  maxRead: integer(MIN_WRITE, MAX_WRITE),
}

/** The names of all options of a session, for those who hand some of theirs on. */
export const sessionOptionNames: readonly string[] = Object.keys(checks)

/** Validates options and fills in the defaults. Throws an {@link OptionError} that names the key and the fix. */
export function resolveOptions(options: SessionOptions): ResolvedOptions {
  for (const [key, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, key) ? checks[key as keyof SessionOptions] : undefined
    if (check === undefined) {
      throw new OptionError(
        `unknown option \`${key}\`; the options are ${Object.keys(checks).sort().join(', ')}`,
      )
    }
    if (value === undefined) continue
    const wrong = check(value)
    if (wrong !== undefined) throw new OptionError(`option \`${key}\` must be ${wrong}, not ${show(value)}`)
  }
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
    handleSignals: true,
    control: false,
    onWarning: (problem) => process.emitWarning(problem),
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

function show(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value) : String(value)
}
