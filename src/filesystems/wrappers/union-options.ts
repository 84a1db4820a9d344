// The `mountOptions` of a union: what those of its layers come to together, or why they do not.
import { isDeepStrictEqual } from 'node:util'
import { OptionError } from '../../index.js'
import type { Access, SessionOptions } from '../../index.js'

type InitFlag = NonNullable<SessionOptions['want']>[number]
type Options = Readonly<SessionOptions>

/** What gives rights, and that nothing can be changed, holds where every layer says so. */
const OF_ALL = ['readOnly', 'suid', 'dev'] as const
/** What takes some away, or makes a promise to programs, holds where one layer asks for it. */
const OF_ANY = ['defaultPermissions', 'noexec', 'nosymfollow', 'sync', 'dirsync'] as const
/** The smallest is what all can take. */
const SMALLEST = ['maxWrite', 'maxRead', 'maxReadahead', 'maxBackground', 'congestionThreshold'] as const

const SETTLED: ReadonlySet<string> = new Set([
  ...['encoding', 'access', 'allowOther', 'allowRoot', 'passthrough', 'maxStackDepth', 'timeGran'],
  ...['want', 'prefer', 'refuse', ...OF_ALL, ...OF_ANY, ...SMALLEST],
])

/** These only make requests say more, or deny something that no layer needs. */
const HARMLESS: ReadonlySet<InitFlag> = new Set(['FUSE_CREATE_SUPP_GROUP', 'FUSE_NO_EXPORT_SUPPORT'])
/** Not to be had: a union looks up no `.` and `..`, answers every OPEN and OPENDIR, and has no READDIRPLUS. */
const NEVER: ReadonlySet<InitFlag> = new Set([
  ...(['FUSE_EXPORT_SUPPORT', 'FUSE_NO_OPEN_SUPPORT', 'FUSE_NO_OPENDIR_SUPPORT'] as const),
  ...(['FUSE_DO_READDIRPLUS', 'FUSE_READDIRPLUS_AUTO'] as const),
])

/** What a filesystem asks `mount()` for; nothing where it does not say. */
export function optionsOf(filesystem: object): Options {
  return (filesystem as { mountOptions?: Options }).mountOptions ?? {}
}

/** Merges the options of layers. Throws an OptionError where what one insists on is not for all. */
export function mergedOptions(layers: readonly Options[]): SessionOptions {
  const merged: Record<string, unknown> = {}
  for (const key of new Set(layers.flatMap((layer) => Object.keys(layer)))) {
    if (SETTLED.has(key)) continue
    const [said, ...others] = saidOf(layers, key as keyof SessionOptions)
    // Of those that differ none is the union's.
    if (said !== undefined && others.every((other) => isDeepStrictEqual(other, said))) merged[key] = said
  }
  for (const key of OF_ALL) if (layers.every((layer) => layer[key])) merged[key] = true
  for (const key of OF_ANY) if (layers.some((layer) => layer[key])) merged[key] = true
  for (const key of SMALLEST) {
    const said = saidOf(layers, key)
    if (said.length > 0) merged[key] = Math.min(...said)
  }
  const [encoding] = saidOf(layers, 'encoding')
  if (encoding !== undefined) merged.encoding = sameEncoding(layers, encoding)
  return {
    ...merged,
    ...accessOf(layers),
    ...passthroughOf(layers),
    ...timeGranOf(layers),
    ...flagsOf(layers),
  }
}

function saidOf<Key extends keyof SessionOptions>(
  layers: readonly Options[],
  key: Key,
): NonNullable<SessionOptions[Key]>[] {
  return layers.flatMap(({ [key]: said }) => (said === undefined || said === null ? [] : [said]))
}

function sameEncoding(layers: readonly Options[], encoding: string): string {
  const other = layers.findIndex((layer) => layer.encoding !== undefined && layer.encoding !== encoding)
  if (other < 0) return encoding
  const first = layers.findIndex((layer) => layer.encoding !== undefined)
  throw new OptionError(
    `the layers ${first} and ${other} of union() take names of different \`encoding\`, ${JSON.stringify(encoding)} and ` +
      `${JSON.stringify(layers[other].encoding)}: a union hands all of them the same names, so layers must agree in their \`mountOptions\``,
  )
}

const NARROW_TO_WIDE: readonly Access[] = ['owner', 'rootAndOwner', 'all']

/** The narrowest; a layer that says nothing is for its owner, which needs no words. */
function accessOf(layers: readonly Options[]): Pick<SessionOptions, 'access' | 'allowOther'> {
  const wanted = layers.map(
    ({ access, allowRoot, allowOther }) => access ?? (allowRoot ? 'rootAndOwner' : allowOther && 'all'),
  )
  const narrowest = NARROW_TO_WIDE.find((access) => wanted.includes(access))
  if (narrowest === 'owner') return { access: 'owner' }
  if (narrowest === undefined || !wanted.every(Boolean)) return {}
  return narrowest === 'all' ? { allowOther: true } : { access: narrowest }
}

/** Layers without passthrough have nothing to say about it. */
function passthroughOf(layers: readonly Options[]): Pick<SessionOptions, 'passthrough' | 'maxStackDepth'> {
  const having = layers.filter(({ passthrough }) => passthrough !== 'off')
  if (having.length === 0) return { passthrough: 'off' }
  const deep = having.some(({ maxStackDepth = 2 }) => maxStackDepth === 2)
  const insists = having.some(({ passthrough }) => passthrough === 'on')
  return { passthrough: insists ? 'on' : 'auto', maxStackDepth: deep ? 2 : 1 }
}

/** Times as coarse as all layers keep them. */
function timeGranOf(layers: readonly Options[]): Pick<SessionOptions, 'timeGran'> {
  const finest = Math.min(...layers.map(({ timeGran = 1 }) => timeGran))
  return finest > 1 ? { timeGran: finest } : {}
}

/**
 * An INIT flag is a promise about every inode: that the server applies the umask, truncates in OPEN, clears setuid bits. A layer
 * that does not know of it would break it in silence, so a flag is asked for where all layers know it. A layer that refuses
 * one cannot live with it, so one is enough.
 */
function flagsOf(layers: readonly Options[]): Pick<SessionOptions, 'want' | 'prefer' | 'refuse'> {
  const known = layers.map(({ want = [], prefer = [] }) => new Set([...want, ...prefer]))
  const promised = (flag: InitFlag): boolean =>
    !NEVER.has(flag) && (HARMLESS.has(flag) || known.every((flags) => flags.has(flag)))
  const want = new Set(layers.flatMap((layer) => layer.want ?? []))
  const refuse = new Set(layers.flatMap((layer) => layer.refuse ?? []))
  for (const flag of want) {
    if (NEVER.has(flag)) throw new OptionError(`a layer of union() wants ${flag}, which a union cannot have`)
    if (!promised(flag))
      throw new OptionError(
        `layer ${known.findIndex((flags) => !flags.has(flag))} of union() does not know ${flag}, which another one wants: it would hold ` +
          'for all, so each has to name it in `want` or `prefer` of its `mountOptions`',
      )
  }
  const prefer = new Set(known.flatMap((flags) => [...flags]))
  return {
    ...(want.size > 0 && { want: [...want] }),
    prefer: [...prefer].filter((flag) => promised(flag) && !want.has(flag) && !refuse.has(flag)),
    ...(refuse.size > 0 && { refuse: [...refuse] }),
  }
}
