// Objects with the sync methods of node:fs: memfs, @zenfs/core, node:vfs, and those that have nothing else.
import type { HandleLike, PathFilesystem } from '../path-filesystem.js'
import { handlesByNumber } from './fd-handle.js'
import { nodeShape } from './node-shape.js'
import type { Open } from './node-shape.js'
import { bound, has } from './shape.js'
import type { Shape, Thing } from './shape.js'
import { traitsOf } from './traits.js'
import type { Traits } from './traits.js'

/** The handle objects of node:vfs have sync and async methods side by side. */
const HANDLE_METHODS: readonly (keyof HandleLike)[] = [
  'read',
  'write',
  'stat',
  'truncate',
  'chmod',
  'chown',
  'utimes',
  'sync',
  'datasync',
  'close',
]

export function syncFilesystem(thing: Thing, traits: Traits): PathFilesystem {
  const find = (name: string) => bound(thing, `${name}Sync`)
  return nodeShape(find, openOf(thing), { ...traits, cheapStat: true }, { throwIfNoEntry: false })
}

function openOf(thing: Thing): Open | undefined {
  const open = bound(thing, 'openSync')
  if (open === undefined) return undefined
  const byNumber = handlesByNumber((name) => bound(thing, `${name}Sync`))
  const numbered = has(thing, 'readSync', 'closeSync')
  return (path, flags, mode) => {
    const opened = open(path, flags, mode)
    if (typeof opened !== 'number') return syncHandle(opened as Thing)
    if (numbered) return byNumber(opened)
    throw new TypeError('openSync returned a number, and there is no readSync and closeSync to use it with')
  }
}

function syncHandle(handle: Thing): HandleLike {
  const made: HandleLike = {}
  for (const name of HANDLE_METHODS) {
    const method = bound(handle, `${name}Sync`) ?? bound(handle, name)
    if (method !== undefined) Object.assign(made, { [name]: method })
  }
  return made
}

export const sync: Shape = {
  name: 'sync methods of node:fs',
  needs: 'statSync or lstatSync, with readdirSync or readFileSync',
  fits: (thing, { calls }) =>
    (has(thing, 'lstatSync') || has(thing, 'statSync')) &&
    (has(thing, 'readdirSync') || has(thing, 'readFileSync')) &&
    (calls !== 'async' || !hasAsync(thing)),
  adapt: (thing) => syncFilesystem(thing, traitsOf(thing)),
}

function hasAsync(thing: Thing): boolean {
  return typeof thing['promises'] === 'object' || has(thing, 'readdir') || has(thing, 'readFile')
}
