// The kernel's side of a filesystem: sends requests with the identity of the caller, remembers what ENOSYS switched off,
// and keeps the promises of the INIT flags that it offers.
import { EINTR, ENOSYS, FUSE_GETATTR_FH } from '../../index.js'
import type {
  Attr,
  Connection,
  InitFlagName,
  KernelReply,
  OperationName,
  RequestFields,
} from '../../index.js'
import type { Identity } from './identity.js'
import { BadReply, Failure, throwIfAborted } from './failure.js'
import { Nodes, checkAttr } from './nodes.js'
import type { Node } from './nodes.js'

/** What the view does as a kernel does. Not here: caches kept across calls (WRITEBACK_CACHE), locks, access lists, idmaps. */
export const OFFERED: readonly InitFlagName[] = [
  'FUSE_ASYNC_READ',
  'FUSE_ATOMIC_O_TRUNC',
  'FUSE_EXPORT_SUPPORT',
  'FUSE_BIG_WRITES',
  'FUSE_DONT_MASK',
  'FUSE_AUTO_INVAL_DATA',
  'FUSE_DO_READDIRPLUS',
  'FUSE_READDIRPLUS_AUTO',
  'FUSE_ASYNC_DIO',
  'FUSE_NO_OPEN_SUPPORT',
  'FUSE_PARALLEL_DIROPS',
  'FUSE_HANDLE_KILLPRIV',
  'FUSE_ABORT_ERROR',
  'FUSE_MAX_PAGES',
  'FUSE_CACHE_SYMLINKS',
  'FUSE_NO_OPENDIR_SUPPORT',
  'FUSE_EXPLICIT_INVAL_DATA',
  'FUSE_HANDLE_KILLPRIV_V2',
  'FUSE_SETXATTR_EXT',
  'FUSE_INIT_EXT',
  'FUSE_CREATE_SUPP_GROUP',
  'FUSE_HAS_EXPIRE_ONLY',
  'FUSE_HAS_RESEND',
  'FUSE_PASSTHROUGH',
  'FUSE_NO_EXPORT_SUPPORT',
]

/** How a kernel was told to behave; what mount options say on a mount. */
export interface Behaviour {
  readonly identity: Identity
  readonly readOnly: boolean
  readonly defaultPermissions: boolean
}

export class Kernel {
  readonly connection: Connection
  readonly behaviour: Behaviour
  readonly identity: Identity
  readonly nodes: Nodes
  readonly #agreed: ReadonlySet<InitFlagName>
  readonly #off = new Set<OperationName>()
  #forgets: { nodeid: number; nlookup: number }[] = []

  constructor(connection: Connection, behaviour: Behaviour) {
    this.connection = connection
    this.behaviour = behaviour
    this.identity = behaviour.identity
    this.#agreed = connection.negotiation.agreed
    this.nodes = new Nodes((nodeid, nlookup) => this.#forgets.push({ nodeid, nlookup }))
  }

  agreed(flag: InitFlagName): boolean {
    return this.#agreed.has(flag)
  }

  /** Sends a request; throws a {@link Failure} with its errno. */
  async call(
    operation: OperationName,
    nodeid: number,
    fields: RequestFields = {},
    signal?: AbortSignal,
  ): Promise<KernelReply> {
    const { uid, gid, pid } = this.identity
    const reply = await this.connection.send(operation, { nodeid, uid, gid, pid, ...fields }, { signal })
    if (reply.cause !== undefined)
      throw new BadReply(`${operation}: the reply cannot be decoded`, reply.cause)
    if (reply.error === EINTR) throwIfAborted(signal)
    if (reply.error !== 0) throw new Failure(reply.error)
    return reply
  }

  /** The same for operations that ENOSYS switches off for good: undefined from then on. */
  async attempt(
    operation: OperationName,
    nodeid: number,
    fields: RequestFields = {},
    signal?: AbortSignal,
  ): Promise<KernelReply | undefined> {
    if (this.#off.has(operation)) return undefined
    try {
      return await this.call(operation, nodeid, fields, signal)
    } catch (error) {
      if (!(error instanceof Failure) || error.errno !== ENOSYS) throw error
      this.#off.add(operation)
      return undefined
    }
  }

  /** Asks for the attributes, through an open file where `fh` says so. */
  async getattr(node: Node, fh?: number): Promise<Attr> {
    const fields = fh === undefined ? {} : { getattrFlags: FUSE_GETATTR_FH, fh }
    const { attr } = await this.call('getattr', node.nodeid, fields)
    return this.heard('getattr', node, attr as Attr)
  }

  /** Attributes in a reply about an inode that is known already. */
  heard(operation: OperationName, node: Node, attr: Attr): Attr {
    checkAttr(operation, attr, node.type)
    node.attr = attr
    return attr
  }

  /** The attributes as far as they are known; only those of the root may have to be asked for. */
  async known(node: Node): Promise<Attr> {
    return node.attr ?? this.getattr(node)
  }

  /** Sends the FORGETs that have come together. */
  flushForgets(): void {
    const items = this.#forgets
    if (items.length === 0) return
    this.#forgets = []
    if (items.length > 1) this.connection.tell('batchForget', { nodeid: 0, items })
    else this.connection.tell('forget', items[0])
  }

  /** Gives back a lookup that nothing here uses. */
  giveBack(nodeid: number): void {
    this.#forgets.push({ nodeid, nlookup: 1 })
  }

  /** Runs one call; every inode that it looks up is given back at its end. */
  async scoped<T>(action: (scope: Scope) => Promise<T>): Promise<T> {
    const scope = new Scope(this.nodes)
    try {
      return await action(scope)
    } finally {
      scope.end()
      this.flushForgets()
    }
  }
}

/** The inodes of one call. */
export class Scope {
  readonly #nodes: Nodes
  readonly #used: Node[] = []

  constructor(nodes: Nodes) {
    this.#nodes = nodes
  }

  use(node: Node): Node {
    this.#used.push(this.#nodes.use(node))
    return node
  }

  end(): void {
    for (const node of this.#used) this.#nodes.leave(node)
    this.#used.length = 0
  }
}
