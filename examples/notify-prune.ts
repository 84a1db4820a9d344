// Names made up on the fly, any that is asked for: the kernel remembers all of them, until it is asked to drop those that
// nobody uses. Needs FUSE 7.45 (Linux 6.18).
import { mount } from 'devfuse'
import type { Attr, Filesystem } from 'devfuse'

const FOREVER = 1e9
const [mountPoint = '/mnt', interval = '1000', most = '100'] = process.argv.slice(2)

const shared = { nlink: 1, blocks: 0, size: 0, atime: 0, mtime: 0, ctime: 0, uid: 0, gid: 0 }
const attr = (nodeid: number): Attr => ({
  ...shared,
  ino: nodeid,
  mode: nodeid === 1 ? 0o040555 : 0o100444,
})

/** Lookups that the kernel still holds, by nodeid, and the names, both ways. */
const held = new Map<number, number>()
const nodeids = new Map<string, number>()
const names = new Map<number, string>()
let next = 2

const filesystem: Filesystem = {
  lookup({ name }) {
    const nodeid = nodeids.get(name) ?? next++
    nodeids.set(name, nodeid)
    names.set(nodeid, name)
    held.set(nodeid, (held.get(nodeid) ?? 0) + 1)
    return { nodeid, attr: attr(nodeid), attrValid: FOREVER, entryValid: FOREVER }
  },

  getattr: ({ nodeid }) => ({ attr: attr(nodeid), attrValid: FOREVER }),
  readdir: () => [],
  read: () => Buffer.alloc(0),

  forget({ nodeid, nlookup }) {
    const left = (held.get(nodeid) ?? 0) - nlookup
    held.set(nodeid, left)
    if (left > 0) return
    held.delete(nodeid)
    nodeids.delete(names.get(nodeid) ?? '')
    names.delete(nodeid)
  },
}

await using session = await mount(mountPoint, filesystem)
console.log(`mounted; in another terminal: touch ${session.mountPoint}/{1..1000}`)

let before = 0
const cleaner = setInterval(() => {
  if (held.size !== before) console.log(`the kernel remembers ${held.size} names`)
  before = held.size
  // Files that are open stay; the FORGETs of the others come by and by.
  if (held.size > Number(most)) session.notify.prune([...held.keys()]).catch(console.error)
}, Number(interval))
await session.closed
clearInterval(cleaner)
