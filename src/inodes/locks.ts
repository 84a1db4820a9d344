// File locks in memory, with the rules of the kernel: ranges by owner for fcntl(2), whole files for flock(2), and
// waiters that go away with their callers. For filesystems with GETLK, SETLK and SETLKW handlers.
import { EAGAIN, EDEADLK, EINTR } from '../protocol/index.js'
import type {
  Errno,
  FileLock,
  FlushRequest,
  GetlkRequest,
  ReleaseRequest,
  SetlkRequest,
  SetlkwRequest,
} from '../protocol/index.js'

const F_RDLCK = 0
const F_UNLCK = 2

interface Held {
  flock: boolean
  owner: bigint
  fh: number
  start: number
  end: number
  type: number
  pid: number
}

interface Waiter {
  wanted: Held
  retry: () => boolean
}

interface LockedInode {
  held: Held[]
  waiting: Set<Waiter>
}

/**
 * The locks of a filesystem. Its five methods are the handlers (or are called by them) of `getlk`, `setlk`, `setlkw`,
 * `flush` and `release`: all are needed, because nobody else lets go of the locks of a process that ends.
 *
 * Kernel: three kinds of locks look alike on the wire. flock(2) has `request.flock`; fcntl(2) locks of a process go with the
 * first FLUSH that names their owner; those of an open file description (F_OFD_SETLK) go with its RELEASE, which says only
 * `fh`. So give every open an `fh` of its own. F_GETLK shows the process that set an F_OFD lock, where other filesystems
 * show -1. Source: fcntl_locking(2), flock(2), fs/locks.c.
 */
export class LockTable {
  readonly #inodes = new Map<number, LockedInode>()

  /** Inodes with locks or waiters. */
  get size(): number {
    return this.#inodes.size
  }

  /** F_GETLK: the first lock in the way, or one of type F_UNLCK. */
  getlk(request: GetlkRequest): FileLock {
    const wanted = heldOf(request)
    const held = this.#inodes.get(request.nodeid)?.held.find((lock) => conflicts(lock, wanted))
    if (held === undefined) return { ...request.lk, type: F_UNLCK, pid: 0 }
    return { start: held.start, end: held.end, type: held.type, pid: held.pid }
  }

  /** F_SETLK, LOCK_NB, and unlocking: EAGAIN where another owner is in the way. */
  setlk(request: SetlkRequest | SetlkwRequest): Errno | undefined {
    const inode = this.#inode(request.nodeid)
    const granted = take(inode, heldOf(request))
    this.#wake(request.nodeid, inode)
    return granted ? undefined : EAGAIN
  }

  /**
   * F_SETLKW and flock(2): settles when the lock is held, with EINTR when the caller is interrupted before. EDEADLK at
   * once where owners would wait for each other in a circle; flock(2) never says so.
   */
  setlkw(request: SetlkwRequest): Errno | undefined | Promise<Errno | undefined> {
    const { nodeid, signal } = request
    const wanted = heldOf(request)
    const inode = this.#inode(nodeid)
    const granted = take(inode, wanted)
    this.#wake(nodeid, inode)
    if (granted) return undefined
    if (!wanted.flock && this.#circle(inode, wanted)) return EDEADLK
    return new Promise((settle) => {
      const leave = (): void => {
        inode.waiting.delete(waiter)
        this.#wake(nodeid, inode)
        settle(EINTR)
      }
      const waiter: Waiter = {
        wanted,
        retry: () => {
          if (!take(inode, wanted)) return false
          signal.removeEventListener('abort', leave)
          settle(undefined)
          return true
        },
      }
      inode.waiting.add(waiter)
      if (signal.aborted) leave()
      else signal.addEventListener('abort', leave, { once: true })
    })
  }

  /** close(2) by a process: its fcntl(2) locks on the file go, whichever descriptor they were made with. */
  flush({ nodeid, lockOwner }: Pick<FlushRequest, 'nodeid' | 'lockOwner'>): void {
    this.#remove(nodeid, (lock) => !lock.flock && lock.owner === lockOwner)
  }

  /** The last close(2) of an open file: its flock(2) lock goes, and what else was locked through it. */
  release({
    nodeid,
    fh,
    flockUnlock,
    lockOwner,
  }: Pick<ReleaseRequest, 'nodeid' | 'fh' | 'flockUnlock' | 'lockOwner'>): void {
    this.#remove(
      nodeid,
      (lock) =>
        (flockUnlock && lock.flock && lock.owner === lockOwner) ||
        (!lock.flock && fh !== 0 && lock.fh === fh),
    )
  }

  #inode(nodeid: number): LockedInode {
    let inode = this.#inodes.get(nodeid)
    if (inode === undefined) this.#inodes.set(nodeid, (inode = { held: [], waiting: new Set() }))
    return inode
  }

  #remove(nodeid: number, gone: (lock: Held) => boolean): void {
    const inode = this.#inodes.get(nodeid)
    if (inode === undefined || !inode.held.some(gone)) return
    inode.held = inode.held.filter((lock) => !gone(lock))
    this.#wake(nodeid, inode)
  }

  /** What was in the way may be gone: first come, first served. What is left without locks and waiters is forgotten. */
  #wake(nodeid: number, inode: LockedInode): void {
    for (let again = true; again;) {
      again = false
      for (const waiter of inode.waiting) {
        if (!waiter.retry()) continue
        inode.waiting.delete(waiter)
        // A lock that became weaker on the way makes room for those that were asked before.
        again = true
      }
    }
    if (inode.held.length === 0 && inode.waiting.size === 0) this.#inodes.delete(nodeid)
  }

  /** Whether someone that `wanted` would wait for waits, at some remove, for its owner. */
  #circle(inode: LockedInode, wanted: Held): boolean {
    const seen = new Set<bigint>()
    const next = ownersInTheWay(inode, wanted)
    for (let owner = next.pop(); owner !== undefined; owner = next.pop()) {
      if (owner === wanted.owner) return true
      if (seen.has(owner)) continue
      seen.add(owner)
      for (const other of this.#inodes.values()) {
        for (const waiter of other.waiting) {
          if (!waiter.wanted.flock && waiter.wanted.owner === owner)
            next.push(...ownersInTheWay(other, waiter.wanted))
        }
      }
    }
    return false
  }
}

function heldOf({ owner, fh, flock, lk }: SetlkRequest | SetlkwRequest | GetlkRequest): Held {
  const { start, end } = flock ? { start: 0, end: Infinity } : lk
  return { flock, owner, fh, start, end, type: lk.type, pid: lk.pid }
}

/** Sets or removes the lock unless another owner is in the way. */
function take(inode: LockedInode, wanted: Held): boolean {
  // Kernel: flock(2) gives up the old lock before it asks for the new one, and may end with none.
  if (wanted.flock)
    inode.held = inode.held.filter((lock) => !isOwn(lock, wanted) || lock.type === wanted.type)
  if (wanted.type !== F_UNLCK && inode.held.some((lock) => conflicts(lock, wanted))) return false
  inode.held = [...inode.held.flatMap((lock) => without(lock, wanted)), ...merged(inode, wanted)]
  return true
}

function isOwn(lock: Held, wanted: Held): boolean {
  return lock.flock === wanted.flock && lock.owner === wanted.owner
}

function overlap(a: Held, b: Held): boolean {
  return a.start <= b.end && b.start <= a.end
}

function conflicts(lock: Held, wanted: Held): boolean {
  return (
    lock.flock === wanted.flock &&
    lock.owner !== wanted.owner &&
    overlap(lock, wanted) &&
    (lock.type !== F_RDLCK || wanted.type !== F_RDLCK)
  )
}

function ownersInTheWay({ held }: LockedInode, wanted: Held): bigint[] {
  return held.filter((lock) => conflicts(lock, wanted)).map(({ owner }) => owner)
}

/** Whether a lock of the same owner and type continues or covers `wanted`, so that both become one. */
function joins(lock: Held, wanted: Held): boolean {
  return (
    isOwn(lock, wanted) &&
    lock.type === wanted.type &&
    lock.start <= wanted.end + 1 &&
    wanted.start <= lock.end + 1
  )
}

/** What is left of `lock` where its owner sets `wanted`. */
function without(lock: Held, wanted: Held): Held[] {
  if (!isOwn(lock, wanted)) return [lock]
  if (joins(lock, wanted)) return []
  if (!overlap(lock, wanted)) return [lock]
  const left: Held[] = []
  if (lock.start < wanted.start) left.push({ ...lock, end: wanted.start - 1 })
  if (lock.end > wanted.end) left.push({ ...lock, start: wanted.end + 1 })
  return left
}

function merged({ held }: LockedInode, wanted: Held): Held[] {
  if (wanted.type === F_UNLCK) return []
  const parts = [wanted, ...held.filter((lock) => joins(lock, wanted))]
  const start = Math.min(...parts.map((lock) => lock.start))
  const end = Math.max(...parts.map((lock) => lock.end))
  return [{ ...wanted, start, end }]
}
