// What frees so much of a disk that it belongs off the loop's thread.
import type { StatxBuffer, Syscalls } from '../../syscalls/index.js'

/** Unit of st_blocks. */
const BLOCK = 512
/** From so many bytes on, freeing blocks may take a disk's time. */
const LONG_FREE = 16 * 1024 * 1024

/** Whether setting a file to `size` bytes frees much. */
export function freesMuch(file: StatxBuffer, size: number): boolean {
  return file.blocks * BLOCK > LONG_FREE && file.size - size > LONG_FREE
}

/** Closes a descriptor, on which so many blocks may depend. */
export function closeFreeing(sys: Syscalls, fd: number, blocks: number): void {
  if (blocks * BLOCK > LONG_FREE) void sys.closeAsync(fd)
  else sys.close(fd)
}
