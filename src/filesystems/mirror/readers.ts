// Who reads directories: whether READDIRPLUS sends the attributes of files is learned from the LOOKUPs of the same task.

/** Tasks that are remembered. */
const MOST_READERS = 64
/** Of so many names that were listed without attributes, one that is looked up makes attributes worth their cost. */
const NAMES_A_LOOKUP = 4
/** After so many directories with attributes one goes without, to see whether they are still wanted. */
const BETWEEN_SAMPLES = 64
/** So many names of a large directory have attributes before anything is known. */
const MOST_UNASKED = 1000
/** The latest directories count most. */
const FADING = 0.5

interface Reader {
  /** The latest directory was listed without attributes; and how many with them before. */
  bare: boolean
  full: number
  /** Names listed without attributes, and names looked up after that. */
  names: number
  lookups: number
}

const wanted = ({ names, lookups }: Reader): boolean => lookups * NAMES_A_LOOKUP >= names

/**
 * Kernel: attributes in a listing spare a LOOKUP for each name that is used, and READDIRPLUS is what it begins every directory with. But
 * `find` uses nothing of what is no directory, and each file costs a statx(2) and an inode. So the first directory of a task comes with all
 * attributes (a large one only its first names), the next one without those of files, and then it depends on what the task has looked up.
 */
export class Readers {
  readonly #readers = new Map<number, Reader>()
  #pid = -1
  #reader: Reader | undefined

  /** Task `pid` begins a directory: whether to send the attributes of files. */
  begins(pid: number): boolean {
    const reader = this.#find(pid) ?? this.#meet(pid)
    const due = reader.full >= (reader.names === 0 ? 1 : BETWEEN_SAMPLES)
    reader.bare = due || !wanted(reader)
    reader.full = reader.bare ? 0 : reader.full + 1
    reader.names *= FADING
    reader.lookups *= FADING
    return !reader.bare
  }

  /** The same, after `names` names of the directory. */
  goesOn(pid: number, names: number): boolean {
    const reader = this.#find(pid)
    if (reader === undefined) return true
    const unknown = reader.names === 0 && names >= MOST_UNASKED
    reader.bare ||= unknown
    return !unknown && (!reader.bare || wanted(reader))
  }

  /** So many names were listed without attributes. */
  sent(pid: number, names: number): void {
    const reader = this.#find(pid)
    if (reader !== undefined) reader.names += names
  }

  /** Task `pid` looked up a name that is there. */
  lookedUp(pid: number): void {
    const reader = this.#find(pid)
    if (reader?.bare === true) reader.lookups++
  }

  #find(pid: number): Reader | undefined {
    if (pid !== this.#pid) {
      this.#pid = pid
      this.#reader = this.#readers.get(pid)
    }
    return this.#reader
  }

  #meet(pid: number): Reader {
    const readers = this.#readers
    for (const oldest of readers.keys()) {
      if (readers.size < MOST_READERS) break
      readers.delete(oldest)
    }
    const reader = { bare: false, full: 0, names: 0, lookups: 0 }
    readers.set(pid, reader)
    this.#reader = reader
    return reader
  }
}
