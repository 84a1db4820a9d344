// pipe(): wrappers one around the other, in reading order.
import { OptionError } from '../../index.js'
import { checkFilesystem, shown } from './checks.js'
import type { AnyFilesystem } from './proxy.js'

/** Makes one filesystem from another. */
export type Wrapper<Fs extends AnyFilesystem> = (inner: Fs) => Fs

/**
 * Puts wrappers around a filesystem, the first one innermost.
 *
 * ```ts
 * await mount('/mnt', pipe(filesystem, (fs) => subdir(fs, '/public'), readonly, trace))
 * ```
 *
 * Throws an OptionError for a wrapper that is no function, or that returns no filesystem.
 */
export function pipe<Fs extends AnyFilesystem>(filesystem: Fs, ...wrappers: Wrapper<Fs>[]): Fs {
  checkFilesystem('pipe()', filesystem)
  return wrappers.reduce((inner, wrapper, index) => {
    if (typeof wrapper !== 'function')
      throw new OptionError(
        `wrapper ${index} of pipe() must be a function that takes a filesystem, not ${shown(wrapper)}`,
      )
    const outer = wrapper(inner)
    if (typeof outer !== 'object' || outer === null)
      throw new OptionError(`wrapper ${index} of pipe() must return a filesystem, not ${shown(outer)}`)
    return outer
  }, filesystem)
}
