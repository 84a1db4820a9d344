// Which connection a descriptor of /dev/fuse belongs to, asked without any call that could wait for a server.
import { readFileSync } from 'node:fs'
import { StatxBuffer, syscalls } from '../syscalls/index.js'

const FUSE_DEVICE = { major: 10, minor: 229 }

/** A device number; of a FUSE mount the minor one also names its folder below /sys/fs/fuse/connections. */
export interface DeviceNumber {
  major: number
  minor: number
}

/** A minor number that no mount has, where {@link connectionOf} says nothing. */
export const UNKNOWN_MINOR = -1

/** Whether the descriptor is /dev/fuse at all. */
export function isFuseDevice(fd: number): boolean {
  const found = new StatxBuffer()
  if (syscalls.fstatx(fd, 0, found) < 0) return false
  return found.rdevMajor === FUSE_DEVICE.major && found.rdevMinor === FUSE_DEVICE.minor
}

/**
 * The connection that the descriptor serves, `none` as long as nothing is mounted with it, undefined where the kernel does not
 * say (before Linux 6.16) or /proc is closed to us.
 */
export function connectionOf(fd: number): DeviceNumber | 'none' | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1')
  } catch {
    return undefined
  }
  const number = /^fuse_connection:\s*(\d+)/m.exec(text)?.[1]
  if (number === undefined) return tells() ? 'none' : undefined
  // Kernel: dev_t inside the kernel has 20 bits for the minor number.
  return { major: Number(number) >>> 20, minor: Number(number) & 0xf_ffff }
}

/** Kernel: fdinfo names the connection since 6.16, so an absent line means something from there on only. */
function tells(): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(readFileSync('/proc/sys/kernel/osrelease', 'latin1')) ?? []
  return Number(major) > 6 || (Number(major) === 6 && Number(minor) >= 16)
}
