// pipe(): wrappers one around the other, in reading order.
import type { AnyFilesystem } from './proxy.js'

/** Makes one filesystem from another. */
export type Wrapper<Fs extends AnyFilesystem> = (inner: Fs) => Fs

/**
 * Puts wrappers around a filesystem, the first one innermost.
 *
 * ```ts
 * await mount('/mnt', pipe(filesystem, (fs) => subdir(fs, '/public'), readonly, trace))
 * ```
 */
export function pipe<Fs extends AnyFilesystem>(filesystem: Fs, ...wrappers: Wrapper<Fs>[]): Fs {
  return wrappers.reduce((inner, wrapper) => wrapper(inner), filesystem)
}
