// Calls on the process and its mounts.
import { special } from '../native.js'
import { numbers as nr } from './numbers.js'
import type { Door } from './door.js'

/** A resource limit; `Infinity` is RLIM_INFINITY. */
export interface ResourceLimit {
  soft: number
  hard: number
}

const INFINITE = 0xffff_ffff_ffff_ffffn
const limitOf = (value: bigint): number => (value === INFINITE ? Infinity : Number(value))
const limitTo = (value: number): bigint => (value === Infinity ? INFINITE : BigInt(value))

export function processCalls({ call, callAsync }: Door) {
  return {
    /** prlimit64(2) of this process: the limit, or -errno. */
    getrlimit(resource: number): ResourceLimit | number {
      const pair = new BigUint64Array(2)
      const result = call(nr.prlimit64, 0, resource, null, pair)
      return result < 0 ? result : { soft: limitOf(pair[0]), hard: limitOf(pair[1]) }
    },
    /** prlimit64(2) of this process. */
    setrlimit: (resource: number, { soft, hard }: ResourceLimit): number =>
      call(nr.prlimit64, 0, resource, new BigUint64Array([limitTo(soft), limitTo(hard)]), null),
    /** socketpair(2): both descriptors go into `pair`; `type` takes SOCK_CLOEXEC. */
    socketpair: (domain: number, type: number, protocol: number, pair: Int32Array): number =>
      call(nr.socketpair, domain, type, protocol, pair),
    /** umask(2): the old mask. It belongs to the whole process. */
    umask: (mask: number): number => call(nr.umask, mask),
    /** mount(2); `flags` are MS_* bits. */
    mount: (
      source: string | null,
      target: string,
      type: string | null,
      flags: number,
      data: string | null,
    ): number => call(nr.mount, source, target, type, flags, data),
    /** umount2(2); `flags` are MNT_* and UMOUNT_* bits. */
    umount2: (target: string, flags = 0): number => call(nr.umount2, target, flags),
    /** umount2(2) on the pool. */
    umount2Async: (target: string, flags = 0): Promise<number> => callAsync(nr.umount2, target, flags),
    /** umount2(2) in a forked child without descriptors, on the pool: safe for a server's own mount. */
    umountForkedAsync: (target: string, flags = 0): Promise<number> =>
      callAsync(special.umount, target, flags),
    /** open_tree(2): a descriptor of a mount, with OPEN_TREE_CLONE of a detached copy. */
    openTree: (dirfd: number, path: string, flags: number): number => call(nr.open_tree, dirfd, path, flags),
    /** move_mount(2). */
    moveMount: (fromFd: number, fromPath: string, toFd: number, toPath: string, flags: number): number =>
      call(nr.move_mount, fromFd, fromPath, toFd, toPath, flags),
    /** mount_setattr(2) that changes the propagation (MS_PRIVATE, MS_SLAVE ...) of a mount. */
    mountSetPropagation: (dirfd: number, path: string, flags: number, propagation: number): number =>
      call(nr.mount_setattr, dirfd, path, flags, new BigUint64Array([0n, 0n, BigInt(propagation), 0n]), 32),
    /** unshare(2), in the calling thread only. */
    unshare: (flags: number): number => call(nr.unshare, flags),
    /** setns(2), in the calling thread only. */
    setns: (fd: number, type = 0): number => call(nr.setns, fd, type),
  }
}
