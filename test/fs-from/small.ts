// A small filesystem of a few files, to be changed by the tests, and a record of what it is asked.
import { ENOENT } from 'devfuse'
import type { Attr, Filesystem, InitFlagName } from 'devfuse'
import { fsFrom } from 'devfuse/fs'
import type { FsFromOptions, FsView } from 'devfuse/fs'
import { trace } from 'devfuse/wrappers'

export const text = Buffer.from('Hello from a small filesystem!\n')

export const attrOf = (ino: number, mode: number, size = 0): Attr => ({
  ...{ ino, mode, size, nlink: 1, blocks: 0, uid: 0, gid: 0, atime: 0, mtime: 0, ctime: 0 },
})

export const root = attrOf(1, 0o040755)
export const file = attrOf(2, 0o100644, text.length)

/** `/hello` is a file with nodeid 2; everything else is up to `handlers`. */
export function small(handlers: Filesystem = {}): Filesystem {
  return {
    lookup: ({ nodeid, name }) => (nodeid === 1 && name === 'hello' ? { nodeid: 2, attr: file } : ENOENT),
    getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? root : file }),
    readdir: ({ offset }) => [{ name: 'hello', ino: 2, type: 8 }].slice(offset),
    read: ({ offset, size }) => text.subarray(offset, offset + size),
    ...handlers,
  }
}

export interface Asked {
  operation: string
  [field: string]: unknown
}

export interface Recorded {
  fs: FsView
  /** Every request since the last call of this, without its header. */
  asked: () => Asked[]
  /** The same, names only. */
  names: () => string[]
  /** What the session warned of. */
  warnings: string[]
}

/** A view that keeps a record. */
export function recorded(handlers: Filesystem = {}, options: FsFromOptions = {}): Recorded {
  let record: Asked[] = []
  const warnings: string[] = []
  const filesystem = trace(small(handlers), ({ operation, request }) => {
    const { unique: _, context: __, resent: ___, ...fields } = request as unknown as Record<string, unknown>
    record.push({ operation, ...fields })
  })
  const fs = fsFrom(filesystem, { onWarning: ({ message }) => warnings.push(message), ...options })
  const asked = (): Asked[] => {
    const taken = record
    record = []
    return taken
  }
  return { fs, asked, names: () => asked().map(({ operation }) => operation), warnings }
}

/** The options that have `flag` agreed on. */
export const wanting = (...want: InitFlagName[]): FsFromOptions => ({ want })
