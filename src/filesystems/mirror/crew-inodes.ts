// The inodes of a mirror that several threads serve: which there are is shared, and each thread finds a file by its number
// and remembers it for itself. Stands where `tree.ts` would look at its own inodes alone.
import { EMFILE, ENFILE, ESTALE } from '../../protocol/index.js'
import { AT_EMPTY_PATH, StatxBuffer } from '../../syscalls/index.js'
import type { Crew } from './crew.js'
import { closeFreeing } from './freeing.js'
import type { InodeNumbers } from './inode-numbers.js'
import { MirrorInode, STAT_MASK } from './inode.js'
import type { Sighting } from './inode.js'
import type { Tree } from './tree.js'

export class CrewInodes {
  readonly #tree: Tree
  readonly #crew: Crew
  readonly #numbers: InodeNumbers
  readonly #seen = new StatxBuffer()

  constructor(tree: Tree, crew: Crew, numbers: InodeNumbers) {
    this.#tree = tree
    this.#crew = crew
    this.#numbers = numbers
  }

  /** What the kernel means by a nodeid that any thread may have given out; `inode` is what this one remembers. */
  current(nodeid: number, inode: MirrorInode | undefined): MirrorInode | undefined {
    const { root, sys, descriptors } = this.#tree
    const { state } = this.#crew
    if (inode === root || (inode !== undefined && state.is(nodeid, inode.generation))) return inode
    const known = state.get(nodeid)
    if (inode !== undefined) this.#drop(inode)
    if (known === undefined) return undefined
    const fd = this.#open(known.ino)
    if (fd < 0) return undefined
    const found = sys.fstatx(fd, STAT_MASK, this.#seen) === 0
    const made = found ? new MirrorInode(root.device, this.#seen, null, '') : undefined
    if (made?.ino !== known.ino || made.generation !== known.generation) {
      sys.close(fd)
      return undefined
    }
    this.#register(made, nodeid)
    descriptors.hold(made, fd)
    return made
  }

  /** The inode that `found` describes, by default the tree's last statx(2), if the kernel has it from any thread. */
  known(found: Sighting = this.#tree.found): MirrorInode | undefined {
    const { root, inodes } = this.#tree
    if (!root.device.holds(found) || typeof found.ino !== 'number') return undefined
    if (root.is(found)) return root
    const made = new MirrorInode(root.device, found, null, '')
    const nodeid = this.#crew.state.nodeidOf(found.ino, made.generation)
    if (nodeid === 0) return undefined
    const inode = inodes.get(nodeid)
    if (inode?.is(found)) return inode
    this.#register(made, nodeid)
    return made
  }

  /** The same, made where it is new: it has no nodeid before {@link remember}. */
  adopt(found: Sighting): MirrorInode {
    return this.known(found) ?? new MirrorInode(this.#tree.root.device, found, null, '')
  }

  /** Counts a reply that names the inode. Throws ENFILE when there are too many. */
  remember(inode: MirrorInode): void {
    if (inode === this.#tree.root) return
    const nodeid = this.#crew.state.remember(Number(inode.ino), inode.generation)
    if (nodeid === 0)
      throw Object.assign(new Error('the mirror has no room for more inodes'), {
        errno: ENFILE,
        code: 'ENFILE',
      })
    if (this.#tree.inodes.get(nodeid) !== inode) this.#register(inode, nodeid)
  }

  forget(nodeid: number, nlookup: number): void {
    if (nodeid === this.#tree.root.nodeid || !this.#crew.state.forget(nodeid, nlookup)) return
    this.#crew.gone(nodeid)
    this.gone(nodeid)
  }

  /** Some thread had the last lookup given back. */
  gone(nodeid: number): void {
    const inode = this.#tree.inodes.get(nodeid)
    if (inode === undefined || inode === this.#tree.root) return
    if (!this.#crew.state.is(nodeid, inode.generation)) this.#drop(inode)
  }

  /** A descriptor of an inode that has none here, or -errno. */
  reopen(inode: MirrorInode): number {
    const { sys, descriptors } = this.#tree
    const fd = this.#open(Number(inode.ino))
    if (fd < 0) return fd
    if (sys.statx(fd, '', AT_EMPTY_PATH, STAT_MASK, this.#seen) === 0 && inode.is(this.#seen)) {
      descriptors.hold(inode, fd)
      return fd
    }
    sys.close(fd)
    return ESTALE
  }

  /** Closes an open of a file, whose last one it may be. */
  closeFile(fd: number): void {
    const tree = this.#tree
    const seen = this.#seen
    const nameless = tree.sys.fstatx(fd, STAT_MASK, seen) === 0 && seen.nlink === 0
    const blocks = nameless ? seen.blocks : 0
    if (nameless && tree.root.fd >= 0) this.#keep(this.known(seen))
    closeFreeing(tree.sys, fd, blocks)
  }

  /** Somebody may hold a file without a name by an O_PATH; any thread finds it by its number while one has a descriptor. */
  #keep(inode: MirrorInode | undefined): void {
    if (inode !== undefined && this.#tree.descriptor(inode) >= 0) inode.orphan = true
  }

  #open(ino: number): number {
    const open = (): number => this.#numbers.openKnown(ino)
    const fd = open()
    return fd === EMFILE || fd === ENFILE ? this.#tree.retry(open) : fd
  }

  #register(inode: MirrorInode, nodeid: number): void {
    const { inodes } = this.#tree
    const other = inodes.get(nodeid)
    if (other !== undefined && other !== inode) this.#drop(other)
    if (inode.nodeid !== 0 && inode.nodeid !== nodeid) inodes.forget(inode.nodeid, Infinity)
    inodes.add(inode, nodeid)
  }

  #drop(inode: MirrorInode): void {
    this.#tree.inodes.forget(inode.nodeid, Infinity)
    const fd = this.#tree.descriptors.release(inode)
    if (fd >= 0) this.#tree.close(inode, fd)
  }
}
