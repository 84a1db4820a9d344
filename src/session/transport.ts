// Which transport a mount gets, and why: settled before anything is mounted.
import { isMainThread } from 'node:worker_threads'
import { DeviceTransport } from '../device/device.js'
import { usableCpus } from '../device/cpus.js'
import { whyNoRing } from '../device/ring-support.js'
import { RingTransport } from '../device/ring.js'
import type { Transport } from '../device/transport.js'
import { OptionError } from './errors.js'
import type { Filesystem } from './filesystem.js'
import type { ResolvedOptions } from './options.js'

// Medians of interleaved rounds, two CPUs, Linux 6.18: statfs(2) by 1, 4 and 16 clients, dd(1) of 1 MiB blocks served by handlers.
const MEASURED =
  'over io_uring 4 clients at a time got 1.1 and 16 got 1.2 times as many answers as over the device, for 0.9 and 0.7 of the CPU ' +
  'time; one client got as many, and bulk data that handlers serve ran at 0.8 to 0.9'

/** The options with `auto` made up. Throws an OptionError where `ring` is impossible, with the fix. */
export function chooseTransport(
  options: ResolvedOptions,
  filesystem: Filesystem,
  threads = 1,
): ResolvedOptions {
  const { transport } = options
  if (transport === 'device') return { ...options, transportReason: 'the option asks for it' }
  const reason = whyNoRing()
  if (transport === 'ring') {
    if (reason !== undefined) throw new OptionError(`transport: 'ring' is impossible: ${reason}`)
    return { ...options, transportReason: 'the option asks for it' }
  }
  if (reason !== undefined) return { ...options, transport: 'device', transportReason: reason }
  if (threads === 1 && filesystem.shareable === true) {
    const transportReason = 'the filesystem is shareable, and only the device takes further threads later'
    return { ...options, transport: 'device', transportReason }
  }
  if (threads > usableCpus().length) {
    const transportReason = 'a ring takes one thread for each CPU at the most'
    return { ...options, transport: 'device', transportReason }
  }
  if (threads === 1 && isMainThread && options.deadlockGuard) {
    const transportReason =
      'the deadlock guard sees requests on the device only: serve the mount from a worker, or set deadlockGuard: false'
    return { ...options, transport: 'device', transportReason }
  }
  return { ...options, transport: 'ring', transportReason: MEASURED }
}

/** The transport that was chosen, on a descriptor of /dev/fuse that it owns from then on. */
export function makeTransport(
  fd: number,
  { transport, maxWrite, ringDepth }: ResolvedOptions,
  queues?: readonly number[],
): Transport {
  return transport === 'ring'
    ? new RingTransport(fd, maxWrite, { depth: ringDepth, queues })
    : new DeviceTransport(fd, maxWrite)
}
