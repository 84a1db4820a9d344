// Names in requests: finds the end, and makes the string or the bytes the author asked for.

import { ILLEGAL_NAME } from './wire.js'

/** How names reach the author: checked UTF-8, one character per byte, or the bytes themselves. */
export type NameEncoding = 'utf8' | 'latin1' | 'buffer'

/** The two slice methods every Buffer has; declared here because they are missing from its public type. */
interface SlicingBuffer extends Buffer {
  latin1Slice(start: number, end: number): string
  utf8Slice(start: number, end: number): string
}

/** Place of the NUL that ends the string at `start`, or -1 when none comes before `end`. */
export function nameEnd(bytes: Buffer, start: number, end: number): number {
  for (let at = start; at < end; at++) {
    if (bytes[at] === 0) return at
  }
  return -1
}

/** The name between two places. */
export function nameAt(
  bytes: Buffer,
  start: number,
  end: number,
  encoding: NameEncoding,
): string | Buffer | typeof ILLEGAL_NAME {
  if (encoding === 'buffer') return Buffer.from(bytes.subarray(start, end))
  if (encoding === 'utf8' && !isAscii(bytes, start, end)) return utf8At(bytes, start, end)
  return (bytes as SlicingBuffer).latin1Slice(start, end)
}

function isAscii(bytes: Buffer, start: number, end: number): boolean {
  let all = 0
  for (let at = start; at < end; at++) all |= bytes[at]
  return all < 0x80
}

function utf8At(bytes: Buffer, start: number, end: number): string | typeof ILLEGAL_NAME {
  const text = (bytes as SlicingBuffer).utf8Slice(start, end)
  // A replacement character in the text is either a damaged sequence or stood in the name itself.
  if (!text.includes('\ufffd')) return text
  return Buffer.from(text, 'utf8').compare(bytes, start, end) === 0 ? text : ILLEGAL_NAME
}
