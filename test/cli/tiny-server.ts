// A filesystem with one file for the tests of the command; runs as a process of its own: node tiny-server.js MNT
import { ENOENT, mount } from 'devfuse'

const text = Buffer.from('Hello!\n')
const shared = { blocks: 0, atime: 0, mtime: 0, ctime: 0, uid: 0, gid: 0 }
const root = { ...shared, ino: 1, mode: 0o040555, nlink: 2, size: 0 }
const hello = { ...shared, ino: 2, mode: 0o100444, nlink: 1, size: text.length }

const session = await mount(
  process.argv[2],
  {
    lookup: ({ nodeid, name }) => (nodeid === 1 && name === 'hello' ? { nodeid: 2, attr: hello } : ENOENT),
    getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? root : hello }),
    read: ({ offset, size }) => text.subarray(offset, offset + size),
  },
  { control: true, onWarning: () => {} },
)
console.log('ready')
await session.closed
