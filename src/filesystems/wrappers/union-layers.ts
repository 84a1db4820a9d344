// The layers of a union as one: asks a layer, finds a name in several, and knows what to answer where a layer has no handler.
import { EINVAL, ENOENT, ENOSYS, EOPNOTSUPP, errnoFromThrown } from '../../index.js'
import type { Entry } from '../../index.js'
import type { HandlerName } from '../../protocol/index.js'
import { attempt, changed, handlerInfo } from './proxy.js'
import type { AnyCall, AnyFilesystem } from './proxy.js'
import { UnionNodes, asUnion, each } from './union-nodes.js'
import type { Part, UnionNode } from './union-nodes.js'

const S_IFMT = 0o170000
const S_IFDIR = 0o040000

/** A name in one layer; its lookup is to be remembered or given back. */
export interface Found {
  readonly part: Part
  readonly entry: Entry
  readonly isDirectory: boolean
}

/** Kernel: to do without these is success. */
const OPTIONAL: ReadonlySet<HandlerName> = new Set(['flush', 'fsync', 'fsyncdir', 'access'])
/** Whoever asks these knows what to do about ENOSYS; of STATX it is the kernel, which asks GETATTR instead. */
const MAY_BE_ENOSYS: ReadonlySet<HandlerName> = new Set([
  ...(['opendir', 'create', 'mknod', 'mkdir', 'symlink', 'tmpfile', 'statx'] as const),
])
// Kernel: DEFAULT_POLLMASK, EPOLLIN | EPOLLOUT | EPOLLRDNORM | EPOLLWRNORM.
const ALWAYS_READY = 0x145

export class Layers {
  readonly nodes: UnionNodes
  readonly #layers: readonly AnyFilesystem[]

  constructor(layers: readonly AnyFilesystem[]) {
    this.#layers = layers
    this.nodes = new UnionNodes(layers)
  }

  has(layer: number, name: HandlerName): boolean {
    return typeof this.#layers[layer][name] === 'function'
  }

  /** Asks the layer of `part` about its share of an inode. What it throws is an errno, as for the session, where it carries one. */
  ask(
    { layer, nodeid }: Pick<Part, 'layer' | 'nodeid'>,
    name: HandlerName,
    request: AnyCall,
    fields = {},
  ): unknown {
    const filesystem = this.#layers[layer] as Partial<Record<HandlerName, (request: AnyCall) => unknown>>
    if (!this.has(layer, name)) return absent(name)
    return attempt(
      () => filesystem[name]?.(changed(request, { nodeid, ...fields })),
      (answer) => (answer === ENOSYS && !MAY_BE_ENOSYS.has(name) ? absent(name) : answer),
      (error) => {
        const errno = errnoFromThrown(error)
        if (errno === undefined) throw error
        return errno
      },
    )
  }

  /**
   * Looks a name up in every layer that has the directory. With `merged`, what the uppermost one hides is left out, so that several
   * are found only of a directory. An errno where a layer fails before anything is found.
   */
  find(directory: UnionNode, name: unknown, request: AnyCall, merged: boolean): unknown {
    const found: Found[] = []
    const ask = (part: Part): unknown => this.ask(part, 'lookup', request, { name })
    const enough = (entry: unknown, { layer }: Part): boolean => {
      if (typeof entry === 'number') return entry !== ENOENT
      const { nodeid, attr } = entry as Entry
      if (nodeid === 0) return false
      const isDirectory = (attr.mode & S_IFMT) === S_IFDIR
      const one = { part: { layer, nodeid, lookups: 1 }, entry: entry as Entry, isDirectory }
      if (merged && found.length > 0 && !isDirectory) this.nodes.giveBack(one.part)
      else found.push(one)
      return merged && !isDirectory
    }
    return attempt(
      () => each(directory.parts, ask, enough),
      (last) => (found.length === 0 && typeof last === 'number' ? last : found),
      (error) => {
        this.giveBack(found)
        throw error
      },
    )
  }

  /** Forgets what was looked up only to see whether it is there. */
  giveBack(found: readonly Found[]): void {
    for (const { part } of found) this.nodes.giveBack(part)
  }

  /** The answer about an inode that these finds make. */
  present(found: readonly Found[]): object {
    const node = this.nodes.remember(found.map(({ part }) => part))
    return asUnion(found[0].entry, found[0].part.layer, node.nodeid)
  }
}

/** What a layer without an operation answers. ENOSYS would switch the operation off for the layers that have it. */
function absent(name: HandlerName): unknown {
  if (OPTIONAL.has(name)) return undefined
  const answer = handlerInfo.get(name)?.absent
  if (answer === 0) return undefined
  if (name === 'lookup') return ENOENT
  // Kernel: programs take EINVAL for "no holes to tell of".
  if (name === 'lseek') return EINVAL
  if (name === 'poll') return ALWAYS_READY
  return answer === ENOSYS ? EOPNOTSUPP : answer
}
