// Which kind of filesystem an object is, told by what it has: the first row of the table that fits.
import { OptionError } from '../../index.js'
import { isPromise } from './awaitable.js'
import type { PathFilesystem } from './path-filesystem.js'
import { callback } from './shapes/callback.js'
import { justBash } from './shapes/just-bash.js'
import { nodeFsModule, nodeFsPromises } from './shapes/node-fs.js'
import { memfs, memfsPromises } from './shapes/memfs.js'
import { mountx, promises, withPromises } from './shapes/promises.js'
import { rooted } from './shapes/rooted.js'
import { has } from './shapes/shape.js'
import type { Shape, ShapeOptions, Thing } from './shapes/shape.js'
import { sync } from './shapes/sync.js'
import { union } from './shapes/union.js'
import { vfs } from './shapes/vfs.js'
import { unstorage } from './shapes/unstorage.js'

/** An object that was written to the contract, or comes close enough. */
const byPath: Shape = {
  name: 'PathFilesystem',
  needs: 'readdir with lstat or stat, or readFile, open or createReadStream beside one of them',
  fits: (thing) =>
    ['lstat', 'stat', 'readdir'].some((name) => has(thing, name)) &&
    ['readdir', 'readFile', 'open', 'createReadStream'].some((name) => has(thing, name)),
  adapt: (thing) => thing,
}

/** Rows that say more about an object come before those that say less. */
export const shapes: readonly Shape[] = [
  nodeFsModule,
  nodeFsPromises,
  union,
  unstorage,
  justBash,
  memfs,
  vfs,
  sync,
  memfsPromises,
  withPromises,
  mountx,
  promises,
  callback,
  byPath,
]

/** Kinds whose methods have other names, take other arguments or answer otherwise than those of the contract. */
const FOREIGN = new Set<Shape>([nodeFsModule, union, unstorage, justBash, memfs, vfs, callback])

/** What {@link recognise} found. */
export interface Recognised {
  /** Name of the kind. */
  shape: string
  fs: PathFilesystem
}

/**
 * Brings an object into the shape of a filesystem by path. Throws an `OptionError` that says what is missing where it
 * is of no known kind.
 */
export function recognise(fsLike: object, options: ShapeOptions = {}): Recognised {
  const thing = thingOf(fsLike)
  const shape = shapes.find((one) => one.fits(thing, options))
  if (shape === undefined) throw new OptionError(whatIsMissing(thing))
  const fs = shape.adapt(thing, options)
  // Real directories are not made into a root by putting it before paths.
  const isReal = shape === nodeFsModule || shape === nodeFsPromises
  return { shape: shape.name, fs: isReal ? fs : rooted(fs, options.root ?? '/') }
}

/** Throws an `OptionError` for what can be no {@link PathFilesystem} because its methods are those of another kind. */
export function requirePathFilesystem(fsLike: object): void {
  const thing = thingOf(fsLike)
  const shape = shapes.find((one) => one.fits(thing, {}))
  if (shape === undefined) return
  // What has sync methods may have those of the contract beside them; beside promises they take callbacks.
  const foreign = FOREIGN.has(shape) || (shape === sync && !byPath.fits(thing, {}))
  if (foreign || withPromises.fits(thing, {}))
    throw new OptionError(
      `this object is no filesystem by path, but one of the kind ${shape.name}: give it to mountFs, or pass \`recognise(object).fs\``,
    )
}

function thingOf(fsLike: object): Thing {
  if (typeof fsLike !== 'object' || fsLike === null) {
    const given = fsLike === null ? 'null' : `a ${typeof fsLike}`
    const fix = typeof fsLike === 'function' ? '; where it is a class, make one with `new`' : ''
    throw new OptionError(`an object is needed that is a filesystem, not ${given}${fix}`)
  }
  if (isPromise(fsLike))
    throw new OptionError('an object is needed that is a filesystem, not a promise of one: `await` it first')
  return fsLike as Thing
}

function whatIsMissing(thing: Thing): string {
  const methods = new Set<string>()
  for (let at: object | null = thing; at !== null && at !== Object.prototype; at = Object.getPrototypeOf(at))
    for (const name of Object.getOwnPropertyNames(at))
      if (name !== 'constructor' && typeof thing[name] === 'function') methods.add(name)
  const found = methods.size === 0 ? 'no methods' : [...methods].slice(0, 12).join(', ')
  return (
    `this object is no filesystem that can be mounted: it has ${found}. It needs ` +
    shapes.map(({ name, needs }) => `${needs} (${name})`).join('; or ')
  )
}
