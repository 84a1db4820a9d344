// The subject `hello`: the smallest filesystem with a statfs handler of its own, so that a round trip includes calling one.
import { ENOENT, mount } from 'devfuse'

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

const session = await mount(process.argv[2], {
  lookup: () => ENOENT,
  getattr: () => ({ attr: root }),
  statfs: () => ({ blocks: 1000, bfree: 500, bavail: 500, files: 100, ffree: 50, bsize: 4096, namelen: 255 }),
})
await session.closed
