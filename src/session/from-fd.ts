// A session on a descriptor that somebody else mounted: inherited, received over a socket, or named as `/dev/fd/N`.
import { UNKNOWN_MINOR, connectionOf, isFuseDevice } from '../device/connection.js'
import type { Mounted } from '../device/mount.js'
import { isFuse, readMountInfo } from '../device/mountinfo.js'
import type { MountInfo } from '../device/mountinfo.js'
import { F_GETFL, F_SETFL, O_NONBLOCK, syscalls } from '../syscalls/index.js'
import { abortable } from './abort.js'
import { OptionError, requireLinux } from './errors.js'
import type { Filesystem } from './filesystem.js'
import { wishes } from './init.js'
import { requireOptions, show } from './option-checks.js'
import { refuseMountOptions, resolveFor } from './options.js'
import type { SessionOptions } from './options.js'
import { Session } from './session.js'
import { chooseTransport, makeTransport } from './transport.js'

const MAX_INT = 0x7fff_ffff

/**
 * Serves `filesystem` on `fd`, a descriptor of /dev/fuse that is mounted already and whose INIT nobody has answered: from
 * `openMount` of a privileged process over a socket (`sendFd`, `recvFd` in `devfuse/syscalls`), or inherited. It takes no
 * privilege at all. The session owns the descriptor, and makes it non-blocking for everybody who shares it.
 *
 * The mount is whoever's who made it: the end of the session closes the connection, and callers then get ENOTCONN until that
 * one unmounts. Options of the mount are refused, but for `defaultPermissions` and `allowOther`, which say how it was made.
 *
 * Throws an OptionError for an option or descriptor that cannot work, a NegotiationError where the kernel lacks what
 * `options` insist on. Source: fuse(4).
 */
export async function fromFd<Options extends SessionOptions>(
  fd: number,
  filesystem: Filesystem<Options['encoding'] extends 'buffer' ? Buffer : string>,
  options?: Options,
): Promise<Session> {
  requireLinux()
  const given: SessionOptions = options === undefined ? {} : requireOptions(options)
  refuseMountOptions(given)
  const handlers = filesystem as Filesystem
  const resolved = chooseTransport(resolveFor(handlers, given), handlers)
  wishes(resolved, (method) => typeof handlers[method as keyof Filesystem] === 'function')
  if (!Number.isInteger(fd) || fd < 0 || fd > MAX_INT)
    throw new OptionError(`fromFd() takes a descriptor, an integer from 0, not ${show(fd)}`)
  if (!isFuseDevice(fd)) throw new OptionError(`descriptor ${fd} is not /dev/fuse`)
  const device = connectionOf(fd)
  if (device === 'none') throw new OptionError(`nothing is mounted with descriptor ${fd} yet`)
  const flags = syscalls.fcntl(fd, F_GETFL)
  syscalls.fcntl(fd, F_SETFL, flags | O_NONBLOCK)

  const mounted: Mounted = { fd, mountPoint: '', major: 0, minor: UNKNOWN_MINOR, ...device, how: 'fd' }
  const found = device === undefined ? undefined : findDevice(device.major, device.minor)
  mounted.mountPoint = found?.mountPoint ?? ''
  const owner = ownerOf(found)
  if (owner !== undefined) resolved.owner = owner
  return abortable(resolved.signal, () =>
    new Session(makeTransport(fd, resolved), handlers, resolved, mounted).start(),
  )
}

/** The N of a mount point of the form `/dev/fd/N`, undefined for any other. */
export function parseDevFd(mountPoint: string): number | undefined {
  const number = /^\/dev\/fd\/(\d+)$/.exec(mountPoint)?.[1]
  return number === undefined ? undefined : Number(number)
}

function findDevice(major: number, minor: number): MountInfo | undefined {
  return readMountInfo().find((mount) => mount.major === major && mount.minor === minor && isFuse(mount))
}

function ownerOf(mount: MountInfo | undefined): { uid: number; gid: number } | undefined {
  const number = (key: string): number =>
    Number(mount?.superOptions.find((option) => option.startsWith(`${key}=`))?.slice(key.length + 1))
  const owner = { uid: number('user_id'), gid: number('group_id') }
  return Number.isNaN(owner.uid) ? undefined : owner
}
