// subdir(): a directory of a filesystem as the root of another one.
import { ENOENT, ENOTDIR, OptionError } from '../../index.js'
import type { Entry, Negotiation, Notifier } from '../../index.js'
import { shown } from './checks.js'
import { initWith } from './notifier.js'
import { attempt, changed, giveBack, isPromise, mapEntries, settle, wrap } from './proxy.js'
import type { AnyCall, AnyFilesystem } from './proxy.js'

const ROOT = 1
const S_IFMT = 0o170000
const S_IFDIR = 0o040000

/** Fields of requests that are nodeids. */
const NODEIDS = ['nodeid', 'newdir', 'oldnodeid', 'nodeidOut'] as const

/**
 * The directory `path` of `inner` as a filesystem of its own: its root has nodeid 1, everything else keeps its number, and nothing
 * outside it can be reached. Names of the path are handed to `lookup` as they are, so a filesystem with `encoding: 'buffer'` takes a
 * Buffer. Links are not followed. The directory is looked up with the first request, which fails where there is none (ENOENT,
 * ENOTDIR); `destroy` gives the lookups back. Notifications of `inner` through the
 * `notify` of its `init` are translated; those through a session name the root as nodeid 1.
 *
 * ```ts
 * await mount('/mnt', subdir(filesystem, '/projects/devfuse'))
 * ```
 */
export function subdir<Fs extends AnyFilesystem>(inner: Fs, path: string | Buffer): Fs {
  if (typeof path !== 'string' && !Buffer.isBuffer(path))
    throw new OptionError(`the path of subdir() must be a string or a Buffer, not ${shown(path)}`)
  const names = namesOf(path)
  if (names.some((name) => String(name) === '.' || String(name) === '..'))
    throw new OptionError(
      `the path ${JSON.stringify(String(path))} of subdir() must not contain \`.\` or \`..\``,
    )
  const held: number[] = []
  let root: number | Promise<number> | undefined

  /** Looks the names up; what is found on the way is held where all of it is there, else given back. */
  const walk = (request: AnyCall): unknown => {
    const found: number[] = []
    const down = (at: number, index: number): unknown => {
      if (index === names.length) return at
      const asked = lookupOf(inner)?.(changed(request, { nodeid: at, name: names[index] })) ?? ENOENT
      return settle(asked, (entry) => {
        if (typeof entry === 'number') return entry
        const { nodeid, attr } = entry as Entry
        if (nodeid === 0) return ENOENT
        found.push(nodeid)
        return (attr.mode & S_IFMT) === S_IFDIR ? down(nodeid, index + 1) : ENOTDIR
      })
    }
    return attempt(
      () => down(ROOT, 0),
      (top) => {
        if ((top as number) > 0) held.push(...found)
        else giveAllBack(found)
        return top
      },
      (error) => {
        giveAllBack(found)
        throw error
      },
    )
  }
  const giveAllBack = (nodeids: readonly number[]): void => {
    for (const nodeid of nodeids) giveBack(inner, nodeid)
  }
  const resolve = (request: AnyCall): number | Promise<number> => {
    if (root !== undefined && (isPromise(root) || root > 0)) return root
    const found = walk(request) as number | Promise<number>
    root = found
    const settled = (top: number | undefined): void => void (root = top)
    if (isPromise(found)) found.then(settled, () => settled(undefined))
    return found
  }

  const wrapped = wrap(inner, (name, request, next) => {
    if (name === 'forget') return request.nodeid === ROOT ? undefined : next()
    return settle(resolve(request), (top) => {
      // An errno: there is no such directory.
      if ((top as number) < 0) return top
      const fields: Record<string, unknown> = {}
      for (const field of NODEIDS) if (request[field] === ROOT) fields[field] = top
      // Above the root is the root.
      if (name === 'lookup' && request.nodeid === ROOT && String(request.name) === '..')
        fields.name = typeof request.name === 'string' ? '.' : Buffer.from('.')
      const outside = (entry: object): object =>
        (entry as Entry).nodeid === top ? { ...entry, nodeid: ROOT } : entry
      return settle(next(changed(request, fields)), (answer) => {
        if (name === 'readdirplus') return mapEntries(answer, outside)
        // The kernel never forgets its root, and one lookup of it is held already.
        const again =
          name === 'lookup' && top !== ROOT && (answer as Partial<Entry> | undefined)?.nodeid === top
        if (again) giveBack(inner, top as number)
        return typeof answer === 'object' && answer !== null && 'nodeid' in answer ? outside(answer) : answer
      })
    })
  })
  const destroy = (): void | Promise<void> => {
    giveAllBack(held.splice(0))
    root = undefined
    return inner.destroy?.()
  }
  const init = (negotiation: Negotiation, notify: Notifier): void =>
    initWith(inner, negotiation, notify, (nodeid) =>
      nodeid === root ? ROOT : nodeid === ROOT ? undefined : nodeid,
    )
  return Object.defineProperties(wrapped, {
    init: { value: init, enumerable: true },
    destroy: { value: destroy, enumerable: true },
  })
}

function lookupOf(inner: AnyFilesystem): ((request: unknown) => unknown) | undefined {
  return (inner.lookup as ((request: unknown) => unknown) | undefined)?.bind(inner)
}

function namesOf(path: string | Buffer): (string | Buffer)[] {
  const names = (typeof path === 'string' ? path : path.toString('latin1'))
    .split('/')
    .filter((name) => name !== '')
  return typeof path === 'string' ? names : names.map((name) => Buffer.from(name, 'latin1'))
}
