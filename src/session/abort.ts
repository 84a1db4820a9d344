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

/** Throws an {@link AbortError} where the signal is aborted. */
export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted)
    throw new AbortError('the signal was aborted, nothing is mounted', { cause: signal.reason })
}
