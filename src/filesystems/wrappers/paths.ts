// The path of every inode that the kernel knows, learnt from the answers that name it; for wrappers that go by path.
import type { Entry, ForgetOne } from '../../index.js'
import { mapEntries } from './proxy.js'
import type { HandlerName } from '../../protocol/index.js'
import type { AnyCall } from './proxy.js'

const ROOT = 1
const RENAME_EXCHANGE = 2
const XATTRS: ReadonlySet<string> = new Set(['getxattr', 'setxattr', 'removexattr'])
const MADE_HERE: ReadonlySet<string> = new Set(['lookup', 'mknod', 'mkdir', 'symlink', 'create'])

interface Place {
  readonly parent: number
  readonly name: string
}

/** One path for each nodeid: of a hard-linked file the last one that was seen and is still there. */
export class Paths {
  /** The places where an inode was seen, the one that is told last. A file that was removed keeps its last place. */
  readonly #places = new Map<number, readonly Place[]>()
  readonly #lookups = new Map<number, number>()
  readonly #names = new Map<string, number>()

  /** Whether the kernel knows an inode. */
  knows(nodeid: number): boolean {
    return this.#lookups.has(nodeid)
  }

  /** What a name in a directory stands for, undefined where that was never asked. */
  at(parent: number, name: string): number | undefined {
    return this.#names.get(keyOf({ parent, name }))
  }

  /** The path that a request is about: of its inode, or of the name in it. */
  of(operation: HandlerName, request: AnyCall): string {
    const name = request.name ?? request.newname
    // Names of extended attributes are no names of files.
    const ofFile = (typeof name === 'string' || name instanceof Uint8Array) && !XATTRS.has(operation)
    return ofFile ? join(this.#path(request.nodeid), String(name)) : this.#path(request.nodeid)
  }

  /** Learns from an answer; returns it, or one that tells what is in it as it is read. */
  learn(operation: HandlerName, request: AnyCall, answer: unknown): unknown {
    if (operation === 'forget') this.#forget(request as unknown as ForgetOne)
    if (operation === 'readdirplus') {
      return mapEntries(answer, (entry) => {
        const { nodeid, name } = entry as Entry & { name: string | Uint8Array }
        const text = typeof name === 'string' ? name : Buffer.from(name).toString()
        if (text !== '.' && text !== '..') this.#learn(nodeid, request.nodeid, text)
        return entry
      })
    }
    if (typeof answer === 'number' && answer < 0) return answer
    if (operation === 'rename') this.#move(request)
    if (operation === 'unlink' || operation === 'rmdir')
      this.#vacate({ parent: request.nodeid, name: String(request.name) })
    if (typeof answer !== 'object' || answer === null) return answer
    if (MADE_HERE.has(operation)) this.#learn((answer as Entry).nodeid, request.nodeid, String(request.name))
    if (operation === 'link') this.#learn((answer as Entry).nodeid, request.nodeid, String(request.newname))
    if (operation === 'tmpfile')
      this.#learn((answer as Entry).nodeid, request.nodeid, `#${(answer as Entry).nodeid}`)
    return answer
  }

  #learn(nodeid: number, parent: number, name: string): void {
    if (nodeid === 0 || nodeid === ROOT) return
    this.#settle(nodeid, { parent, name })
    this.#lookups.set(nodeid, (this.#lookups.get(nodeid) ?? 0) + 1)
  }

  #forget({ nodeid, nlookup }: ForgetOne): void {
    const left = (this.#lookups.get(nodeid) ?? 0) - nlookup
    if (left > 0) {
      this.#lookups.set(nodeid, left)
    } else {
      for (const place of this.#places.get(nodeid) ?? [])
        if (this.#names.get(keyOf(place)) === nodeid) this.#names.delete(keyOf(place))
      this.#lookups.delete(nodeid)
      this.#places.delete(nodeid)
    }
  }

  #move(request: AnyCall): void {
    const { nodeid, newdir, name, newname, flags } = request as AnyCall & { newdir: number; flags: number }
    const from = { parent: nodeid, name: String(name) }
    const to = { parent: newdir, name: String(newname) }
    const [moved, replaced] = [this.#vacate(from), this.#vacate(to)]
    if (moved !== undefined) this.#settle(moved, to)
    if (replaced !== undefined && (flags & RENAME_EXCHANGE) !== 0) this.#settle(replaced, from)
  }

  /** An inode is at a place, and the last one that it was seen at. */
  #settle(nodeid: number, place: Place): void {
    const last = this.#placeOf(nodeid)
    this.#names.set(keyOf(place), nodeid)
    if (last?.parent === place.parent && last.name === place.name) return
    const others = elsewhere(this.#places.get(nodeid) ?? [], place)
    this.#places.set(nodeid, [...others.filter((other) => this.#names.get(keyOf(other)) === nodeid), place])
  }

  /** Nothing is at a place any more; what was there is returned. */
  #vacate(place: Place): number | undefined {
    const nodeid = this.#names.get(keyOf(place))
    if (nodeid === undefined) return undefined
    this.#names.delete(keyOf(place))
    const left = elsewhere(this.#places.get(nodeid) ?? [], place)
    if (left.length > 0) this.#places.set(nodeid, left)
    return nodeid
  }

  #placeOf(nodeid: number): Place | undefined {
    return this.#places.get(nodeid)?.at(-1)
  }

  #path(nodeid: number): string {
    const names: string[] = []
    for (
      let at = this.#placeOf(nodeid);
      at !== undefined && names.length < 4096;
      at = this.#placeOf(at.parent)
    )
      names.unshift(at.name)
    return `/${names.join('/')}`
  }
}

const keyOf = ({ parent, name }: Place): string => `${parent}/${name}`
const elsewhere = (places: readonly Place[], { parent, name }: Place): Place[] =>
  places.filter((place) => place.parent !== parent || place.name !== name)
const join = (directory: string, name: string): string =>
  directory === '/' ? `/${name}` : `${directory}/${name}`
