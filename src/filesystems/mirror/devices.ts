// The filesystems that show below the source, each as one mount shows it: what a mount denies is not to be had by another, and one
// directory below two mounts has two paths.
import { isLocalFilesystem } from '../../syscalls/index.js'
import type { FilesystemStatistics, Syscalls } from '../../syscalls/index.js'
import type { MirrorInode, Sighting } from './inode.js'
import { NONE } from './options.js'
import type { CachePolicy, ResolvedMirrorOptions } from './options.js'
import { statisticsOf } from './source.js'

const OVERLAYFS_SUPER_MAGIC = 0x794c7630

/** Filesystems of the kernel that make up content while it is read: st_size says nothing of it. Source: linux/magic.h. */
const GENERATED = new Set([
  0x9fa0, // proc
  0x62656572, // sysfs
  0x64626720, // debugfs
  0x74726163, // tracefs
  0x73636673, // securityfs
  0x62656570, // configfs
  0x0027e0eb, // cgroup
  0x63677270, // cgroup2
])

/** A filesystem of the source by st_dev, on one mount of it. */
export class Device {
  readonly dev: number
  /** STATX_MNT_ID. Kernel: 0 before Linux 5.8, so that all mounts of a filesystem are one. */
  readonly mntId: number
  /** False where the birth time is not part of a file's identity: overlayfs changes it when it copies a file up. */
  readonly stableBirth: boolean
  /** Files are read to where a read says they end, not to their size. */
  readonly generated: boolean
  /** No server is asked: a close has no errors to report. */
  readonly local: boolean
  /** Writes go to the page cache of this machine: those to overlayfs to that of a layer, which nearly always is a local one. */
  readonly writesToCache: boolean
  readonly inodes = new Map<number | bigint, MirrorInode>()
  /** How long the kernel may keep what it is told of this filesystem. */
  cache: CachePolicy

  constructor({ dev, mntId }: Sighting, type: number | undefined, cache: CachePolicy) {
    this.dev = dev
    this.mntId = mntId
    const overlayfs = type === OVERLAYFS_SUPER_MAGIC
    this.stableBirth = !overlayfs
    this.local = type !== undefined && isLocalFilesystem(type)
    this.generated = type !== undefined && GENERATED.has(type)
    this.writesToCache = this.local || overlayfs
    this.cache = cache
  }

  /** Whether what `stat` describes lies here. */
  holds(stat: Sighting): boolean {
    return this.dev === stat.dev && this.mntId === stat.mntId
  }
}

/** Hears of a device when it is seen for the first time, as `name` in `dirfd`. */
type Meet = (device: Device, dirfd: number, name: string, statistics?: FilesystemStatistics) => void

export class Devices {
  readonly #sys: Syscalls
  readonly #options: ResolvedMirrorOptions
  readonly #meet: Meet
  readonly #byMount = new Map<number, Map<number, Device>>()
  #last: Device | undefined

  constructor(sys: Syscalls, options: ResolvedMirrorOptions, meet: Meet) {
    this.#sys = sys
    this.#options = options
    this.#meet = meet
  }

  /** The device that `found` lies on; undefined where nothing of it has been seen. */
  known(found: Sighting): Device | undefined {
    if (this.#last?.holds(found)) return this.#last
    const device = this.#byMount.get(found.mntId)?.get(found.dev)
    if (device !== undefined) this.#last = device
    return device
  }

  /** The device that `found`, which is `name` in `dirfd`, lies on. */
  of(found: Sighting, dirfd: number, name: string): Device {
    return this.known(found) ?? this.#add(found, dirfd, name)
  }

  #add(found: Sighting, dirfd: number, name: string): Device {
    const statistics = statisticsOf(this.#sys, dirfd, name)
    const { strong, cache } = this.#options
    const device = new Device(found, statistics?.type, strong ? NONE : cache)
    let devices = this.#byMount.get(device.mntId)
    if (devices === undefined) this.#byMount.set(device.mntId, (devices = new Map()))
    devices.set(device.dev, device)
    this.#last = device
    this.#meet(device, dirfd, name, statistics)
    return device
  }
}
