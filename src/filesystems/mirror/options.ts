// The options of a mirror: its own, checked here, and those of the session, handed on to mount().
import { OptionError, sessionOptionNames } from '../../index.js'
import type { SessionOptions } from '../../index.js'
import type { SourceAccess } from './source.js'

/** How long the kernel may answer from its caches without asking, in seconds (fractions allowed). */
export interface CacheTimes {
  /** A name that exists. */
  entryValid: number
  /** Attributes (size, times, mode ...). */
  attrValid: number
  /** A name that does not exist. */
  negativeValid: number
}

/** {@link CacheTimes}, and what goes with them. */
export interface CachePolicy extends CacheTimes {
  /** Cached data outlives the last close (FOPEN_KEEP_CACHE). */
  keepData: boolean
}

/** Options of {@link mirror} and {@link mountMirror}: those below, and every option of a session but `encoding`. */
export interface MirrorOptions extends Omit<SessionOptions, 'encoding'> {
  /**
   * How stale the mirror may be about changes made on the source behind its back. Changes made through the mirror are
   * seen at once, whatever this says.
   *
   * - `normal` (default): names and attributes may be one second old; a name that appears is seen at once.
   * - `none`: the source is asked every time.
   * - `{ entryValid, attrValid, negativeValid }`: seconds; what is left out is as in `normal`. From a minute of both `entryValid` and
   *   `attrValid` on, the kernel keeps listings, too: `attrValid` after a change on the source they are read anew. For root, Linux 6.13,
   *   and a source on ext4, xfs, btrfs or tmpfs with nothing mounted below it; not with `strictatime`.
   * - `strong`: the kernel keeps all it knows, names that do not exist and whole directories included, and the mirror watches the
   *   source to take back what changes there. Needs root, Linux 6.16, and a source on ext4, xfs, btrfs or tmpfs; filesystems
   *   mounted below it that are no such thing are cached as in `normal`. Where events get lost (FAN_Q_OVERFLOW), everything is
   *   taken back, and `normal` holds until that is done; `onWarning` hears of it (ERR_DEVFUSE_WATCH). Not seen on the source are
   *   reads (access times) and, until the file is closed, writes through a mapping: only their data with passthrough.
   *
   * Attributes of a file that was open for reading and writing are not cached any more with passthrough on, because the kernel
   * reports neither writes through a mapping nor its end. File contents are never more stale than attributes are.
   */
  cache?: 'normal' | 'none' | 'strong' | Partial<CacheTimes>
  /**
   * Most descriptors (O_PATH) kept open for directories and files that are not open, at least 16. They save system calls;
   * what falls out is found again by its file handle, or by walking down from the root. Default: a quarter of
   * RLIMIT_NOFILE, at most 4096.
   */
  maxPathDescriptors?: number
}

/** Mirror options with the defaults filled in. */
export interface ResolvedMirrorOptions {
  cache: CachePolicy
  /** The source is watched, and `cache` holds while that works. */
  strong: boolean
  passthrough: 'auto' | 'on' | 'off'
  maxPathDescriptors: number | undefined
  session: Omit<SessionOptions, 'encoding'>
}

/** What holds without a watch. */
export const NORMAL: CachePolicy = { entryValid: 1, attrValid: 1, negativeValid: 0, keepData: false }
export const NONE: CachePolicy = { entryValid: 0, attrValid: 0, negativeValid: 0, keepData: false }
/** An hour bounds what no event tells of. */
const LONG = 3600
const STRONG: CachePolicy = { entryValid: LONG, attrValid: LONG, negativeValid: LONG, keepData: true }
const CACHE_KEYS = ['entryValid', 'attrValid', 'negativeValid']
const MIN_PATH_DESCRIPTORS = 16

/** Checks the options. Throws an {@link OptionError} that names the key and the fix. */
export function resolveMirrorOptions(options: MirrorOptions): ResolvedMirrorOptions {
  const session: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(options)) {
    if (key === 'cache' || key === 'maxPathDescriptors') continue
    if (key === 'encoding') {
      throw new OptionError(
        'option `encoding`: a mirror keeps names byte-exact by itself (latin1); leave it out',
      )
    }
    if (!sessionOptionNames.includes(key)) {
      const known = ['cache', 'maxPathDescriptors', ...sessionOptionNames]
        .filter((name) => name !== 'encoding')
        .toSorted()
      throw new OptionError(`unknown option \`${key}\` of a mirror; the options are ${known.join(', ')}`)
    }
    if (value !== undefined) session[key] = value
  }
  const { passthrough = 'auto', maxPathDescriptors } = options
  if (!['auto', 'on', 'off'].includes(passthrough)) {
    throw new OptionError(
      `option \`passthrough\` must be 'auto', 'on' or 'off', not ${JSON.stringify(passthrough)}`,
    )
  }
  if (
    maxPathDescriptors !== undefined &&
    !(Number.isInteger(maxPathDescriptors) && maxPathDescriptors >= MIN_PATH_DESCRIPTORS)
  ) {
    throw new OptionError(
      `option \`maxPathDescriptors\` must be an integer from ${MIN_PATH_DESCRIPTORS}, not ${String(maxPathDescriptors)}`,
    )
  }
  const strong = options.cache === 'strong'
  return { cache: resolveCache(options.cache), strong, passthrough, maxPathDescriptors, session }
}

/** What the mount's options say about access to the source, by themselves or as words of mount(8). */
export function accessOf(session: ResolvedMirrorOptions['session']): SourceAccess {
  const words = new Set(session.options)
  return {
    readOnly: session.readOnly ?? words.has('ro'),
    noatime: session.noatime ?? words.has('noatime'),
    nodiratime: session.nodiratime ?? words.has('nodiratime'),
    relatime: session.relatime ?? words.has('relatime'),
    strictatime: session.strictatime ?? words.has('strictatime'),
  }
}

function resolveCache(cache: MirrorOptions['cache']): CachePolicy {
  if (cache === undefined || cache === 'normal') return NORMAL
  if (cache === 'none') return NONE
  if (cache === 'strong') return STRONG
  if (typeof cache !== 'object' || cache === null) {
    throw new OptionError(
      `option \`cache\` must be 'normal', 'none', 'strong' or { entryValid, attrValid, negativeValid }, not ${JSON.stringify(cache)}`,
    )
  }
  for (const [key, value] of Object.entries(cache)) {
    if (!CACHE_KEYS.includes(key)) {
      throw new OptionError(
        `unknown key \`${key}\` of option \`cache\`; the keys are entryValid, attrValid, negativeValid`,
      )
    }
    if (value !== undefined && !(typeof value === 'number' && value >= 0 && Number.isFinite(value))) {
      throw new OptionError(
        `option \`cache.${key}\` must be a number of seconds from 0, not ${String(value)}`,
      )
    }
  }
  const {
    entryValid = NORMAL.entryValid,
    attrValid = NORMAL.attrValid,
    negativeValid = NORMAL.negativeValid,
  } = cache
  return { entryValid, attrValid, negativeValid, keepData: false }
}
