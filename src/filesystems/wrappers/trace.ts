// trace(): tells of every call of a filesystem and of its answer.
import { checkOption } from './checks.js'
import { isPromise, wrap } from './proxy.js'
import type { AnyFilesystem } from './proxy.js'
import { TraceEvent } from './trace-event.js'

/**
 * Calls `sink` with a {@link TraceEvent} for every call of `inner` that has been answered; by default a line for each goes to stderr.
 * `init` and `destroy` are no requests, and reads and writes of a passthrough file never reach the filesystem.
 *
 * ```ts
 * await mount('/mnt', trace(filesystem, ({ operation, microseconds }) => histogram[operation].record(microseconds)))
 * ```
 *
 * Throws an OptionError for a sink that is no function.
 */
export function trace<Fs extends AnyFilesystem>(
  inner: Fs,
  sink: (event: TraceEvent) => void = (event) => console.error(String(event)),
): Fs {
  checkOption('trace()', 'sink', sink, 'a function', (value) => typeof value === 'function')
  return wrap(inner, (operation, request, next) => {
    const started = performance.now()
    const tell = (outcome: { result?: unknown; error?: unknown }, async: boolean): void =>
      sink(new TraceEvent(operation, request, outcome, started, async))
    let result: unknown
    try {
      result = next()
    } catch (error) {
      tell({ error }, false)
      throw error
    }
    if (!isPromise(result)) {
      tell({ result }, false)
      return result
    }
    return result.then(
      (value) => {
        tell({ result: value }, true)
        return value
      },
      (error: unknown) => {
        tell({ error }, true)
        throw error
      },
    )
  })
}
