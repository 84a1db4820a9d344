// devfuse/syscalls: typed Linux system calls that node:fs lacks. They return a result >= 0 (or a value) or a negative errno and do not throw.
import { attributeCalls } from './attributes.js'
import { dataCalls } from './data.js'
import { directoryCalls } from './directories.js'
import { openDoor } from './door.js'
import type { StringEncoding } from './door.js'
import { listingCalls } from './listing.js'
import { mountCalls } from './mounts.js'
import { pathCalls } from './paths.js'
import { processCalls } from './process.js'
import { watchCalls } from './watching.js'
import { xattrCalls } from './xattrs.js'

export * from './constants.js'
export { isLocalFilesystem } from './attributes.js'
export { decodeDirents } from './directories.js'
export { exactU64 } from './door.js'
export { ListingEncoder } from './listing.js'
export { numbers } from './numbers.js'
export { QuickWriter } from './quick-writer.js'
export { ByteReader } from './byte-reader.js'
export { StatxBuffer } from './statx.js'
export type { DirectoryEntry } from './directories.js'
export type { Credentials, StringEncoding } from './door.js'
export type { FcntlLock } from './data.js'
export type { FilesystemStatistics } from './attributes.js'
export type { FileHandle, OpenHow } from './paths.js'
export type { MountAttributes } from './mounts.js'
export type { ResourceLimit } from './process.js'
export type { StatxTime } from './statx.js'
export type { SyscallName } from './numbers.js'

/**
 * Every call, with path and name strings as UTF-8 or as latin1 (one byte per character, so any name is kept exactly).
 * Bytes that a call whose name ends in `Async` was given belong to the kernel until it resolves: neither change nor transfer them.
 * Loads the addon: throws `NativeLoadError` off Linux and where no addon fits.
 */
export function makeSyscalls(encoding: StringEncoding) {
  const door = openDoor(encoding)
  return {
    ...pathCalls(door, encoding),
    ...directoryCalls(door, encoding),
    ...listingCalls(door),
    ...attributeCalls(door),
    ...xattrCalls(door),
    ...dataCalls(door),
    ...processCalls(door),
    ...mountCalls(door),
    ...watchCalls(door),
  }
}

/** What {@link makeSyscalls} returns. */
export type Syscalls = ReturnType<typeof makeSyscalls>

let utf8: Syscalls | undefined

/** Every call with UTF-8 strings; the addon is loaded on first use. */
export const syscalls: Syscalls = new Proxy({} as Syscalls, {
  get: (_, name) => Reflect.get((utf8 ??= makeSyscalls('utf8')), name),
  has: (_, name) => Reflect.has((utf8 ??= makeSyscalls('utf8')), name),
})
