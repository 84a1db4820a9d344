// Unmounting whatever FUSE mount is at a path, whoever serves it. No stop of a request.
import { describeErrno } from '../protocol/index.js'
import { loadNative, special } from '../native.js'
import { MNT_DETACH, UMOUNT_NOFOLLOW } from '../syscalls/index.js'
import { runHelper } from './fusermount.js'
import { MountError } from './mount-error.js'
import { findMount, isFuse } from './mountinfo.js'

const EPERM = -1
const EBUSY = -16
const EINVAL = -22

/**
 * Unmounts the FUSE mount at `mountPoint`, whoever serves it, even one whose server has died: umount2(2) for a process that may,
 * fusermount3 for everybody else. With `lazy` it is detached at once, and ends with the last file in use; without, one that is in use fails
 * with EBUSY. The mount itself is never touched.
 *
 * A session has {@link Session.unmount} of its own. Throws a MountError: EINVAL where there is no FUSE mount.
 */
export async function unmount(mountPoint: string, { lazy = false }: { lazy?: boolean } = {}): Promise<void> {
  if (typeof mountPoint !== 'string') throw new TypeError(`a mount point is a path, not ${typeof mountPoint}`)
  const mount = findMount(mountPoint)
  if (mount === undefined || !isFuse(mount)) {
    const what =
      mount === undefined ? 'nothing is mounted there' : `it is a mount of type ${mount.fsType}, not FUSE`
    throw new MountError(`cannot unmount ${mountPoint}: ${what}`, EINVAL, 'umount2', mountPoint)
  }
  const flags = UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)
  const errno = await loadNative().syscallAsyncUtf8(special.umount, mount.mountPoint, flags, 0)
  if (errno >= 0) return
  if (errno !== EPERM) throw failed(mountPoint, errno, describeErrno(errno), 'umount2')
  const { status, stderr } = await runHelper(
    [...(lazy ? ['-u', '-z'] : ['-u']), '--', mount.mountPoint],
    undefined,
    mountPoint,
  )
  if (status !== 0)
    throw failed(mountPoint, /busy/i.test(stderr) ? EBUSY : EPERM, stderr.trim(), 'fusermount3')
}

function failed(mountPoint: string, errno: number, said: string, syscall: string): MountError {
  const fix = errno === EBUSY ? '; close what is in use, or unmount lazily' : ''
  return new MountError(
    `cannot unmount ${mountPoint}: ${syscall} says ${said}${fix}`,
    errno,
    syscall,
    mountPoint,
  )
}
