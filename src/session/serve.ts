// serve(): a session over a transport of the author's own, instead of /dev/fuse.
import { abortable } from './abort.js'
import { OptionError } from './errors.js'
import type { Transport } from '../device/transport.js'
import type { Filesystem } from './filesystem.js'
import { refuseMountOptions, resolveOptions } from './options.js'
import type { SessionOptions } from './options.js'
import { Session } from './session.js'

/**
 * Serves `filesystem` over `transport`: whatever delivers FUSE requests and takes replies, such as a recorded session or a
 * kernel of your own. Resolves once the other side has sent INIT and it has been answered.
 *
 * Nothing is mounted, so options of the mount are refused, but for `defaultPermissions` and `allowOther`, which say what
 * the other side does. The end of the session closes the transport.
 *
 * Throws an OptionError for an option that cannot work, a NegotiationError where the other side lacks what `options` insist on.
 */
export async function serve<Options extends SessionOptions>(
  filesystem: Filesystem<Options['encoding'] extends 'buffer' ? Buffer : string>,
  transport: Transport,
  options?: Options,
): Promise<Session> {
  refuseMountOptions(options ?? {})
  const resolved = resolveOptions(options ?? {})
  if (resolved.control)
    throw new OptionError('option `control` needs a mount: its socket is named after the number of one')
  return abortable(resolved.signal, () =>
    new Session(transport, filesystem as Filesystem, resolved, undefined).start(),
  )
}
