// A token bucket: lets so much pass in a second, a second's worth at once, and makes the rest wait in order.

/** What setTimeout can wait. */
const LONGEST = 2 ** 31 - 1

/** What somebody takes out of a bucket. */
export interface Turn {
  readonly amount: number
  /** How much must be there; less than `amount` leaves a debt to those who come later. */
  readonly needed: number
  /** Settles when it has been taken; undefined where that was at once. */
  come: Promise<void> | undefined
  pass: (() => void) | undefined
}

export class Bucket {
  readonly #rate: number
  /** In the order of their coming. */
  readonly #waiting = new Set<Turn>()
  #tokens: number
  #at = performance.now()
  #timer: NodeJS.Timeout | undefined

  /** `rate` is what flows in per second, and the most that is kept. */
  constructor(rate: number) {
    this.#rate = rate
    this.#tokens = rate
  }

  /** Takes `amount`, which may be more than the bucket holds, as soon as `needed` is there and all who came before have theirs. */
  take(amount: number, needed = amount): Turn {
    const turn: Turn = { amount, needed, come: undefined, pass: undefined }
    this.#flow()
    if (this.#waiting.size === 0 && this.#tokens >= needed) {
      this.#tokens -= amount
      return turn
    }
    turn.come = new Promise((resolve) => (turn.pass = resolve))
    this.#waiting.add(turn)
    if (this.#waiting.size === 1) this.#advance()
    return turn
  }

  /** Puts back what was not used; who still waits leaves the queue, and those behind move up. */
  giveBack(turn: Turn, unused = turn.amount): void {
    if (!this.#waiting.delete(turn)) this.#tokens += unused
    this.#advance()
  }

  #flow(): void {
    const now = performance.now()
    this.#tokens += ((now - this.#at) / 1000) * this.#rate
    this.#at = now
    if (this.#waiting.size === 0) this.#overflow()
  }

  /** The first in the queue may gather more than is kept, so that a large amount comes through. */
  #overflow(): void {
    this.#tokens = Math.min(this.#rate, this.#tokens)
  }

  /** Lets pass who can, and sets the timer for the next. */
  #advance(): void {
    clearTimeout(this.#timer)
    this.#flow()
    for (const turn of this.#waiting) {
      const missing = turn.needed - this.#tokens
      if (missing > 0) {
        const wait = Math.min(Math.ceil((missing / this.#rate) * 1000), LONGEST)
        this.#timer = setTimeout(() => this.#advance(), wait)
        return
      }
      this.#waiting.delete(turn)
      this.#tokens -= turn.amount
      this.#overflow()
      turn.pass?.()
    }
    this.#overflow()
  }
}
