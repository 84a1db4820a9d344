// Who reads directories: whether READDIRPLUS sends the attributes of files is learned from the LOOKUPs that follow.
import type { MirrorInode } from './inode.js'

/** Threads that are remembered. */
const MOST_READERS = 64
/** Of so many files that were listed without attributes, one that is looked up makes attributes worth their cost. */
const FILES_A_LOOKUP = 4
/** After so many directories with attributes one goes without, to see whether they are still wanted. */
const BETWEEN_SAMPLES = 64
/** So many names of a large directory have attributes before anything is known of its use. */
const MOST_UNASKED = 1000
/** The latest directories count most. */
const FADING = 0.5

/** What one thread, as the `pid` of its requests names it, has listed. */
export interface Reader {
  /** The latest directory was listed without attributes; and how many with them before. */
  bare: boolean
  full: number
  /** Files listed without attributes, and lookups of files in directories that were listed so. */
  files: number
  lookups: number
}

const wanted = ({ files, lookups }: Reader): boolean => lookups * FILES_A_LOOKUP >= files

/**
 * Kernel: attributes in a listing spare a LOOKUP for each name that is used, and READDIRPLUS is what it begins every directory with. But
 * `find` uses nothing of what is no directory, and each file costs a statx(2) and an inode. So the first directory of a thread comes with all
 * attributes (a large one only its first names), the next one without those of files, and then it depends on what was looked up in those.
 */
export class Readers {
  readonly #readers = new Map<number, Reader>()

  /**
   * Thread `pid` begins a directory: whether to send the attributes of files. `kept`: for a listing that lasts, so that names without
   * attributes would cost everybody else a LOOKUP, and only those of large directories go without.
   */
  begins(pid: number, directory: MirrorInode, kept: boolean): boolean {
    const reader = this.#readers.get(pid) ?? this.#meet(pid)
    const due = reader.full >= (reader.files === 0 ? 1 : BETWEEN_SAMPLES)
    reader.bare = !kept && (due || !wanted(reader))
    reader.full = reader.bare ? 0 : reader.full + 1
    reader.files *= FADING
    reader.lookups *= FADING
    directory.reader = reader.bare ? reader : null
    return !reader.bare
  }

  /** The same, after `names` names of the directory. */
  goesOn(pid: number, directory: MirrorInode, names: number, kept: boolean): boolean {
    const reader = this.#readers.get(pid)
    if (reader === undefined || (kept && names < MOST_UNASKED)) return true
    if (reader.bare) return wanted(reader)
    if (names < MOST_UNASKED || (reader.files > 0 && !kept)) return true
    reader.bare = true
    directory.reader = reader
    return false
  }

  #meet(pid: number): Reader {
    const readers = this.#readers
    for (const oldest of readers.keys()) {
      if (readers.size < MOST_READERS) break
      readers.delete(oldest)
    }
    const reader = { bare: false, full: 0, files: 0, lookups: 0 }
    readers.set(pid, reader)
    return reader
  }
}
