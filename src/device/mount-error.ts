// Failed mounts, told so that the reader knows what to do: what was attempted, what was said, what helps.
import { describeErrno } from '../protocol/index.js'

/** A failed mount or unmount: what was attempted, what the kernel or the helper said, what to do. */
export class MountError extends Error {
  readonly errno: number
  readonly code: string
  readonly syscall: string
  readonly path: string

  constructor(message: string, errno: number, syscall: string, path: string) {
    super(message)
    this.errno = errno
    this.code = describeErrno(errno)
    this.syscall = syscall
    this.path = path
  }
}

const EINVAL = -22

export function explainDevice(errno: number, mountPoint: string): MountError {
  const name = describeErrno(errno)
  const fix =
    name === 'ENOENT'
      ? 'load the kernel module (modprobe fuse), or give the container the device (--device /dev/fuse)'
      : name === 'EACCES' || name === 'EPERM'
        ? 'the process may not open it: check its mode and the device rules of the container'
        : name === 'ENODEV' || name === 'ENXIO'
          ? 'the kernel has no FUSE: load the module with modprobe fuse'
          : 'run `devfuse doctor`'
  return new MountError(
    `cannot mount on ${mountPoint}: opening /dev/fuse says ${name}; ${fix}`,
    errno,
    'open',
    mountPoint,
  )
}

/** `said` is the kernel's own explanation, which the calls of the new mount interface give. */
export function explainMount(errno: number, syscall: string, mountPoint: string, said = ''): MountError {
  const name = describeErrno(errno)
  const fix =
    said !== ''
      ? said
      : errno === EINVAL
        ? 'an option was not understood, or the mount point is of another type than the root; see the kernel log'
        : name === 'ENODEV'
          ? 'the kernel has no FUSE filesystem: load the module with modprobe fuse'
          : name === 'ENOTBLK'
            ? 'the option `blockDevice` must name a block device'
            : name === 'EBUSY'
              ? 'the source or the mount point is in use'
              : 'see mount(2)'
  return new MountError(
    `mounting on ${mountPoint} failed: ${syscall} says ${name}; ${fix}`,
    errno,
    syscall,
    mountPoint,
  )
}
