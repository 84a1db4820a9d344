// The threads of one mirror as one of them sees the others: who asks whom for a listing, and what the kernel has forgotten.
import { BroadcastChannel } from 'node:worker_threads'
import { EIO } from '../../protocol/index.js'
import type { Errno } from '../../protocol/index.js'
import { SharedState } from './shared.js'
import type { SharedMemory } from './shared.js'

/** What a thread of the crew is made from: plain data. */
export interface CrewData {
  key: string
  memory: SharedMemory
  /** How many threads there will be, and how many have come. */
  threads: number
  joined: SharedArrayBuffer
}

/** The records of a reply. */
export type Listed = Uint8Array | Errno

/** A part of a listing that another thread has. */
export interface ListOrder {
  fd: number
  offset: number
  size: number
  plus: boolean
  /** The thread that asks, as the request names it. */
  pid: number
}

type Message =
  | { kind: 'gone'; nodeids: number[] }
  | { kind: 'list'; to: number; from: number; id: number; order: ListOrder }
  | { kind: 'listed'; to: number; id: number; listed: Listed }
  | { kind: 'close'; to: number; fd: number }

/** What the others want of this thread. */
export interface CrewEvents {
  gone(nodeid: number): void
  list(order: ListOrder): Listed
  close(fd: number): void
}

export class Crew {
  readonly state: SharedState
  readonly threads: number
  /** This thread's number. */
  readonly index: number
  readonly #channel: BroadcastChannel
  readonly #waiting = new Map<number, (listed: Listed) => void>()
  #events: CrewEvents | undefined
  #asked = 0
  #gone: number[] = []

  constructor({ key, memory, threads, joined }: CrewData) {
    this.threads = threads
    this.state = new SharedState(memory)
    this.index = Atomics.add(new Int32Array(joined), 0, 1)
    this.#channel = new BroadcastChannel(key)
    this.#channel.unref()
    this.#channel.onmessage = (event: unknown) => this.#hear((event as { data: Message }).data)
  }

  listen(events: CrewEvents): void {
    this.#events = events
  }

  /** The kernel has forgotten the inode: the others need not keep it any more. */
  gone(nodeid: number): void {
    if (this.#gone.push(nodeid) > 1) return
    queueMicrotask(() => {
      this.#post({ kind: 'gone', nodeids: this.#gone })
      this.#gone = []
    })
  }

  /** Has thread `to` list what it has open. */
  list(to: number, order: ListOrder): Promise<Listed> {
    const id = ++this.#asked
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve)
      this.#post({ kind: 'list', to, from: this.index, id, order })
    })
  }

  /** Has thread `to` close what it has open. */
  close(to: number, fd: number): void {
    this.#post({ kind: 'close', to, fd })
  }

  dispose(): void {
    for (const resolve of this.#waiting.values()) resolve(EIO)
    this.#waiting.clear()
    this.#channel.close()
  }

  #hear(message: Message): void {
    if (message.kind === 'gone') {
      for (const nodeid of message.nodeids) this.#events?.gone(nodeid)
      return
    }
    if (message.to !== this.index) return
    if (message.kind === 'list') {
      const { from: to, id, order } = message
      this.#post({ kind: 'listed', to, id, listed: this.#events?.list(order) ?? EIO })
    } else if (message.kind === 'listed') {
      this.#waiting.get(message.id)?.(message.listed)
      this.#waiting.delete(message.id)
    } else {
      this.#events?.close(message.fd)
    }
  }

  #post(message: Message): void {
    this.#channel.postMessage(message)
  }
}
