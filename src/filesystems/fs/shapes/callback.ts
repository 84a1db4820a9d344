// Objects with the callback methods of node:fs and nothing else: older filesystems in JavaScript.
import { handlesByNumber } from './fd-handle.js'
import { nodeShape } from './node-shape.js'
import type { Find } from './node-shape.js'
import { has } from './shape.js'
import type { Method, Shape, Thing } from './shape.js'

/** A method that takes a callback, as one that returns a promise. */
function promised(thing: Thing, name: string): Method | undefined {
  const method = thing[name]
  if (typeof method !== 'function') return undefined
  return (...args) =>
    new Promise((resolve, reject) => {
      const done = (error: unknown, value: unknown): void => {
        if (error === null || error === undefined) resolve(value)
        else reject(error)
      }
      ;(method as Method).call(thing, ...args, done)
    })
}

export const callback: Shape = {
  name: 'callback methods of node:fs',
  needs: 'stat or lstat, and readFile that takes (path, options, callback)',
  fits: (thing) =>
    (has(thing, 'stat') || has(thing, 'lstat')) &&
    [thing['readFile'], thing['readdir'], thing['stat']].some(
      (method) => typeof method === 'function' && method.length >= 3,
    ),
  adapt(thing) {
    const find: Find = (name) => promised(thing, name)
    const open = has(thing, 'open', 'read', 'close') ? promised(thing, 'open') : undefined
    const handle = handlesByNumber(find)
    return nodeShape(
      find,
      open &&
        (async (path, flags, mode) => {
          const opened = await open(path, flags, mode)
          return typeof opened === 'number' ? handle(opened) : opened
        }),
      {},
    )
  },
}
