// How many bytes the files of a filesystem hold, learnt from what is asked of it and what it answers.
import { FATTR_SIZE } from '../../index.js'
import type { Attr, Entry, Statfs, Statx } from '../../index.js'
import type { HandlerName } from '../../protocol/index.js'
import { O_TRUNC, RENAME_EXCHANGE, STATX_NLINK, STATX_SIZE, STATX_TYPE } from '../../syscalls/index.js'
import { Paths } from './paths.js'
import { mapEntries } from './proxy.js'
import type { AnyCall } from './proxy.js'

const FALLOC_FL_KEEP_SIZE = 1
const FALLOC_FL_ZERO_RANGE = 16
const S_IFMT = 0o170000
const S_IFREG = 0o100000
const NEEDED = STATX_TYPE | STATX_NLINK | STATX_SIZE

interface Known {
  size: number
  links: number
}

export class Space {
  readonly #limit: number
  readonly #files = new Map<number, Known>()
  readonly #paths = new Paths()
  #used: number

  /** `limit` and `used` in bytes. */
  constructor(limit: number, used: number) {
    this.#limit = limit
    this.#used = used
  }

  /** Sets aside what a request would add; undefined where there is no room for it. Call {@link learn} with its answer. */
  reserve(name: HandlerName, request: AnyCall): number | undefined {
    const end = endOf(name, request)
    if (end === undefined) return 0
    const known = this.#files.get(this.#target(name, request))
    const growth = Math.max(0, end - (known?.size ?? 0))
    if (growth > 0 && this.#used + growth > this.#limit) return undefined
    this.#used += growth
    if (known !== undefined) known.size += growth
    return growth
  }

  /** What an answer tells; `reserved` is what was set aside for it. */
  learn(name: HandlerName, request: AnyCall, answer: unknown, reserved: number): unknown {
    const victim =
      name === 'rename' && ((request.flags as number) & RENAME_EXCHANGE) === 0
        ? this.#paths.at(request.newdir as number, String(request.newname))
        : undefined
    const removed = name === 'unlink' ? this.#paths.at(request.nodeid, String(request.name)) : undefined
    const failed = typeof answer === 'number' && answer < 0
    const known = this.#files.get(this.#target(name, request))
    if (reserved > 0) this.#settle(name, request, answer, reserved, known)
    if (!failed) {
      for (const nodeid of [victim, removed]) {
        const gone = nodeid === undefined ? undefined : this.#files.get(nodeid)
        if (gone !== undefined) gone.links--
      }
      if (name === 'open' && ((request.flags as number) & O_TRUNC) !== 0 && known) this.#resize(known, 0)
      this.#read(answer, request.nodeid)
    }
    const told = this.#paths.learn(name, request, answer)
    if (name !== 'readdirplus') return told
    return mapEntries(told, (entry) => {
      this.#read(entry, 0)
      return entry
    })
  }

  /** FORGET: a file without a name gives its bytes back once nobody knows it. */
  forget(request: AnyCall): void {
    const { nodeid } = request
    this.#paths.learn('forget', request, undefined)
    const known = this.#files.get(nodeid)
    if (known === undefined || this.#paths.knows(nodeid)) return
    if (known.links <= 0) this.#resize(known, 0)
    this.#files.delete(nodeid)
  }

  /** The figures of statfs with the limit in them. */
  statfs(st: Statfs): Statfs {
    const { frsize = 4096 } = st
    const blocks = Math.floor(this.#limit / frsize)
    const free = Math.floor(Math.max(0, this.#limit - this.#used) / frsize)
    if (!st.blocks) return { ...st, frsize, blocks, bfree: free, bavail: free }
    const { bfree = 0, bavail = 0 } = st
    return {
      ...st,
      blocks: Math.min(st.blocks, blocks),
      bfree: Math.min(bfree, free),
      bavail: Math.min(bavail, free),
    }
  }

  #target(name: HandlerName, request: AnyCall): number {
    return name === 'copyFileRange' ? (request.nodeidOut as number) : request.nodeid
  }

  /** Gives back what a request did not need after all: it failed, came up short, or left the size alone. */
  #settle(
    name: HandlerName,
    request: AnyCall,
    answer: unknown,
    reserved: number,
    known: Known | undefined,
  ): void {
    const { size, len, mode } = request as unknown as Record<string, number>
    const done = typeof answer === 'number' ? answer : 0
    let unused = 0
    if (done < 0 || (name === 'fallocate' && (mode & FALLOC_FL_KEEP_SIZE) !== 0)) unused = reserved
    else if (name === 'write') unused = Math.min(reserved, Math.max(0, size - done))
    else if (name === 'copyFileRange') unused = Math.min(reserved, Math.max(0, len - done))
    this.#used -= unused
    if (known !== undefined) known.size -= unused
  }

  /** Attributes in an answer are the truth about a file: the one that the answer names, else `asked`. */
  #read(answer: unknown, asked: number): void {
    if (typeof answer !== 'object' || answer === null) return
    const { nodeid = asked, attr, stat } = answer as Partial<Entry> & { stat?: Statx }
    const whole = stat !== undefined && (stat.mask & NEEDED) === NEEDED
    const told: Attr | Statx | undefined = attr ?? (whole ? stat : undefined)
    if (told === undefined || nodeid === 0 || (told.mode & S_IFMT) !== S_IFREG) return
    const known = this.#files.get(nodeid)
    if (known === undefined) this.#files.set(nodeid, { size: told.size, links: told.nlink })
    else {
      this.#resize(known, told.size)
      known.links = told.nlink
    }
  }

  #resize(known: Known, size: number): void {
    this.#used = Math.max(0, this.#used + size - known.size)
    known.size = size
  }
}

/** Where a file would end after a request, undefined for one that does not make it longer. */
function endOf(name: HandlerName, request: AnyCall): number | undefined {
  const { offset, size, length, mode, valid, offOut, len } = request as unknown as Record<string, number>
  if (name === 'write') return offset + size
  if (name === 'setattr' && (valid & FATTR_SIZE) !== 0) return size
  if (name === 'fallocate' && (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE)) === 0)
    return offset + length
  return name === 'copyFileRange' ? offOut + len : undefined
}
