import { ENOENT, mount } from 'devfuse'

const text = Buffer.from('Hello from TypeScript!\n')
const shared = { blocks: 0, atime: 0, mtime: 0, ctime: 0, uid: 0, gid: 0 }
const root = { ...shared, ino: 1, mode: 0o040555, nlink: 2, size: 0 } // a directory
const hello = { ...shared, ino: 2, mode: 0o100444, nlink: 1, size: text.length } // a regular file
const listing = [
  { name: '.', ino: 1, type: 4 },
  { name: '..', ino: 1, type: 4 },
  { name: 'hello', ino: 2, type: 8 },
]

await using session = await mount(process.argv[2] ?? '/mnt', {
  lookup: ({ nodeid, name }) => (nodeid === 1 && name === 'hello' ? { nodeid: 2, attr: hello } : ENOENT),
  getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? root : hello }),
  readdir: ({ offset }) => listing.slice(offset),
  read: ({ offset, size }) => text.subarray(offset, offset + size),
})
console.log(`mounted; in another terminal: cat ${session.mountPoint}/hello`)
await session.closed
