// For encrypted-file.ts: a write to a stored file that is done in full, or not at all.
import { fstatSync, ftruncateSync, readSync, writeSync } from 'node:fs'

/** write(2) may write less than it is given, as on a disk that is filling up. The error comes with the next one. */
function writeAll(fd: number, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length;) done += writeSync(fd, bytes, done, bytes.length - done, at + done)
}

/** Writes `bytes` at `at`. Where that fails the file is as it was before. */
export function writeWhole(fd: number, bytes: Uint8Array, at: number): void {
  const { size } = fstatSync(fd)
  const old = Buffer.alloc(bytes.length)
  const length = readSync(fd, old, 0, old.length, at)
  try {
    writeAll(fd, bytes, at)
  } catch (error) {
    writeAll(fd, old.subarray(0, length), at)
    ftruncateSync(fd, size)
    throw error
  }
}
