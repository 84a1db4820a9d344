// Directory records of READDIR and READDIRPLUS replies: a struct, the name, and padding to 8 bytes, one after another
// until the reply is full.

import { encodeEntry } from './generated/replies.js'
import type { NameEncoding } from './names.js'
import type { Direntplus } from './reply.js'
import { setAny, setNumber } from './wire.js'

const DIRENT_SIZE = 24
const ENTRY_SIZE = 128

/** DT_* type of a mode. */
export function direntType(mode: number): number {
  return (mode >>> 12) & 15
}

/** Kernel: READDIRPLUS counts a lookup for every entry with a nodeid, but `.` and `..`. */
export function countsLookup({ nodeid, name }: Pick<Direntplus, 'nodeid' | 'name'>): boolean {
  if (nodeid === 0) return false
  const first = name[0]
  const isDot = first === '.' || first === 0x2e
  if (!isDot || name.length > 2) return true
  const second = name.length === 2 ? name[1] : undefined
  return !(name.length === 1 || second === '.' || second === 0x2e)
}

/**
 * Writes a directory record. `limit` is the first place that is not free, `off` where the listing goes on after it.
 * Returns the bytes used, or 0 when the record does not fit. Throws a TypeError for a name the kernel would refuse with
 * EIO: empty, or with a slash or NUL.
 */
export function encodeDirent(
  bytes: Buffer,
  view: DataView,
  at: number,
  limit: number,
  name: string | Uint8Array,
  off: number,
  { ino, type }: { ino: number | bigint; type: number },
  encoding: NameEncoding = 'utf8',
): number {
  return writeRecord(bytes, view, at, limit, name, off, ino, type, encoding)
}

/** The same with the entry in front of the record; `ino` and `type` default to those of its attributes. */
export function encodeDirentplus(
  bytes: Buffer,
  view: DataView,
  at: number,
  limit: number,
  name: string | Uint8Array,
  off: number,
  entry: Omit<Direntplus, 'name' | 'off'>,
  encoding: NameEncoding = 'utf8',
): number {
  const ino = entry.ino ?? entry.attr?.ino ?? 0
  const type = entry.type ?? (entry.attr ? direntType(entry.attr.mode) : 0)
  const used = writeRecord(bytes, view, at + ENTRY_SIZE, limit, name, off, ino, type, encoding)
  if (used === 0) return 0
  return encodeEntry(view, at, entry as Direntplus) + used
}

function writeRecord(
  bytes: Buffer,
  view: DataView,
  at: number,
  limit: number,
  name: string | Uint8Array,
  off: number,
  ino: number | bigint,
  type: number,
  encoding: NameEncoding,
): number {
  const length = writeName(bytes, at + DIRENT_SIZE, limit, name, encoding)
  if (length < 0) return 0
  const used = (DIRENT_SIZE + length + 7) & ~7
  if (at + used > limit) return 0
  for (let pad = DIRENT_SIZE + length; pad < used; pad++) bytes[at + pad] = 0
  setAny(view, at, ino)
  setNumber(view, at + 8, off)
  view.setUint32(at + 16, length, true)
  view.setUint32(at + 20, type, true)
  return used
}

/** Returns the bytes written, or -1 when they do not fit. */
function writeName(
  bytes: Buffer,
  at: number,
  limit: number,
  name: string | Uint8Array,
  encoding: NameEncoding,
): number {
  if (typeof name !== 'string') return writeBytes(bytes, at, limit, name)
  const { length } = name
  if (length === 0) throw illegal(name)
  if (at + length > limit) return -1
  for (let index = 0; index < length; index++) {
    const code = name.charCodeAt(index)
    if (code === 0 || code === 0x2f) throw illegal(name)
    if (code > 0x7f)
      return writeBytes(bytes, at, limit, Buffer.from(name, encoding === 'latin1' ? 'latin1' : 'utf8'))
    bytes[at + index] = code
  }
  return length
}

function writeBytes(bytes: Buffer, at: number, limit: number, name: Uint8Array): number {
  if (name.length === 0 || name.includes(0) || name.includes(0x2f)) throw illegal(name)
  if (at + name.length > limit) return -1
  bytes.set(name, at)
  return name.length
}

function illegal(name: string | Uint8Array): TypeError {
  const shown = typeof name === 'string' ? JSON.stringify(name) : Buffer.from(name).toString('latin1')
  return new TypeError(`a directory entry cannot be named ${shown}`)
}
