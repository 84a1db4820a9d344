// What the native tests stand on: the addon, the numbers of the calls they make, pipes and socket pairs.
import { closeSync, readFileSync, readdirSync } from 'node:fs'
import { loadNative } from '#dist/native.js'

export const native = loadNative()

const arm = process.arch === 'arm64'

export const NR = {
  read: arm ? 63 : 0,
  write: arm ? 64 : 1,
  openat: arm ? 56 : 257,
  statx: arm ? 291 : 332,
  mkdirat: arm ? 34 : 258,
  mknodat: arm ? 33 : 259,
  fchmodat: arm ? 53 : 268,
  getpid: arm ? 172 : 39,
  gettid: arm ? 178 : 186,
  pipe2: arm ? 59 : 293,
  socketpair: arm ? 199 : 53,
  mount: arm ? 40 : 165,
  umask: arm ? 166 : 95,
  prctl: arm ? 167 : 157,
  fcntl: arm ? 25 : 72,
  recvfrom: arm ? 207 : 45,
  fallocate: arm ? 47 : 285,
} as const

export const AT_FDCWD = -100
export const O_CLOEXEC = 0o2000000
export const O_NONBLOCK = 0o4000

export const ENOENT = -2
export const EBADF = -9
export const EFAULT = -14
export const EAGAIN = -11
export const EINVAL = -22
export const ENAMETOOLONG = -36
export const EPIPE = -32
export const ENOSYS = -38
export const ENOMSG = -42
export const EILSEQ = -84

export function pipe(flags: number = O_CLOEXEC): [number, number] {
  const ends = new Int32Array(2)
  const made = native.syscallUtf8(NR.pipe2, ends, flags)
  if (made !== 0) throw new Error(`pipe2: ${made}`)
  return [ends[0], ends[1]]
}

/** A SOCK_SEQPACKET pair: keeps message boundaries, as /dev/fuse does. */
export function messagePair(): [number, number] {
  const AF_UNIX = 1
  const SOCK_SEQPACKET = 5
  const ends = new Int32Array(2)
  const made = native.syscallUtf8(NR.socketpair, AF_UNIX, SOCK_SEQPACKET | O_CLOEXEC, 0, ends)
  if (made !== 0) throw new Error(`socketpair: ${made}`)
  return [ends[0], ends[1]]
}

export function closeAll(...fds: number[]): void {
  for (const fd of fds) closeSync(fd)
}

export function openFds(): number {
  return readdirSync('/proc/self/fd').length
}

export function threads(): number {
  return Number(/^Threads:\s+(\d+)/m.exec(readFileSync('/proc/self/status', 'latin1'))![1])
}
