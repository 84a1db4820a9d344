// What every request needs on its way to a handler: the path of a nodeid, attributes and entries, files that are removed while
// they are open. The requests themselves are in names.ts, files.ts and directories.ts.
import { EBUSY, ENOENT, ENOSYS, EPERM, describeErrno } from '../../../index.js'
import type { Attr, Entry, Errno, Reply } from '../../../index.js'
import { HandleTable } from '../../../inodes/index.js'
import { EMPTY_ROOT, attrOf } from './attributes.js'
import type { HandlerCalls } from './handler-calls.js'
import type { Settings } from './options.js'
import { PathTable } from './path-table.js'
import type { PathInode } from './path-table.js'
import type { Handlers, Stats } from './types.js'

/** An open file. */
export interface OpenFile {
  readonly node: PathInode
  /** What the handler answered, handed back as it is. */
  readonly fd: number
}

/** How many names are tried for a file that is removed while it is open. */
const HIDING_TRIES = 10

export class Translation {
  readonly calls: HandlerCalls
  readonly settings: Settings
  readonly paths: PathTable
  readonly files = new HandleTable<OpenFile>()
  #hidden = 0

  constructor(calls: HandlerCalls, settings: Settings) {
    this.calls = calls
    this.settings = settings
    this.paths = new PathTable(settings.remember)
  }

  /** Carries on with the file of a nodeid; ENOENT where it has lost its name. */
  on<Result>(nodeid: number, next: (node: PathInode) => Reply<Result>): Reply<Result> {
    const node = this.paths.get(nodeid)
    return node === undefined ? ENOENT : next(node)
  }

  /** A handler that answers nothing but success or an errno; ENOSYS where there is none. */
  tell(name: keyof Handlers, ...args: unknown[]): Reply<void> {
    return this.calls.has(name) ? this.calls.ask(name, args, () => undefined) : ENOSYS
  }

  /** A handler that answers a descriptor; 0 where there is none. */
  descriptor(name: 'open' | 'opendir' | 'create', args: readonly unknown[]): Reply<{ fd: number }> {
    if (!this.calls.has(name)) return { fd: 0 }
    return this.calls.ask(name, args, (_, [fd]) => ({ fd: (fd ?? 0) as number }))
  }

  /** Attributes by path, or of an open file; `ino` is for the caller to fill in. */
  attributes(path: string, file?: Pick<OpenFile, 'fd'>): Reply<Attr> {
    const make = (stats: unknown): Attr => attrOf(stats as Stats | undefined, this.settings)
    if (file !== undefined && this.calls.has('fgetattr'))
      return this.calls.ask('fgetattr', [path, file.fd], (_, [stats]) => make(stats))
    if (this.calls.has('getattr')) return this.calls.ask('getattr', [path], (_, [stats]) => make(stats))
    return path === '/' ? make(EMPTY_ROOT) : EPERM
  }

  /** The entry of a name, with its lookup counted. */
  entry(parent: PathInode, name: string, file?: Pick<OpenFile, 'fd'>): Reply<Entry> {
    return onward(this.attributes(parent.below(name), file), (attr) => {
      const node = this.paths.remember(parent, name)
      const { entryTimeout, attrTimeout } = this.settings
      return {
        nodeid: node.nodeid,
        attr: this.known(node, attr),
        entryValid: entryTimeout,
        attrValid: attrTimeout,
      }
    })
  }

  /** Attributes as the kernel gets them; with `autoCache` cached data is good for as long as they stay. */
  known(node: PathInode, attr: Attr): Attr {
    attr.ino = node.nodeid
    if (!this.settings.autoCache) return attr
    const { size, mtime, mtimensec = 0 } = attr
    const { seen } = node
    if (seen !== undefined && (seen.size !== size || seen.mtime !== mtime || seen.mtimensec !== mtimensec))
      node.cached = false
    node.seen = { size, mtime, mtimensec, at: performance.now() }
    return attr
  }

  /**
   * Takes the name of an open file away as a filesystem of paths can: by another name, which goes with the last descriptor.
   * EBUSY where that is impossible. {@link nameGone} or {@link bringBack} have to follow.
   */
  async hide(node: PathInode): Promise<Errno | undefined> {
    const parent = node.parent
    if (parent === undefined || !this.calls.has('rename')) return EBUSY
    for (let left = HIDING_TRIES; left > 0; left--) {
      const name = `.fuse_hidden${hex(node.nodeid)}${hex(++this.#hidden)}`
      const there = await this.attributes(parent.below(name))
      if (there !== ENOENT) continue
      const result = await this.tell('rename', node.path, parent.below(name))
      if (typeof result === 'number') return result
      this.paths.move(node, parent, name)
      return undefined
    }
    return EBUSY
  }

  /** Undoes hiding: what was to take the file's place did not. */
  async bringBack(node: PathInode, parent: PathInode, name: string): Promise<void> {
    const result = await this.tell('rename', node.path, parent.below(name))
    if (typeof result === 'number') this.#leftOver(node.path, result)
    else this.paths.move(node, parent, name)
  }

  /** What is hidden goes with its last descriptor, which may be closed by now. */
  async nameGone(node: PathInode): Promise<void> {
    node.hidden = true
    await this.closed(node)
  }

  /** A descriptor is closed, or was before {@link nameGone}. */
  async closed(node: PathInode): Promise<void> {
    if (!node.hidden || node.opens > 0) return
    const { path, parent, name } = node
    const result = await this.tell('unlink', path)
    if (typeof result === 'number') this.#leftOver(path, result)
    else if (parent !== undefined) this.paths.remove(parent, name)
  }

  #leftOver(path: string, why: Errno): void {
    this.calls.report(
      `hidden`,
      `${path}, which was removed or replaced while open, is left over: ${describeErrno(why)}`,
    )
  }
}

/** Carries on with an answer, at once or later; an errno is passed on. */
export function onward<Value, Result>(
  reply: Reply<Value>,
  next: (value: Value) => Reply<Result>,
): Reply<Result> {
  if (reply instanceof Promise) return reply.then((value) => onward(value as Reply<Value>, next))
  return typeof reply === 'number' ? (reply as Errno) : next(reply)
}

function hex(number: number): string {
  return number.toString(16).padStart(8, '0')
}
