// Emits generated/decoders.ts: straight-line code that turns the bytes of a request into its object.

import { operations } from '../../src/protocol/operations.js'
import type { Field, Layout, Operation, Struct } from '../../src/protocol/schema.js'
import { layoutOf, pascalCase } from '../../src/protocol/schema.js'
import { jsName, preamble, requestClass } from './tables.js'

/** Highest opcode in the array of decoders; CUSE_INIT stands apart. */
export const LAST_OPCODE = Math.max(...operations.map((row) => row.opcode).filter((opcode) => opcode < 4096))

const HEAD = `import type { RequestContext } from '../request.js'
import { extensionsAt } from '../extensions.js'
import type { NameEncoding } from '../names.js'
import { nameAt, nameEnd } from '../names.js'
import type { Refusal } from '../wire.js'
import { ILLEGAL_NAME, MALFORMED, MAX_HIGH, MIN_HIGH, OVERFLOW, TWO_32 } from '../wire.js'
import type { OperationName } from './info.js'
import type { AnyRequest } from './requests.js'
import * as requests from './requests.js'

/** What decoding depends on: the session, how names are given, and what INIT agreed on. */
export interface DecodeContext extends RequestContext {
  readonly encoding: NameEncoding
  /** FUSE_SETXATTR_EXT was agreed: SETXATTR carries the longer struct. */
  setxattrExt: boolean
}

/** Decodes the requests of one opcode. */
export interface Decoder {
  readonly opcode: number
  readonly name: OperationName
  /** Bytes of the fixed struct behind the header. */
  size(context: DecodeContext): number
  /**
   * Makes the request. All places are offsets into \`bytes\` and \`view\`, which cover the same memory: the header, the
   * fixed struct, what follows it, and the end of that. Never throws and never reads elsewhere.
   */
  decode(
    bytes: Buffer,
    view: DataView,
    header: number,
    op: number,
    payload: number,
    end: number,
    context: DecodeContext,
  ): AnyRequest | Refusal
}
`

export function emitDecoders(): string {
  const table: string[] = []
  for (let opcode = 0; opcode <= LAST_OPCODE; opcode++) {
    const row = operations.find((candidate) => candidate.opcode === opcode)
    table.push(row ? `  ${entry(row)},\n` : '  undefined,\n')
  }
  const cuse = operations.find((row) => row.opcode === 4096)
  return (
    preamble('Decoders: from the bytes of a request to its object.') +
    HEAD +
    operations.map((row) => `\n${emitDecoder(row)}`).join('') +
    `\n/** Decoders by opcode. */\nexport const decoders: readonly (Decoder | undefined)[] = [\n${table.join('')}]\n` +
    (cuse
      ? `\n/** The decoder of CUSE_INIT (4096), which no array index fits. */\nexport const cuseInitDecoder: Decoder = ${entry(cuse)}\n`
      : '')
  )
}

function entry(row: Operation): string {
  return `{ opcode: ${row.opcode}, name: '${row.name}', size: ${sizeFunction(row)}, decode: decode${pascalCase(row.name)} }`
}

function sizeFunction(row: Operation): string {
  if (!row.in) return '() => 0'
  const { size } = layoutOf(row.in)
  if (!row.in.short) return `() => ${size}`
  if (row.in.short.longWhen === 'length') return `() => ${row.in.short.size}`
  return `(context) => (context.setxattrExt ? ${size} : ${row.in.short.size})`
}

/** Statements that may refuse, and the constructor arguments that follow. */
class Code {
  readonly statements: string[] = []
  readonly values: string[] = []

  line(text: string): void {
    this.statements.push(`  ${text}\n`)
  }
}

function emitDecoder(row: Operation): string {
  const code = new Code()
  const layout = row.in ? layoutOf(row.in) : undefined
  code.line(`if (${outOfBounds(row, layout)}) return MALFORMED`)
  code.line('const nodeidHigh = view.getUint32(header + 20, true)')
  code.line('if (nodeidHigh > MAX_HIGH) return OVERFLOW')
  if (row.in && layout) emitStruct(code, row, row.in, layout)
  for (const { value } of row.implied ?? []) code.values.push(String(value))
  const limit = emitNames(code, row)
  emitTail(code, row, limit)
  if (row.extensions) code.values.push('extensions')
  code.line('const uniqueHigh = view.getUint32(header + 12, true)')
  const header = [
    'context',
    'view.getUint32(header + 8, true) + (uniqueHigh & 0x7fffffff) * TWO_32',
    'view.getUint32(header + 16, true) + nodeidHigh * TWO_32',
    'view.getUint32(header + 24, true)',
    'view.getUint32(header + 28, true)',
    'view.getUint32(header + 32, true)',
    'uniqueHigh >= 0x80000000',
  ]
  const all = [...header, ...code.values].map((value) => `    ${value},\n`).join('')
  const text = code.statements.join('')
  const places = [
    'bytes: Buffer',
    'view: DataView',
    'header: number',
    'op: number',
    'payload: number',
    'end: number',
  ]
  const parameters = [...places, 'context: DecodeContext'].map((parameter) => {
    const name = parameter.slice(0, parameter.indexOf(':'))
    const used =
      name === 'view' ||
      name === 'header' ||
      name === 'context' ||
      new RegExp(`\\b${name}\\b`).test(text + all)
    return `  ${used ? '' : '_'}${parameter},\n`
  })
  return (
    `function decode${pascalCase(row.name)}(\n${parameters.join('')}): AnyRequest | Refusal {\n${text}` +
    `  return new requests.${requestClass(row)}(\n${all}  )\n}\n`
  )
}

function outOfBounds(row: Operation, layout: Layout | undefined): string {
  const tests = ['header + 40 > view.byteLength', 'payload > end', 'end > view.byteLength']
  if (row.in && layout) {
    const { short } = row.in
    const needed = !short
      ? String(layout.size)
      : short.longWhen === 'length'
        ? String(short.size)
        : `(context.setxattrExt ? ${layout.size} : ${short.size})`
    tests.push(`op + ${needed} > view.byteLength`)
  }
  return tests.join(' || ')
}

function emitStruct(code: Code, row: Operation, of: Struct, layout: Layout): void {
  for (const { field: member, offset } of layout.members) {
    if (member.js === null) continue
    if (row.items && member.c === row.items.count) continue
    if (member.struct) {
      const inner = layoutOf(member.struct)
      const parts = inner.members
        .filter((one) => one.field.js !== null)
        .map((one) => `${jsName(one.field)}: ${emitRead(code, one.field, 'op', offset + one.offset).join()}`)
      code.values.push(`{ ${parts.join(', ')} }`)
      continue
    }
    const [first, ...rest] = emitRead(code, member, 'op', offset)
    if (of.short && offset >= of.short.size) {
      const present = of.short.longWhen === 'length' ? `op + ${offset + 4} <= end` : 'context.setxattrExt'
      code.values.push(`${present} ? ${first} : 0`)
    } else {
      code.values.push(first, ...rest)
    }
  }
}

/** Emits the checks of a number, and returns the expressions of its value (two for an opaque one). */
function emitRead(code: Code, member: Field, base: string, offset: number): string[] {
  const at = place(base, offset)
  if (member.type === 'u16') return [`view.getUint16(${at}, true)`]
  if (member.type === 'u32') return [`view.getUint32(${at}, true)`]
  if (member.type === 'i32') return [`view.getInt32(${at}, true)`]
  const low = `view.getUint32(${at}, true)`
  const high = place(base, offset + 4)
  if (member.meaning === 'opaque') return [low, `view.getUint32(${high}, true)`]
  const name = `${jsName(member)}High`
  if (member.meaning === 'unique') return [`${low} + (view.getUint32(${high}, true) & 0x7fffffff) * TWO_32`]
  if (member.meaning === 'signed') {
    code.line(`const ${name} = view.getInt32(${high}, true)`)
    code.line(`if (${name} > MAX_HIGH || ${name} < MIN_HIGH) return OVERFLOW`)
    return [`${low} + ${name} * TWO_32`]
  }
  if (member.meaning === 'position' || member.meaning === 'seconds') {
    code.line(`const ${name} = view.getInt32(${high}, true)`)
    const exact = `${name} < MIN_HIGH ? Number.MIN_SAFE_INTEGER : ${low} + ${name} * TWO_32`
    if (member.meaning === 'seconds') return [`${name} > MAX_HIGH ? Number.MAX_SAFE_INTEGER : ${exact}`]
    code.line(`if (${name} > MAX_HIGH) return OVERFLOW`)
    return [exact]
  }
  code.line(`const ${name} = view.getUint32(${high}, true)`)
  if (member.meaning === 'lockEnd') {
    const whole = `${jsName(member)}Whole`
    code.line(`const ${whole} = ${name} === 0x7fffffff && ${low} === 0xffffffff`)
    code.line(`if (${name} > MAX_HIGH && !${whole}) return OVERFLOW`)
    return [`${whole} ? Infinity : ${low} + ${name} * TWO_32`]
  }
  code.line(`if (${name} > MAX_HIGH) return OVERFLOW`)
  return [`${low} + ${name} * TWO_32`]
}

/** Returns where the tail (value, items) starts. */
function emitNames(code: Code, row: Operation): string {
  let limit = 'end'
  if (row.extensions) {
    limit = 'limit'
    code.line('const limit = end - view.getUint16(header + 36, true) * 8')
    code.line('if (limit < payload) return MALFORMED')
    code.line('const extensions = limit < end ? extensionsAt(bytes, view, limit, end) : undefined')
    code.line('if (extensions === MALFORMED) return MALFORMED')
  }
  let start = 'payload'
  for (const { js } of row.names ?? []) {
    code.line(`const ${js}Nul = nameEnd(bytes, ${start}, ${limit})`)
    code.line(`if (${js}Nul < 0) return MALFORMED`)
    code.line(`const ${js} = nameAt(bytes, ${start}, ${js}Nul, context.encoding)`)
    code.line(`if (${js} === ILLEGAL_NAME) return ILLEGAL_NAME`)
    code.values.push(js)
    start = `${js}Nul + 1`
  }
  return start
}

function emitTail(code: Code, row: Operation, start: string): void {
  const member = (c: string): string => {
    const found = row.in && layoutOf(row.in).members.find((one) => one.field.c === c)
    if (!found) throw new Error(`${row.name}: no member ${c}`)
    return `view.getUint32(${place('op', found.offset)}, true)`
  }
  if (row.payload) {
    code.line(`const start = ${start}`)
    code.line(`const stop = start + ${member(row.payload.size)}`)
    code.line('if (stop > end) return MALFORMED')
    code.values.push('bytes.subarray(start, stop)')
  }
  if (row.items) {
    const { size, members } = layoutOf(row.items.struct)
    const inner = new Code()
    const parts = members.map(
      (one) => `${jsName(one.field)}: ${emitRead(inner, one.field, 'at', one.offset).join()}`,
    )
    code.line(`const stop = ${start} + ${member(row.items.count)} * ${size}`)
    code.line('if (stop > end) return MALFORMED')
    code.line('const items = []')
    code.line(`for (let at = ${start}; at < stop; at += ${size}) {`)
    for (const statement of inner.statements) code.line(statement.trimEnd())
    code.line(`  items.push({ ${parts.join(', ')} })`)
    code.line('}')
    code.values.push('items')
  }
}

function place(base: string, offset: number): string {
  return offset === 0 ? base : `${base} + ${offset}`
}
