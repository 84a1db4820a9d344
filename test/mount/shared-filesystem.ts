// The filesystem that several threads serve together in clone.test.ts: every file tells which thread read it.
import { threadId } from 'node:worker_threads'
import { ENOENT } from 'devfuse'
import type { Attr, Filesystem } from 'devfuse'

const shared = { blocks: 0, nlink: 1, uid: 0, gid: 0, atime: 0, mtime: 0, ctime: 0 }
const root: Attr = { ...shared, ino: 1, size: 0, mode: 0o040755 }
const file: Attr = { ...shared, ino: 2, size: 1 << 20, mode: 0o100644 }

/** Each thread gets an object of its own from this module; nodeids mean the same to all of them. */
const filesystem: Filesystem = {
  shareable: true,
  lookup({ name }) {
    if (name === 'slow') return { nodeid: 3, attr: { ...file, ino: 3 } }
    return name.startsWith('f') ? { nodeid: 2, attr: file } : ENOENT
  },
  getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? root : { ...file, ino: nodeid } }),
  open: () => ({ openFlags: 1 }), // FOPEN_DIRECT_IO: one READ for every read(2)
  async read({ nodeid, size, signal }) {
    if (nodeid === 3) {
      // The interrupt may have overtaken its request on the way through another thread.
      signal.throwIfAborted()
      return await new Promise((_, fail) =>
        signal.addEventListener('abort', () => fail(signal.reason as Error)),
      )
    }
    // Long enough that the other threads get their share.
    const until = performance.now() + 0.5
    while (performance.now() < until);
    return Buffer.from(`${threadId}\n`.padStart(Math.min(size, 16)))
  },
  statfs: () => ({ files: threadId }),
}

export default filesystem
