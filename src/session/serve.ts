// serve(): a session over a transport of the author's own, instead of /dev/fuse.
import { inspect } from 'node:util'
import { abortable } from './abort.js'
import { OptionError } from './errors.js'
import type { Transport } from '../device/transport.js'
import type { Filesystem } from './filesystem.js'
import { requireOptions } from './option-checks.js'
import { refuseMountOptions, resolveFor } from './options.js'
import type { SessionOptions } from './options.js'
import { Session } from './session.js'

/**
 * Serves `filesystem` over `transport`: whatever delivers FUSE requests and takes replies, such as a recorded session or a
 * kernel of your own. Resolves once the other side has sent INIT and it has been answered.
 *
 * Nothing is mounted, so options of the mount are refused, but for `defaultPermissions` and `allowOther`, which say what
 * the other side does. The end of the session closes the transport.
 *
 * Throws an OptionError for an option or transport that cannot work, a NegotiationError where the other side lacks what `options`
 * insist on, an AbortError where `signal` is aborted meanwhile; the transport is closed unless it was an OptionError.
 */
export async function serve<Options extends SessionOptions>(
  filesystem: Filesystem<Options['encoding'] extends 'buffer' ? Buffer : string>,
  transport: Transport,
  options?: Options,
): Promise<Session> {
  requireTransport(transport)
  const given: SessionOptions = options === undefined ? {} : requireOptions(options)
  refuseMountOptions(given)
  const resolved = resolveFor(filesystem, given)
  if (resolved.control)
    throw new OptionError('option `control` needs a mount: its socket is named after the number of one')
  return abortable(resolved.signal, () =>
    new Session(transport, filesystem as Filesystem, resolved, undefined).start(),
  )
}

const METHODS = [
  'start',
  'release',
  'reply',
  'replyFromFd',
  'notify',
  'clone',
  'setBusyPoll',
  'detachAtExit',
  'stats',
  'close',
] as const satisfies readonly (keyof Transport)[]

function requireTransport(transport: unknown): void {
  const wanted =
    `serve(filesystem, transport) takes a transport, which delivers requests from its \`memory\` and \`view\` ` +
    `and has the methods ${METHODS.join(', ')} (see the interface Transport)`
  if (typeof transport !== 'object' || transport === null)
    throw new OptionError(`${wanted}, not ${inspect(transport)}`)
  const given = transport as Record<string, unknown>
  const missing = METHODS.find((name) => typeof given[name] !== 'function')
  if (missing !== undefined) throw new OptionError(`${wanted}: this one has no method \`${missing}\``)
  if (!(given.memory instanceof Uint8Array) || !(given.view instanceof DataView))
    throw new OptionError(`${wanted}: \`memory\` has to be a Buffer, and \`view\` a DataView of it`)
}
