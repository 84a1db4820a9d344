// The filesystem of hello.ts, as a module that several threads can serve.
import { ENOENT } from 'devfuse'
import type { Filesystem } from 'devfuse'

const root = {
  ino: 1,
  mode: 0o040555,
  nlink: 2,
  size: 0,
  blocks: 0,
  atime: 0,
  mtime: 0,
  ctime: 0,
  uid: 0,
  gid: 0,
}

const hello: Filesystem = {
  shareable: true,
  lookup: () => ENOENT,
  getattr: () => ({ attr: root }),
  statfs: () => ({ blocks: 1000, bfree: 500, bavail: 500, files: 100, ffree: 50, bsize: 4096, namelen: 255 }),
}

export default hello
