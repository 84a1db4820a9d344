// Mount points of filesystems whose root is a directory. Kernel: the root takes its type from the mount point, so on a file every
// call would end in EIO.
import { stat } from 'node:fs/promises'
import { MountError } from '../index.js'

const ENOTDIR = -20

/** Throws a MountError for a mount point that is no directory; what else may be wrong with it is for `mount()` to say. */
export async function requireDirectory(mountPoint: string): Promise<void> {
  const found = await stat(mountPoint).catch(() => undefined)
  // A character device is /dev/fd/N: a descriptor that is mounted already.
  if (found === undefined || found.isDirectory() || found.isCharacterDevice()) return
  throw new MountError(
    `cannot mount on ${mountPoint}: it is no directory; name one`,
    ENOTDIR,
    'stat',
    mountPoint,
  )
}
