// A file with the time in it whose content is only ever pushed: each change is stored into the kernel's page cache, and
// read back from there to see that it arrived.
import { setTimeout as delay } from 'node:timers/promises'
import { ENOENT, FOPEN_KEEP_CACHE, mount } from 'devfuse'
import type { Attr, Filesystem } from 'devfuse'

const FOREVER = 1e9
const [mountPoint = '/mnt', interval = '1000'] = process.argv.slice(2)

const now = (): Buffer => Buffer.from(`${new Date().toISOString()}\n`)
let content = now()
let reads = 0

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
  read({ offset, size }) {
    reads++
    return content.subarray(offset, offset + size)
  },
}

await using session = await mount(mountPoint, filesystem)
console.log(`mounted; in another terminal: watch cat ${session.mountPoint}/time`)

let ended = false
void session.closed.then(() => (ended = true))
while (!ended) {
  content = now()
  // False: nobody has looked the file up yet, so that the kernel knows of no inode to store into.
  if (await session.notify.store(2, 0, content)) {
    const back = await session.notify.retrieve(2, 0, content.length)
    console.log(
      `stored and retrieved: ${back.equals(content) ? 'equal' : 'different'}; READ requests: ${reads}`,
    )
  }
  await Promise.race([delay(Number(interval)), session.closed])
}
