// Backing files of a kernel in memory: ids for real files that it reads and writes by itself, without asking the server.
import { closeSync, fstatSync, openSync } from 'node:fs'
import type { BackingFiles } from './transport.js'

const EBADF = -9
const EINVAL = -22
const ENOENT = -2

// Linux: a descriptor that only holds the file, whatever the one it is made from may do.
const O_PATH = 0o10000000

const ACCESS_AND_SYNC = 0o3 | 0o4010000

/** What FUSE_DEV_IOC_BACKING_OPEN and _CLOSE do on a device, for a connection that has none. */
export class MemoryBackingFiles implements BackingFiles {
  readonly #held = new Map<number, number>()
  #last = 0

  open(fd: number): number {
    try {
      if (!fstatSync(fd).isFile()) return EINVAL
      const held = openSync(`/proc/self/fd/${fd}`, O_PATH)
      this.#held.set(++this.#last, held)
      return this.#last
    } catch (error) {
      return (error as NodeJS.ErrnoException).errno ?? EBADF
    }
  }

  close(id: number): number {
    const held = this.#held.get(id)
    if (held === undefined) return ENOENT
    this.#held.delete(id)
    closeSync(held)
    return 0
  }

  /**
   * Kernel: the file behind an id is opened anew for each open of the file it backs, with its flags. A descriptor that the
   * caller closes, or -errno.
   */
  reopen(id: number, flags: number): number {
    const held = this.#held.get(id)
    if (held === undefined) return ENOENT
    try {
      return openSync(`/proc/self/fd/${held}`, flags & ACCESS_AND_SYNC)
    } catch (error) {
      return (error as NodeJS.ErrnoException).errno ?? EBADF
    }
  }

  /** The connection is over. */
  clear(): void {
    for (const held of this.#held.values()) closeSync(held)
    this.#held.clear()
  }
}
