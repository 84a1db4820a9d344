// The path of every inode that the kernel knows, learnt from the answers that name it; for wrappers that go by path.
import type { Entry, ForgetOne } from '../../index.js'
import { mapEntries } from './proxy.js'
import type { HandlerName } from '../../protocol/index.js'
import type { AnyCall } from './proxy.js'

const ROOT = 1
const RENAME_EXCHANGE = 2
const XATTRS: ReadonlySet<string> = new Set(['getxattr', 'setxattr', 'removexattr'])
const MADE_HERE: ReadonlySet<string> = new Set(['lookup', 'mknod', 'mkdir', 'symlink', 'create'])

/** One path for each nodeid, the last one that was seen of a hard-linked file. */
export class Paths {
  readonly #known = new Map<number, { parent: number; name: string }>()
  readonly #lookups = new Map<number, number>()
  readonly #names = new Map<string, number>()

  /** Whether the kernel knows an inode. */
  knows(nodeid: number): boolean {
    return this.#lookups.has(nodeid)
  }

  /** What a name in a directory stands for, undefined where that was never asked. */
  at(parent: number, name: string): number | undefined {
    return this.#names.get(keyOf(parent, name))
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
      this.#names.delete(keyOf(request.nodeid, String(request.name)))
    if (typeof answer !== 'object' || answer === null) return answer
    if (MADE_HERE.has(operation)) this.#learn((answer as Entry).nodeid, request.nodeid, String(request.name))
    if (operation === 'link') this.#learn((answer as Entry).nodeid, request.nodeid, String(request.newname))
    if (operation === 'tmpfile')
      this.#learn((answer as Entry).nodeid, request.nodeid, `#${(answer as Entry).nodeid}`)
    return answer
  }

  #learn(nodeid: number, parent: number, name: string): void {
    if (nodeid === 0 || nodeid === ROOT) return
    this.#known.set(nodeid, { parent, name })
    this.#names.set(keyOf(parent, name), nodeid)
    this.#lookups.set(nodeid, (this.#lookups.get(nodeid) ?? 0) + 1)
  }

  #forget({ nodeid, nlookup }: ForgetOne): void {
    const left = (this.#lookups.get(nodeid) ?? 0) - nlookup
    if (left > 0) {
      this.#lookups.set(nodeid, left)
    } else {
      const known = this.#known.get(nodeid)
      this.#lookups.delete(nodeid)
      this.#known.delete(nodeid)
      if (known === undefined) return
      const key = keyOf(known.parent, known.name)
      if (this.#names.get(key) === nodeid) this.#names.delete(key)
    }
  }

  #move(request: AnyCall): void {
    const { nodeid, newdir, name, newname, flags } = request as AnyCall & { newdir: number; flags: number }
    const [from, to] = [keyOf(nodeid, String(name)), keyOf(newdir, String(newname))]
    const [moved, replaced] = [this.#names.get(from), this.#names.get(to)]
    this.#put(from, nodeid, String(name), (flags & RENAME_EXCHANGE) === 0 ? undefined : replaced)
    this.#put(to, newdir, String(newname), moved)
  }

  #put(key: string, parent: number, name: string, nodeid: number | undefined): void {
    if (nodeid === undefined) {
      this.#names.delete(key)
    } else {
      this.#names.set(key, nodeid)
      this.#known.set(nodeid, { parent, name })
    }
  }

  #path(nodeid: number): string {
    const names: string[] = []
    for (
      let at = this.#known.get(nodeid);
      at !== undefined && names.length < 4096;
      at = this.#known.get(at.parent)
    )
      names.unshift(at.name)
    return `/${names.join('/')}`
  }
}

const keyOf = (parent: number, name: string): string => `${parent}/${name}`
const join = (directory: string, name: string): string =>
  directory === '/' ? `/${name}` : `${directory}/${name}`
