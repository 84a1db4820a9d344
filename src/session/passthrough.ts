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
import { BackingId, explainBackingError } from './backing.js'
import type { BackingDevice } from './backing.js'
import { OptionError, warning } from './errors.js'
import type { SystemError } from './errors.js'

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

interface InodeMode {
  /** Opens not yet released. */
  opens: number
  /**
   * Kernel: an inode is either in passthrough mode (one backing object) or in cached mode, never both;
   * direct opens count as neither, unless the file is mapped.
   */
  mode: 'passthrough' | 'cached' | 'direct'
  backingId: number
  /** The id that the library opened itself, closed with the last release. */
  owned: BackingId | undefined
}

/** Kernel: fuse_passthrough_open refuses these beside FOPEN_PASSTHROUGH with EINVAL, seen as EIO. */
const FORBIDDEN = FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR | FOPEN_NONSEEKABLE | FOPEN_STREAM

const RULE = 'Documentation/filesystems/fuse-passthrough.rst'

export class Passthrough {
  readonly #device: BackingDevice
  readonly #inodes = new Map<number, InodeMode>()
  readonly #descriptors = new Map<string, number>()
  readonly #fallbacks = new Map<FallbackReason, number>()
  #agreed = false
  #unavailable: string | undefined = 'INIT has not been answered yet'
  #mmapOfDirect = false
  #opens = 0

  constructor(device: BackingDevice) {
    this.#device = device
  }

  /** INIT is done: whether passthrough is agreed on, and why descriptors cannot be passed through all the same. */
  negotiated(agreed: boolean, unavailable: string | undefined, mmapOfDirect: boolean): void {
    this.#agreed = agreed
    this.#unavailable = unavailable
    this.#mmapOfDirect = mmapOfDirect
  }

  /** Why a descriptor cannot be passed through, undefined where it can. */
  get unavailable(): string | undefined {
    return this.#unavailable
  }

  stats(): { agreed: boolean; opens: number; backingIds: number; fallbacks: Record<string, number> } {
    let backingIds = 0
    for (const inode of this.#inodes.values()) if (inode.mode === 'passthrough') backingIds++
    return {
      agreed: this.#agreed,
      opens: this.#opens,
      backingIds,
      fallbacks: Object.fromEntries(this.#fallbacks),
    }
  }

  /**
   * Decides what the reply to an OPEN of `nodeid` says and counts the open. Throws an OptionError that
   * names the rule where the author's explicit choice would be answered EIO by the kernel.
   */
  open(nodeid: number, choice: OpenChoice): ResolvedOpen {
    const fh = choice.fh ?? 0
    const openFlags = choice.openFlags ?? 0
    const explicit = explicitId(choice)
    const inode = this.#inodes.get(nodeid)
    if (inode?.mode === 'passthrough')
      return this.#joinPassthrough(nodeid, inode, choice, fh, openFlags, explicit)
    if (explicit !== undefined) return this.#openExplicit(nodeid, inode, fh, openFlags, explicit)
    if (choice.passthrough === undefined) return this.#openServed(nodeid, inode, fh, openFlags)

    const refusal = this.#unavailable ?? this.#conflict(inode, openFlags)
    if (refusal === undefined) {
      const owned = this.#openBacking(choice.passthrough)
      if (owned instanceof BackingId) {
        this.#track(nodeid, inode, 'passthrough', owned.id, owned)
        this.#opens++
        return { fh, openFlags: (openFlags & ~FORBIDDEN) | FOPEN_PASSTHROUGH, backingId: owned.id }
      }
      this.#fellBack(owned)
    } else {
      this.#fellBack(refusal)
    }
    this.#descriptors.set(`${nodeid}:${fh}`, choice.passthrough)
    return this.#openServed(nodeid, inode, fh, openFlags)
  }

  /** Counts a RELEASE; with the last one of an inode its own backing id is closed. */
  release(nodeid: number, fh: number): void {
    if (this.#descriptors.size > 0) this.#descriptors.delete(`${nodeid}:${fh}`)
    const inode = this.#inodes.get(nodeid)
    if (inode === undefined || --inode.opens > 0) return
    this.#inodes.delete(nodeid)
    inode.owned?.close()
  }

  /** The descriptor to serve data from where an easy passthrough open fell back, undefined elsewhere. */
  descriptorOf(nodeid: number, fh: number): number | undefined {
    return this.#descriptors.size === 0 ? undefined : this.#descriptors.get(`${nodeid}:${fh}`)
  }

  /** The connection is over: the kernel has dropped every id. */
  clear(): void {
    for (const inode of this.#inodes.values()) inode.owned?.intoRaw()
    this.#inodes.clear()
    this.#descriptors.clear()
  }

  #joinPassthrough(
    nodeid: number,
    inode: InodeMode,
    choice: OpenChoice,
    fh: number,
    openFlags: number,
    explicit: number | undefined,
  ): ResolvedOpen {
    if (explicit !== undefined && explicit !== inode.backingId) {
      throw new OptionError(
        `the inode is open with backing id ${inode.backingId}, and the kernel answers EIO to a second id (${explicit}) ` +
          `on one inode: reuse the first one while any open lives (${RULE})`,
      )
    }
    if (explicit !== undefined) refuseFlags(openFlags)
    inode.opens++
    const wanted = explicit !== undefined || choice.passthrough !== undefined
    if (wanted && (openFlags & (FOPEN_NONSEEKABLE | FOPEN_STREAM)) === 0) {
      this.#opens++
      return { fh, openFlags: (openFlags & ~FORBIDDEN) | FOPEN_PASSTHROUGH, backingId: inode.backingId }
    }
    // Kernel: while an inode is in passthrough mode, the only other legal open is one that says
    // PASSTHROUGH | DIRECT_IO with the same id; its reads and writes come to the server.
    if (choice.passthrough !== undefined) this.#descriptors.set(`${nodeid}:${fh}`, choice.passthrough)
    return {
      fh,
      openFlags: (openFlags & ~FORBIDDEN) | FOPEN_PASSTHROUGH | FOPEN_DIRECT_IO,
      backingId: inode.backingId,
    }
  }

  #openExplicit(
    nodeid: number,
    inode: InodeMode | undefined,
    fh: number,
    openFlags: number,
    backingId: number,
  ): ResolvedOpen {
    refuseFlags(openFlags)
    const refusal = this.#agreed ? this.#conflict(inode, openFlags) : this.#unavailable
    if (refusal !== undefined) {
      throw new OptionError(`the reply carries backing id ${backingId}, but ${refusal} (${RULE})`)
    }
    this.#track(nodeid, inode, 'passthrough', backingId, undefined)
    this.#opens++
    return { fh, openFlags: openFlags | FOPEN_PASSTHROUGH, backingId }
  }

  #openServed(nodeid: number, inode: InodeMode | undefined, fh: number, openFlags: number): ResolvedOpen {
    // Without passthrough on the connection no mode can conflict, so nothing has to be counted.
    if (this.#agreed) {
      const direct = (openFlags & FOPEN_DIRECT_IO) !== 0
      this.#track(nodeid, inode, direct && inode?.mode !== 'cached' ? 'direct' : 'cached', 0, undefined)
    }
    return { fh, openFlags, backingId: 0 }
  }

  #track(
    nodeid: number,
    inode: InodeMode | undefined,
    mode: InodeMode['mode'],
    backingId: number,
    owned: BackingId | undefined,
  ): void {
    if (inode === undefined) {
      this.#inodes.set(nodeid, { opens: 1, mode, backingId, owned })
      return
    }
    inode.opens++
    inode.mode = mode
    inode.backingId = backingId
    inode.owned = owned
  }

  /** Why a passthrough open of this inode is impossible now, undefined if nothing speaks against it. */
  #conflict(inode: InodeMode | undefined, openFlags: number): string | undefined {
    if (inode?.mode === 'cached')
      return 'the inode is open in cached mode, which the kernel does not mix with passthrough'
    if (inode?.mode === 'direct' && this.#mmapOfDirect) {
      return 'the inode is open with direct I/O that may be mapped, which the kernel does not mix with passthrough'
    }
    if ((openFlags & (FOPEN_NONSEEKABLE | FOPEN_STREAM)) !== 0)
      return 'FOPEN_NONSEEKABLE and FOPEN_STREAM exclude passthrough'
    return undefined
  }

  #openBacking(fd: number): BackingId | string {
    try {
      return new BackingId(this.#device, BackingId.createRaw(this.#device.fd, fd))
    } catch (error) {
      const { errno } = error as Partial<SystemError>
      if (errno === undefined) throw error
      return `FUSE_DEV_IOC_BACKING_OPEN failed: ${describeErrno(errno)}, ${explainBackingError(errno)}`
    }
  }

  #fellBack(reason: FallbackReason): void {
    const count = this.#fallbacks.get(reason) ?? 0
    this.#fallbacks.set(reason, count + 1)
    if (count > 0) return
    this.#device.report(
      warning(
        'ERR_DEVFUSE_PASSTHROUGH',
        `passthrough fell back to serving the data through the library: ${reason}`,
      ),
    )
  }
}

function explicitId(choice: OpenChoice): number | undefined {
  if (choice.backing !== undefined) {
    if (choice.passthrough !== undefined) {
      throw new OptionError('an open reply carries either `backing` or `passthrough`, not both')
    }
    return choice.backing.id
  }
  if (choice.backingId !== undefined && choice.backingId > 0) return choice.backingId
  if (((choice.openFlags ?? 0) & FOPEN_PASSTHROUGH) !== 0) {
    throw new OptionError('FOPEN_PASSTHROUGH needs a backing file: reply with `passthrough: fd` or `backing`')
  }
  return undefined
}

function refuseFlags(openFlags: number): void {
  if ((openFlags & FORBIDDEN) === 0) return
  throw new OptionError(
    'FOPEN_KEEP_CACHE, FOPEN_CACHE_DIR, FOPEN_NONSEEKABLE and FOPEN_STREAM cannot go with a backing id, ' +
      `the kernel answers EIO to them (${RULE})`,
  )
}
