// A token bucket: lets so much pass in a second, a second's worth at once, and makes the rest wait in order.

export class Bucket {
  readonly #rate: number
  #tokens: number
  #at = performance.now()

  /** `rate` is what flows in per second, and the most that is kept. */
  constructor(rate: number) {
    this.#rate = rate
    this.#tokens = rate
  }

  /** Takes `amount`, which may be more than there is: then a promise that settles when the debt is paid. */
  take(amount: number): Promise<void> | undefined {
    const now = performance.now()
    this.#tokens = Math.min(this.#rate, this.#tokens + ((now - this.#at) / 1000) * this.#rate)
    this.#at = now
    this.#tokens -= amount
    if (this.#tokens >= 0) return undefined
    const wait = (-this.#tokens / this.#rate) * 1000
    return new Promise((resolve) => setTimeout(resolve, wait))
  }
}
