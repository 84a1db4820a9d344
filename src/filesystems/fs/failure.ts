// Errors of our own, in the shape of node:fs: with the code that the caller gets.

export function failure(code: string, message: string): Error {
  return Object.assign(new Error(message), { code })
}

/** The object has no way to do it. */
export function unsupported(what: string): Error {
  return failure('EOPNOTSUPP', `${what} is not supported by this object`)
}

/** The code of whatever was thrown. */
export function codeOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null ? (error as { code?: unknown }).code : undefined
}
