// One readable line for a request, driven by the table: for logs and error reports.

import type { FlagSetName } from './generated/constants.js'
import { flagSets } from './generated/constants.js'
import { operationsByName } from './generated/info.js'
import type { AnyRequest } from './generated/requests.js'
import type { Request } from './request.js'

/** Names the flags of a value: `FOPEN_KEEP_CACHE|0x100`. */
export function describeFlags(set: FlagSetName, value: number): string {
  const parts: string[] = []
  let rest = value
  for (const [name, bit] of flagSets[set]) {
    if (Math.floor(value / bit) % 2 === 1) {
      parts.push(name)
      rest -= bit
    }
  }
  if (rest !== 0 || parts.length === 0) parts.push(rest === 0 ? '0' : `0x${rest.toString(16)}`)
  return parts.join('|')
}

/** One line: operation, ids, caller and fields. Data is shown by its length only. */
export function describeRequest(
  request: AnyRequest | (Request & { operation: AnyRequest['operation'] }),
): string {
  const { operation, unique, nodeid, uid, gid, pid, resent } = request
  const parts = [`${operation} unique=${unique} nodeid=${nodeid} uid=${uid} gid=${gid} pid=${pid}`]
  if (resent) parts.push('resent')
  const values = new Map<string, unknown>(Object.entries(request))
  for (const { name, flags } of operationsByName[operation].fields) {
    const value = values.has(name) ? values.get(name) : Reflect.get(request, name)
    if (value === undefined) continue
    parts.push(
      `${name}=${flags && typeof value === 'number' ? describeFlags(flags, value) : describeValue(value)}`,
    )
  }
  return parts.join(' ')
}

const LONGEST = 256

function describeValue(value: unknown): string {
  if (typeof value === 'number') return String(value)
  if (typeof value === 'bigint') return `0x${value.toString(16)}`
  if (value instanceof Uint8Array) return `<${value.length} bytes>`
  const text = JSON.stringify(value, (_, inner: unknown) => {
    if (inner === Infinity) return 'Infinity'
    return isBuffer(inner) ? `<${inner.data.length} bytes>` : inner
  })
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}...` : text
}

/** What Buffer.toJSON makes, which JSON.stringify calls before its replacer. */
function isBuffer(value: unknown): value is { data: number[] } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'type' in value &&
    value.type === 'Buffer' &&
    'data' in value
  )
}
