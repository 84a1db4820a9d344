// The handlers of a session, by opcode: the methods of the filesystem, those that the library has in their place, and the access
// list in front of them.
import { operations } from '../protocol/index.js'
import type { AnyRequest } from '../protocol/index.js'
import { accessGuard } from './access.js'
import { DataServer } from './data-server.js'
import type { Filesystem } from './filesystem.js'
import type { Negotiation } from './init.js'
import type { ResolvedOptions } from './options.js'
import type { Passthrough } from './passthrough.js'

/** Called as a method of the filesystem. */
export type Handler = (this: Filesystem, request: AnyRequest) => unknown

/** What to call for each opcode, undefined where there is nothing; `negotiation` is asked only once INIT was answered. */
export function handlersOf(
  filesystem: Filesystem,
  passthrough: Passthrough,
  options: ResolvedOptions,
  negotiation: () => Negotiation | undefined,
): (Handler | undefined)[] {
  const data = new DataServer(passthrough)
  const methods = filesystem as Record<string, unknown>
  const guard = accessGuard(options, () => negotiation()?.agreed.has('FUSE_WRITEBACK_CACHE') === true)
  const handlers: (Handler | undefined)[] = []
  for (const info of operations) {
    if (info?.handler == null) continue
    const method = guard(info, methods[info.handler] ?? data.methods[info.handler])
    if (typeof method === 'function') handlers[info.opcode] = method as Handler
  }
  return handlers
}
