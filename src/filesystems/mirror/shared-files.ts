// The open files of a mirror that several threads serve.
import type { Crew } from './crew.js'
import { canWrite } from './open-file.js'
import type { OpenFile } from './open-file.js'
import type { Tree } from './tree.js'

/** Marks an open file, and not a directory, among those that threads share; no flag of open(2). */
const FILE = 1 << 30

/** Opens that every thread knows: an `fh` is the descriptor itself, and each open has one of its own. */
export class SharedFiles {
  readonly #tree: Tree
  readonly #crew: Crew

  constructor(tree: Tree, crew: Crew) {
    this.#tree = tree
    this.#crew = crew
  }

  add({ inode, fd, flags }: OpenFile): number {
    this.#crew.state.opened(fd, inode.nodeid, FILE | flags, canWrite({ flags }))
    return fd
  }

  get(fh: number): OpenFile | undefined {
    return this.#file(fh, this.#crew.state.what(fh))
  }

  remove(fh: number): OpenFile | undefined {
    return this.#file(
      fh,
      this.#crew.state.closed(fh, (what) => canWrite({ flags: what })),
    )
  }

  *[Symbol.iterator](): Generator<OpenFile> {
    for (const fd of this.#crew.state.fds((what) => (what & FILE) !== 0)) {
      const file = this.remove(fd)
      if (file !== undefined) yield file
    }
  }

  // Nobody asks an open for its inode here, but for the device, and that is one: what else it says is in the shared table.
  #file(fd: number, what: number): OpenFile | undefined {
    return (what & FILE) === 0 ? undefined : { inode: this.#tree.root, fd, flags: what & ~FILE, users: 0 }
  }
}
