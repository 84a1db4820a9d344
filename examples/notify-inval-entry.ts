// A directory with one file, whose name is the time: the kernel may keep the name for ever, and is told when it has
// changed. Arguments: MNT, milliseconds between changes, and `inval` (default), `expire` or `silent`.
import { ENOENT, mount } from 'devfuse'
import type { Attr, Filesystem } from 'devfuse'

const FOREVER = 1e9
const [mountPoint = '/mnt', interval = '1000', how = 'inval'] = process.argv.slice(2)

const shared = { nlink: 1, blocks: 0, size: 0, atime: 0, mtime: 0, ctime: 0, uid: 0, gid: 0 }
const root: Attr = { ...shared, ino: 1, mode: 0o040555 }
const file: Attr = { ...shared, ino: 2, mode: 0o100444 }
const now = (): string => `Time_is_${new Date().toISOString().slice(11, 23).replaceAll(':', 'h')}`
let name = now()

const filesystem: Filesystem = {
  lookup: (request) =>
    request.nodeid === 1 && request.name === name
      ? { nodeid: 2, attr: file, attrValid: FOREVER, entryValid: FOREVER }
      : ENOENT,
  getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? root : file, attrValid: FOREVER }),
  readdir: ({ offset }) => [{ name, ino: 2, type: 8 }].slice(offset),
}

await using session = await mount(mountPoint, filesystem)
console.log(`mounted; in another terminal: watch ls ${session.mountPoint}`)

const clock = setInterval(() => {
  const old = name
  name = now()
  const { notify } = session
  // False says that the kernel did not know the name, which is as good.
  if (how === 'inval') notify.invalEntry(1, old).catch(console.error)
  if (how === 'expire') notify.expireEntry(1, old).catch(console.error)
}, Number(interval))
await session.closed
clearInterval(clock)
