// The interface authors implement: the protocol's one, with what only a live session can offer: backing files in the
// answers to OPEN and CREATE, and calls at the beginning and the end.
import type {
  CreateReply as WireCreateReply,
  CreateRequest,
  Filesystem as Handlers,
  OpenReply as WireOpenReply,
  OpenRequest,
  Reply,
  TmpfileRequest,
} from '../protocol/index.js'
import type { BackingId } from './backing.js'
import type { Negotiation } from './init.js'
import type { Notifier } from './notify.js'

/** Backing files in the answer to OPEN, CREATE and TMPFILE. */
export interface BackedBy {
  /**
   * Passthrough, the easy form: a descriptor of the real file behind this one. The kernel reads and writes it by itself
   * from now on; the library keeps one backing id per inode and closes it after the last release. Where that is
   * impossible the library serves the data, with `read` and `write` of the filesystem or, without them, from this
   * descriptor. While the inode is open with another real file, that does not hold for mmap(2): the kernel maps the file that
   * it has already. Keep the descriptor open until `release`.
   */
  passthrough?: number
  /** Passthrough, the explicit form: an id from `session.openBacking(fd)`, kept alive by the author. */
  backing?: BackingId
}

/** The answer to OPEN. */
export interface OpenReply extends WireOpenReply, BackedBy {}

/** The answer to CREATE and TMPFILE: the entry and the open file in one object. */
export interface CreateReply extends WireCreateReply, BackedBy {}

/**
 * A filesystem: one optional method for each operation. A method gets one request object and returns the answer, a
 * negative errno, or a promise of either. A thrown error with an `errno` or `code` that Linux knows becomes that errno,
 * anything else EIO, reported through `onWarning`. `Name` is the type of names: string, or Buffer with
 * `encoding: 'buffer'`.
 */
export interface Filesystem<Name = string> extends Omit<Handlers<Name>, 'open' | 'create' | 'tmpfile'> {
  /**
   * Declares that several threads may serve one mount together, each with a filesystem object of its own: what one of them
   * hands to the kernel (a nodeid, a handle) means the same to the others. `session.clone()` insists on it.
   */
  readonly shareable?: boolean
  /**
   * Called once, when INIT is about to be answered, before any other method; throwing makes mount() fail. A promise is not waited for, and
   * only reported where it rejects. `notify` is that of
   * the session, for handlers that have to take back what the kernel caches; it works from the first request on.
   */
  init?(negotiation: Negotiation, notify: Notifier): void
  /** What the filesystem itself counts: `filesystem` of `session.stats()`, shown by `devfuse stats`. */
  stats?(): Readonly<Record<string, number | string>>
  /** Called once, when the session has ended; nothing can be answered any more. */
  destroy?(): void | Promise<void>
  /**
   * FUSE_OPEN (14), open(2) of an existing file. Answer a handle of your choice in `fh`, FOPEN_* flags, and the real
   * file behind it for passthrough. ENOSYS makes every open succeed without a request from then on.
   *
   * Without this method: every open succeeds with `fh` 0.
   *
   * @see open(2)
   */
  open?(request: OpenRequest): Reply<OpenReply>
  /**
   * FUSE_CREATE (35), open(2) with O_CREAT of a name that does not exist. Make the file and open it, in one step.
   *
   * Without this method: ENOSYS is answered, and the kernel uses `mknod` and `open` from then on.
   *
   * @see open(2)
   */
  create?(request: CreateRequest<Name>): Reply<CreateReply>
  /**
   * FUSE_TMPFILE (51), open(2) with O_TMPFILE: a file without a name in the directory `nodeid`.
   *
   * Without this method: EOPNOTSUPP is answered.
   *
   * @see open(2)
   */
  tmpfile?(request: TmpfileRequest): Reply<CreateReply>
}
