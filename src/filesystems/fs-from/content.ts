// Whole contents: reads a file to its end, and writes whatever node:fs takes as data.
import type { OpenFile } from './open-file.js'
import { EIO } from '../../index.js'
import { Failure, invalidArgument, throwIfAborted } from './failure.js'

// Behind the size that is known there is rarely anything.
const LEAST = 4096
const MOST = 1024 * 1024

/** Reads from where the file stands to its end. */
export async function readAll(file: OpenFile, size: number, signal?: AbortSignal): Promise<Buffer> {
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

/** Writes data where the file stands: text, bytes, or what yields them. */
export async function writeAll(
  file: OpenFile,
  data: unknown,
  encoding: BufferEncoding,
  signal?: AbortSignal,
): Promise<void> {
  if (typeof data === 'string') return writeBytes(file, Buffer.from(data, encoding), signal)
  if (ArrayBuffer.isView(data)) return writeBytes(file, bytesOfView(data as NodeJS.ArrayBufferView), signal)
  if (typeof data !== 'object' || data === null || !(Symbol.asyncIterator in data || Symbol.iterator in data))
    throw invalidArgument('data', data, 'a string, a Buffer, a TypedArray, a DataView or an iterable of them')
  for await (const piece of data as AsyncIterable<string | NodeJS.ArrayBufferView>) {
    checked(signal)
    await writeBytes(
      file,
      typeof piece === 'string' ? Buffer.from(piece, encoding) : bytesOfView(piece),
      signal,
    )
  }
}

async function writeBytes(file: OpenFile, bytes: Uint8Array, signal?: AbortSignal): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) {
    const written = await file.write(bytes.subarray(done), undefined, checked(signal))
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
