// A character device from TypeScript (CUSE): /dev/NAME holds bytes that are read, written, waited for with poll(2), and moved by
// two ioctl(2) commands whose argument points to a struct that points to the data. Run it with a name instead of a mount point.
import { ENOTTY, cuse } from 'devfuse'
import type { CuseDevice, IoctlReply, IoctlRequest } from 'devfuse'

// _IOWR('E', 2, struct piece) and _IOW('E', 3, struct piece); struct piece { uint64_t offset, address, size, done; }.
const PIECE = 32
const command = (direction: number, number: number): number =>
  (direction * 2 ** 30 + (PIECE << 16) + ('E'.charCodeAt(0) << 8) + number) >>> 0
const FIOC_READ = command(3, 2)
const FIOC_WRITE = command(1, 3)

const LARGEST = 1 << 20
const POLLIN = 1
const POLLOUT = 4
let content = Buffer.alloc(0)
const waiting = new Set<bigint>()

function put(offset: number, data: Uint8Array): number {
  const bytes = data.subarray(0, Math.max(0, LARGEST - offset))
  const grown = Buffer.alloc(Math.max(content.length, offset + bytes.length))
  content.copy(grown)
  grown.set(bytes, offset)
  content = grown
  for (const kh of waiting) void device.notify.pollWakeup(kh)
  waiting.clear()
  return bytes.length
}

// The kernel brings no data by itself: each answer with `retry` names the memory of the caller that is needed next.
function move({ cmd, arg, data, outSize }: IoctlRequest): number | IoctlReply {
  const piece = { base: arg, len: PIECE }
  if (data.length < PIECE) return { retry: { in: [piece] } }
  const [offset, address, size] = [0, 8, 16].map((at) => data.readBigUInt64LE(at))
  const memory = { base: address, len: size }
  if (cmd === FIOC_WRITE) {
    if (size > 0n && data.length === PIECE) return { retry: { in: [piece, memory] } }
    return put(Number(offset), data.subarray(PIECE))
  }
  const found = content.subarray(Number(offset), Number(offset + size))
  if (outSize === 0) return { retry: { in: [piece], out: [piece, { base: address, len: found.length }] } }
  data.writeBigUInt64LE(BigInt(found.length), 24)
  return { result: found.length, data: Buffer.concat([data.subarray(0, PIECE), found]) }
}

const handlers: CuseDevice = {
  open: () => ({ fh: 1 }),
  read: ({ offset, size }) => content.subarray(offset, offset + size),
  write: ({ offset, data }) => put(offset, data),
  poll({ kh, scheduleNotify }) {
    if (scheduleNotify) waiting.add(kh)
    return POLLOUT | (content.length > 0 ? POLLIN : 0)
  },
  ioctl: (request) => (request.cmd === FIOC_READ || request.cmd === FIOC_WRITE ? move(request) : ENOTTY),
}

const device = await cuse(process.argv[2] ?? 'devfuse', handlers, { unrestrictedIoctl: true })
console.log(`${device.path} is there; what is written to it can be read from it`)
process.once('SIGINT', () => void device.close())
await device.closed
