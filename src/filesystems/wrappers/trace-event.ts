// What trace() tells of one call, and how it reads.
import { EIO, errnoFromThrown } from '../../index.js'
import { describeErrno, describeRequest } from '../../protocol/index.js'
import type { AnyRequest, HandlerName } from '../../protocol/index.js'
import type { AnyCall } from './proxy.js'

/** One call that has been answered. */
export class TraceEvent {
  /** Name of the handler. */
  readonly operation: HandlerName
  /** The request as the handler got it. Data in it is valid only until the answer is given. */
  readonly request: AnyCall
  /** What the handler returned; undefined where it threw. */
  readonly result: unknown
  /** What it threw. */
  readonly error: unknown
  /** Negative errno of the answer, 0 where it is none. */
  readonly errno: number
  /** How long the answer took. */
  readonly microseconds: number
  /** The handler returned a promise. */
  readonly async: boolean

  /** Not for authors. */
  constructor(
    operation: HandlerName,
    request: AnyCall,
    outcome: { result?: unknown; error?: unknown },
    started: number,
    async: boolean,
  ) {
    this.microseconds = Math.round((performance.now() - started) * 1000)
    this.operation = operation
    this.request = request
    this.result = outcome.result
    this.error = outcome.error
    this.errno = errnoOfOutcome(outcome)
    this.async = async
  }

  /** A readable line: the request with its fields, the answer, the time. */
  toString(): string {
    const answer = this.errno < 0 ? describeErrno(this.errno) : shown(this.result)
    return `${describe(this.operation, this.request)} -> ${answer} (${this.microseconds} us${this.async ? ', async' : ''})`
  }
}

/** FORGET is handed on without its header. */
function describe(operation: HandlerName, request: AnyCall): string {
  if ('unique' in request) return describeRequest(request as unknown as AnyRequest)
  const { nodeid, nlookup } = request as unknown as { nodeid: number; nlookup: number }
  return `${operation} nodeid=${nodeid} nlookup=${nlookup}`
}

function errnoOfOutcome(outcome: { result?: unknown; error?: unknown }): number {
  if ('error' in outcome) return errnoFromThrown(outcome.error) ?? EIO
  const { result } = outcome
  return typeof result === 'number' && result < 0 ? result : 0
}

function shown(result: unknown): string {
  if (result === undefined) return 'ok'
  if (result instanceof Uint8Array) return `${result.byteLength} bytes`
  if (Array.isArray(result)) return `${result.length} entries`
  if (typeof result !== 'object' || result === null) return JSON.stringify(result)
  const fields = Object.entries(result).filter(([, value]) => typeof value === 'number')
  return fields.map(([name, value]) => `${name}=${String(value)}`).join(' ') || 'ok'
}
