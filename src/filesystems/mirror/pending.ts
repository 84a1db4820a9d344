// What the kernel has to be told of the source's changes: gathered, sent as notifications, and sent again where they came too early.
import type { Notifier } from '../../index.js'
import { ENOTDIR } from '../../protocol/index.js'
import type { MirrorInode } from './inode.js'
import type { Answer, Recent } from './recent.js'

/** Inodes whose notifications are under way at a time. */
const MOST_UNDER_WAY = 8
/** Milliseconds before each repetition. */
const REPETITIONS = [2, 5, 10, 20, 40, 80, 160, 320]
const LAST_PAUSE = 1000
/** Offset of an invalidation that leaves the data alone. */
export const NO_DATA = -1

interface Due {
  contents: boolean
  /** An answer that nothing outdates may be under way. */
  twice: boolean
  names: Set<string> | undefined
}

/** What a name leads to by now: 0 for nothing, -1 for what is not known. */
export interface Seen {
  nodeid: number
  isDirectory: boolean
}

export interface PendingCounts {
  /** Notifications about names and about inodes that the kernel has taken. */
  names: number
  inodes: number
  /** Sent again because the answer they are about was still on its way. */
  repeated: number
  /** Times that every name was taken back because one could not be. */
  epochs: number
}

/**
 * Kernel: an answer that arrives while its inode is being invalidated is dropped (attr_version), and a name that is looked up
 * again is unhashed first. But a notification about an inode or name that the kernel does not know yet does nothing, though an answer
 * that is older than the change may be about to make it known. So those are repeated: an inode until the kernel knows it
 * or forgets it, a name that was told of lately a few times; after that a new epoch, which outdates answers that are under way.
 */
export class Pending {
  readonly counts: PendingCounts = { names: 0, inodes: 0, repeated: 0, epochs: 0 }
  readonly #notify: Notifier
  readonly #recent: Recent
  readonly #look: ((parent: MirrorInode, name: string) => Seen) | undefined
  readonly #failed: (error: unknown) => void
  readonly #due = new Map<MirrorInode, Due>()
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #idle: (() => void)[] = []
  #names = 0
  #underWay = 0
  #epoch: Promise<unknown> | undefined
  #closed = false

  /**
   * `look` says what a name leads to by now; undefined where the kernel cannot let a name expire. `failed` hears of notifications that the kernel
   * refused: what they were about may be stale.
   */
  constructor(
    notify: Notifier,
    recent: Recent,
    look: ((parent: MirrorInode, name: string) => Seen) | undefined,
    failed: (error: unknown) => void,
  ) {
    this.#notify = notify
    this.#recent = recent
    this.#look = look
    this.#failed = failed
  }

  /** Names waiting to be sent. */
  get names(): number {
    return this.#names
  }

  /** `name` in directory `parent` is no longer what it was. */
  entry(parent: MirrorInode, name: string): void {
    const due = this.#dueOf(parent)
    due.names ??= new Set()
    if (!due.names.has(name)) this.#names++
    due.names.add(name)
    // What was listed of the directory is out of date, too.
    due.contents = true
  }

  inode(inode: MirrorInode, contents: boolean): void {
    const due = this.#dueOf(inode)
    due.contents ||= contents
    due.twice ||= this.#recent.isUnderWay(inode)
  }

  /** Everything that the kernel knows is out of date. Resolves when it has been told. */
  async everything(inodes: Iterable<MirrorInode>): Promise<void> {
    this.#due.clear()
    this.#names = 0
    await this.#newEpoch()
    for (const inode of inodes) this.inode(inode, true)
    this.send()
    if (this.#due.size + this.#underWay > 0) await new Promise<void>((done) => this.#idle.push(done))
  }

  send(): void {
    while (!this.#closed && this.#underWay < MOST_UNDER_WAY) {
      const [next] = this.#due
      if (next === undefined) break
      const [inode, due] = next
      this.#due.delete(inode)
      this.#names -= due.names?.size ?? 0
      this.#underWay++
      void this.#tell(inode, due).then(() => {
        this.#underWay--
        this.send()
      })
    }
    if (this.#due.size + this.#underWay === 0) for (const done of this.#idle.splice(0)) done()
  }

  close(): void {
    this.#closed = true
    this.#due.clear()
    for (const timer of this.#timers) clearTimeout(timer)
    for (const done of this.#idle.splice(0)) done()
  }

  #dueOf(inode: MirrorInode): Due {
    let due = this.#due.get(inode)
    if (due === undefined) this.#due.set(inode, (due = { contents: false, twice: false, names: undefined }))
    return due
  }

  async #tell(inode: MirrorInode, { names, contents, twice }: Due): Promise<void> {
    const recent = this.#recent
    try {
      // Kernel: a name is taken back under the lock of its directory, which others may hold for a while; an inode needs none.
      const parts = [this.#tellInode(inode, contents, twice, 0)]
      if (names !== undefined)
        for (const name of names) parts.push(this.#tellName(inode, name, recent.toldOf(inode, name), 0))
      await Promise.all(parts)
    } catch (error) {
      if (!this.#closed) this.#failed(error)
    }
  }

  /** `answer`: the last one about the name that may be older than the change. */
  async #tellName(parent: MirrorInode, name: string, answer: Answer, time: number): Promise<void> {
    const recent = this.#recent
    const seen = this.#look?.(parent, name)
    // The kernel was told the same meanwhile.
    if (seen !== undefined && seen.nodeid === recent.madeOf(parent, name)) return
    const last = recent.toldOf(parent, name)
    // Kernel: taking the name of a directory back takes it from those who work in it, and what is mounted on it away. Expired, it is
    // looked up again before its next use; but an older answer that is on its way makes it valid again.
    const expires = seen?.isDirectory === true && time < REPETITIONS.length
    const told = expires
      ? this.#notify.expireEntry(parent.nodeid, name)
      : this.#notify.invalEntry(parent.nodeid, name)
    const found = await told.catch(isNoDirectory)
    if (found) this.counts.names++
    if (found && !expires) {
      recent.untell(parent, name, last)
    } else if (parent.known && recent.isOnItsWay(parent, name, answer)) {
      if (time < REPETITIONS.length)
        this.#later(REPETITIONS[time], () => this.#tellName(parent, name, answer, time + 1))
      else await this.#newEpoch()
    }
  }

  async #tellInode(inode: MirrorInode, contents: boolean, twice: boolean, time: number): Promise<void> {
    const found = await this.#notify.invalInode(inode.nodeid, contents ? 0 : NO_DATA)
    if (found) this.counts.inodes++
    if (found ? twice && time < REPETITIONS.length : inode.known)
      this.#later(REPETITIONS[time] ?? LAST_PAUSE, () => this.#tellInode(inode, contents, twice, time + 1))
  }

  #later(pause: number, again: () => Promise<void>): void {
    if (this.#closed) return
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      this.counts.repeated++
      again().catch((error: unknown) => this.#closed || this.#failed(error))
    }, pause)
    this.#timers.add(timer.unref())
  }

  /** One for all that ask before it has begun. */
  async #newEpoch(): Promise<void> {
    this.#epoch ??= Promise.resolve().then(async () => {
      this.#epoch = undefined
      this.counts.epochs++
      await this.#notify.incEpoch()
    })
    await this.#epoch
  }
}

/** The number of a directory that is gone has been given to a file by now: nothing to be taken back. */
function isNoDirectory(error: { errno?: number }): false {
  if (error.errno === ENOTDIR) return false
  throw error
}
