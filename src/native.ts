// The one door to the addon (native/*.c): its types and the lazy loader.
// Importing this file is free everywhere; the addon is loaded on first use, on Linux only.
import { createRequire } from 'node:module'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { packageRoot } from './package-root.js'

/** One argument of a raw system call: a number (64-bit integer; 0 is NULL), bytes (their address) or a path (NUL-terminated copy). */
export type SyscallArg = number | string | ArrayBufferView

/**
 * Calls of the addon that are more than one system call; their numbers stand where a system call number does.
 * All return >= 0 or -errno.
 */
export const special = {
  /** `(path, flags)`: umount2(2) in a forked child that holds no descriptor, so a dying server never waits for itself. */
  umount: -1,
  /** `(socket, flags)`: receive one descriptor over a Unix socket (SCM_RIGHTS), close-on-exec. Without one: -ENOMSG; peer gone: -EPIPE. */
  recvFd: -2,
  /** `(fd, bytes, length, offset)`: preadv2(2) with RWF_NOWAIT; -EAGAIN when the data is not in the page cache. */
  preadNowait: -3,
  /** `(socket, fd)`: send one descriptor over a Unix socket (SCM_RIGHTS). */
  sendFd: -4,
  /** `(fd, bytes, length, offset)`: pread(2) until everything is read, the end of the file, or an error with nothing read. */
  preadAll: -5,
  /** `(fd, bytes, length, offset)`: pwrite(2) until everything is written, or an error with nothing written. */
  pwriteAll: -6,
  /**
   * `(dirfd, window, state, out, size, facts)`: records of getdents64(2) as those of a READDIRPLUS reply, or of READDIR where `facts` is
   * 0; how many. The layouts are in listing.h.
   */
  listing: -7,
  /**
   * `(fd, bytes, length, offset, waited)`: pwriteAll, and in `waited` (a Uint32Array) the microseconds that it took, or 0 where the thread did
   * not sleep meanwhile.
   */
  pwriteTimed: -8,
} as const

/** Flag of {@link Native.syscallAs}: keep CAP_FSETID, so setuid and setgid bits survive as they do for root. */
export const AS_KEEP_FSETID = 1
/** Flag of {@link Native.syscallAs}: keep CAP_MKNOD, which making a device node needs. */
export const AS_KEEP_MKNOD = 2

/** What the addon exports. Every call returns a result >= 0 or a negative errno and throws only on misuse (TypeError, RangeError). */
export interface Native {
  /** Raw system call in the calling thread; strings go as UTF-8. A string with a NUL: -EINVAL; longer than 4095 bytes: -ENAMETOOLONG. */
  readonly syscallUtf8: (nr: number, ...args: SyscallArg[]) => number
  /** The same with one byte per character; a character above U+00FF: -EILSEQ. */
  readonly syscallLatin1: (nr: number, ...args: SyscallArg[]) => number
  /**
   * The same on the addon's own threads. Never rejects; the bytes passed stay alive until it resolves. The end of a worker cuts it
   * off; where it waits for a server that does not answer and was given bytes, the worker ends when it is over.
   */
  readonly syscallAsyncUtf8: (nr: number, ...args: SyscallArg[]) => Promise<number>
  /** The same with one byte per character. */
  readonly syscallAsyncLatin1: (nr: number, ...args: SyscallArg[]) => Promise<number>
  /**
   * System call (strings as latin1) with the filesystem identity of someone else, in the calling thread only: fsuid, fsgid,
   * supplementary groups (null: unchanged) and umask (-1: unchanged). CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH and CAP_FOWNER stay;
   * CAP_FSETID and CAP_MKNOD go unless `flags` keeps them. Everything is restored before return. Without the privilege to
   * change identity the call runs as it is.
   */
  readonly syscallAs: (
    uid: number,
    gid: number,
    umask: number,
    flags: number,
    groups: Uint32Array | null,
    nr: number,
    ...args: SyscallArg[]
  ) => number
  /** Most threads that asynchronous calls may use at a time (default 16); further calls wait their turn. */
  readonly setPoolSize: (threads: number) => void
  /** Opens a channel over `fd`, which it owns from then on. See {@link NativeChannel}. */
  readonly Channel: new (
    fd: number,
    memory: ArrayBuffer,
    slotSize: number,
    slotCount: number,
    onBatch: (count: number) => void,
    onEnd: (errno: number) => void,
  ) => NativeChannel
  /** An io_uring for the connection of `device`, a descriptor of /dev/fuse that stays the caller's. See {@link NativeRing}. */
  readonly Ring: new (device: number, onBatch: (count: number) => void) => NativeRing
}

/** Answers that {@link NativeRing.answers} has room for. */
export const RING_ANSWERS = 256

/**
 * The kernel's request queues on one io_uring (FUSE over io_uring). An entry is the memory of one request, in an ArrayBuffer that JS
 * made: the kernel fills it, then it is ours until it is answered. Methods return a result >= 0 or -errno.
 */
export interface NativeRing {
  /** After `onBatch(count)`: the entries that requests 0..count-1 lie in. -1 says that the connection takes no entry any more. */
  readonly slots: Int32Array
  /**
   * Answers to be sent: how many, whether a turn is under way, then entry, error (0 or -errno) and bytes of payload for each.
   * What is appended in a turn, promise jobs included, goes out at its end; otherwise call {@link flush}.
   */
  readonly answers: Int32Array
  /** Live counters; see {@link CHANNEL_STATS}. */
  readonly stats: Float64Array
  /** Sets up the io_uring for `most` entries. */
  open(most: number): number
  /**
   * Hands `count` entries of queue `qid` to the kernel (FUSE_IO_URING_CMD_REGISTER): entry `i` is the `entrySize` bytes from
   * `i * entrySize`, its payload begins at `payloadAt`. Returns the number of the first. The memory is pinned until `close()`.
   */
  add(qid: number, memory: ArrayBuffer, count: number, entrySize: number, payloadAt: number): number
  /** Begins to take requests; keeps the event loop alive. */
  start(): number
  /** Sends the answers at once, in one system call (FUSE_IO_URING_CMD_COMMIT_AND_FETCH). */
  flush(): number
  /**
   * Answers a READ with up to `size` bytes of `fd` at `offset`: from the page cache straight into the entry, else by a thread of
   * the pool. The bytes sent, or -errno, or a promise of it.
   */
  replyFromFd(entry: number, fd: number, offset: number, size: number): number | Promise<number>
  /**
   * Has the kernel send `count` empty NOTIFY_REPLYs about `nodeid`, a regular file, to the queue of `cpu`, with `unique` and every
   * second number after it; this thread visits that CPU for a moment. Returns how many.
   */
  kick(cpu: number, unique: number, nodeid: number, count: number): number
  /** Whether the answer to `entry`, flushed just now, has fetched a request that was waiting. */
  fetched(entry: number): boolean
  /** As {@link NativeChannel.setBusyPoll}. */
  setBusyPoll(maxMicroseconds: number): void
  /**
   * Stops and closes the io_uring. Returns how many entries the kernel may still write to: 0 once the connection is over. Their
   * memory stays pinned for ever.
   */
  close(): number
}

/** Names of the counters in {@link NativeChannel.stats}, by index. */
export const CHANNEL_STATS = [
  /** Messages read. */
  'requests',
  /** Calls of `onBatch`. */
  'batches',
  /** Times that libuv woke the channel. */
  'wakeups',
  /** Times that it looked on instead of going to sleep at once. */
  'spins',
  /** Times that looking on found a message. */
  'spinHits',
  /** Nanoseconds spent looking on. */
  'spinNanoseconds',
  /** Messages written. */
  'replies',
  /** Writes that failed. */
  'replyErrors',
  /** READ replies made from a file descriptor without leaving the thread. */
  'readsInPlace',
  /** READ replies made from a file descriptor by another thread. */
  'readsByPool',
  /** Times that no slot was free, so that reading stopped until one was released. */
  'slotWaits',
  /** Not a counter: CLOCK_MONOTONIC in milliseconds, when the last batch was read or the last message written. */
  'now',
] as const

/**
 * A message channel over a descriptor (`/dev/fuse`; tests use a SOCK_SEQPACKET pair): slot `i` is the `slotSize` bytes of `memory`
 * from `i * slotSize`. Messages are read into free slots until none is left to read, then reported in one `onBatch(count)`.
 */
export interface NativeChannel {
  /** The descriptor; -1 once closed. */
  readonly fd: number
  /**
   * After `onBatch(count)`: the slot of messages 0..count-1. An entry that `onBatch` replaces by its complement (`~slot`)
   * is released when it returns, which is cheaper than `release`.
   */
  readonly slots: Int32Array
  /** After `onBatch(count)`: the bytes read of messages 0..count-1. */
  readonly lengths: Int32Array
  /** Live counters; see {@link CHANNEL_STATS}. */
  readonly stats: Float64Array
  /** Begins to read; keeps the event loop alive. May be called again after `stop`. */
  start(): void
  /** The slot may be filled again. */
  release(slot: number): void
  /** One write(2): 0 or -errno. */
  send(bytes: Uint8Array, offset: number, length: number): number
  /** One writev(2) of two parts: 0 or -errno. */
  sendv(
    head: Uint8Array,
    headOffset: number,
    headLength: number,
    body: Uint8Array,
    bodyOffset: number,
    bodyLength: number,
  ): number
  /**
   * Answers request `unique` (negative: a resent one, bit 63 set) with up to `size` bytes of `fd` at `offset`; a failed read is
   * answered with its errno. What is in the page cache is answered in place; otherwise a thread of the pool does it, or, with
   * `sync`, this one. Returns or resolves to the bytes sent, or the -errno of the read or the write.
   */
  sendFromFd(
    unique: number,
    fd: number,
    offset: number,
    size: number,
    sync: boolean,
  ): number | Promise<number>
  /** Longest time to look on for the next message before sleeping, in microseconds (at most 1000); 0 turns it off. Default 200. */
  setBusyPoll(maxMicroseconds: number): void
  /**
   * When the environment ends before `close()` was called (a terminated worker), what is mounted at `path` is detached and its
   * connection aborted, if its device number still is 0:`minor`.
   */
  detachAtExit(path: string, minor: number): void
  /** A further descriptor of the same connection (FUSE_DEV_IOC_CLONE), or -errno. */
  clone(): number
  /**
   * Starts a thread that answers EDEADLK to requests which wait for the calling thread while that waits for them; `onDeadlock` is
   * called for each when the loop comes round. The verdict: 1 a call of this thread, 2 the start of a child, 3 the end of a child,
   * 4 a lock. `mountPoint` (or '') tells calls on the mount from others. `null` ends it, after giving out what is left. 0, or -errno
   * where the machine does not allow it.
   */
  guard(
    onDeadlock: ((verdict: number, opcode: number, pid: number) => void) | null,
    mountPoint: string,
  ): number
  /** Stops reading; the descriptor stays open. Safe inside `onBatch`. */
  stop(): void
  /** Stops and closes the descriptor. Idempotent; safe inside `onBatch`. `onEnd` is not called any more. */
  close(): void
}

/** Error of the loader: `ERR_DEVFUSE_UNSUPPORTED` off Linux, `ERR_DEVFUSE_ADDON` when no addon fits. */
export class NativeLoadError extends Error {
  readonly code: 'ERR_DEVFUSE_UNSUPPORTED' | 'ERR_DEVFUSE_ADDON'
  constructor(code: NativeLoadError['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'NativeLoadError'
    this.code = code
  }
}

let loaded: Native | undefined

/** The addon, loaded on the first call. Throws {@link NativeLoadError}. */
export function loadNative(): Native {
  return (loaded ??= load())
}

function load(): Native {
  if (process.platform !== 'linux') {
    throw new NativeLoadError(
      'ERR_DEVFUSE_UNSUPPORTED',
      `devfuse runs on Linux only: it speaks the Linux kernel's FUSE protocol, and this is ${process.platform}`,
    )
  }
  const require = createRequire(import.meta.url)
  const chosen = process.env['DEVFUSE_ADDON']
  if (chosen) {
    try {
      return require(chosen) as Native
    } catch (error) {
      throw failure([`${chosen} (from DEVFUSE_ADDON): ${reasonOf(error)}`], error)
    }
  }
  const root = packageRoot()
  const reasons: string[] = []
  let cause: unknown
  for (const place of ['build/native/devfuse.node', `prebuilds/linux-${process.arch}.node`]) {
    const path = fileURLToPath(new URL(place, root))
    if (!existsSync(path)) {
      reasons.push(`${path}: not there`)
      continue
    }
    try {
      return require(path) as Native
    } catch (error) {
      cause = error
      reasons.push(`${path}: ${reasonOf(error)}`)
    }
  }
  throw failure(reasons, cause)
}

function failure(reasons: string[], cause: unknown): NativeLoadError {
  const script = fileURLToPath(new URL('scripts/build-native.mjs', packageRoot()))
  return new NativeLoadError(
    'ERR_DEVFUSE_ADDON',
    `devfuse found no addon for linux-${process.arch} (${libc()}, Node ${process.version}):\n` +
      reasons.map((reason) => `  ${reason}\n`).join('') +
      `Build it (needs a C compiler): node ${script}`,
    { cause },
  )
}

function libc(): string {
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } } | undefined
  const version = report?.header?.glibcVersionRuntime
  return version ? `glibc ${version}` : 'musl'
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message.split('\n', 1)[0] : String(error)
}
