// A descriptor that the event loop watches: what can be read is read and handed on. Built on the addon's channel.
import { loadNative } from '../native.js'
import type { NativeChannel } from '../native.js'
import { pinnedMemory } from './memory.js'

/**
 * Reads a descriptor whenever something is there, without a thread of its own: for descriptors that epoll(7) takes (fanotify,
 * inotify, pipes, sockets), opened with O_NONBLOCK. A started reader keeps the process alive.
 */
export class ByteReader {
  readonly #channel: NativeChannel
  readonly #bytes: Buffer

  /**
   * Owns `fd` from now on. `onBytes` gets what one read(2) gave, at most `size` bytes, valid until it returns. `onEnd` is
   * called once at the end of the file (0) or after an error (-errno), when nothing is read any more. Throws a RangeError for what
   * is no descriptor.
   */
  constructor(fd: number, size: number, onBytes: (bytes: Buffer) => void, onEnd: (errno: number) => void) {
    if (!Number.isInteger(fd) || fd < 0 || fd > 0x7fff_ffff)
      throw new RangeError(`a ByteReader takes an open descriptor, an integer >= 0, not ${fd}`)
    const memory = pinnedMemory(size)
    this.#bytes = Buffer.from(memory)
    this.#channel = new (loadNative().Channel)(
      fd,
      memory,
      size,
      1,
      () => {
        const length = this.#channel.lengths[0]
        try {
          onBytes(this.#bytes.subarray(0, length))
        } finally {
          // The complement gives the slot back.
          this.#channel.slots[0] = ~this.#channel.slots[0]
        }
      },
      onEnd,
    )
    this.#channel.setBusyPoll(0)
  }

  /** The descriptor; -1 once closed. */
  get fd(): number {
    return this.#channel.fd
  }

  /** Begins to read, or goes on after {@link stop}. */
  start(): void {
    this.#channel.start()
  }

  /** Stops reading; the descriptor stays open. Fine inside `onBytes`. */
  stop(): void {
    this.#channel.stop()
  }

  /** Stops and closes the descriptor; idempotent, and fine inside `onBytes`. */
  close(): void {
    this.#channel.close()
  }
}
