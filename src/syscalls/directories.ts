// getdents64(2) and the decoding of what it fills.
import { numbers as nr } from './numbers.js'
import { exactU64 } from './door.js'
import type { Door } from './door.js'

/** A directory entry of getdents64(2). */
export interface DirectoryEntry {
  name: string
  ino: number | bigint
  /** DT_* */
  type: number
  /** Position of the next entry; opaque, full 64 bits on some filesystems. */
  off: number | bigint
}

const NAME_AT = 19

/** Decodes the `length` bytes that getdents64(2) filled. Throws a RangeError where they hold anything else. */
export function decodeDirents(bytes: Buffer, length: number, encoding: BufferEncoding): DirectoryEntry[] {
  const entries: DirectoryEntry[] = []
  for (let at = 0, next = 0; at < length; at = next) {
    const start = at + NAME_AT
    next = at + (start < length ? bytes.readUInt16LE(at + 16) : 0)
    if (next <= start || next > length)
      throw new RangeError(
        `no record of getdents64(2) at byte ${at} of ${length}: decode what it filled, and only that`,
      )
    entries.push({
      name: bytes.toString(encoding, start, bytes.indexOf(0, start)),
      ino: exactU64(bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4)),
      type: bytes[at + 18],
      off: exactU64(bytes.readUInt32LE(at + 8), bytes.readUInt32LE(at + 12)),
    })
  }
  return entries
}

export function directoryCalls({ call }: Door, encoding: BufferEncoding) {
  return {
    /** getdents64(2) into `bytes`: how many were filled (0 at the end), or -errno. See {@link decodeDirents}. */
    getdents64Into: (fd: number, bytes: Uint8Array): number =>
      call(nr.getdents64, fd, bytes, bytes.byteLength),
    /** One getdents64(2) of at most `size` bytes: entries (none at the end), or -errno. */
    getdents64(fd: number, size = 32768): DirectoryEntry[] | number {
      const bytes = Buffer.allocUnsafeSlow(size)
      const length = call(nr.getdents64, fd, bytes, size)
      return length < 0 ? length : decodeDirents(bytes, length, encoding)
    },
  }
}
