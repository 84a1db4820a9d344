// Paths and names: inside they are strings with one character per byte, because names in Linux are bytes.
import { fileURLToPath } from 'node:url'
import type { PathLike } from 'node:fs'
import { ENAMETOOLONG } from '../../index.js'
import { codingOf } from './arguments.js'
import { Failure, invalidArgument, invalidType } from './failure.js'

/** How names come out: text, or the bytes themselves. */
export type NameEncoding = BufferEncoding | 'buffer'

const PATH_MAX = 4096

/** The bytes of a path for a system call, one per character. Throws a TypeError for what can be no path. */
export function bytesOf(path: PathLike, name = 'path'): string {
  const bytes = anyBytesOf(path, name)
  if (bytes.length >= PATH_MAX) throw new Failure(ENAMETOOLONG)
  return bytes
}

/** The same of any length, for calls that put paths together. */
export function anyBytesOf(path: PathLike, name = 'path'): string {
  const plain = path instanceof URL ? fileURLToPath(path) : path
  if (typeof plain !== 'string' && !(plain instanceof Uint8Array))
    throw invalidType(name, 'of type string or an instance of Buffer or URL', path)
  const bytes = (typeof plain === 'string' ? Buffer.from(plain) : Buffer.from(plain)).toString('latin1')
  if (bytes.includes('\0')) throw invalidArgument(name, path, 'a path without NUL bytes')
  return bytes
}

/** The path of a name in a directory. */
export const under = (directory: string, name: string): string =>
  directory.endsWith('/') ? directory + name : `${directory}/${name}`

/** How a path is shown in an error. */
export function shown(path: PathLike): string {
  return path instanceof URL ? fileURLToPath(path) : String(path)
}

/** A path or name as the caller wants it. */
export function decoded(bytes: string, encoding: NameEncoding = 'utf8'): string | Buffer {
  const buffer = Buffer.from(bytes, 'latin1')
  return encoding === 'buffer' ? buffer : buffer.toString(encoding)
}

/** A path or name as text. */
export const text = (bytes: string): string => Buffer.from(bytes, 'latin1').toString()

/** Bytes for the wire. */
export const wire = (bytes: string): Buffer => Buffer.from(bytes, 'latin1')

/** The encoding in the last argument of readdir, readlink, realpath and mkdtemp. */
export function encodingOf(options: unknown): NameEncoding {
  return codingOf(options as object).encoding || 'utf8'
}
