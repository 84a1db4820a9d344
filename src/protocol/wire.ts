// How numbers lie in a message: 64-bit values as two halves, so that no BigInt is made for ordinary ones. Used by the
// generated decoders and encoders.

/** A decoder met a number beyond 2^53-1: answer EOVERFLOW. */
export const OVERFLOW = 1 as const
/** A decoder met a name that is not UTF-8: answer EILSEQ. */
export const ILLEGAL_NAME = 2 as const
/** A decoder met a message that ends too early or contradicts itself: answer EIO. */
export const MALFORMED = 3 as const

/** What a decoder returns instead of a request. */
export type Refusal = typeof OVERFLOW | typeof ILLEGAL_NAME | typeof MALFORMED

/** Weight of the upper half of a 64-bit number. */
export const TWO_32 = 4294967296
/** Largest upper half of a number that JavaScript holds exactly. */
export const MAX_HIGH = 0x1fffff
/** Smallest upper half of such a number when it is signed. */
export const MIN_HIGH = -0x200000

/** A full-range u64 of two halves. */
export function bigOf(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low)
}

/** Writes a whole number, unsigned or (in two's complement) negative, as 64 bits. */
export function setNumber(view: DataView, at: number, value: number): void {
  view.setUint32(at, value, true)
  view.setUint32(at + 4, Math.floor(value / TWO_32), true)
}

/** Writes a whole number or a bigint as 64 bits. */
export function setAny(view: DataView, at: number, value: number | bigint): void {
  if (typeof value === 'bigint') view.setBigUint64(at, BigInt.asUintN(64, value), true)
  else setNumber(view, at, value)
}

/** Writes the end of a lock range; Infinity (or anything beyond 2^53) is the end of the file. */
export function setLockEnd(view: DataView, at: number, value: number): void {
  if (value <= Number.MAX_SAFE_INTEGER) {
    setNumber(view, at, value)
  } else {
    view.setUint32(at, 0xffffffff, true)
    view.setUint32(at + 4, 0x7fffffff, true)
  }
}

/** Longest time the kernel can be told, seconds: far beyond any uptime, short enough for its arithmetic. */
const FOREVER = 0xffffffff

/** Writes a time to live: whole seconds at one place, nanoseconds at another. */
export function setDuration(view: DataView, at: number, nsecAt: number, seconds: number): void {
  const bounded = seconds > 0 ? (seconds < FOREVER ? seconds : FOREVER) : 0
  const whole = Math.floor(bounded)
  setNumber(view, at, whole)
  view.setUint32(nsecAt, bounded === whole ? 0 : Math.floor((bounded - whole) * 1e9), true)
}

/** Size of the header of a reply. */
export const OUT_HEADER_SIZE = 16
/** Size of the header of a request. */
export const IN_HEADER_SIZE = 40

/**
 * Writes the header of a reply: `length` counts the header, `error` is 0 or a negative errno. Kernel: a resent
 * request is only recognised when the reply repeats bit 63 of its id.
 */
export function outHeader(
  view: DataView,
  at: number,
  length: number,
  error: number,
  unique: number,
  resent = false,
): void {
  view.setUint32(at, length, true)
  view.setInt32(at + 4, error, true)
  view.setUint32(at + 8, unique, true)
  view.setUint32(at + 12, Math.floor(unique / TWO_32) | (resent ? 0x80000000 : 0), true)
}

/** The bytes of a name that an author gave: a string goes out as UTF-8. */
export function nameBytes(name: string | Uint8Array): Uint8Array {
  return typeof name === 'string' ? Buffer.from(name, 'utf8') : name
}
