// Files that wait to be read: somebody produces a letter for one of them every now and then, and poll(2) says which
// have some. Its client is poll-client.ts. Arguments: MNT and the milliseconds between letters.
import { EACCES, EBUSY, ENOENT, mount } from 'devfuse'
import type { Attr, Filesystem } from 'devfuse'

const POLLIN = 1
const FOPEN_DIRECT_IO = 1
const FOPEN_NONSEEKABLE = 4
const MOST = 10

/** The files 0 to F, as nodeids 2 to 17. */
const files = Array.from({ length: 16 }, (_, i) => ({
  name: i.toString(16).toUpperCase(),
  ready: 0,
  opened: false,
  /** The kernel's name for the poll to wake. */
  waiting: undefined as bigint | undefined,
}))

const attr = (nodeid: number): Attr => ({
  ino: nodeid,
  mode: nodeid === 1 ? 0o040555 : 0o100444,
  size: nodeid === 1 ? 0 : (files[nodeid - 2]?.ready ?? 0),
  ...{ nlink: 1, blocks: 0, atime: 0, mtime: 0, ctime: 0, uid: 0, gid: 0 },
})

const filesystem: Filesystem = {
  lookup({ name }) {
    const index = files.findIndex((file) => file.name === name)
    return index < 0 ? ENOENT : { nodeid: index + 2, attr: attr(index + 2) }
  },
  getattr: ({ nodeid }) => ({ attr: attr(nodeid) }),
  readdir: ({ offset }) => files.map(({ name }, i) => ({ name, ino: i + 2, type: 8 })).slice(offset),

  open({ nodeid, flags }) {
    const file = files[nodeid - 2]
    if ((flags & 3) !== 0) return EACCES
    if (file.opened) return EBUSY
    file.opened = true
    return { openFlags: FOPEN_DIRECT_IO | FOPEN_NONSEEKABLE }
  },

  release({ nodeid }) {
    Object.assign(files[nodeid - 2], { opened: false, waiting: undefined })
  },

  read({ nodeid, size }) {
    const file = files[nodeid - 2]
    const taken = Math.min(size, file.ready)
    file.ready -= taken
    return Buffer.from(file.name.repeat(taken))
  },

  poll({ nodeid, kh, scheduleNotify }) {
    const file = files[nodeid - 2]
    if (scheduleNotify) file.waiting = kh
    return file.ready > 0 ? POLLIN : 0
  },
}

await using session = await mount(process.argv[2] ?? '/mnt', filesystem)
console.log(`mounted; in another terminal: node build/examples/poll-client.js ${session.mountPoint}`)

let next = 0
const producer = setInterval(
  () => {
    const file = files[next++ % files.length]
    file.ready = Math.min(file.ready + 1 + (next % 3), MOST)
    if (file.waiting === undefined) return
    session.notify.pollWakeup(file.waiting).catch(console.error)
    file.waiting = undefined
  },
  Number(process.argv[3] ?? 250),
)
await session.closed
clearInterval(producer)
