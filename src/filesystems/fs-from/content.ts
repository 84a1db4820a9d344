// Whole contents: reads a file to its end, and writes whatever node:fs takes as data.
import type { OpenFile } from './open-file.js'
import { EIO } from '../../index.js'
import { Failure, invalidType, throwIfAborted } from './failure.js'

// Behind the size that is known there is rarely anything.
const LEAST = 4096
const MOST = 1024 * 1024
// What node:fs reads at once.
const MOST_WHOLE = 2 ** 31 - 1

/** Reads from where the file stands to its end. */
export async function readAll(file: OpenFile, size: number, signal?: AbortSignal): Promise<Buffer> {
  if (!file.isDirectory && size > MOST_WHOLE) {
    const error = new RangeError(`File size (${size}) is greater than 2 GiB`)
    throw Object.assign(error, { code: 'ERR_FS_FILE_TOO_LARGE' })
  }
  const pieces: Buffer[] = []
  let expected = size - file.position
  for (let more = LEAST; ; more = Math.min(2 * more, MOST)) {
    const room = Buffer.allocUnsafe(expected > 0 ? expected : more)
    const got = await file.read(room, undefined, checked(signal))
    if (got === 0) break
    pieces.push(room.subarray(0, got))
    expected -= got
  }
  return pieces.length === 1 ? pieces[0] : Buffer.concat(pieces)
}

/** What is to be written: bytes, or what yields them. */
export type Content = Uint8Array | AsyncIterable<unknown> | Iterable<unknown>

/** What node:fs takes as data. Throws a TypeError for everything else. */
export function contentOf(data: unknown, encoding: BufferEncoding | null | undefined): Content {
  if (typeof data === 'string') return Buffer.from(data, encoding || 'utf8')
  if (ArrayBuffer.isView(data)) return bytesOfView(data as NodeJS.ArrayBufferView)
  if (typeof data === 'object' && data !== null && (Symbol.asyncIterator in data || Symbol.iterator in data))
    return data as Content
  throw invalidType('data', 'a string, a Buffer, a TypedArray, a DataView or an iterable of them', data)
}

/** Writes content where the file stands. */
export async function writeAll(
  file: OpenFile,
  content: Content,
  encoding: BufferEncoding | null | undefined,
  signal?: AbortSignal,
): Promise<void> {
  if (content instanceof Uint8Array) return writeBytes(file, content, undefined, signal)
  for await (const piece of content) {
    checked(signal)
    const bytes = ArrayBuffer.isView(piece)
      ? bytesOfView(piece as NodeJS.ArrayBufferView)
      : Buffer.from(piece as string, encoding || 'utf8')
    await writeBytes(file, bytes, undefined, signal)
  }
}

/** Writes all of `bytes` at `position`, or where the file stands. */
export async function writeBytes(
  file: OpenFile,
  bytes: Uint8Array,
  position?: number,
  signal?: AbortSignal,
): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const at = position === undefined ? undefined : position + done
    const written = await file.write(bytes.subarray(done), at, checked(signal))
    if (written === 0) throw new Failure(EIO, 'nothing more is written')
    done += written
  }
}

/** The bytes of any view. */
export function bytesOfView(view: NodeJS.ArrayBufferView): Uint8Array {
  return view instanceof Uint8Array ? view : new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
}

function checked(signal: AbortSignal | undefined): AbortSignal | undefined {
  throwIfAborted(signal)
  return signal
}
