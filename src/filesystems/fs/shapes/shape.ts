// What the adapters have in common: an object of unknown make, and how its methods are looked up.
import type { PathFilesystem } from '../path-filesystem.js'

/** An object of unknown make. */
export type Thing = Record<string, unknown>

export type Method = (...args: unknown[]) => unknown

/** Options of {@link recognise}. */
export interface ShapeOptions {
  /** Directory of the object that becomes `/`. `node:fs` and `node:fs/promises` need it. Default: `/`. */
  root?: string
  /**
   * Which methods are called where an object has several kinds: `sync` (default) for objects in memory, which answer fastest so;
   * `async` for those whose sync methods are missing, or wait for a disk or network. `node:fs` and `node:fs/promises` look up
   * paths with sync calls unless this says `async`: then a program must not use its own mount, whose answers would wait for
   * the same threads of libuv as its calls.
   */
  calls?: 'sync' | 'async'
}

export const shapeChecks: { [Key in keyof Required<ShapeOptions>]: (value: unknown) => string | undefined } =
  {
    root: (value) =>
      typeof value === 'string' && value.startsWith('/') && !value.includes('\0')
        ? undefined
        : 'an absolute path',
    calls: (value) => (value === 'sync' || value === 'async' ? undefined : "'sync' or 'async'"),
  }

/** One kind of object: how it is known, and how it becomes a filesystem by path. */
export interface Shape {
  /** In a word or two. */
  readonly name: string
  /** What it is known by, for the error that says that an object is none of them. */
  readonly needs: string
  fits(thing: Thing, options: ShapeOptions): boolean
  adapt(thing: Thing, options: ShapeOptions): PathFilesystem
}

export function has(thing: Thing, ...names: readonly string[]): boolean {
  return names.every((name) => typeof thing[name] === 'function')
}

/** A method bound to its object, undefined where there is none. */
export function bound(thing: Thing, name: string): Method | undefined {
  const method = thing[name]
  return typeof method === 'function' ? (method as Method).bind(thing) : undefined
}
