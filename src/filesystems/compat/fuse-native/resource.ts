// What fuse-native inherits from the package nanoresource: something that is opened once, closed once, and may be kept from
// closing while it is in use. Callbacks always come later, never inside the call.

// oxlint-disable no-underscore-dangle -- `_open` and `_close` are the names that subclasses know.

/** A callback of {@link Resource}; called with an error or with nothing. */
export type Done = (error?: Error | null) => void

/** Opens and closes once. A subclass does the work in `_open` and `_close`. */
export class Resource {
  /** `open` is under way. */
  opening = false
  /** `open` has worked. */
  opened = false
  /** `close` is under way. */
  closing = false
  /** `close` has worked; it cannot be opened again. */
  closed = false
  /** Uses that `active` has counted and `inactive` has not given back. */
  actives = 0
  #openers: Done[] = []
  #closers: Done[] = []
  /** Those who want to close as soon as nothing is opening or in use. */
  #waiting: Done[] = []
  #refusesUse = true

  /** Opens: once, whoever asks in the meantime gets the same answer. After a failure it may be tried again. */
  open(done: Done = nothing): void {
    if (this.closing || this.closed) {
      process.nextTick(done, new Error('Resource is closed'))
    } else if (this.opened) {
      process.nextTick(done)
    } else if (this.#openers.push(done) === 1) {
      this.opening = true
      this._open(afterwards((error) => this.#onOpen(error)))
    }
  }

  /** Closes once nothing is opening and nothing is in use; with `allowActive` new uses may begin until then. */
  close(done?: Done): void
  close(allowActive: boolean, done?: Done): void
  close(allowActive: boolean | Done = false, last: Done = nothing): void {
    const done = typeof allowActive === 'function' ? allowActive : last
    if (allowActive === true) this.#refusesUse = false
    if (this.closed) {
      process.nextTick(done)
    } else if (this.actives > 0 || this.opening) {
      this.#waiting.push(done)
    } else if (!this.opened) {
      this.closed = true
      process.nextTick(done)
    } else if (this.#closers.push(done) === 1) {
      this.closing = true
      this._close(afterwards((error) => this.#onClose(error)))
    }
  }

  /** Counts a use, which keeps `close` waiting. False, and an error for `done`, when it is closing or closed. */
  active(done?: Done): boolean {
    if ((this.#refusesUse && this.#waiting.length > 0) || this.closing || this.closed) {
      if (done !== undefined) process.nextTick(done, new Error('Resource is closed'))
      return false
    }
    this.actives++
    return true
  }

  /** Gives a use back, and calls `done` with the other arguments. */
  inactive<Value>(
    done?: (error?: Error | null, value?: Value) => void,
    error?: Error | null,
    value?: Value,
  ): void {
    if (--this.actives === 0) this.#closeWaiting()
    done?.(error, value)
  }

  /** Does the work of opening. */
  _open(done: Done): void {
    done(null)
  }

  /** Does the work of closing. */
  _close(done: Done): void {
    done(null)
  }

  #onOpen(error?: Error | null): void {
    this.opening = false
    this.opened = !error
    for (const done of this.#openers.splice(0)) done(error)
    if (this.actives === 0) this.#closeWaiting()
  }

  #onClose(error?: Error | null): void {
    this.closing = false
    this.closed = !error
    for (const done of this.#closers.splice(0)) done(error)
  }

  #closeWaiting(): void {
    for (const done of this.#waiting.splice(0)) this.close(done)
  }
}

/** Calls `done` in a later turn, so that a subclass may answer at once. */
function afterwards(done: Done): Done {
  return (error) => process.nextTick(done, error)
}

function nothing(): void {}
