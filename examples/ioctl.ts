// A file whose size is asked for and set with ioctl(2), as the fioc example of libfuse has it.
import { EINVAL, ENOENT, ENOTTY, mount } from 'devfuse'
import type { Attr, Filesystem } from 'devfuse'

// _IOR('E', 0, size_t) and _IOW('E', 1, size_t) of asm/ioctl.h: direction, size of the argument, group, number.
const IOC_WRITE = 1
const IOC_READ = 2
const command = (direction: number, number: number): number =>
  (direction * 2 ** 30 + (8 << 16) + ('E'.charCodeAt(0) << 8) + number) >>> 0
const FIOC_GET_SIZE = command(IOC_READ, 0)
const FIOC_SET_SIZE = command(IOC_WRITE, 1)

const LARGEST = 1 << 20
let content = Buffer.alloc(0)

function resize(size: number): void {
  const grown = Buffer.alloc(size)
  content.copy(grown)
  content = grown
}

const attr = (nodeid: number): Attr => ({
  ino: nodeid,
  mode: nodeid === 1 ? 0o040755 : 0o100644,
  size: nodeid === 1 ? 0 : content.length,
  ...{ nlink: 1, blocks: 0, atime: 0, mtime: 0, ctime: 0, uid: 0, gid: 0 },
})

const filesystem: Filesystem = {
  lookup: ({ nodeid, name }) =>
    nodeid === 1 && name === 'fioc' ? { nodeid: 2, attr: attr(2), entryValid: 1 } : ENOENT,
  getattr: ({ nodeid }) => ({ attr: attr(nodeid) }),
  setattr: ({ nodeid, size }) => (resize(Math.min(size, LARGEST)), { attr: attr(nodeid) }),
  readdir: ({ offset }) => [{ name: 'fioc', ino: 2, type: 8 }].slice(offset),
  read: ({ offset, size }) => content.subarray(offset, offset + size),

  write({ offset, data }) {
    if (offset + data.length > LARGEST) return EINVAL
    if (offset + data.length > content.length) resize(offset + data.length)
    return data.copy(content, offset)
  },

  ioctl({ cmd, data }) {
    switch (cmd) {
      case FIOC_GET_SIZE: {
        const size = Buffer.alloc(8)
        size.writeBigUInt64LE(BigInt(content.length))
        return { data: size }
      }
      case FIOC_SET_SIZE: {
        const size = data.readBigUInt64LE()
        if (size > BigInt(LARGEST)) return EINVAL
        resize(Number(size))
        return 0
      }
      default:
        return ENOTTY
    }
  },
}

await using session = await mount(process.argv[2] ?? '/mnt', filesystem)
console.log(`mounted; ${session.mountPoint}/fioc understands FIOC_GET_SIZE and FIOC_SET_SIZE`)
await session.closed
