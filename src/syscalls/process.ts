// Calls on the process itself.
import { numbers as nr } from './numbers.js'
import { NULL } from './door.js'
import type { Door } from './door.js'

/** A resource limit; `Infinity` is RLIM_INFINITY. */
export interface ResourceLimit {
  soft: number
  hard: number
}

const IORING_SETUP_SQE128 = 1 << 10
const INFINITE = 0xffff_ffff_ffff_ffffn
const limitOf = (value: bigint): number => (value === INFINITE ? Infinity : Number(value))
const limitTo = (value: number): bigint => (value === Infinity ? INFINITE : BigInt(value))

export function processCalls({ call }: Door) {
  return {
    /** prlimit64(2) of this process: the limit, or -errno. */
    getrlimit(resource: number): ResourceLimit | number {
      const pair = new BigUint64Array(2)
      const result = call(nr.prlimit64, 0, resource, NULL, pair)
      return result < 0 ? result : { soft: limitOf(pair[0]), hard: limitOf(pair[1]) }
    },
    /** prlimit64(2) of this process. */
    setrlimit: (resource: number, { soft, hard }: ResourceLimit): number =>
      call(nr.prlimit64, 0, resource, new BigUint64Array([limitTo(soft), limitTo(hard)]), NULL),
    /** socketpair(2): both descriptors go into `pair`, which has room for two; `type` takes SOCK_CLOEXEC. */
    socketpair(domain: number, type: number, protocol: number, pair: Int32Array): number {
      if (!(pair instanceof Int32Array) || pair.length < 2)
        throw new RangeError('socketpair fills an Int32Array of two elements or more')
      return call(nr.socketpair, domain, type, protocol, pair)
    },
    /** umask(2): the old mask. It belongs to the whole process. */
    umask: (mask: number): number => call(nr.umask, mask),
    /** unshare(2), in the calling thread only. */
    unshare: (flags: number): number => call(nr.unshare, flags),
    /** io_uring_setup(2) of a ring with submissions of 128 bytes: its descriptor. */
    ioUringSetup(entries: number): number {
      const params = new Uint32Array(30)
      params[2] = IORING_SETUP_SQE128
      return call(nr.io_uring_setup, entries, params)
    },
    /** sched_setaffinity(2) of thread `tid`, 0 for the calling one: `mask` has a bit for each CPU. */
    schedSetaffinity: (tid: number, mask: Uint8Array): number =>
      call(nr.sched_setaffinity, tid, mask.byteLength, mask),
    /** setns(2), in the calling thread only. */
    setns: (fd: number, type = 0): number => call(nr.setns, fd, type),
  }
}
