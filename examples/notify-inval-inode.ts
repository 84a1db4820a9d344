// A file with the time in it: the kernel may keep attributes and data for ever, and is told when they have changed.
// Arguments: MNT, milliseconds between changes, and `inval` (default), `store` or `silent`.
import { ENOENT, FOPEN_KEEP_CACHE, mount } from 'devfuse'
import type { Attr, Filesystem } from 'devfuse'

const FOREVER = 1e9
const [mountPoint = '/mnt', interval = '1000', how = 'inval'] = process.argv.slice(2)

const now = (): Buffer => Buffer.from(`${new Date().toISOString()}\n`)
let content = now()

const attr = (nodeid: number): Attr => ({
  ino: nodeid,
  mode: nodeid === 1 ? 0o040555 : 0o100444,
  size: nodeid === 1 ? 0 : content.length,
  ...{ nlink: 1, blocks: 0, atime: 0, mtime: 0, ctime: 0, uid: 0, gid: 0 },
})

const filesystem: Filesystem = {
  lookup: ({ nodeid, name }) =>
    nodeid === 1 && name === 'time'
      ? { nodeid: 2, attr: attr(2), attrValid: FOREVER, entryValid: FOREVER }
      : ENOENT,
  getattr: ({ nodeid }) => ({ attr: attr(nodeid), attrValid: FOREVER }),
  readdir: ({ offset }) => [{ name: 'time', ino: 2, type: 8 }].slice(offset),
  open: () => ({ openFlags: FOPEN_KEEP_CACHE }),
  read: ({ offset, size }) => content.subarray(offset, offset + size),
}

await using session = await mount(mountPoint, filesystem)
console.log(`mounted; in another terminal: watch cat ${session.mountPoint}/time`)

const clock = setInterval(() => {
  content = now()
  const { notify } = session
  if (how === 'inval') notify.invalInode(2).catch(console.error)
  // The new content goes into the cache unasked: readers need no READ at all.
  if (how === 'store') notify.store(2, 0, content).catch(console.error)
}, Number(interval))
await session.closed
clearInterval(clock)
