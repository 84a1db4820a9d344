// Strong caching: what happens on the source is passed on to the kernel, so that its caches may last.
import { DevfuseWarning, OptionError } from '../../index.js'
import type { Negotiation, Notifier } from '../../index.js'
import { ENOENT } from '../../protocol/index.js'
import { S_IFDIR, S_IFMT } from '../../syscalls/index.js'
import type { FilesystemStatistics } from '../../syscalls/index.js'
import type { Device } from './devices.js'
import type { MirrorInode } from './inode.js'
import { NONE, NORMAL } from './options.js'
import type { CachePolicy } from './options.js'
import { Pending } from './pending.js'
import type { PendingCounts, Seen } from './pending.js'
import { Recent, signature } from './recent.js'
import type { Tree } from './tree.js'
import { Watch, explain } from './watch.js'
import type { ChangeListener } from './watch.js'

/** What a mirror with `cache: 'strong'` tells of its watch. */
export interface Watching extends PendingCounts {
  /** `on`; `lost` while `normal` holds after events were lost; `ended` when nothing can be watched any more. */
  state: 'on' | 'lost' | 'ended'
  /** Events read, of the source and whatever else lies on its filesystem. */
  events: number
  /** Times that events were lost. */
  overflows: number
}

/** FUSE_NOTIFY_INC_EPOCH. */
const NEEDED_MINOR = 44
/** Names that wait to be sent: beyond, one new epoch is cheaper. */
const MOST_NAMES = 65_536
/** Milliseconds without a loss before caches may last again. */
const QUIET = 1000

/** The mounts of one filesystem under watch. */
type Mounts = Device[]

export class Coherence implements ChangeListener<Mounts> {
  readonly recent = new Recent()
  readonly #tree: Tree
  readonly #watch: Watch<Mounts>
  /** By st_dev. */
  readonly #watched = new Map<number, Mounts>()
  readonly #own: boolean
  #pending: Pending | undefined
  #state: Watching['state'] = 'on'
  #overflows = 0
  #lostAt = 0
  #timer: NodeJS.Timeout | undefined

  /** Watches the root's filesystem; throws an OptionError that says why it can't be. `own`: the source's mounts are nobody else's. */
  constructor(tree: Tree, statistics: FilesystemStatistics, own: boolean) {
    this.#tree = tree
    this.#own = own
    const watch = Watch.open(tree.sys, this)
    if (typeof watch === 'number') throw impossible(`fanotify_init failed: ${explain(watch)}`)
    this.#watch = watch
    const { root } = tree
    const mounts = [root.device]
    const reason = watch.add(mounts, root.fd, '', statistics, own)
    if (reason !== undefined) {
      watch.close()
      throw impossible(reason)
    }
    this.#watched.set(root.device.dev, mounts)
    root.device.cache = tree.options.cache
  }

  /** The mount is about to work. */
  begin({ kernelMinor, agreed }: Negotiation, notify: Notifier): void {
    if (kernelMinor < NEEDED_MINOR) {
      throw impossible(
        `the kernel speaks FUSE 7.${kernelMinor}, and taking back every name (FUSE_NOTIFY_INC_EPOCH) came with ` +
          `7.${NEEDED_MINOR} (Linux 6.16)`,
      )
    }
    const look = agreed.has('FUSE_HAS_EXPIRE_ONLY')
      ? (parent: MirrorInode, name: string) => this.#lookAt(parent, name)
      : undefined
    this.#pending = new Pending(notify, this.recent, look, (error) =>
      this.#lose(error instanceof Error ? error.message : String(error)),
    )
    this.#watch.start()
  }

  get watching(): Watching {
    const counts = this.#pending?.counts ?? { names: 0, inodes: 0, repeated: 0, epochs: 0 }
    return { state: this.#state, events: this.#watch.events, overflows: this.#overflows, ...counts }
  }

  /** Another filesystem shows below the source, or one by another mount, at `name` in `dirfd`. */
  meet(device: Device, dirfd: number, name: string, statistics: FilesystemStatistics | undefined): void {
    const mounts = this.#watched.get(device.dev) ?? []
    const own = this.#own && mounts.length === 0
    const reason =
      statistics === undefined ? 'statfs failed' : this.#watch.add(mounts, dirfd, name, statistics, own)
    if (reason !== undefined) {
      device.cache = NORMAL
      this.#warn(`the filesystem at ${name} below ${this.#tree.path} is cached as in 'normal': ${reason}`)
      return
    }
    // What is written by one mount is news to whoever knows the file by another.
    if (mounts.push(device) > 1) this.#watch.hearOwn()
    this.#watched.set(device.dev, mounts)
    // What the requests at hand have seen may be older than the watch.
    device.cache = NONE
    queueMicrotask(() => (device.cache = this.#state === 'on' ? this.#tree.options.cache : NORMAL))
  }

  entry(mounts: Mounts, ino: number | bigint, name: string): void {
    if (this.#state === 'ended') return
    for (const { inodes } of mounts) {
      const parent = inodes.get(ino)
      if (parent !== undefined) this.#entry(parent, name)
    }
  }

  inode(mounts: Mounts, ino: number | bigint, contents: boolean): void {
    if (this.#state === 'ended') return
    for (const { inodes } of mounts) {
      const inode = inodes.get(ino)
      if (inode !== undefined) this.#inode(inode, contents)
    }
  }

  overflow(): void {
    this.#overflows++
    this.#lose('the source changes faster than the mirror can follow, and events were lost (FAN_Q_OVERFLOW)')
  }

  told(all: boolean): void {
    if (all) this.recent.forgetOwn()
    if (this.#pending!.names > MOST_NAMES) this.overflow()
    this.#pending!.send()
  }

  ended(errno: number): void {
    this.#lose(`watching the source has ended: ${explain(errno)}`)
    this.#state = 'ended'
    this.recent.end()
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#watch.close()
    this.#pending?.close()
    this.recent.close()
  }

  #entry(parent: MirrorInode, name: string): void {
    const made = this.recent.madeOf(parent, name)
    if (made === undefined || this.#lookAt(parent, name).nodeid !== made) this.#pending!.entry(parent, name)
  }

  #inode(inode: MirrorInode, contents: boolean): void {
    const set = inode.memory?.set
    if (set !== undefined && this.#tree.stat(inode) === 0 && signature(this.#tree.found) === set) return
    this.#pending!.inode(inode, contents)
  }

  #lookAt(parent: MirrorInode, name: string): Seen {
    const tree = this.#tree
    const result = tree.statName(parent, name)
    if (result < 0) return { nodeid: result === ENOENT ? 0 : -1, isDirectory: false }
    return { nodeid: tree.known()?.nodeid ?? -1, isDirectory: (tree.found.mode & S_IFMT) === S_IFDIR }
  }

  #lose(reason: string): void {
    this.#lostAt = performance.now()
    // What has been answered since the first loss is short-lived anyway.
    if (this.#state !== 'on') return
    this.#state = 'lost'
    this.#cacheAs(NORMAL)
    this.#warn(`${reason}: until they can be followed again, names and attributes may be a second old`)
    void this.#pending!.everything(this.#tree.inodes)
      .catch(() => undefined)
      .then(() => this.#recover())
  }

  #recover(): void {
    if (this.#state !== 'lost') return
    const left = this.#lostAt + QUIET - performance.now()
    if (left > 0) {
      this.#timer = setTimeout(() => this.#recover(), left).unref()
      return
    }
    this.#state = 'on'
    this.#cacheAs(this.#tree.options.cache)
  }

  #cacheAs(policy: CachePolicy): void {
    for (const mounts of this.#watched.values()) for (const device of mounts) device.cache = policy
  }

  #warn(message: string): void {
    const problem = new DevfuseWarning('ERR_DEVFUSE_WATCH', message)
    const { onWarning } = this.#tree.options.session
    if (onWarning === undefined) process.emitWarning(problem)
    else onWarning(problem)
  }
}

function impossible(reason: string): OptionError {
  return new OptionError(
    `option \`cache: 'strong'\` is impossible here: ${reason}; leave it out, or set 'normal'`,
  )
}
