// The server of mount.test.ts: a filesystem of one file, its protocol written out by hand, byte for byte.
import { closeSync, openSync } from 'node:fs'
import { special } from '#dist/native.js'
import { AT_FDCWD, NR, O_CLOEXEC, O_NONBLOCK, native } from './calls.js'

const [mountPoint, source, sizeText] = process.argv.slice(2) as [string, string, string]
const size = Number(sizeText)

const LOOKUP = 1
const FORGET = 2
const GETATTR = 3
const OPEN = 14
const READ = 15
const STATFS = 17
const RELEASE = 18
const FLUSH = 25
const INIT = 26
const OPENDIR = 27
const READDIR = 28
const RELEASEDIR = 29
const INTERRUPT = 36
const BATCH_FORGET = 42
const ENOENT = -2
const ENOSYS = -38
const MS_NOSUID_NODEV = 6

const fd = native.syscallUtf8(NR.openat, AT_FDCWD, '/dev/fuse', 2 | O_CLOEXEC | O_NONBLOCK)
if (fd < 0) throw new Error(`/dev/fuse: ${fd}`)
const options = Buffer.from(`fd=${fd},rootmode=40000,user_id=0,group_id=0,default_permissions\0`)
const mounted = native.syscallUtf8(
  NR.mount,
  'devfuse-test',
  mountPoint,
  'fuse.devfuse',
  MS_NOSUID_NODEV,
  options,
)
if (mounted !== 0) throw new Error(`mount: ${mounted}`)

const MAX_WRITE = 4096
const SLOT = 16_384
const COUNT = 8
const memory = new ArrayBuffer(SLOT * COUNT)
const view = new DataView(memory)
const file = openSync(source, 'r')
const head = Buffer.alloc(16)

const channel = new native.Channel(fd, memory, SLOT, COUNT, serve, (errno) => {
  channel.close()
  console.log(`ended ${errno}`)
  process.exit(0)
})

function answer(unique: number, error: number, body: Uint8Array = new Uint8Array(0)): void {
  head.writeUInt32LE(16 + body.length, 0)
  head.writeInt32LE(error, 4)
  head.writeBigUInt64LE(BigInt(unique), 8)
  const sent = body.length > 0 ? channel.sendv(head, 0, 16, body, 0, body.length) : channel.send(head, 0, 16)
  if (sent !== 0) console.log(`send ${sent}`)
}

function attributes(nodeid: number, into: Buffer, at: number): Buffer {
  into.writeBigUInt64LE(BigInt(nodeid), at)
  into.writeBigUInt64LE(BigInt(nodeid === 1 ? 0 : size), at + 8)
  into.writeUInt32LE(nodeid === 1 ? 0o40755 : 0o100644, at + 60)
  into.writeUInt32LE(1, at + 64)
  into.writeUInt32LE(4096, at + 80)
  return into
}

function initReply(): Buffer {
  const out = Buffer.alloc(64)
  out.writeUInt32LE(7, 0)
  out.writeUInt32LE(31, 4)
  out.writeUInt32LE(MAX_WRITE, 20)
  return out
}

function entry(): Buffer {
  const out = Buffer.alloc(128)
  out.writeBigUInt64LE(2n, 0)
  return attributes(2, out, 40)
}

function serve(count: number): void {
  for (let i = 0; i < count; i++) {
    const slot = channel.slots[i]
    const at = slot * SLOT
    const opcode = view.getUint32(at + 4, true)
    const unique = Number(view.getBigUint64(at + 8, true))
    const nodeid = Number(view.getBigUint64(at + 16, true))
    if (opcode === READ) {
      const offset = Number(view.getBigUint64(at + 48, true))
      void channel.sendFromFd(unique, file, offset, view.getUint32(at + 56, true), false)
    } else if (opcode === INIT) answer(unique, 0, initReply())
    else if (opcode === LOOKUP) {
      const name = Buffer.from(memory, at + 40, channel.lengths[i] - 41).toString()
      if (name === 'file') answer(unique, 0, entry())
      else answer(unique, ENOENT)
    } else if (opcode === GETATTR) answer(unique, 0, attributes(nodeid, Buffer.alloc(104), 16))
    else if (opcode === STATFS) answer(unique, 0, Buffer.alloc(80))
    else if (opcode === OPEN || opcode === OPENDIR) answer(unique, 0, Buffer.alloc(16))
    else if ([READDIR, RELEASE, RELEASEDIR, FLUSH].includes(opcode)) answer(unique, 0)
    else if (![FORGET, BATCH_FORGET, INTERRUPT].includes(opcode)) answer(unique, ENOSYS)
    channel.release(slot)
  }
}

channel.start()
const clone = channel.clone()
if (clone < 0) throw new Error(`clone: ${clone}`)
closeSync(clone)
console.log('ready')

process.stdin.once('data', () => {
  void native
    .syscallAsyncUtf8(special.umount, mountPoint, 0, 5000)
    .then((result) => console.log(`umount ${result}`))
})
