// The options of fsFrom: its own, checked here, and those of the session, handed on to connect().
import { OptionError, initFlags } from '../../index.js'
import type { Filesystem, SessionOptions } from '../../index.js'
import { OFFERED } from './kernel.js'
import type { Behaviour } from './kernel.js'

/** Options of a session that mean something without a mount. */
export type ViewSessionOptions = Pick<
  SessionOptions,
  | 'encoding'
  | 'want'
  | 'prefer'
  | 'refuse'
  | 'maxWrite'
  | 'maxBackground'
  | 'congestionThreshold'
  | 'timeGran'
  | 'maxStackDepth'
  | 'interruptGrace'
  | 'passthrough'
  | 'access'
  | 'onWarning'
>

const SESSION: readonly string[] = [
  ...['encoding', 'want', 'prefer', 'refuse', 'maxWrite', 'maxBackground', 'congestionThreshold'],
  ...['timeGran', 'maxStackDepth', 'interruptGrace', 'passthrough', 'access', 'onWarning'],
]

/** Options of {@link fsFrom}. */
export interface FsFromOptions extends ViewSessionOptions {
  /** User id that acts. Default: that of this process. */
  uid?: number
  /** Group id that acts. Default: that of this process. */
  gid?: number
  /** Supplementary groups, for permission checks. Default: none. */
  groups?: readonly number[]
  /** Process id that requests name. Default: that of this process. */
  pid?: number
  /** Umask of the caller. Default: 0o022. */
  umask?: number
  /** Checks permissions by mode and owner, as the mount option does. Default false: that is the filesystem's business. */
  defaultPermissions?: boolean
  /** Answers EROFS to every change, as the mount option does. Default false. */
  readOnly?: boolean
}

const MAX_ID = 0xffff_fffe

/** What the options say, and what the filesystem itself asks for in `mountOptions`. */
export function resolveOptions(
  filesystem: Filesystem,
  given: FsFromOptions,
): { session: ViewSessionOptions; behaviour: Behaviour } {
  const own = ['uid', 'gid', 'groups', 'pid', 'umask', 'defaultPermissions', 'readOnly']
  for (const key of Object.keys(given)) {
    if (own.includes(key) || SESSION.includes(key)) continue
    throw new OptionError(
      `unknown option \`${key}\` of fsFrom; the options are ${[...own, ...SESSION].toSorted().join(', ')}`,
    )
  }
  const { mountOptions = {} } = filesystem as { mountOptions?: SessionOptions }
  const options = { ...mountOptions, ...definedOf(given) } as FsFromOptions & SessionOptions
  const { defaultPermissions = false, readOnly = false, groups = [] } = options
  const identity = {
    uid: idOf('uid', options.uid ?? process.getuid?.() ?? 0),
    gid: idOf('gid', options.gid ?? process.getgid?.() ?? 0),
    groups: groupsOf(groups),
    pid: idOf('pid', options.pid ?? process.pid),
    umask: idOf('umask', options.umask ?? 0o022) & 0o777,
  }
  const session: ViewSessionOptions = Object.fromEntries(
    Object.entries(options).filter(([key]) => SESSION.includes(key)),
  )
  // A preference that is not offered counts for nothing, but some of them would ask for other options.
  session.prefer = session.prefer?.filter((flag) => OFFERED.includes(flag) || !isInitFlag(flag))
  return { session, behaviour: { identity, readOnly, defaultPermissions } }
}

const isInitFlag = (name: string): boolean => initFlags.some((flag) => flag.name === name)

const definedOf = (options: object): object =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))

function groupsOf(groups: unknown): number[] {
  if (!Array.isArray(groups))
    throw new OptionError(`option \`groups\` must be an array of group ids, not ${String(groups)}`)
  return groups.map((group: number) => idOf('groups', group))
}

function idOf(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= MAX_ID) return value
  throw new OptionError(`option \`${name}\` must be an integer from 0 to ${MAX_ID}, not ${String(value)}`)
}
