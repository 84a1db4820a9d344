// The option `signal`: an AbortSignal whose abort ends the mount, or keeps it from being made.
import { AbortError } from './errors.js'
import type { Unmountable } from './shutdown.js'

/** What an aborted signal ends. */
interface Endable extends Unmountable {
  readonly closed: Promise<unknown>
}

/**
 * Runs `begin` and ties its session to `signal`. Rejects with an {@link AbortError}, and nothing mounted, where the signal is
 * aborted before the session is there.
 */
export async function abortable<Live extends Endable>(
  signal: AbortSignal | undefined,
  begin: () => Promise<Live>,
): Promise<Live> {
  if (signal === undefined) return begin()
  throwIfAborted(signal)
  const session = await begin()
  if (signal.aborted) await session.shutdown()
  throwIfAborted(signal)
  const onAbort = (): void => void session.shutdown()
  signal.addEventListener('abort', onAbort, { once: true })
  void session.closed.then(() => signal.removeEventListener('abort', onAbort))
  return session
}

/** What `begin` settles with; rejects with an {@link AbortError} as soon as the signal is aborted, and begins nothing after that. */
export async function unlessAborted<Value>(
  signal: AbortSignal | undefined,
  begin: () => Promise<Value>,
): Promise<Value> {
  if (signal === undefined) return begin()
  throwIfAborted(signal)
  let onAbort!: () => void
  const aborted = new Promise<never>((_, reject) => (onAbort = () => reject(abortError(signal))))
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([begin(), aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** Throws an {@link AbortError} where the signal is aborted. */
export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw abortError(signal)
}

function abortError(signal: AbortSignal): AbortError {
  return new AbortError('the signal was aborted, nothing is mounted', { cause: signal.reason })
}
