// How a session ended, told from the last word of its device.
import { isLeftBehind } from '../device/unmount.js'
import type { Mounted } from '../device/mount.js'
import { describeErrno } from '../protocol/index.js'
import { warning } from './errors.js'
import type { DevfuseWarning } from './errors.js'

const ENODEV = -19
const ECONNABORTED = -103

/** How a session ended. */
export interface Closed {
  /**
   * `unmount`: by us; `outside`: someone else unmounted it; `aborted`: the connection was aborted through fusectl or
   * by a request timeout; `error`: the device failed.
   */
  reason: 'unmount' | 'outside' | 'aborted' | 'error'
  /** What the device said last, negative; 0 after an unmount. */
  errno: number
  /**
   * The mount could not be taken away and is still there, dead: every call on it fails with ENOTCONN. A warning says why;
   * `devfuse unmount` clears it.
   */
  leftBehind?: true
}

/** What the last word of the device means, where we did not end it ourselves. */
export function closedBy(errno: number, mounted: Mounted | undefined): Closed {
  if (errno === ECONNABORTED) return { reason: 'aborted', errno }
  if (errno !== ENODEV) return { reason: 'error', errno }
  // Kernel: a request timeout says ENODEV as well, but leaves the mount where it is.
  const timedOut = mounted !== undefined && isLeftBehind(mounted)
  return { reason: timedOut ? 'aborted' : 'outside', errno }
}

/** What is reported of a session that we did not end; `mountPoint` is empty where it had no mount that it knew of. */
export function endedWarning({ reason, errno }: Closed, mountPoint: string): DevfuseWarning {
  const outside =
    mountPoint === '' ? 'the other side ended the session' : `${mountPoint} was unmounted from outside`
  const lost = `the connection of ${mountPoint || 'a session without a mount point'} was lost: ${describeErrno(errno)}`
  return warning('ERR_DEVFUSE_ENDED', reason === 'outside' ? outside : lost)
}
