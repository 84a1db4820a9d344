// What a handler may answer, where the encoders would take more than the kernel or the library can stand for: checked
// before anything is counted or sent.
import { inspect, types } from 'node:util'
import { FUSE_WRITE_CACHE } from '../protocol/index.js'
import type { FdData, NameEncoding, OperationInfo } from '../protocol/index.js'
import { S_IFMT } from '../syscalls/index.js'
import { messageOf } from './errors.js'
import type { OpenChoice } from './passthrough.js'

const LOOKUP = 1
const NUL = Buffer.alloc(1)
const MAX_INT = 0x7fff_ffff
const MAX_UINT = 0xffff_ffff

/** Says what a handler returned, and what is needed instead. */
export function misfit(info: OperationInfo, value: unknown, wanted: string): TypeError {
  return new TypeError(`the handler of ${info.name} returned ${shown(value)} where ${wanted} is needed`)
}

function shown(value: unknown): string {
  if (types.isNativeError(value)) return `an Error (${messageOf(value)})`
  return typeof value === 'object' && value !== null ? 'an object' : String(value) || "''"
}

/** The choices of an OPEN, OPENDIR or CREATE. */
export function choiceOf(info: OperationInfo, value: unknown): OpenChoice {
  if (typeof value !== 'object' || value === null) throw misfit(info, value, 'an object such as { fh }')
  const choice: OpenChoice = value
  const { fh, openFlags, passthrough, backingId } = choice
  check(info, 'fh', fh ?? 0, Number.MAX_SAFE_INTEGER)
  check(info, 'openFlags', openFlags ?? 0, MAX_UINT)
  if (passthrough !== undefined) check(info, 'passthrough', passthrough, MAX_INT)
  if (backingId !== undefined && backingId > 0) check(info, 'backingId', backingId, MAX_INT)
  return choice
}

/** The number of an inode, which would be encoded as another one, or as none. */
export function checkNodeid(info: OperationInfo, value: object): void {
  check(info, 'nodeid', (value as { nodeid: number }).nodeid, Number.MAX_SAFE_INTEGER)
}

/** A count or a position, which would be encoded as another one. */
export function checkNumber(info: OperationInfo, value: unknown, request: object): void {
  if (!Number.isSafeInteger(value)) throw misfit(info, value, 'an integer')
  const { size, writeFlags } = request as { size?: number; writeFlags?: number }
  if (size === undefined) return
  if ((value as number) > MAX_UINT) throw misfit(info, value, 'the number of bytes written')
  // Kernel: it does not look at the number then, takes the pages for clean and the file for whole.
  if ((value as number) < size && ((writeFlags ?? 0) & FUSE_WRITE_CACHE) !== 0) {
    throw misfit(
      info,
      value,
      `${size} (all of the cached data, FUSE_WRITE_CACHE: nobody writes the rest) or a negative errno`,
    )
  }
}

/** Kernel: an answer that cannot be true becomes EIO for the caller, and nobody hears why. Undefined where it takes it. */
export function whyRefused(info: OperationInfo, value: unknown, request: object): string | undefined {
  if (typeof value === 'number') {
    const { size, len } = request as { size?: number; len?: number }
    const asked = size ?? len
    return asked === undefined || value <= asked ? undefined : `${value} where ${asked} bytes were asked for`
  }
  const { nodeid, attr } = value as { nodeid: number; attr?: { mode: number } }
  if (nodeid === 0) return info.opcode === LOOKUP ? undefined : '`nodeid` 0 for what was made'
  if (attr === undefined || (attr.mode & S_IFMT) !== 0) return undefined
  return `\`mode\` 0o${attr.mode.toString(8)} without the type of the file, as in 0o100644`
}

/** The names of attributes as LISTXATTR has them: a NUL after each. */
export function namesOf(info: OperationInfo, names: readonly unknown[], encoding: NameEncoding): Uint8Array {
  const bytes = names.map((name) => {
    const exact =
      typeof name === 'string' ? Buffer.from(name, encoding === 'latin1' ? 'latin1' : 'utf8') : name
    if (!(exact instanceof Uint8Array) || exact.byteLength === 0 || exact.includes(0))
      throw misfit(info, `the name ${inspect(name)}`, 'an array of strings or Buffers without NUL')
    return exact
  })
  return Buffer.concat(bytes.flatMap((name) => [name, NUL]))
}

/** Why the kernel takes a list of names for EIO, though it takes its size. */
export function whyNoNames(bytes: Uint8Array): string | undefined {
  return bytes.byteLength === 0 || bytes[bytes.byteLength - 1] === 0
    ? undefined
    : 'there is no NUL after the last name'
}

/** What to tell the kernel of an open that has no data to pass through. */
export function servedOpen({ fh = 0, openFlags = 0 }: OpenChoice): {
  fh: number
  openFlags: number
  backingId: number
} {
  return { fh, openFlags, backingId: 0 }
}

/** Where the data of a READ lies. */
export function sourceOf(info: OperationInfo, value: unknown): FdData {
  if (typeof value !== 'object' || value === null || !('fd' in value))
    throw misfit(info, value, 'a Uint8Array or { fd, offset, size }')
  const source = value as FdData
  check(info, 'fd', source.fd, MAX_INT)
  check(info, 'offset', source.offset, Number.MAX_SAFE_INTEGER)
  check(info, 'size', source.size, Number.MAX_SAFE_INTEGER)
  return source
}

function check(info: OperationInfo, name: string, value: number, most: number): void {
  if (Number.isSafeInteger(value) && value >= 0 && value <= most) return
  throw misfit(info, `\`${name}\`: ${String(value)}`, `an integer from 0 to ${most}`)
}
