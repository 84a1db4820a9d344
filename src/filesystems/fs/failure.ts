// Errors of our own, in the shape of node:fs: with the code that the caller gets.

export function failure(code: string, message: string): Error {
  return Object.assign(new Error(message), { code })
}

/** The object has no way to do it. */
export function unsupported(what: string): Error {
  return failure('EOPNOTSUPP', `${what} is not supported by this object`)
}

/** What a value is, in a word or two, for the message that it is not what was asked for. */
export function describe(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean' || value === null || value === undefined)
    return String(value)
  return typeof value === 'object' ? Object.prototype.toString.call(value) : `a ${typeof value}`
}

/** The code of whatever was thrown. */
export function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null ? (error as { code?: unknown }).code : undefined
}
