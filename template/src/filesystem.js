// The filesystem, by path: an object of functions. Everything that such an object may have is in the type PathFilesystem.
// Functions may be async. What is left out, programs are told is not supported.
import { Buffer } from 'node:buffer'
import { basename, dirname } from 'node:path/posix'

/** Files whose content is made up whenever they are read. */
const computed = {
  '/hello.txt': () => 'Hello from devfuse!\n',
  '/now.txt': () => `${new Date().toISOString()}\n`,
}

/**
 * A filesystem with some files of the kind above, and a directory `/notes` that can be written to and is kept in memory.
 *
 * @returns {import('devfuse/fs').PathFilesystem}
 */
export function createFilesystem() {
  /** @type {Map<string, { data: Buffer, mtime: Date }>} */
  const notes = new Map([['/notes/first.txt', { data: Buffer.from('Change me.\n'), mtime: new Date() }]])

  /** @param {string} path */
  const noteAt = (path) => notes.get(path) ?? fail('ENOENT')

  /** @param {string} path */
  const mustBeInNotes = (path) => path.startsWith('/notes/') || fail('EACCES')

  return {
    lstat(path) {
      if (path === '/' || path === '/notes') return { type: 'directory' }
      // Without a size: it is known once the file has been read.
      if (path in computed) return { type: 'file', mode: 0o444 }
      const note = notes.get(path)
      return note && { type: 'file', size: note.data.length, mtime: note.mtime }
    },

    readdir(path) {
      if (path === '/') return [...Object.keys(computed).map((name) => name.slice(1)), 'notes']
      // Directories below are kept by devfuse; the files in them are here.
      return [...notes.keys()].filter((note) => dirname(note) === path).map((note) => basename(note))
    },

    readFile(path) {
      if (path in computed) return computed[/** @type {keyof typeof computed} */ (path)]()
      return noteAt(path).data
    },

    writeFile(path, data) {
      mustBeInNotes(path)
      notes.set(path, { data: Buffer.from(data), mtime: new Date() })
    },

    unlink(path) {
      mustBeInNotes(path)
      noteAt(path)
      notes.delete(path)
    },

    rename(from, to) {
      mustBeInNotes(from)
      mustBeInNotes(to)
      // A file, or all that is in a directory.
      for (const [path, note] of [...notes]) {
        if (path !== from && !path.startsWith(`${from}/`)) continue
        notes.delete(path)
        notes.set(to + path.slice(from.length), note)
      }
    },
  }
}

/**
 * Errors are those of node: an Error with a `code`.
 *
 * @param {string} code
 * @returns {never}
 */
function fail(code) {
  throw Object.assign(new Error(code), { code })
}
