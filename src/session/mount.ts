// mount(): the one call that turns an object of handlers into a mounted filesystem.
import { DeviceTransport } from '../device/device.js'
import { beginMount } from '../device/mount.js'
import { unmountDevice } from '../device/unmount.js'
import { requireLinux } from './errors.js'
import type { Filesystem } from './filesystem.js'
import { fromFd, parseDevFd } from './from-fd.js'
import { wishes } from './init.js'
import { resolveOptions } from './options.js'
import type { SessionOptions } from './options.js'
import { Session } from './session.js'

/**
 * Mounts `filesystem` at the directory (or file) `mountPoint` and resolves once the kernel and we have agreed (INIT).
 *
 * A process with CAP_SYS_ADMIN mounts by itself, everybody else through fusermount3. A mount point of the form `/dev/fd/N`
 * says that descriptor N is mounted already: see {@link fromFd}. The handlers run on this thread's event loop: never
 * call a *sync* fs function on the mount from the same thread, it would wait for an answer that only this thread can give.
 *
 * Throws an OptionError for an option that cannot work, a MountError (`errno`, `code`, what was attempted and what to
 * do) where mounting fails, a NegotiationError where the kernel lacks what `options` insist on. Nothing is left
 * mounted then. Source: mount(8), fuse(4), Documentation/filesystems/fuse/fuse.rst.
 */
export async function mount<Options extends SessionOptions>(
  mountPoint: string,
  filesystem: Filesystem<Options['encoding'] extends 'buffer' ? Buffer : string>,
  options?: Options,
): Promise<Session> {
  requireLinux()
  const passed = parseDevFd(mountPoint)
  if (passed !== undefined) return fromFd(passed, filesystem, options)
  const resolved = resolveOptions(options ?? {})
  const handlers = filesystem as Filesystem
  // Impossible wishes are refused before anything is mounted.
  wishes(resolved, (method) => typeof handlers[method as keyof Filesystem] === 'function')
  const { mounted, finish } = await beginMount(mountPoint, resolved)
  const transport = new DeviceTransport(mounted.fd, resolved.maxWrite)
  const session = new Session(transport, handlers, resolved, mounted)
  const [started, finished] = await Promise.allSettled([session.start(), finish()])
  if (started.status === 'fulfilled' && finished.status === 'fulfilled') return session
  if (started.status === 'fulfilled') await session.shutdown()
  else await unmountDevice(mounted, 'abort')
  throw started.status === 'rejected' ? started.reason : (finished as PromiseRejectedResult).reason
}
