// Whether FUSE over io_uring can be had on this machine, and if not, what to do about it. Asked before anything is mounted.
import { existsSync, readFileSync } from 'node:fs'
import { describeErrno } from '../protocol/index.js'
import { syscalls } from '../syscalls/index.js'
import { possibleCpus } from './cpus.js'

const PARAMETER = '/sys/module/fuse/parameters/enable_uring'
const DISABLED = '/proc/sys/kernel/io_uring_disabled'

/** Why requests cannot travel over io_uring here, with the fix; undefined where they can. */
export function whyNoRing(): string | undefined {
  const enabled = text(PARAMETER)
  if (enabled === undefined) {
    return existsSync('/sys/module/fuse')
      ? 'this kernel has no FUSE over io_uring (Linux 6.14 and newer, built with CONFIG_FUSE_IO_URING)'
      : '/sys is not mounted, so the number of queues is not known'
  }
  if (enabled !== 'Y') return `the kernel has it turned off; to turn it on, as root: echo Y > ${PARAMETER}`
  const error = syscalls.ioUringSetup(1)
  if (error < 0) {
    const disabled = text(DISABLED)
    return (
      `io_uring_setup(2) says ${describeErrno(error)}; ` +
      (disabled === '1' || disabled === '2'
        ? `to allow it, as root: sysctl kernel.io_uring_disabled=0 (it is ${disabled})`
        : 'a seccomp filter may forbid it (Docker does: --security-opt seccomp=unconfined)')
    )
  }
  syscalls.close(error)
  if (possibleCpus() < 1) return 'the number of CPUs is not known'
  return undefined
}

function text(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1').trim()
  } catch {
    return undefined
  }
}
