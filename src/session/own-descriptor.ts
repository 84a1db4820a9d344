// A descriptor of the library's own for a file that a filesystem has open, kept as long as anything is at work on it.
import type { FdData } from '../protocol/index.js'
import {
  AT_FDCWD,
  F_DUPFD_CLOEXEC,
  F_GETFL,
  O_CLOEXEC,
  O_DSYNC,
  S_IFMT,
  S_IFREG,
  StatxBuffer,
  isLocalFilesystem,
  syscalls,
} from '../syscalls/index.js'

/** What data of an open is served from. */
export interface ServedDescriptor {
  fd: number
  /** Without one, `fd` is the filesystem's, which closes it when it likes. */
  own: OwnDescriptor | undefined
}

export class OwnDescriptor {
  readonly fd: number
  #writesToCache: boolean | undefined
  #users = 1

  private constructor(fd: number) {
    this.fd = fd
  }

  /**
   * Opens the file behind `fd` anew, with the first of these access modes that it lets us have. A duplicate does where that is impossible, and
   * where opening may wait for somebody, as it does for the other end of a FIFO. Undefined where the process has no descriptor left.
   */
  static of(fd: number, accesses: readonly number[]): OwnDescriptor | undefined {
    let own = isRegular(fd) ? reopen(fd, accesses) : -1
    if (own < 0) own = syscalls.fcntl(fd, F_DUPFD_CLOEXEC)
    return own < 0 ? undefined : new OwnDescriptor(own)
  }

  /** Whether a write is over when its bytes are in the page cache of this machine. */
  get writesToCache(): boolean {
    return (this.#writesToCache ??= writesToCache(this.fd))
  }

  /** Runs `job`, and stays open until it has settled: the RELEASE of a killed caller's file comes before. */
  async during<Result>(job: (fd: number) => Promise<Result>): Promise<Result> {
    this.#users++
    try {
      return await job(this.fd)
    } finally {
      this.drop()
    }
  }

  /** One user less; the last one closes it. */
  drop(): void {
    if (--this.#users === 0) syscalls.close(this.fd)
  }
}

const found = new StatxBuffer()

function isRegular(fd: number): boolean {
  return syscalls.fstatx(fd, 0, found) >= 0 && (found.mode & S_IFMT) === S_IFREG
}

function writesToCache(fd: number): boolean {
  const statistics = syscalls.fstatfs(fd)
  const flags = syscalls.fcntl(fd, F_GETFL)
  return typeof statistics !== 'number' && isLocalFilesystem(statistics.type) && (flags & O_DSYNC) === 0
}

function reopen(fd: number, accesses: readonly number[]): number {
  let own = -1
  for (const access of accesses) {
    own = syscalls.openat(AT_FDCWD, `/proc/self/fd/${fd}`, access | O_CLOEXEC)
    if (own >= 0) break
  }
  return own
}

/** Data of a READ from such a descriptor, which has to stay open until the answer is on its way. */
export class ServedData implements FdData {
  readonly fd: number
  readonly offset: number
  readonly size: number
  readonly own: OwnDescriptor | undefined

  constructor({ fd, own }: ServedDescriptor, offset: number, size: number) {
    this.fd = fd
    this.own = own
    this.offset = offset
    this.size = size
  }
}
