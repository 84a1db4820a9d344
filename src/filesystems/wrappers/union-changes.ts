// Changes of names in a union: each happens in one layer, or is refused where it would need two.
import { ENOENT, ENOSYS, EROFS, ESTALE, EXDEV } from '../../index.js'
import type { Entry } from '../../index.js'
import type { HandlerName } from '../../protocol/index.js'
import { attempt, settle } from './proxy.js'
import type { AnyCall } from './proxy.js'
import type { Found, Layers } from './union-layers.js'
import { asUnion, each } from './union-nodes.js'
import type { Part } from './union-nodes.js'

type Handlers = Partial<Record<HandlerName, (request: AnyCall) => unknown>>

const S_IFDIR = 0o040000

/** The handlers that make, remove and move names. */
export function unionChanges(layers: Layers): Handlers {
  const { table } = layers.nodes

  /** In the first layer that has the directory and lets it be changed. */
  const make = (name: 'mknod' | 'mkdir' | 'symlink' | 'create' | 'tmpfile') => (request: AnyCall) => {
    const directory = table.get(request.nodeid)
    if (directory === undefined) return ESTALE
    let layer = 0
    const makeIn = (part: Part): unknown => {
      layer = part.layer
      return settle(layers.has(layer, name) ? layers.ask(part, name, request) : ENOSYS, (answer) => {
        if (answer !== ENOSYS) return answer
        return name === 'create' && layers.has(part.layer, 'mknod') ? createByMknod(part, request) : EROFS
      })
    }
    return settle(
      each(directory.parts, makeIn, (answer) => answer !== EROFS),
      (answer) => {
        if (answer === undefined || typeof answer === 'number') return answer ?? EROFS
        const entry = answer as Entry
        const part = { layer, nodeid: entry.nodeid, lookups: 1 }
        return layers.present([{ part, entry, isDirectory: (entry.attr.mode & S_IFDIR) !== 0 }])
      },
    )
  }
  const createByMknod = (part: Part, request: AnyCall): unknown =>
    settle(layers.ask(part, 'mknod', request), (entry) => {
      if (typeof entry === 'number') return entry === ENOSYS ? EROFS : entry
      const made = { layer: part.layer, nodeid: (entry as Entry).nodeid, lookups: 1 }
      return attempt(
        () => layers.ask(made, 'open', request),
        (open) => {
          if (typeof open !== 'number') return { ...(entry as Entry), ...(open as object | undefined) }
          layers.nodes.giveBack(made)
          return open
        },
        (error) => {
          layers.nodes.giveBack(made)
          throw error
        },
      )
    })

  /** Where the name stands in one layer only: from under another one it would show again. */
  const remove = (name: 'unlink' | 'rmdir') => (request: AnyCall) =>
    withFound(request.nodeid, request.name, request, (found) => {
      if (found.length > 1) return EROFS
      const part = table.get(request.nodeid)?.partIn(found[0].part.layer)
      return part === undefined ? ESTALE : layers.ask(part, name, request)
    })

  const rename = (request: AnyCall): unknown =>
    withFound(request.nodeid, request.name, request, ([first, ...more]) => {
      const { layer } = first.part
      const from = table.get(request.nodeid)?.partIn(layer)
      const to = table.get(request.newdir as number)?.partIn(layer)
      if (more.length > 0 || from === undefined || to === undefined) return EXDEV
      const move = (found: Found[]): unknown => {
        const inTheWay = found.some(
          ({ part, isDirectory }) =>
            part.layer < layer || (part.layer > layer && (isDirectory || first.isDirectory)),
        )
        return inTheWay ? EXDEV : layers.ask(from, 'rename', request, { newdir: to.nodeid })
      }
      return withFound(request.newdir as number, request.newname, request, move, () => move([]))
    })

  const link = (request: AnyCall): unknown => {
    const existing = table.get(request.oldnodeid as number)
    const directory = table.get(request.nodeid)
    if (existing === undefined || directory === undefined) return ESTALE
    const [{ layer, nodeid }] = existing.parts
    const part = directory.partIn(layer)
    if (part === undefined) return EXDEV
    return settle(layers.ask(part, 'link', request, { oldnodeid: nodeid }), (answer) => {
      if (typeof answer === 'number') return answer
      const node = layers.nodes.remember([{ layer, nodeid, lookups: 1 }])
      return asUnion(answer as Entry, layer, node.nodeid)
    })
  }

  /** Looks at every layer's share of a name, and gives the lookups back when the work is done. */
  function withFound(
    nodeid: number,
    name: unknown,
    request: AnyCall,
    work: (found: Found[]) => unknown,
    none: () => unknown = () => ENOENT,
  ): unknown {
    const directory = table.get(nodeid)
    if (directory === undefined) return ESTALE
    return settle(layers.find(directory, name, request, false), (found) => {
      if (!Array.isArray(found)) return found
      if (found.length === 0) return none()
      return attempt(
        () => work(found as Found[]),
        (answer) => {
          layers.giveBack(found as Found[])
          return answer
        },
        (error) => {
          layers.giveBack(found as Found[])
          throw error
        },
      )
    })
  }

  return {
    mknod: make('mknod'),
    mkdir: make('mkdir'),
    symlink: make('symlink'),
    create: make('create'),
    tmpfile: make('tmpfile'),
    unlink: remove('unlink'),
    rmdir: remove('rmdir'),
    rename,
    link,
  }
}
