// The seam between one live connection and the way its requests arrive: what every transport (/dev/fuse, io_uring, a kernel in
// memory, an author's own) offers to the session. Nothing above this folder knows which one runs.
import type { InitFlagName } from '../protocol/index.js'

/** What a transport calls as requests come in; implemented by the session. */
export interface RequestReceiver {
  /**
   * One request lies in slot `slot`: its parts are at absolute offsets of {@link Transport.memory}.
   * `payload` is -1 when it directly follows the operation struct. Returns whether the receiver keeps the
   * slot until it calls {@link Transport.release}. Never throws.
   */
  receive(slot: number, header: number, op: number, payload: number, end: number): boolean
  /** The connection is over: -ENODEV after an unmount or abort, another -errno otherwise. Called once. */
  ended(errno: number): void
}

/** Counters of a transport by name, all monotonic: requests, batches, spins, ... */
export type TransportStats = Record<string, number>

/** Backing files of a connection without a device: what FUSE_DEV_IOC_BACKING_OPEN and _CLOSE do on one. */
export interface BackingFiles {
  /** Registers `fd`: a backing id > 0, or -errno. The descriptor may be closed afterwards. */
  open(fd: number): number
  /** Gives an id back: 0 or -errno. Files that are open with it keep working. */
  close(id: number): number
}

/** One mounted channel: receives requests into slots and sends replies and notifications. */
export interface Transport {
  /** Shown by `session.stats()`. */
  readonly name: string
  /** The memory that the slot of the request at hand lies in, and a view of the same bytes. */
  readonly memory: Buffer
  readonly view: DataView
  /** The descriptor of the connection for its ioctls, -1 once closed or where there is none. */
  readonly fd: number
  /** Where there is no descriptor and files can back others all the same; without it, ioctls on `fd` register them. */
  readonly backing?: BackingFiles
  /** Whether the kernel still holds the connection: false after an unmount or abort, before reading has told so. */
  readonly connected: boolean
  /** When the current batch was read or the last reply written, in milliseconds of CLOCK_MONOTONIC. */
  readonly now: number
  /** True while so few slots are free that a receiver should not keep one across an await. */
  readonly scarce: boolean
  /** INIT was answered: `size` is the largest payload of a request or reply. Throws where requests cannot be taken then. */
  negotiated?(size: number, agreed: ReadonlySet<InitFlagName>): void
  /** Starts delivering requests. */
  start(receiver: RequestReceiver): void
  /** The slot may be filled again. */
  release(slot: number): void
  /**
   * Answers a request: `error` is 0 or -errno, the body is `length` bytes at `offset` of `bytes`.
   * The 16 bytes before `offset` are the transport's to overwrite when `headroom` is true.
   * Returns 0 or -errno; -ENOENT says that nobody waits for this request any more.
   */
  reply(
    unique: number,
    resent: boolean,
    error: number,
    bytes: Uint8Array,
    offset: number,
    length: number,
    headroom: boolean,
  ): number
  /** Answers a READ with up to `size` bytes of `fd` at `offset`: the bytes sent or -errno, or a promise of it. */
  replyFromFd(
    unique: number,
    resent: boolean,
    fd: number,
    offset: number,
    size: number,
  ): number | Promise<number>
  /**
   * Sends a whole notification without holding up this thread: 0 or -errno. Kernel: it may wait inside for requests
   * that only this thread can answer.
   */
  notify(message: Uint8Array): Promise<number>
  /** A further descriptor of the same connection (FUSE_DEV_IOC_CLONE), owned by the caller, or -errno. */
  clone(): number
  /**
   * Answers EDEADLK to requests that wait for the calling thread while that waits for them, and calls `onDeadlock` for each when
   * the loop comes round; `mountPoint` is where calls on the mount lead. `null` ends it. Absent where the transport has no such guard.
   */
  guard?(
    onDeadlock: ((verdict: number, opcode: number, pid: number) => void) | null,
    mountPoint: string,
  ): void
  /** How long to busy poll at the most after a request, in microseconds; 0 turns it off. */
  setBusyPoll(microseconds: number): void
  /** When the thread ends without {@link close}, the mount at `path` with device number 0:`minor` is detached. */
  detachAtExit(path: string, minor: number): void
  stats(): TransportStats
  /** Ends delivery and closes the descriptor; idempotent. The receiver's `ended` is not called. */
  close(): void
}
