// Directories of a union: the listings of all layers, each name once, the uppermost layer's.
import { EIO, ENOSYS, ESTALE } from '../../index.js'
import type { Dirent, Direntplus } from '../../index.js'
import type { HandlerName } from '../../protocol/index.js'
import { HandleTable } from '../../inodes/index.js'
import { direntType } from '../../index.js'
import { attempt, settle } from './proxy.js'
import type { AnyCall } from './proxy.js'
import type { Layers } from './union-layers.js'
import { each, inoIn } from './union-nodes.js'
import type { Part } from './union-nodes.js'

type Handlers = Partial<Record<HandlerName, (request: AnyCall) => unknown>>

interface OpenPart extends Part {
  /** Undefined where the layer needs no OPENDIR (ENOSYS). */
  fh: number | undefined
}

interface OpenDirectory {
  parts: OpenPart[]
  /** Made with the first page, and anew after rewinddir(3). */
  entries: Dirent[]
}

/** The handlers of directories that are open. */
export function unionListing(layers: Layers): Handlers {
  const handles = new HandleTable<OpenDirectory>()

  const opendir = (request: AnyCall): unknown => {
    const node = layers.nodes.table.get(request.nodeid)
    if (node === undefined) return ESTALE
    const parts: OpenPart[] = []
    const ask = (part: Part): unknown => layers.ask(part, 'opendir', request)
    const failed = (answer: unknown, part: Part): boolean => {
      if (typeof answer === 'number' && answer !== ENOSYS) return true
      const fh = answer === ENOSYS ? undefined : ((answer as { fh?: number } | undefined)?.fh ?? 0)
      parts.push({ ...part, fh })
      return false
    }
    return attempt(
      () => each(node.parts, ask, failed),
      (errno) => {
        if (typeof errno !== 'number') return { fh: handles.add({ parts, entries: [] }) }
        return settle(closeAll(parts, request), () => errno)
      },
      (error) =>
        settle(closeAll(parts, request), () => {
          throw error
        }),
    )
  }

  const closeAll = (parts: OpenPart[], request: AnyCall): unknown =>
    each(
      parts.filter(({ fh }) => fh !== undefined),
      (part) => layers.ask(part, 'releasedir', request, { fh: part.fh }),
      () => false,
    )

  const readdir = (request: AnyCall): unknown => {
    const directory = handles.get(request.fh as number)
    if (directory === undefined) return ESTALE
    const offset = request.offset as number
    const rest = (): Dirent[] =>
      directory.entries.slice(offset).map((entry, index) => ({ ...entry, off: offset + index + 1 }))
    if (offset > 0) return rest()
    const seen = new Map<string, Dirent>()
    const read = each(
      directory.parts,
      (part) => collect(part, request, 0, seen),
      (answer) => typeof answer === 'number',
    )
    return settle(read, (errno) => {
      if (typeof errno === 'number') return errno
      directory.entries = [...seen.values()]
      return rest()
    })
  }

  /** Reads one layer's listing from `offset` to its end. */
  const collect = (part: OpenPart, request: AnyCall, offset: number, seen: Map<string, Dirent>): unknown => {
    const plus = !layers.has(part.layer, 'readdir')
    const answer = layers.ask(part, plus ? 'readdirplus' : 'readdir', request, { fh: part.fh ?? 0, offset })
    return settle(answer, (listing) => {
      if (typeof listing === 'number') return listing
      let read = 0
      let next = offset
      const take = ({ name, ino, type, attr, nodeid = 0, off }: Dirent & Partial<Direntplus>): void => {
        read++
        next = off ?? offset + read
        const text = Buffer.from(name as string).toString('latin1')
        const isDot = text === '.' || text === '..'
        if (!isDot && plus)
          layers.nodes.giveBack({ layer: part.layer, nodeid, lookups: nodeid === 0 ? 0 : 1 })
        const shown = {
          name,
          ino: inoIn(part.layer, ino ?? attr?.ino ?? 0),
          type: type ?? direntType(attr?.mode ?? 0),
        }
        if (!seen.has(text)) seen.set(text, shown)
      }
      return settle(forEach(listing as Iterable<Dirent>, take), () => {
        if (read === 0) return undefined
        return next === offset ? EIO : collect(part, request, next, seen)
      })
    })
  }

  return {
    opendir,
    readdir,
    releasedir: (request) => {
      const directory = handles.remove(request.fh as number)
      return directory === undefined ? undefined : settle(closeAll(directory.parts, request), () => undefined)
    },
    fsyncdir: (request) => {
      const [part] = handles.get(request.fh as number)?.parts ?? []
      return part === undefined ? ESTALE : layers.ask(part, 'fsyncdir', request, { fh: part.fh ?? 0 })
    },
  }
}

/** One by one, so that what came before a failure is not lost. */
function forEach(listing: Iterable<Dirent> | AsyncIterable<Dirent>, take: (entry: Dirent) => void): unknown {
  if (Symbol.asyncIterator in listing) {
    return (async () => {
      for await (const entry of listing) take(entry)
    })()
  }
  for (const entry of listing) take(entry)
  return undefined
}
