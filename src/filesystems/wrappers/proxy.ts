// What the wrappers share: a filesystem that passes every call on to another one, and what to do with its answers.
import { DevfuseWarning, FOPEN_PASSTHROUGH } from '../../index.js'
import { operationsByName } from '../../protocol/index.js'
import type { HandlerName, OperationInfo } from '../../protocol/index.js'
import type { Filesystem, Request } from '../../index.js'
import { checkFilesystem } from './checks.js'

/** A filesystem whatever the type of its names. */
export type AnyFilesystem = Filesystem | Filesystem<Buffer>

/** What a wrapper sees: the header of every request, and its fields by name. FORGET has a `nodeid` and `nlookup` only. */
export type AnyCall = Request & Readonly<Record<string, unknown>>

/** Calls the inner filesystem, with the same request or another one. */
export type Next = (request?: AnyCall) => unknown

/** Stands around every handler: answers by itself, or passes the call on. */
export type Around = (name: HandlerName, request: AnyCall, next: Next) => unknown

/** Facts by the name of the handler. RENAME2 and the like share the handler of their elder sister. */
export const handlerInfo: ReadonlyMap<HandlerName, OperationInfo> = new Map(
  Object.values(operationsByName)
    .toReversed()
    .flatMap((info) => (info.handler === null ? [] : [[info.handler, info] as const])),
)

type Handlers = Partial<Record<HandlerName, (request: unknown) => unknown>>

/**
 * A filesystem that has what `inner` has, with `around` around each of its handlers. Everything else is passed on: `init`,
 * `destroy`, `shareable`, and what the object has besides. `added` are handlers to have though `inner` lacks them.
 */
export function wrap<Fs extends AnyFilesystem>(
  inner: Fs,
  around: Around,
  added: readonly HandlerName[] = [],
): Fs {
  checkFilesystem('a wrapper', inner)
  const wrapped: Record<PropertyKey, unknown> = {}
  const handlers = inner as Handlers
  for (const key of keysOf(inner)) {
    const get = (): unknown => {
      const value: unknown = Reflect.get(inner, key)
      return typeof value === 'function' ? (value.bind(inner) as unknown) : value
    }
    Object.defineProperty(wrapped, key, { get, enumerable: true, configurable: true })
  }
  for (const name of handlerInfo.keys()) {
    if (typeof handlers[name] !== 'function' && !added.includes(name)) continue
    const value = (request: AnyCall): unknown =>
      around(name, request, (asked = request) => handlers[name]?.(asked))
    Object.defineProperty(wrapped, name, { value, enumerable: true, configurable: true })
  }
  return wrapped as Fs
}

/** Every property of an object and of its classes. */
function keysOf(object: object): Set<PropertyKey> {
  const keys = new Set<PropertyKey>()
  for (
    let at: object | null = object;
    at !== null && at !== Object.prototype;
    at = Reflect.getPrototypeOf(at)
  )
    for (const key of Reflect.ownKeys(at)) if (key !== 'constructor') keys.add(key)
  return keys
}

/** The same request with other fields. */
export function changed(request: AnyCall, fields: Readonly<Record<string, unknown>>): AnyCall {
  return Object.assign(Object.create(Reflect.getPrototypeOf(request)) as AnyCall, request, fields)
}

/** Goes on with an answer: at once where it is there, later where it is promised. */
export function settle(answer: unknown, goOn: (value: unknown) => unknown): unknown {
  return isPromise(answer) ? answer.then(goOn) : goOn(answer)
}

/** Goes on with what a call answers, or with what it throws or rejects with; sync where the call is. */
export function attempt(
  call: () => unknown,
  goOn: (value: unknown) => unknown,
  failed: (error: unknown) => unknown,
): unknown {
  let answer: unknown
  try {
    answer = call()
  } catch (error) {
    return failed(error)
  }
  return isPromise(answer) ? answer.then(goOn, failed) : goOn(answer)
}

/** Gives lookups back to a filesystem. Nobody waits for that, so a failure can only be reported. */
export function giveBack(filesystem: AnyFilesystem, nodeid: number, nlookup = 1): void {
  void attempt(
    () => filesystem.forget?.({ nodeid, nlookup }),
    () => undefined,
    (error) =>
      process.emitWarning(
        new DevfuseWarning('ERR_DEVFUSE_HANDLER', 'forget of a wrapped filesystem failed', error),
      ),
  )
}

export const isPromise = (value: unknown): value is Promise<unknown> =>
  typeof (value as { then?: unknown } | null | undefined)?.then === 'function'

/** Changes every entry of a listing; one that is lazy stays lazy. */
export function mapEntries(listing: unknown, change: (entry: object) => object): unknown {
  if (Array.isArray(listing)) return listing.map((entry: object) => change(entry))
  if (typeof listing !== 'object' || listing === null) return listing
  if (Symbol.asyncIterator in listing) return mapAsync(listing as AsyncIterable<object>, change)
  return Symbol.iterator in listing ? mapSync(listing as Iterable<object>, change) : listing
}

function* mapSync(listing: Iterable<object>, change: (entry: object) => object): Iterable<object> {
  for (const entry of listing) yield change(entry)
}

async function* mapAsync(
  listing: AsyncIterable<object>,
  change: (entry: object) => object,
): AsyncIterable<object> {
  for await (const entry of listing) yield change(entry)
}

/** The answer to an open without passthrough, so that reads and writes come to the filesystem, if it has such handlers. */
export function served(inner: AnyFilesystem, answer: unknown): unknown {
  if (typeof answer !== 'object' || answer === null || !inner.read || !inner.write) return answer
  const { passthrough: _, backing: __, backingId: ___, ...rest } = answer as Record<string, unknown>
  const { openFlags } = rest
  return typeof openFlags === 'number' ? { ...rest, openFlags: openFlags & ~FOPEN_PASSTHROUGH } : rest
}

/** A filesystem for one thread: what a wrapper counts in one, another would not know. */
export function forOneThread<Fs extends AnyFilesystem>(wrapped: Fs): Fs {
  return Object.defineProperty(wrapped, 'shareable', { value: false, enumerable: true, configurable: true })
}
