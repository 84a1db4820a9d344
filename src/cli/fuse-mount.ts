// Owns the look-up of the mount that a subcommand is about, with a clear error when it is something else.
import { findMount, isFuse } from '../device/mountinfo.js'
import type { MountInfo } from '../device/mountinfo.js'
import { CommandError } from './command.js'

/** Finds the FUSE mount at `path`; throws a CommandError that says what is there instead. */
export function requireFuseMount(path: string, purpose: string): MountInfo {
  const mount = findMount(path)
  if (mount === undefined) {
    throw new CommandError(
      `cannot ${purpose} ${path}: nothing is mounted there; \`grep fuse /proc/self/mountinfo\` shows the FUSE mounts`,
    )
  }
  if (!isFuse(mount)) {
    const fix = purpose === 'unmount' ? 'use umount(8)' : 'name the mount point of one'
    throw new CommandError(
      `cannot ${purpose} ${path}: it is a ${mount.fsType} mount of ${mount.source}, not a FUSE mount; ${fix}`,
    )
  }
  return mount
}

/** User that mounted, from the option `user_id=` that every FUSE mount shows. */
export function mountOwner(mount: MountInfo): number {
  const option = mount.superOptions.find((word) => word.startsWith('user_id='))
  return Number(option?.slice('user_id='.length) ?? 0)
}
