// What is open, by the `fh` number that the kernel hands back in every request on an open file.

/**
 * Maps `fh` numbers to whatever a filesystem keeps per open file or directory. Numbers start at 1 (0 stays free for
 * "no handle") and are reused after {@link remove}, so the table stays as small as the most files ever open at a time.
 */
export class HandleTable<Handle> {
  readonly #handles: (Handle | undefined)[] = [undefined]
  readonly #free: number[] = []

  /** Handles in the table. */
  get size(): number {
    return this.#handles.length - 1 - this.#free.length
  }

  /** Adds a handle: its `fh`. */
  add(handle: Handle): number {
    const fh = this.#free.pop() ?? this.#handles.length
    this.#handles[fh] = handle
    return fh
  }

  /** The handle, or undefined for a number that is not in use. */
  get(fh: number): Handle | undefined {
    return this.#handles[fh]
  }

  /** Removes and returns the handle. */
  remove(fh: number): Handle | undefined {
    const handle = this.#handles[fh]
    if (handle === undefined) return undefined
    this.#handles[fh] = undefined
    this.#free.push(fh)
    return handle
  }

  /** Every handle. */
  *[Symbol.iterator](): IterableIterator<Handle> {
    for (const handle of this.#handles) if (handle !== undefined) yield handle
  }
}
