// Serves the devices of an xfstests run by name, through mounts and unmounts: `memory` or a mirror of WORK/DEVICE. Every
// connection to the socket says `DEVICE MOUNTPOINT OPTIONS` and gets `ok` or what went wrong.
//
//   node remount-server.js SOCKET memory|mirror-auto|mirror-on|mirror-off WORK
//
// TRANSPORT and REFUSE (flags of INIT, with commas) go to the options of the same name.
import { execFile } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { mount } from 'devfuse'
import type { Session, SessionOptions } from 'devfuse'
import { memoryFilesystem } from 'devfuse/memory'
import type { MemoryFilesystem } from 'devfuse/memory'
import { mirror } from 'devfuse/mirror'

const [socketPath = '', kind = '', work = ''] = process.argv.slice(2)
const execute = promisify(execFile)
/** Bytes of a memory device. */
const SIZE = 4 * 2 ** 30
/** Milliseconds that the end of a mount takes to be noticed. */
const NOTICE = 1000

interface Device {
  memory: MemoryFilesystem | undefined
  session: Session | undefined
}

const devices = new Map<string, Device>()
// xfstests knows the type as `fuse`, without a subtype, and looks for the device's name among the mounts.
const shown: SessionOptions = {
  subtype: undefined,
  handleSignals: false,
  transport: process.env['TRANSPORT'] as SessionOptions['transport'],
}
const refuse = process.env['REFUSE']?.split(',') as SessionOptions['refuse']

function serve(name: string, mountPoint: string, device: Device, options: string[]): Promise<Session> {
  if (kind === 'memory') {
    const memory = (device.memory ??= memoryFilesystem({ size: SIZE, fsName: name }))
    return mount(mountPoint, memory, { ...memory.mountOptions, ...shown, options, refuse })
  }
  const source = join(work, name)
  mkdirSync(source, { recursive: true })
  const passthrough = kind.replace('mirror-', '') as 'auto' | 'on' | 'off'
  const filesystem = mirror(source, { passthrough, fsName: name, options, refuse })
  return mount(mountPoint, filesystem, { ...filesystem.mountOptions, ...shown })
}

async function handle(line: string): Promise<string> {
  const [name, mountPoint, words = ''] = line.trim().split(' ')
  const device = devices.get(name) ?? { memory: undefined, session: undefined }
  devices.set(name, device)
  const before = device.session
  if (before !== undefined && (await Promise.race([before.closed, sleep(NOTICE)])) === undefined) {
    // A second mount of a device shows the same filesystem, as it does for a disk.
    // Both may lie on mounts of this very process, so it must not wait for mount(8) with its thread.
    await execute('mount', ['--bind', before.mountPoint, mountPoint])
    return 'ok'
  }
  const options = words.split(',').filter((word) => word !== '' && word !== 'defaults')
  device.session = await serve(name, mountPoint, device, options)
  return 'ok'
}

createServer((socket) => {
  socket.on('error', () => undefined)
  socket.once('data', (line) => {
    void handle(line.toString())
      .catch((error: unknown) => `error: ${String(error)}`)
      .then((answer) => socket.end(`${answer}\n`))
  })
}).listen(socketPath, () => console.log('ready'))
