// Which opens were refused because the name leads to another file: tells an open by name from one through /proc/self/fd.
import type { MirrorInode } from './inode.js'

const MOST = 64

/**
 * Kernel: after ESTALE a thread tries once more. An open by name looks the name up again and comes with the inode that it leads to by now;
 * one by a magic link or a file handle has no name, and comes with the same inode.
 */
export class RefusedOpens {
  /** Nodeids by thread, oldest first. */
  readonly #last = new Map<number, number>()

  add(pid: number, { nodeid }: MirrorInode): void {
    // Threads that the server cannot see all have the number 0.
    if (pid === 0) return
    this.#last.set(pid, nodeid)
    if (this.#last.size > MOST) this.#last.delete(this.#last.keys().next().value ?? pid)
  }

  /** A thread opens the inode: whether it was refused this one, the last time. */
  was(pid: number, { nodeid }: MirrorInode): boolean {
    if (this.#last.size === 0) return false
    const last = this.#last.get(pid)
    this.#last.delete(pid)
    return last === nodeid
  }
}
