// One at a time, in the order of asking: what locks of the kernel are to calls that wait.

export class Mutex {
  #last: Promise<void> | undefined

  /** Somebody has it, or waits for it. */
  get taken(): boolean {
    return this.#last !== undefined
  }

  /** Runs `action` when all that asked before are done. */
  async run<T>(action: () => Promise<T>): Promise<T> {
    const before = this.#last
    let done!: () => void
    const mine = new Promise<void>((resolve) => (done = resolve))
    this.#last = mine
    try {
      if (before !== undefined) await before
      return await action()
    } finally {
      if (this.#last === mine) this.#last = undefined
      done()
    }
  }
}
