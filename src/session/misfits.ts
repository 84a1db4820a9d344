// What a handler may answer, where the encoders would take more than the kernel or the library can stand for: checked
// before anything is counted or sent.
import type { FdData, OperationInfo } from '../protocol/index.js'
import type { OpenChoice } from './passthrough.js'

const MAX_INT = 0x7fff_ffff
const MAX_UINT = 0xffff_ffff

/** Says what a handler returned, and what is needed instead. */
export function misfit(info: OperationInfo, value: unknown, wanted: string): TypeError {
  const got = typeof value === 'object' && value !== null ? 'an object' : String(value)
  return new TypeError(`the handler of ${info.name} returned ${got} where ${wanted} is needed`)
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
