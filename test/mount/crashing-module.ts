// The filesystem of worker.test.ts whose thread throws, or never comes back, when it is told to.
import { parentPort } from 'node:worker_threads'
import type { Attr, Filesystem } from 'devfuse'

const times = { atime: 0, mtime: 0, ctime: 0 }
const attr: Attr = { ino: 1, size: 0, blocks: 0, mode: 0o040755, nlink: 2, uid: 0, gid: 0, ...times }

parentPort?.on('message', (order: string) => {
  if (order === 'hang') for (;;);
  throw new Error('told to')
})

const filesystem: Filesystem = { getattr: () => ({ attr }) }

export default filesystem
