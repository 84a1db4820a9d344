// A directory with one file `f`, whose reads are told and wait.
import { writeFileSync } from 'node:fs'
import { ENOENT, FOPEN_DIRECT_IO } from 'devfuse'
import type { Attr, Filesystem } from 'devfuse'

const shared = { blocks: 0, nlink: 1, uid: 0, gid: 0, atime: 0, mtime: 0, ctime: 0 }
const root: Attr = { ...shared, ino: 1, size: 0, mode: 0o040755 }
const file: Attr = { ...shared, ino: 2, size: 65536, mode: 0o100644 }

/** Makes the file `reached` at the first read, which is answered once `answer` resolves. */
export function hangingFile(reached: string, answer: Promise<void>): Filesystem {
  return {
    lookup: ({ name }) => (name === 'f' ? { nodeid: 2, attr: file } : ENOENT),
    getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? root : file }),
    open: () => ({ fh: 1, openFlags: FOPEN_DIRECT_IO }),
    async read({ size }) {
      writeFileSync(reached, '')
      await answer
      return Buffer.alloc(size, 'A')
    },
  }
}
