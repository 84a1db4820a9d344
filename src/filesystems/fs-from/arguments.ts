// Arguments of the calls, checked as node:fs checks them, so that a wrong one fails before anything is opened or changed.
import { bytesOfView } from './content.js'
import { invalidArgument, invalidType, outOfRange } from './failure.js'

type View = NodeJS.ArrayBufferView

/** Encoding and signal, as readFile and writeFile take them; an encoding alone is a string. */
export type Coding =
  | { encoding?: BufferEncoding | null; signal?: AbortSignal }
  | BufferEncoding
  | null
  | undefined

const MAX_INT32 = 0x7fff_ffff
const MAX_UINT32 = 0xffff_ffff

export function integerOf(
  value: unknown,
  name: string,
  least = Number.MIN_SAFE_INTEGER,
  most = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value)
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value)
  if (value < least || value > most) throw outOfRange(name, `>= ${least} && <= ${most}`, value)
  return value
}

export const int32Of = (value: unknown, name: string): number =>
  integerOf(value, name, -MAX_INT32 - 1, MAX_INT32)

export const uint32Of = (value: unknown, name: string): number => integerOf(value, name, 0, MAX_UINT32)

/** A user or group id; -1 leaves it as it is. */
export const idOf = (value: unknown, name: string): number => integerOf(value, name, -1, MAX_UINT32)

/** The new size of a file; node:fs takes negative ones for 0. */
export const sizeOf = (value: unknown): number => Math.max(0, integerOf(value, 'len'))

/** A mode as node:fs takes it: a number, or an octal string. */
export function modeOf(mode: unknown, otherwise?: number): number {
  const given = mode ?? otherwise
  if (typeof given !== 'string') return uint32Of(given, 'mode')
  if (!/^[0-7]+$/.test(given))
    throw invalidArgument('mode', given, 'a 32-bit unsigned integer or an octal string')
  return uint32Of(parseInt(given, 8), 'mode')
}

/** Three bits: what access asks for, or how copyFile works. */
export const threeBitsOf = (mode: unknown): number =>
  mode === undefined || mode === null ? 0 : integerOf(mode, 'mode', 0, 7)

export function booleanOf(value: unknown, name: string, otherwise = false): boolean {
  if (value === undefined) return otherwise
  if (typeof value !== 'boolean') throw invalidType(name, 'of type boolean', value)
  return value
}

/** Options that may be left out, but must be an object. */
export function objectOf<T extends object>(options: T | undefined): Partial<T> {
  if (options === undefined) return {}
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw invalidType('options', 'of type object', options)
  return options
}

/** Options whose `encoding` may stand alone. */
export function codingOf<T extends object>(
  options: T | string | null | undefined,
): Partial<T> & { encoding?: BufferEncoding | null; signal?: AbortSignal } {
  if (options === undefined || options === null || typeof options === 'function') return {}
  if (typeof options !== 'string' && typeof options !== 'object')
    throw invalidType('options', 'of type string or an instance of Object', options)
  const given = (typeof options === 'string' ? { encoding: options } : options) as Partial<T> & {
    encoding?: BufferEncoding | null
    signal?: AbortSignal
  }
  const { encoding, signal } = given
  if (encoding && (encoding as string) !== 'buffer' && !Buffer.isEncoding(encoding))
    throw invalidArgument('encoding', encoding, 'an encoding of Buffer')
  if (signal !== undefined && (typeof signal !== 'object' || signal === null || !('aborted' in signal)))
    throw invalidType('options.signal', 'an instance of AbortSignal', signal)
  return given
}

/** Where to read or write; undefined is where the file stands. */
export function positionOf(position: unknown): number | undefined {
  if (position === undefined || position === null) return undefined
  if (typeof position !== 'number' && typeof position !== 'bigint')
    throw invalidType('position', 'of type bigint or integer', position)
  const at = integerOf(Number(position), 'position')
  return at < 0 ? undefined : at
}

export function viewOf(value: unknown, name: string): View {
  if (ArrayBuffer.isView(value)) return value as View
  throw invalidType(name, 'an instance of Buffer, TypedArray or DataView', value)
}

export function viewsOf(values: unknown): View[] {
  if (Array.isArray(values) && values.every((value) => ArrayBuffer.isView(value))) return values as View[]
  throw invalidType('buffers', 'an instance of ArrayBufferView[]', values)
}

/** The part of a view that offset and length name. */
export function rangeOf(view: View, offset: unknown, length: unknown): Uint8Array {
  const bytes = bytesOfView(view)
  const start = integerOf(offset ?? 0, 'offset', 0, bytes.byteLength)
  const rest = bytes.byteLength - start
  return bytes.subarray(start, start + integerOf(length ?? rest, 'length', 0, rest))
}

/** The bytes of a text that a single write takes. */
export function bytesOfText(text: unknown, encoding: unknown): Uint8Array {
  if (typeof text !== 'string')
    throw invalidType('buffer', 'of type string or an instance of Buffer, TypedArray or DataView', text)
  const coding = encoding ?? 'utf8'
  if (typeof coding !== 'string' || !Buffer.isEncoding(coding))
    throw invalidArgument('encoding', encoding, 'an encoding of Buffer')
  if (coding.toLowerCase() === 'hex' && text.length % 2 !== 0)
    throw invalidArgument('encoding', encoding, `another one for ${text.length} characters`)
  return Buffer.from(text, coding)
}
