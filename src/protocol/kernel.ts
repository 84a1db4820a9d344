// The other end of the wire: encodes requests and decodes replies as the kernel does, for a kernel in memory and for
// tests. It reads the table at run time, so that it shares no code with the generated decoders it is held against.

import { notifications } from './notifications.js'
import { operations } from './operations.js'
import type { Field, Notification, Operation, Struct } from './schema.js'
import { layoutOf } from './schema.js'
import { dirent, entryOut, inHeader, openOut, outHeader } from './structs.js'

/** Values by their names in JavaScript. */
export type Fields = Readonly<Record<string, unknown>>

/** A decoded reply: `error` is 0 or a negative errno; the rest depends on the operation. */
export interface DecodedReply {
  unique: number
  resent: boolean
  error: number
  [field: string]: unknown
}

const OFFSET_MAX = 0x7fffffffffffffffn
const RESENT = 1n << 63n

/**
 * Encodes a request as the kernel would. `fields` are those of the request class, and `unique`, `nodeid`, `uid`, `gid`, `pid`
 * and `resent` of the header; what is missing is 0. SETXATTR has the longer struct unless `setxattrExt` is false. Sizes and
 * counts follow from the data unless they are given.
 */
export function encodeRequest(name: string, fields: Fields = {}): Buffer {
  const row = rowOf(name)
  const parts: Buffer[] = []
  const given: Record<string, unknown> = { ...fields }
  const data = row.payload && asBytes(given[row.payload.js] ?? '')
  if (row.payload && data) given[row.payload.size] ??= data.length
  const items = row.items ? ((given.items ?? []) as Fields[]) : []
  if (row.items) given[row.items.count] ??= items.length
  if (row.in) {
    const bytes = encodeStruct(row.in, given)
    parts.push(given.setxattrExt === false && row.in.short ? bytes.subarray(0, row.in.short.size) : bytes)
  }
  for (const { js } of row.names ?? []) parts.push(asBytes(given[js] ?? ''), Buffer.of(0))
  if (data) parts.push(data)
  for (const item of items) if (row.items) parts.push(encodeStruct(row.items.struct, item))
  const extensions = row.extensions ? encodeExtensions((given.extensions ?? {}) as Fields) : Buffer.alloc(0)
  const body = Buffer.concat([...parts, extensions])
  const head = { ...fields, opcode: row.opcode, len: layoutOf(inHeader).size + body.length }
  return Buffer.concat([encodeStruct(inHeader, { ...head, totalExtlen: extensions.length / 8 }), body])
}

/**
 * Decodes a whole reply to a request of this name. Structs become fields, flattened as handlers return them; data and strings
 * become `data`, listings `entries`, numbers `value`.
 */
export function decodeReply(name: string, bytes: Buffer): DecodedReply {
  const row = rowOf(name)
  const head = decodeStruct(outHeader, bytes, 0)
  const { len, error } = head
  if (len !== bytes.length) throw new RangeError(`a reply of ${bytes.length} bytes claims ${String(len)}`)
  const reply: DecodedReply = {
    unique: head.unique as number,
    resent: bytes.readUInt32LE(12) >= 0x80000000,
    error: error as number,
  }
  const body = bytes.subarray(layoutOf(outHeader).size)
  if (error !== 0) return reply
  return Object.assign(reply, decodeBody(row, body))
}

function decodeBody(row: Operation, body: Buffer): Fields {
  switch (row.reply) {
    case 'create':
      return { ...exactly(entryOut, body.subarray(0, 128)), ...exactly(openOut, body.subarray(128)) }
    case 'struct':
    case 'session':
      return row.out ? flatten(row.out, exactly(row.out, body)) : {}
    case 'number':
      return row.out ? { value: Object.values(exactly(row.out, body))[0] } : {}
    case 'data':
    case 'string':
    case 'xattr':
      return { data: Buffer.from(body) }
    case 'dirents':
      return { entries: decodeDirents(body, false), data: Buffer.from(body) }
    case 'direntplus':
      return { entries: decodeDirents(body, true), data: Buffer.from(body) }
    case 'ioctl': {
      const size = row.out ? layoutOf(row.out).size : 0
      return { ...(row.out && decodeStruct(row.out, body, 0)), data: Buffer.from(body.subarray(size)) }
    }
    default:
      if (body.length > 0) throw new RangeError(`${row.name} takes no answer, got ${body.length} bytes`)
      return {}
  }
}

/** Decodes directory records; names come back as latin1 strings, one character per byte. */
export function decodeDirents(bytes: Buffer, plus: boolean): Fields[] {
  const entries: Fields[] = []
  let at = 0
  while (at < bytes.length) {
    const entry = plus ? decodeStruct(entryOut, bytes, at) : {}
    if (plus) at += layoutOf(entryOut).size
    const { namelen, ...record } = decodeStruct(dirent, bytes, at)
    const start = at + layoutOf(dirent).size
    const end = start + (namelen as number)
    if (end > bytes.length) throw new RangeError('a directory record runs past the reply')
    entries.push({ ...entry, ...record, name: bytes.toString('latin1', start, end) })
    at = start + Math.ceil((namelen as number) / 8) * 8
  }
  if (at > bytes.length) throw new RangeError('the last directory record is not padded')
  return entries
}

/** Decodes a notification; `kind` is its name. */
export function decodeNotification(bytes: Buffer): { kind: string; [field: string]: unknown } {
  const { len, error, unique } = decodeStruct(outHeader, bytes, 0)
  const row = notifications.find(({ code }) => code === error)
  if (!row || unique !== 0)
    throw new RangeError(`not a notification: unique ${String(unique)}, code ${String(error)}`)
  if (len !== bytes.length)
    throw new RangeError(`a notification of ${bytes.length} bytes claims ${String(len)}`)
  const at = layoutOf(outHeader).size
  const fields = row.out ? decodeStruct(row.out, bytes, at) : {}
  const tail = bytes.subarray(at + (row.out ? layoutOf(row.out).size : 0))
  return { kind: row.name, ...fields, ...decodeTail(row, tail) }
}

function decodeTail(row: Notification, tail: Buffer): Fields {
  if (row.nameLength) return { name: tail.toString('latin1', 0, tail.length - 1) }
  if (row.payload) return { [row.payload.js]: Buffer.from(tail) }
  if (!row.list) return {}
  const values = Array.from({ length: tail.length / 8 }, (_, index) =>
    Number(tail.readBigUInt64LE(8 * index)),
  )
  return { [row.list.js]: values }
}

const rows = new Map(operations.map((row) => [row.name, row]))

function rowOf(name: string): Operation {
  const row = rows.get(name)
  if (!row) throw new RangeError(`unknown operation ${name}`)
  return row
}

function asBytes(value: unknown): Buffer {
  if (typeof value === 'string') return Buffer.from(value, 'utf8')
  if (value instanceof Uint8Array) return Buffer.from(value)
  throw new TypeError('expected a string or bytes')
}

/** Encodes a struct; a field may be given by its name in JavaScript or in C. */
export function encodeStruct(of: Struct, fields: Fields): Buffer {
  const { size, members } = layoutOf(of)
  const bytes = Buffer.alloc(size)
  for (const { field, offset } of members) {
    if (field.js === null) continue
    const value = fields[field.js] ?? fields[field.c]
    if (field.struct) {
      encodeStruct(field.struct, (value ?? {}) as Fields).copy(bytes, offset)
    } else {
      encodeField(bytes, field, offset, value, fields.resent === true)
    }
  }
  return bytes
}

function encodeField(bytes: Buffer, field: Field, at: number, value: unknown, resent: boolean): void {
  const number =
    typeof value === 'bigint'
      ? value
      : value === Infinity
        ? OFFSET_MAX
        : BigInt(Math.trunc(Number(value ?? 0)))
  if (field.type === 'u16') bytes.writeUInt16LE(Number(BigInt.asUintN(16, number)), at)
  else if (field.type === 'u32') bytes.writeUInt32LE(Number(BigInt.asUintN(32, number)), at)
  else if (field.type === 'i32') bytes.writeInt32LE(Number(BigInt.asIntN(32, number)), at)
  else
    bytes.writeBigUInt64LE(
      BigInt.asUintN(64, field.meaning === 'unique' && resent ? number | RESENT : number),
      at,
    )
}

/** Decodes a struct at an offset. */
export function decodeStruct(of: Struct, bytes: Buffer, at: number): Record<string, unknown> {
  const { members } = layoutOf(of)
  const fields: Record<string, unknown> = {}
  for (const { field, offset } of members) {
    if (field.js === null) continue
    if (field.struct) fields[field.js] = decodeStruct(field.struct, bytes, at + offset)
    else fields[field.js] = decodeField(bytes, field, at + offset)
    const nsec = members.find((other) => field.nsec !== undefined && other.field.c === field.nsec)
    if (nsec) fields[field.js] = (fields[field.js] as number) + bytes.readUInt32LE(at + nsec.offset) / 1e9
  }
  return fields
}

function decodeField(bytes: Buffer, field: Field, at: number): number | bigint {
  if (field.type === 'u16') return bytes.readUInt16LE(at)
  if (field.type === 'u32') return bytes.readUInt32LE(at)
  if (field.type === 'i32') return bytes.readInt32LE(at)
  const raw = bytes.readBigUInt64LE(at)
  if (field.meaning === 'opaque') return raw
  if (field.meaning === 'lockEnd' && raw === OFFSET_MAX) return Infinity
  const signed = ['signed', 'position', 'seconds'].includes(field.meaning)
  const value = signed ? BigInt.asIntN(64, raw) : field.meaning === 'unique' ? raw & ~RESENT : raw
  return Number.isSafeInteger(Number(value)) ? Number(value) : value
}

function exactly(of: Struct, body: Buffer): Record<string, unknown> {
  const { size } = layoutOf(of)
  if (body.length !== size) throw new RangeError(`${of.name} takes ${size} bytes, got ${body.length}`)
  return decodeStruct(of, body, 0)
}

/** A struct around a single struct stands for that one. */
function flatten(of: Struct, fields: Record<string, unknown>): Fields {
  const members = of.fields.filter((member) => member.js !== null)
  const only = members[0]?.js
  return members.length === 1 && members[0].struct && only ? (fields[only] as Fields) : fields
}

function encodeExtensions({ groups, secctx }: Fields): Buffer {
  const parts: Buffer[] = []
  if (Array.isArray(secctx)) {
    const contexts = (secctx as { name: string; value: Uint8Array }[]).map(({ name, value }) =>
      padded(Buffer.concat([words(value.length, 0), Buffer.from(`${name}\0`, 'latin1'), value])),
    )
    const body = Buffer.concat(contexts)
    parts.push(words(8 + body.length, contexts.length), body)
  }
  if (Array.isArray(groups)) {
    const list = groups as number[]
    const body = padded(words(list.length, ...list))
    parts.push(words(8 + body.length, 32), body)
  }
  return Buffer.concat(parts)
}

function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length)
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value, 4 * index)
  return bytes
}

function padded(bytes: Buffer): Buffer {
  const size = bytes.length
  return Buffer.concat([bytes, Buffer.alloc(Math.ceil(size / 8) * 8 - size)])
}
