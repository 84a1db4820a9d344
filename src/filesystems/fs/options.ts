// Options of a filesystem by path, checked in one place, and those of the session, which are handed on.
import { OptionError, sessionOptionNames } from '../../index.js'
import type { SessionOptions } from '../../index.js'
import type { Defaults } from './attributes.js'
import { shapeChecks } from './shapes/shape.js'
import type { ShapeOptions } from './shapes/shape.js'

/** Options of {@link fsFilesystem}. */
export interface PathOptions {
  /**
   * Seconds that the kernel may believe a name, the attributes of a file, and that a name does not exist. Default 0: the object
   * is asked each time, so that what your program changes is seen at once. Larger values are for objects that change
   * through the mount alone, or may be seen late. File content is kept over opens as long as size and mtime stay, where the
   * object tells an mtime; with `attrValid` 0 only where it tells mtime and ctime, and not of files that were changed in the
   * last seconds.
   */
  entryValid?: number
  attrValid?: number
  negativeValid?: number
  /**
   * What happens to chmod, chown, times, symlinks and empty directories where the object has no method for them. `remember`
   * (default): they are kept in memory and **gone after unmounting**, which is enough for `cp -a`, `tar` and `git` to work.
   * `refuse`: EOPNOTSUPP, or EPERM for symlinks and directories.
   */
  unsupported?: 'remember' | 'refuse'
  /** Owner of what the object tells no owner of. Default: whoever runs this process. */
  uid?: number
  gid?: number
  /** Permission bits of files that the object tells none of. Default 0o644, read-only 0o444. */
  fileMode?: number
  /** Permission bits of directories that the object tells none of. Default 0o755, read-only 0o555. */
  directoryMode?: number
  /** Refuse every change with EROFS. Default: what the object says, or what its methods tell. */
  readOnly?: boolean
}

/** Options of {@link mountFs}: what the object is, those of the filesystem and those of the session. */
export type FsOptions = ShapeOptions & PathOptions & Omit<SessionOptions, 'encoding' | 'readOnly'>

export interface ResolvedFsOptions extends Defaults {
  entryValid: number
  attrValid: number
  negativeValid: number
  remember: boolean
  readOnly: boolean
}

type Check = (value: unknown) => string | undefined

const seconds: Check = (value) =>
  typeof value === 'number' && value >= 0 ? undefined : 'a number of seconds from 0'
const id: Check = (value) =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) < 0xffff_ffff
    ? undefined
    : 'a user or group id'
const permissions: Check = (value) =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0o7777
    ? undefined
    : 'permission bits such as 0o644'

const checks: { [Key in keyof Required<PathOptions>]: Check } = {
  entryValid: seconds,
  attrValid: seconds,
  negativeValid: seconds,
  unsupported: (value) => (value === 'remember' || value === 'refuse' ? undefined : "'remember' or 'refuse'"),
  uid: id,
  gid: id,
  fileMode: permissions,
  directoryMode: permissions,
  readOnly: (value) => (typeof value === 'boolean' ? undefined : 'true or false'),
}

/** Kernel: validity is 32 bits of seconds in practice; a year is for ever. */
const FOR_EVER = 365 * 86_400

/** Tells the options of the three apart. Throws an `OptionError` that names the key and the fix. */
export function splitOptions(given: FsOptions): {
  shape: ShapeOptions
  path: PathOptions
  session: SessionOptions
} {
  const shape: Record<string, unknown> = {}
  const path: Record<string, unknown> = {}
  const session: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(given)) {
    if (Object.hasOwn(shapeChecks, key)) shape[key] = value
    else if (Object.hasOwn(checks, key)) path[key] = value
    else if (key !== 'encoding' && sessionOptionNames.includes(key)) session[key] = value
    else
      throw unknownOption(key, [...Object.keys(shapeChecks), ...Object.keys(checks), ...sessionOptionNames])
  }
  validate(shape, shapeChecks)
  return { shape, path, session }
}

function unknownOption(key: string, known: readonly string[]): OptionError {
  const names = [...new Set(known)].filter((name) => name !== 'encoding').toSorted()
  return new OptionError(
    `unknown option \`${key}\` of a filesystem by path; the options are ${names.join(', ')}`,
  )
}

function validate(given: object, known: Record<string, Check>): void {
  for (const [key, value] of Object.entries(given)) {
    const check = Object.hasOwn(known, key) ? known[key] : undefined
    if (check === undefined) throw unknownOption(key, Object.keys(known))
    const wrong = value === undefined ? undefined : check(value)
    if (wrong !== undefined) throw new OptionError(`option \`${key}\` must be ${wrong}, not ${String(value)}`)
  }
}

/** Validates, and fills in the defaults. */
export function resolvePathOptions(given: PathOptions, readOnly: boolean): ResolvedFsOptions {
  validate(given, checks)
  return {
    entryValid: Math.min(given.entryValid ?? 0, FOR_EVER),
    attrValid: Math.min(given.attrValid ?? 0, FOR_EVER),
    negativeValid: Math.min(given.negativeValid ?? 0, FOR_EVER),
    remember: given.unsupported !== 'refuse',
    readOnly,
    uid: given.uid ?? process.geteuid?.() ?? 0,
    gid: given.gid ?? process.getegid?.() ?? 0,
    fileMode: given.fileMode ?? (readOnly ? 0o444 : 0o644),
    directoryMode: given.directoryMode ?? (readOnly ? 0o555 : 0o755),
    time: Date.now() / 1000,
  }
}
