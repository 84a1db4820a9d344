// What a coherent cache has to remember for a short while: names that the kernel was just told of, and the mirror's own changes.
import type { ListedStat, MirrorInode } from './inode.js'

/** Milliseconds after which the kernel has long taken up an answer. */
const LIFETIME = 2000

/** What is remembered of one inode. */
export interface Memory {
  /** Names in this directory that answers told of, each with the last one (see {@link Answer}); and those of the time before. */
  told: Map<string, Answer> | undefined
  toldBefore: Map<string, Answer> | undefined
  /** Names that the mirror itself changed, or that were just looked up, and the nodeid that each was said to lead to (0: none). */
  made: Map<string, number> | undefined
  /** The attributes that the kernel was told of since the mirror itself set some. */
  set: string | undefined
  /** When the mirror itself made or changed it last. */
  ownAt: number
}

/** Twice the number of an answer, plus 1 where the name was in a listing lately; 0 for none. */
export type Answer = number

export class Recent {
  #young: MirrorInode[] = []
  #old: MirrorInode[] = []
  #changed: MirrorInode[] = []
  #answers = 0
  #ended = false
  #timer: NodeJS.Timeout | undefined

  /** An answer tells the kernel what `name` in `parent` is; `listed`: as one of many (READDIRPLUS). */
  tell(parent: MirrorInode, name: string, listed: boolean): void {
    const memory = memoryOf(parent)
    if (memory.told === undefined) {
      memory.told = new Map()
      this.#young.push(parent)
      this.#timer ??= setTimeout(() => this.#age(), LIFETIME).unref()
    }
    const before = this.toldOf(parent, name)
    memory.told.set(name, 2 * ++this.#answers + (listed ? 1 : before & 1))
    memory.made?.delete(name)
  }

  /** The last answer that told of the name lately. */
  toldOf({ memory }: MirrorInode, name: string): Answer {
    return memory?.told?.get(name) ?? memory?.toldBefore?.get(name) ?? 0
  }

  /**
   * Whether `answer` about a name, or one before it, may still be on its way. Kernel: a name is looked up by one caller at a time, so a
   * newer LOOKUP means that the last one has been taken up; what was listed may be taken up later.
   */
  isOnItsWay(parent: MirrorInode, name: string, answer: Answer): boolean {
    const last = this.toldOf(parent, name)
    return answer !== 0 && last !== 0 && (last === answer || (last & 1) === 1)
  }

  /** The kernel has taken up `answer` and all before it. */
  untell(inode: MirrorInode, name: string, answer: Answer): void {
    const { memory } = inode
    if (memory === null || this.toldOf(inode, name) !== answer) return
    memory.told?.delete(name)
    memory.toldBefore?.delete(name)
  }

  /** The mirror changed `name` for the kernel, which knows: it leads to `inode` now. */
  made(parent: MirrorInode, name: string, inode: MirrorInode | null): void {
    if (this.#ended) return
    if (inode !== null) memoryOf(inode).ownAt = performance.now()
    this.#leads(parent, name, inode?.nodeid ?? 0)
  }

  /** The answer that was just told says that `name` leads to this nodeid; 0: none. What was listed before may be taken up after it. */
  looked(parent: MirrorInode, name: string, nodeid: number): void {
    if (!this.#ended && (this.toldOf(parent, name) & 1) === 0) this.#leads(parent, name, nodeid)
  }

  #leads(parent: MirrorInode, name: string, nodeid: number): void {
    const memory = memoryOf(parent)
    if (memory.made === undefined) {
      memory.made = new Map()
      this.#changed.push(parent)
    }
    memory.made.set(name, nodeid)
  }

  /** The nodeid that {@link made} or {@link looked} told of; 0: none. */
  madeOf({ memory }: MirrorInode, name: string): number | undefined {
    return memory?.made?.get(name)
  }

  /** The answer tells the kernel what its own change of attributes led to. */
  set(inode: MirrorInode, stat: ListedStat): void {
    if (this.#ended) return
    const memory = memoryOf(inode)
    if (memory.set === undefined) this.#changed.push(inode)
    memory.set = signature(stat)
    memory.ownAt = performance.now()
  }

  /** Another answer tells of the attributes. */
  seen({ memory }: MirrorInode, stat: ListedStat): void {
    if (memory !== null && memory.set !== undefined) memory.set = signature(stat)
  }

  /** Kernel: the answer to a change of its own is taken as it is, even when the inode has been invalidated meanwhile. */
  isUnderWay({ memory }: MirrorInode): boolean {
    return memory !== null && performance.now() - memory.ownAt < LIFETIME
  }

  /** The mirror's own changes made before now will not be heard of any more. */
  forgetOwn(): void {
    for (const { memory } of this.#changed) if (memory !== null) memory.made = memory.set = undefined
    this.#changed = []
  }

  /** Nothing will be heard any more, of what is remembered and of what comes. */
  end(): void {
    this.forgetOwn()
    this.#ended = true
  }

  close(): void {
    clearTimeout(this.#timer)
  }

  #age(): void {
    this.#timer = undefined
    for (const { memory } of this.#old) memory!.toldBefore = undefined
    for (const { memory } of this.#young) {
      memory!.toldBefore = memory!.told
      memory!.told = undefined
    }
    // On a quiet source nothing else ends what lookups leave.
    for (const { memory } of this.#changed) if (memory !== null) memory.made = undefined
    this.#changed = this.#changed.filter(({ memory }) => memory?.set !== undefined)
    this.#old = this.#young
    this.#young = []
    if (this.#old.length > 0) this.#timer = setTimeout(() => this.#age(), LIFETIME).unref()
  }
}

function memoryOf(inode: MirrorInode): Memory {
  return (inode.memory ??= {
    told: undefined,
    toldBefore: undefined,
    made: undefined,
    set: undefined,
    ownAt: -LIFETIME,
  })
}

/** All that the kernel caches of a file's attributes but its access time. */
export function signature(stat: ListedStat): string {
  const { mode, uid, gid, nlink, size, mtimeSec, mtimeNsec, ctimeSec, ctimeNsec } = stat
  return `${mode} ${uid} ${gid} ${nlink} ${size} ${mtimeSec} ${mtimeNsec} ${ctimeSec} ${ctimeNsec}`
}
