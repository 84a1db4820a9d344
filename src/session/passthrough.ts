// The passthrough rules of one connection: which mode every open inode is in, one backing id per inode
// while any open of it lives, and what an OPEN or CREATE reply may say. Last word before such a reply is encoded.
import { describeErrno } from '../protocol/index.js'
import {
  FOPEN_CACHE_DIR,
  FOPEN_DIRECT_IO,
  FOPEN_KEEP_CACHE,
  FOPEN_NONSEEKABLE,
  FOPEN_PASSTHROUGH,
  FOPEN_STREAM,
} from '../protocol/index.js'
import type { InitFlagName } from '../protocol/index.js'
import { O_ACCMODE, O_RDWR, O_WRONLY } from '../syscalls/index.js'
import { explainBackingError, identityOf, openBackingOn } from './backing.js'
import type { BackingDevice, BackingId } from './backing.js'
import { OptionError, warning } from './errors.js'
import type { SystemError } from './errors.js'
import { OwnDescriptor } from './own-descriptor.js'
import type { ServedDescriptor } from './own-descriptor.js'

/** What an OPEN or CREATE reply says about its data; `backing` and `passthrough` exclude each other. */
export interface OpenChoice {
  fh?: number
  openFlags?: number
  /** Explicit form: an id that the author keeps alive until the last release. */
  backing?: BackingId
  /** Easy form: a descriptor of the real file; may be closed after the RELEASE of this open. */
  passthrough?: number
  /** A bare id, as the kernel knows it; the author owns it. */
  backingId?: number
}

/** What the kernel is told: the fields of fuse_open_out. */
export interface ResolvedOpen {
  fh: number
  openFlags: number
  backingId: number
}

/** Why an open asked for passthrough and did not get it. */
export type FallbackReason = string

type Kind = 'passthrough' | 'cached' | 'direct'

/** The opens of one handle: as a rule one, but a filesystem may give the same `fh` to many. */
interface OpenFile {
  passthrough: number
  cached: number
  direct: number
  /** The descriptor of the easy form, and the access mode that the caller asked for. */
  fd: number
  access: number
  /** Our own descriptor of the same file, made when data has to be served. */
  own: OwnDescriptor | undefined
}

interface InodeMode {
  readonly files: Map<number, OpenFile>
  /**
   * Opens by kind. Kernel: an inode is either in passthrough mode (one backing object) or in cached mode, never both; a
   * direct open counts as neither, unless the file is mapped.
   */
  passthrough: number
  cached: number
  direct: number
  /** While `passthrough` > 0. */
  backingId: number
  /** The id that the library opened itself, closed with the last passthrough open. */
  owned: BackingId | undefined
  /** What tells the real file behind it from others; empty where that is not known. */
  identity: string
}

/** Kernel: fuse_passthrough_open refuses these beside FOPEN_PASSTHROUGH with EINVAL, seen as EIO. */
const FORBIDDEN = FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR | FOPEN_NONSEEKABLE | FOPEN_STREAM

const UNSEEKABLE = FOPEN_NONSEEKABLE | FOPEN_STREAM

const RULE = 'Documentation/filesystems/fuse-passthrough.rst'

const ANOTHER_FILE = 'another real file stands behind the opens that the inode has already'
const UNKNOWN_FILE =
  'nobody knows which real file stands behind the opens that the inode has already, by a bare backing id'
const MAPPINGS = 'mmap(2) still shows that file, because the kernel maps no other'

export class Passthrough {
  readonly #device: BackingDevice
  readonly #inodes = new Map<number, InodeMode>()
  readonly #fallbacks = new Map<FallbackReason, number>()
  readonly #silent: boolean
  #agreed = false
  #unavailable: string | undefined = 'INIT has not been answered yet'
  #mmapOfDirect = false
  #writeback = false
  #opens = 0

  /** `silent`: passthrough was turned off by the author, who need not be told. */
  constructor(device: BackingDevice, silent: boolean) {
    this.#device = device
    this.#silent = silent
  }

  /** INIT is done: what was agreed on, and why descriptors cannot be passed through all the same. */
  negotiated(agreed: ReadonlySet<InitFlagName>, unavailable: string | undefined): void {
    this.#agreed = agreed.has('FUSE_PASSTHROUGH')
    this.#mmapOfDirect = agreed.has('FUSE_DIRECT_IO_ALLOW_MMAP')
    this.#writeback = agreed.has('FUSE_WRITEBACK_CACHE')
    this.#unavailable = unavailable
  }

  /** Why a descriptor cannot be passed through, undefined where it can. */
  get unavailable(): string | undefined {
    return this.#unavailable
  }

  stats(): { agreed: boolean; opens: number; backingIds: number; fallbacks: Record<string, number> } {
    let backingIds = 0
    for (const inode of this.#inodes.values()) if (inode.passthrough > 0) backingIds++
    return {
      agreed: this.#agreed,
      opens: this.#opens,
      backingIds,
      fallbacks: Object.fromEntries(this.#fallbacks),
    }
  }

  /**
   * Decides what the reply to an OPEN of `nodeid` says and counts the open; `flags` are those of open(2). Throws an OptionError
   * that names the rule, and counts nothing, where the kernel would answer EIO to the author's explicit choice.
   */
  open(nodeid: number, choice: OpenChoice, flags: number): ResolvedOpen {
    const fh = choice.fh ?? 0
    const openFlags = choice.openFlags ?? 0
    const explicit = this.#explicitId(choice)
    const inode = this.#inodes.get(nodeid)
    if (inode !== undefined && inode.passthrough > 0) {
      return this.#join(inode, choice, fh, openFlags, explicit, flags)
    }
    if (explicit !== undefined) return this.#openExplicit(nodeid, inode, fh, openFlags, explicit, choice)
    const { passthrough: fd } = choice
    if (fd === undefined) return this.#openServed(nodeid, inode, fh, openFlags, undefined, flags)

    const refusal = this.#unavailable ?? this.#conflict(inode, openFlags)
    const owned = refusal ?? this.#openBacking(fd)
    if (typeof owned === 'string') {
      this.#fellBack(owned)
      return this.#openServed(nodeid, inode, fh, openFlags, fd, flags)
    }
    const mode = inode ?? this.#newMode(nodeid)
    mode.backingId = owned.id
    mode.owned = owned
    mode.identity = owned.identity
    this.#count(mode, fh, 'passthrough', fd, flags)
    this.#opens++
    return { fh, openFlags: (openFlags & ~FORBIDDEN) | FOPEN_PASSTHROUGH, backingId: owned.id }
  }

  /** Counts a RELEASE; with the last passthrough open of an inode its own backing id is closed. */
  release(nodeid: number, fh: number): void {
    const inode = this.#inodes.get(nodeid)
    const file = inode?.files.get(fh)
    if (inode === undefined || file === undefined) return
    // Which of several opens with one fh has ended cannot be told: an id must not be given up too early.
    const kind: Kind = file.direct > 0 ? 'direct' : file.cached > 0 ? 'cached' : 'passthrough'
    file[kind]--
    inode[kind]--
    if (file.direct + file.cached + file.passthrough === 0) {
      closeOwn(file)
      inode.files.delete(fh)
    }
    if (inode.passthrough === 0 && inode.owned !== undefined) {
      inode.owned.close()
      inode.owned = undefined
    }
    if (inode.files.size === 0) this.#inodes.delete(nodeid)
  }

  /**
   * A descriptor to serve the data of an open of the easy form from, undefined elsewhere. Kernel: it opens a backing file anew, so
   * a descriptor that only reads, or has O_DIRECT or O_APPEND, is fine for passthrough; to serve from it we do the same.
   */
  descriptorOf(nodeid: number, fh: number): ServedDescriptor | undefined {
    const file = this.#inodes.get(nodeid)?.files.get(fh)
    if (file === undefined || file.fd < 0) return undefined
    // Kernel: with writeback, a write to a part of a page reads the rest first, through the handle that writes.
    const readsToo = this.#writeback && file.access === O_WRONLY
    file.own ??= OwnDescriptor.of(file.fd, readsToo ? [O_RDWR, O_WRONLY] : [file.access])
    return { fd: file.own?.fd ?? file.fd, own: file.own }
  }

  /** The connection is over: the kernel has dropped every id. */
  clear(): void {
    for (const inode of this.#inodes.values()) {
      inode.owned?.intoRaw()
      for (const file of inode.files.values()) closeOwn(file)
    }
    this.#inodes.clear()
  }

  #join(
    inode: InodeMode,
    choice: OpenChoice,
    fh: number,
    openFlags: number,
    explicit: number | undefined,
    flags: number,
  ): ResolvedOpen {
    const { backingId } = inode
    if (explicit !== undefined && explicit !== backingId) {
      throw new OptionError(
        `the inode is open with backing id ${backingId}, and the kernel answers EIO to a second id (${explicit}) ` +
          `on one inode: reuse the first one while any open lives (${RULE})`,
      )
    }
    if (explicit !== undefined) refuseFlags(openFlags)
    const { passthrough: fd } = choice
    const refusal = fd === undefined ? undefined : this.#refuseToJoin(inode, fd, openFlags)
    if (refusal !== undefined) this.#fellBack(refusal)
    this.#count(inode, fh, 'passthrough', fd, flags)
    if (refusal === undefined && (explicit !== undefined || fd !== undefined)) {
      this.#opens++
      return { fh, openFlags: (openFlags & ~FORBIDDEN) | FOPEN_PASSTHROUGH, backingId }
    }
    // Kernel: while an inode is in passthrough mode, the only other legal open is one that says
    // PASSTHROUGH | DIRECT_IO with the same id; its reads and writes come to the server, its mappings do not.
    return { fh, openFlags: (openFlags & ~FORBIDDEN) | FOPEN_PASSTHROUGH | FOPEN_DIRECT_IO, backingId }
  }

  #refuseToJoin(inode: InodeMode, fd: number, openFlags: number): string | undefined {
    if ((openFlags & UNSEEKABLE) !== 0) return 'FOPEN_NONSEEKABLE and FOPEN_STREAM exclude passthrough'
    if (inode.identity === '') return `${UNKNOWN_FILE}; ${MAPPINGS}`
    return inode.identity === identityOf(fd) ? undefined : `${ANOTHER_FILE}; ${MAPPINGS}`
  }

  #openExplicit(
    nodeid: number,
    inode: InodeMode | undefined,
    fh: number,
    openFlags: number,
    backingId: number,
    { backing }: OpenChoice,
  ): ResolvedOpen {
    refuseFlags(openFlags)
    const refusal = this.#agreed ? this.#conflict(inode, openFlags) : this.#unavailable
    if (refusal !== undefined) {
      throw new OptionError(`the reply carries backing id ${backingId}, but ${refusal} (${RULE})`)
    }
    const mode = inode ?? this.#newMode(nodeid)
    mode.backingId = backingId
    mode.identity = backing?.identity ?? ''
    this.#count(mode, fh, 'passthrough', undefined, 0)
    this.#opens++
    return { fh, openFlags: openFlags | FOPEN_PASSTHROUGH, backingId }
  }

  #openServed(
    nodeid: number,
    inode: InodeMode | undefined,
    fh: number,
    openFlags: number,
    fd: number | undefined,
    flags: number,
  ): ResolvedOpen {
    // Without passthrough on the connection no mode can conflict, so nothing has to be counted.
    if (this.#agreed || fd !== undefined) {
      const kind = (openFlags & FOPEN_DIRECT_IO) === 0 ? 'cached' : 'direct'
      this.#count(inode ?? this.#newMode(nodeid), fh, kind, fd, flags)
    }
    return { fh, openFlags, backingId: 0 }
  }

  #newMode(nodeid: number): InodeMode {
    const mode: InodeMode = {
      files: new Map(),
      passthrough: 0,
      cached: 0,
      direct: 0,
      backingId: 0,
      owned: undefined,
      identity: '',
    }
    this.#inodes.set(nodeid, mode)
    return mode
  }

  #count(inode: InodeMode, fh: number, kind: Kind, fd: number | undefined, flags: number): void {
    let file = inode.files.get(fh)
    if (file === undefined) {
      file = { passthrough: 0, cached: 0, direct: 0, fd: -1, access: 0, own: undefined }
      inode.files.set(fh, file)
    }
    file[kind]++
    inode[kind]++
    if (fd === undefined) return
    closeOwn(file)
    file.access = file.fd < 0 || file.access === (flags & O_ACCMODE) ? flags & O_ACCMODE : O_RDWR
    file.fd = fd
  }

  /** Why a passthrough open of this inode is impossible now, undefined if nothing speaks against it. */
  #conflict(inode: InodeMode | undefined, openFlags: number): string | undefined {
    if (inode !== undefined && inode.cached > 0) {
      return 'the inode is open in cached mode, which the kernel does not mix with passthrough'
    }
    if (inode !== undefined && inode.direct > 0 && this.#mmapOfDirect) {
      return 'the inode is open with direct I/O that may be mapped, which the kernel does not mix with passthrough'
    }
    return (openFlags & UNSEEKABLE) === 0
      ? undefined
      : 'FOPEN_NONSEEKABLE and FOPEN_STREAM exclude passthrough'
  }

  #openBacking(fd: number): BackingId | string {
    try {
      return openBackingOn(this.#device, fd)
    } catch (error) {
      const { errno } = error as Partial<SystemError>
      if (errno === undefined) throw error
      return `FUSE_DEV_IOC_BACKING_OPEN failed: ${describeErrno(errno)}, ${explainBackingError(errno)}`
    }
  }

  #fellBack(reason: FallbackReason): void {
    const count = this.#fallbacks.get(reason) ?? 0
    this.#fallbacks.set(reason, count + 1)
    if (count > 0 || this.#silent) return
    this.#device.report(
      warning(
        'ERR_DEVFUSE_PASSTHROUGH',
        `passthrough fell back to serving the data through the library: ${reason}`,
      ),
    )
  }

  #explicitId({ backing, passthrough, backingId, openFlags = 0 }: OpenChoice): number | undefined {
    if (backing !== undefined) {
      if (passthrough !== undefined) {
        throw new OptionError('an open reply carries either `backing` or `passthrough`, not both')
      }
      if (!backing.belongsTo(this.#device)) {
        throw new OptionError(
          `backing id ${backing.id} is closed, or belongs to another session: keep a BackingId open until the last ` +
            'release of what it backs',
        )
      }
      return backing.id
    }
    if (backingId !== undefined && backingId > 0) return backingId
    if ((openFlags & FOPEN_PASSTHROUGH) !== 0) {
      throw new OptionError(
        'FOPEN_PASSTHROUGH needs a backing file: reply with `passthrough: fd` or `backing`',
      )
    }
    return undefined
  }
}

function refuseFlags(openFlags: number): void {
  if ((openFlags & FORBIDDEN) === 0) return
  throw new OptionError(
    'FOPEN_KEEP_CACHE, FOPEN_CACHE_DIR, FOPEN_NONSEEKABLE and FOPEN_STREAM cannot go with a backing id, ' +
      `the kernel answers EIO to them (${RULE})`,
  )
}

function closeOwn(file: OpenFile): void {
  file.own?.drop()
  file.own = undefined
}
