// The bounded set of O_PATH descriptors that inodes hold, so that a million known inodes need no million descriptors.
import { AT_EMPTY_PATH } from '../../syscalls/index.js'
import type { Syscalls } from '../../syscalls/index.js'
import type { Device } from './devices.js'
import type { MirrorInode } from './inode.js'

/**
 * Descriptors handed out this recently are in use by the request at hand (a rename needs two) and stay. Only what a request asks for
 * counts, not what is passed on the way there, of which a deep directory takes any number.
 */
const RECENT = 8

export class PathDescriptors {
  readonly #sys: Syscalls
  readonly #limit: number
  readonly #device: Device
  readonly #handleMount: number
  readonly #held: MirrorInode[] = []
  #tick = 0
  #hand = 0
  /** Where the walk to a descriptor stands: the next step is made from there. */
  #step: MirrorInode | undefined

  /**
   * File handles are opened on mount `handleMount` (-1: they can't be), that of `device`. What is reached by another mount has
   * the rights of that one and what is mounted below it, so it is never found by handle.
   */
  constructor(sys: Syscalls, limit: number, device: Device, handleMount: number) {
    this.#sys = sys
    this.#limit = limit
    this.#device = device
    this.#handleMount = handleMount
  }

  get size(): number {
    return this.#held.length
  }

  /** The inode's descriptor, marked as in use; -1 when it has none. */
  use(inode: MirrorInode): number {
    inode.stamp = ++this.#tick
    return inode.fd
  }

  /** Gives the inode a descriptor, evicting others beyond the limit. */
  hold(inode: MirrorInode, fd: number): void {
    this.#add(inode, fd, ++this.#tick)
  }

  /** The same on the way to a descriptor below it, which is what was asked for. */
  pass(inode: MirrorInode, fd: number): void {
    this.#add(inode, fd, this.#tick - RECENT)
    this.#step = inode
  }

  /** Closes half of them: the process has run out of descriptors. */
  evictHalf(): void {
    for (let left = this.#held.length >> 1; left > 0 && this.#evictOne(); left--);
  }

  /** The inode is forgotten: its descriptor, taken out of the set without closing it; -1 when it has none. */
  release(inode: MirrorInode): number {
    const { fd } = inode
    if (fd < 0) return -1
    if (this.#step === inode) this.#step = undefined
    inode.fd = -1
    this.#remove(inode.slot)
    return fd
  }

  /** Closes every one. */
  clear(): void {
    for (const inode of this.#held) {
      this.#sys.close(inode.fd)
      inode.fd = -1
    }
    this.#held.length = 0
    this.#step = undefined
  }

  #add(inode: MirrorInode, fd: number, stamp: number): void {
    while (this.#held.length >= this.#limit && this.#evictOne());
    inode.fd = fd
    inode.stamp = stamp
    inode.slot = this.#held.push(inode) - 1
  }

  /** Second chance: goes round, passing over what was used since the last round. False when nothing may go. */
  #evictOne(): boolean {
    const { length } = this.#held
    const old = this.#tick - Math.max(length >> 1, RECENT)
    let spare = -1
    for (let step = 0; step < length; step++) {
      if (this.#hand >= this.#held.length) this.#hand = 0
      const inode = this.#held[this.#hand]
      if (this.#isInUse(inode) || !this.#leadsBack(inode)) {
        this.#hand++
        continue
      }
      if (inode.stamp > old) {
        if (spare < 0) spare = this.#hand
        this.#hand++
        continue
      }
      this.#evict(this.#hand)
      return true
    }
    // Everything that may go was used lately, or nothing leads back to what is left: a descriptor has to go none the less.
    if (spare < 0) spare = this.#held.findIndex((inode) => !this.#isInUse(inode))
    if (spare < 0) return false
    this.#evict(spare)
    return true
  }

  /** Whether a handle may lead back to the file. */
  #takesHandle(inode: MirrorInode): boolean {
    return this.#handleMount >= 0 && inode.device === this.#device
  }

  #isInUse(inode: MirrorInode): boolean {
    return this.#tick - inode.stamp < RECENT || inode === this.#step
  }

  #leadsBack(inode: MirrorInode): boolean {
    return !inode.orphan && (inode.parent !== null || this.#takesHandle(inode))
  }

  #evict(index: number): void {
    const inode = this.#held[index]
    if (inode.handle === null && !inode.orphan && this.#takesHandle(inode)) {
      const handle = this.#sys.nameToHandleAt(inode.fd, '', AT_EMPTY_PATH)
      // Where the device is that of every mount (before Linux 5.8), the handle tells by which one the file was reached.
      if (typeof handle !== 'number' && handle.mountId === this.#handleMount) inode.handle = handle
    }
    this.#sys.close(inode.fd)
    inode.fd = -1
    this.#remove(index)
  }

  #remove(index: number): void {
    const last = this.#held.pop()!
    if (index >= this.#held.length) return
    this.#held[index] = last
    last.slot = index
  }
}
