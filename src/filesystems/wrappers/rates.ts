// The rates of limit(): whose turn it is, and what a call has cost in the end.
import { EINTR } from '../../index.js'
import type { HandlerName } from '../../protocol/index.js'
import { Bucket } from './bucket.js'
import type { Turn } from './bucket.js'
import { attempt } from './proxy.js'
import type { AnyCall } from './proxy.js'

/** Nobody is interrupted in these: it is the end of the session, and the filesystem must hear of them. */
const CLOSING: ReadonlySet<HandlerName> = new Set(['release', 'releasedir'])

/** A bucket, and what a call takes out of it. */
type Taken = readonly [Bucket, Turn]

export class Rates {
  readonly #calls: Bucket | undefined
  readonly #bytes: Bucket | undefined
  readonly #bytesPerSecond: number

  /** What is undefined is not limited. */
  constructor(operationsPerSecond: number | undefined, bytesPerSecond: number | undefined) {
    this.#calls = operationsPerSecond === undefined ? undefined : new Bucket(operationsPerSecond)
    this.#bytes = bytesPerSecond === undefined ? undefined : new Bucket(bytesPerSecond)
    this.#bytesPerSecond = bytesPerSecond ?? Infinity
  }

  /** Does `work` for a request, at once or when its turn has come; EINTR where the caller was interrupted before. */
  pass(name: HandlerName, request: AnyCall, work: () => unknown): unknown {
    const call: Taken | undefined = this.#calls && [this.#calls, this.#calls.take(1)]
    const load = this.#load(name, request)
    const taken = [call, load].filter((one) => one !== undefined)
    const turns = taken.map(([, { come }]) => come).filter((come) => come !== undefined)
    const go = (): unknown => (load === undefined ? work() : moving(load, name, work))
    if (turns.length === 0) return go()
    return interrupted(turns, request.signal).then((gone) => {
      if (!gone) return go()
      for (const [bucket, turn] of taken) bucket.giveBack(turn)
      return CLOSING.has(name) ? work() : EINTR
    })
  }

  #load(name: HandlerName, { size }: AnyCall): Taken | undefined {
    if (this.#bytes === undefined || (name !== 'read' && name !== 'write')) return undefined
    if (typeof size !== 'number' || size === 0) return undefined
    const needed = name === 'read' ? Math.min(size, this.#bytesPerSecond) : size
    return [this.#bytes, this.#bytes.take(size, needed)]
  }
}

/** Does `work`, and gives back what it did not move. */
function moving([bucket, turn]: Taken, name: HandlerName, work: () => unknown): unknown {
  const moved = (bytes: number): void => {
    if (bytes < turn.amount) bucket.giveBack(turn, turn.amount - bytes)
  }
  return attempt(
    work,
    (answer) => {
      moved(bytesOf(name, answer))
      return answer
    },
    (error) => {
      moved(0)
      throw error
    },
  )
}

/** Bytes that an answer moves, 0 where it is a failure. */
function bytesOf(name: HandlerName, answer: unknown): number {
  if (typeof answer === 'number') return name === 'write' && answer > 0 ? answer : 0
  if (name === 'write' || typeof answer !== 'object' || answer === null) return 0
  if (answer instanceof Uint8Array) return answer.byteLength
  const { size } = answer as { size?: unknown }
  return typeof size === 'number' && size > 0 ? size : 0
}

/** Settles when all turns have come, or with true as soon as the caller is interrupted. */
function interrupted(turns: readonly Promise<void>[], signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(true)
    else signal.addEventListener('abort', () => resolve(true), { once: true })
    void Promise.all(turns).then(() => resolve(signal.aborted))
  })
}
