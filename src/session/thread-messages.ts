// What travels between a thread that asked for a mount and the worker thread that serves it: plain data, and errors
// that are still themselves on the other side.
import type { MessagePort } from 'node:worker_threads'
import { MountError } from '../device/mount-error.js'
import type { Mounted } from '../device/mount.js'
import { AbortError, DevfuseWarning, OptionError, UnsupportedError, messageOf } from './errors.js'
import { NegotiationError } from './init.js'
import type { Negotiation } from './init.js'
import type { ModuleOptions } from './options.js'
import type { Closed } from './closed.js'
import type { TeamPlan } from './team.js'

/** The first message to the thread; what follows goes over `port`. */
export interface MountOrders {
  port: MessagePort
  mountPoint: string
  /** URL of the module whose default export is the filesystem, or makes it. */
  module: string
  options: ModuleOptions
  /** How many threads serve it, this one included. */
  plan: Pick<TeamPlan, 'workers' | 'pinWorkers'>
}

/** A method of the session to call there. */
export interface ThreadCall {
  id: number
  method: string
  args: unknown[]
}

/** What the serving thread says. */
export type ThreadMessage =
  | { said: 'mounted'; mounted: Mounted | undefined; mountPoint: string; negotiation: Negotiation }
  | { said: 'failed'; error: PackedError }
  | { said: 'warning'; warning: PackedError }
  | { said: 'heard'; id: number }
  | { said: 'done'; id: number; value: unknown }
  | { said: 'refused'; id: number; error: PackedError }
  | { said: 'closed'; closed: Closed }

/** An error as plain data. Structured clones keep neither its class nor its `code`. */
export interface PackedError {
  kind: string
  message: string
  stack?: string
  properties: Record<string, unknown>
  cause?: unknown
}

const CLASSES: Record<string, { prototype: object }> = {
  AbortError,
  DevfuseWarning,
  MountError,
  NegotiationError,
  OptionError,
  UnsupportedError,
  TypeError,
  RangeError,
  SyntaxError,
}

/** Makes plain data of anything thrown. */
export function packError(thrown: unknown): PackedError {
  if (!(thrown instanceof Error)) return { kind: 'Error', message: messageOf(thrown), properties: {} }
  const properties: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(thrown)) {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
      properties[key] = value
  }
  const packed: PackedError = {
    kind: Object.hasOwn(CLASSES, thrown.constructor.name) ? thrown.constructor.name : 'Error',
    message: thrown.message,
    stack: thrown.stack,
    properties,
  }
  if (thrown.cause !== undefined) packed.cause = packError(thrown.cause)
  return packed
}

/** The error again, of its class where that is one of ours. */
export function unpackError({ kind, message, stack, properties, cause }: PackedError): Error {
  const error = new Error(
    message,
    cause === undefined ? undefined : { cause: unpackError(cause as PackedError) },
  )
  if (Object.hasOwn(CLASSES, kind)) Object.setPrototypeOf(error, CLASSES[kind].prototype)
  Object.assign(error, properties)
  if (stack !== undefined) error.stack = stack
  return error
}
