// The threads that serve one connection together, each through a descriptor of its own. Kernel: it hands INTERRUPT and
// NOTIFY_REPLY to whichever descriptor is read next; here they find the thread that they are meant for.
import { BroadcastChannel } from 'node:worker_threads'

type Message =
  | { interrupted: number }
  | { retrieved: number; data: Uint8Array }
  | { ended: true }
  | { left: number }

/** What one thread hears from the others. */
export interface SiblingEvents {
  interrupted(unique: number): void
  retrieved(unique: number, data: Buffer): void
  ended(): void
  /** The thread with clone `index` serves no more. */
  left(index: number): void
}

/** One thread's link to the others that serve the connection `key`. It never keeps the thread alive. */
export class Siblings {
  readonly #channel: BroadcastChannel

  constructor(key: string, events: SiblingEvents) {
    this.#channel = new BroadcastChannel(key)
    this.#channel.unref()
    this.#channel.onmessage = (event: unknown) => {
      const message = (event as { data: Message }).data
      if ('interrupted' in message) events.interrupted(message.interrupted)
      else if ('retrieved' in message) events.retrieved(message.retrieved, Buffer.from(message.data))
      else if ('left' in message) events.left(message.left)
      else events.ended()
    }
  }

  /** An INTERRUPT for a request that this thread does not know. */
  interrupt(unique: number): void {
    this.#post({ interrupted: unique })
  }

  /** A NOTIFY_REPLY for data that this thread did not ask for. */
  retrieved(unique: number, data: Uint8Array): void {
    // A view would be sent with all the memory that it is a view of.
    this.#post({ retrieved: unique, data: new Uint8Array(data) })
  }

  /** This thread has ended the connection: the others shall close their descriptors, which keep it open. */
  end(): void {
    this.#post({ ended: true })
    this.close()
  }

  /** This thread, which has clone `index`, serves no more. */
  leave(index: number): void {
    this.#post({ left: index })
    this.close()
  }

  close(): void {
    this.#channel.close()
  }

  #post(message: Message): void {
    this.#channel.postMessage(message)
  }
}
