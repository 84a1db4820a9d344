// Tracing of requests through node:diagnostics_channel: wraps the call of a handler while somebody listens, and costs a look at
// ten channels while nobody does.
import { tracingChannel } from 'node:diagnostics_channel'
import type { Channel, TracingChannel } from 'node:diagnostics_channel'
import { operations } from '../protocol/index.js'
import type { AnyRequest, OperationInfo, OperationName } from '../protocol/index.js'
import type { BackingDevice } from './backing.js'
import { errnoForKernel } from './errors.js'
import type { Filesystem } from './filesystem.js'
import { promiseOf } from './patience.js'

/**
 * What subscribers of the tracing channels `devfuse:request` (every request) and `devfuse:lookup`, `devfuse:read`, ... (those of one
 * operation) get: `tracingChannel('devfuse:request').subscribe({ start, end, asyncStart, asyncEnd, error })`. The object is the same
 * from `start` to the last event of a request; what is optional is there once the handler has settled.
 *
 * `start` and `end` come before and after the call of the handler; `asyncStart` and `asyncEnd` when the promise that it returned
 * has settled; `error` where it threw or rejected. A request without a handler has a `start` and an `end`.
 */
export interface RequestTrace {
  /** Where the filesystem is mounted; empty where the session serves no mount of its own. */
  readonly mountPoint: string
  /** The operation: `lookup`, `read`, ... */
  readonly name: OperationName
  /** The request as the handler gets it. */
  readonly request: object
  /** What the handler answered. */
  result?: unknown
  /** What it threw. */
  error?: unknown
  /** What the handler's answer means to the caller: 0, or -errno. An answer that turns out to be impossible later is EIO to him all the same. */
  errno?: number
  /** Time that the handler took until it settled. */
  microseconds?: number
}

type Handler = (this: Filesystem, request: AnyRequest) => unknown
type Tracing = TracingChannel<unknown, RequestTrace>

const all: Tracing = tracingChannel('devfuse:request')
const byOpcode: Tracing[] = []
/** By opcode: the channels that somebody may listen to. */
const watched: Channel[][] = []

for (const info of operations) {
  if (info == null) continue
  const own: Tracing = tracingChannel(`devfuse:${info.name}`)
  byOpcode[info.opcode] = own
  watched[info.opcode] = [all, own].flatMap(({ start, end, asyncStart, asyncEnd, error }) => [
    ...[start, end, asyncStart, asyncEnd, error],
  ])
}

/** Whether anybody listens to requests of this operation. */
export function isTraced(opcode: number): boolean {
  for (const channel of watched[opcode]) if (channel.hasSubscribers) return true
  return false
}

/** `handler`, told about to those who listen; a request without one is told about at once. */
export function traced(
  device: BackingDevice,
  request: AnyRequest,
  info: OperationInfo,
  handler: Handler | undefined,
): Handler | undefined {
  const { mountPoint = '' } = device
  if (handler !== undefined) {
    return function (item) {
      return trace({ mountPoint, name: info.name, request: item }, info.opcode, () =>
        handler.call(this, item),
      )
    }
  }
  trace({ mountPoint, name: info.name, request }, info.opcode, () => info.absent)
  return undefined
}

function trace(context: RequestTrace, opcode: number, run: () => unknown): unknown {
  const own = byOpcode[opcode]
  const publish = (event: 'end' | 'asyncStart' | 'asyncEnd' | 'error'): void => {
    all[event].publish(context)
    own[event].publish(context)
  }
  const since = performance.now()
  const settle = (result: unknown): void => {
    context.microseconds = (performance.now() - since) * 1000
    context.result = result
    context.errno = typeof result === 'number' && result < 0 ? result : 0
  }
  const fail = (error: unknown): void => {
    context.microseconds = (performance.now() - since) * 1000
    context.error = error
    context.errno = errnoForKernel(error).errno
    publish('error')
  }
  const settled = (): void => {
    publish('asyncStart')
    publish('asyncEnd')
  }
  let result: unknown
  let promise: Promise<unknown> | undefined
  try {
    // Stores that are bound to the channels (AsyncLocalStorage) hold while the handler runs.
    result = all.start.runStores(context, () => own.start.runStores(context, run))
    // A promise of another make, such as a query of a database, may do its work once more for everybody who waits for it.
    promise = promiseOf(result)
    if (promise === undefined) settle(result)
  } catch (error) {
    fail(error)
    throw error
  } finally {
    publish('end')
  }
  if (promise === undefined) return result
  promise.then(
    (value) => {
      settle(value)
      settled()
    },
    (error: unknown) => {
      fail(error)
      settled()
    },
  )
  return promise
}
