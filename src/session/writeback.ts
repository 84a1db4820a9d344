// What FUSE_WRITEBACK_CACHE asks of the file behind an OPEN or CREATE.
import { O_ACCMODE, O_APPEND, O_RDWR, O_WRONLY } from '../syscalls/index.js'

/**
 * The flags of open(2) for the file behind an OPEN or CREATE, where FUSE_WRITEBACK_CACHE was agreed on: those of the request, but
 * reading as well where it only writes, because the kernel fills up pages through the same handle, and without O_APPEND, because
 * the kernel knows the end of the file and sends the place of every write. Source: Documentation/filesystems/fuse-io.rst.
 */
export function writebackOpenFlags(flags: number): number {
  const access = flags & O_ACCMODE
  return (flags & ~(O_ACCMODE | O_APPEND)) | (access === O_WRONLY ? O_RDWR : access)
}
