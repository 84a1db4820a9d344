// trace(): tells of every call of a filesystem and of its answer.
import { DevfuseWarning } from '../../index.js'
import { checkOption, shown } from './checks.js'
import { attempt, isPromise, wrap } from './proxy.js'
import type { AnyFilesystem } from './proxy.js'
import { TraceEvent } from './trace-event.js'

/**
 * Calls `sink` with a {@link TraceEvent} for every call of `inner` that has been answered; by default a line for each goes to stderr.
 * `init` and `destroy` are no requests, and reads and writes of a passthrough file never reach the filesystem. A sink that throws changes
 * no answer: the first time is reported by `process.emitWarning` (ERR_DEVFUSE_TRACE), and it goes on being called.
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
  let reported = false
  const failed = (error: unknown): void => {
    if (reported) return
    reported = true
    const what = error instanceof Error ? error.message : shown(error)
    const message = `the sink of trace() failed, which is reported only once: ${what}`
    process.emitWarning(new DevfuseWarning('ERR_DEVFUSE_TRACE', message, error))
  }
  return wrap(inner, (operation, request, next) => {
    const started = performance.now()
    const tell = (outcome: { result?: unknown; error?: unknown }, async: boolean): void => {
      const event = new TraceEvent(operation, request, outcome, started, async)
      // The call has been carried out: an error in its place would leave its lookups and handles to nobody.
      void attempt(
        () => sink(event),
        () => undefined,
        failed,
      )
    }
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
