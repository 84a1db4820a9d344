// mount(): the one call that turns an object of handlers into a mounted filesystem.
import { DeviceTransport } from '../device/device.js'
import { mountDevice } from '../device/mount.js'
import { UnsupportedError } from './errors.js'
import type { Filesystem } from './filesystem.js'
import { wishes } from './init.js'
import { resolveOptions } from './options.js'
import type { SessionOptions } from './options.js'
import { Session } from './session.js'

/**
 * Mounts `filesystem` at the directory (or file) `mountPoint` and resolves once the kernel and we have agreed (INIT).
 *
 * Root mounts with mount(2), everybody else through fusermount3. The handlers run on this thread's event loop: never
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
  if (process.platform !== 'linux') {
    throw new UnsupportedError(
      `devfuse runs on Linux only: it speaks the Linux kernel's FUSE protocol, and this is ${process.platform}`,
    )
  }
  const resolved = resolveOptions(options ?? {})
  const handlers = filesystem as Filesystem
  // Impossible wishes are refused before anything is mounted.
  wishes(resolved, (method) => typeof handlers[method as keyof Filesystem] === 'function')
  const mounted = await mountDevice(mountPoint, resolved)
  const transport = new DeviceTransport(mounted.fd, resolved.maxWrite)
  return new Session(transport, handlers, resolved, mounted).start()
}
