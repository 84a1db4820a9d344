// Emits generated/replies.ts: the objects that handlers return, and the code that writes them into a reply.

import { operations } from '../../src/protocol/operations.js'
import type { Field, Operation, Struct } from '../../src/protocol/schema.js'
import { layoutOf } from '../../src/protocol/schema.js'
import { fileLock, forgetOne, removemappingOne } from '../../src/protocol/structs.js'
import { comment, jsName, preamble, unwrap, visible } from './tables.js'

const NEGATIVE = `/** There is no such name, and for how long that may be believed. */
export interface NegativeEntry extends Partial<Omit<Entry, 'nodeid'>> {
  nodeid: 0
}
`

const CREATE = `/** A file made and opened: the entry and the open file in one object. */
export interface CreateReply extends Entry, OpenReply {}

/** Writes an entry and an open file, 144 bytes. */
export function encodeCreateReply(view: DataView, at: number, value: CreateReply): number {
  return encodeEntry(view, at, value) + encodeOpenReply(view, at + ENTRY_SIZE, value)
}
`

export function emitReplies(): string {
  const numbers = new Map<string, Struct>()
  const objects = new Map<string, Struct>()
  const add = (of: Struct): void => {
    for (const member of visible(of)) if (member.struct) add(member.struct)
    objects.set(of.name, of)
  }
  add(fileLock)
  for (const row of operations) {
    if (!row.out) continue
    if (isNumber(row)) numbers.set(row.out.name, row.out)
    else add(unwrap(row.out))
  }
  const plain = [forgetOne, removemappingOne]
  const entry = operations.find((row) => row.negative)?.out
  if (!entry) throw new Error('no entry')
  return (
    preamble('What handlers return, as objects and as bytes.') +
    `import { setAny, setDuration, setLockEnd, setNumber } from '../wire.js'\n\n` +
    `const ENTRY_SIZE = ${layoutOf(entry).size}\n\n` +
    [...objects.values(), ...plain].map(emitInterface).join('\n') +
    `\n${NEGATIVE}\n` +
    [...objects.values()].map((of) => emitEncoder(of, of === entry)).join('\n') +
    '\n' +
    [...numbers.values()].map(emitNumber).join('\n') +
    `\n${CREATE}`
  )
}

function emitInterface(of: Struct): string {
  const members = visible(of).map((member) => {
    const optional = member.fallback === undefined ? '' : '?'
    const type = member.struct?.type ?? (member.big ? 'number | bigint' : 'number')
    const absent = member.fallback === undefined ? '' : ` Default: ${member.fallback}.`
    return `${comment('  ', [member.doc + absent])}  ${jsName(member)}${optional}: ${type}\n`
  })
  return `${comment('', [`${of.doc} (\`struct ${of.name}\`)`])}export interface ${of.type} {\n${members.join('')}}\n`
}

function emitEncoder(of: Struct, mayBeNegative: boolean): string {
  const layout = layoutOf(of)
  const type = mayBeNegative ? `${of.type} | NegativeEntry` : of.type
  let text = comment('', [`Writes \`struct ${of.name}\`, ${layout.size} bytes.`])
  text += `export function encode${of.type}(view: DataView, at: number, value: ${type}): number {\n`
  for (const { field: member, offset, size } of layout.members) {
    if (member.struct && mayBeNegative) {
      const name = jsName(member)
      text += `  const { ${name} } = value\n  if (${name} === undefined && value.nodeid === 0) {\n`
      text += `    for (let zero = at + ${offset}; zero < at + ${offset + size}; zero += 8) view.setFloat64(zero, 0)\n`
      text += `  } else {\n    encode${member.struct.type}(view, ${place(offset)}, ${name} as ${member.struct.type})\n  }\n`
    } else if (member.struct) {
      text += `  encode${member.struct.type}(view, ${place(offset)}, value.${jsName(member)})\n`
    } else if (member.js !== null) {
      text += `  ${emitWrite(of, member, offset)}\n`
    } else if (!of.fields.some((other) => other.nsec === member.c)) {
      text += zeros(offset, size)
    }
  }
  return `${text}  return ${layout.size}\n}\n`
}

function emitWrite(of: Struct, member: Field, offset: number): string {
  const name = `value.${jsName(member)}`
  const value = member.fallback === undefined ? name : `${name} ?? ${member.fallback}`
  if (member.nsec) {
    const nsec = layoutOf(of).members.find((other) => other.field.c === member.nsec)
    if (!nsec) throw new Error(`${of.name}: no member ${member.nsec}`)
    return `setDuration(view, ${place(offset)}, ${place(nsec.offset)}, ${value})`
  }
  return writeOf(member, offset, value)
}

function writeOf(member: Field, offset: number, value: string): string {
  if (member.type === 'u16') return `view.setUint16(${place(offset)}, ${value}, true)`
  if (member.type === 'u32') return `view.setUint32(${place(offset)}, ${value}, true)`
  if (member.type === 'i32') return `view.setInt32(${place(offset)}, ${value}, true)`
  if (member.meaning === 'lockEnd') return `setLockEnd(view, ${place(offset)}, ${value})`
  return `${member.big ? 'setAny' : 'setNumber'}(view, ${place(offset)}, ${value})`
}

function zeros(offset: number, size: number): string {
  let text = ''
  for (let at = offset; at < offset + size; at += size % 4 === 0 ? 4 : 2) {
    text +=
      size % 4 === 0
        ? `  view.setUint32(${place(at)}, 0, true)\n`
        : `  view.setUint16(${place(at)}, 0, true)\n`
  }
  return text
}

function emitNumber(of: Struct): string {
  const layout = layoutOf(of)
  let text = comment('', [`Writes \`struct ${of.name}\`, ${layout.size} bytes: ${visible(of)[0].doc}`])
  text += `export function encode${of.type}(view: DataView, at: number, value: number): number {\n`
  for (const { field: member, offset, size } of layout.members) {
    text += member.js === null ? zeros(offset, size) : `  ${writeOf(member, offset, 'value')}\n`
  }
  return `${text}  return ${layout.size}\n}\n`
}

/** Expression that writes the reply of an operation from `value`. */
export function replyCall(row: Operation): string {
  if (row.reply === 'create') return 'replies.encodeCreateReply(view, at, value as replies.CreateReply)'
  if (!row.out) return '0'
  if (isNumber(row)) return `replies.encode${row.out.type}(view, at, value as number)`
  const { type } = unwrap(row.out)
  return `replies.encode${type}(view, at, value as replies.${type})`
}

/** Whether the reply struct is written from a number. */
function isNumber(row: Operation): boolean {
  return row.reply === 'number' || row.reply === 'xattr'
}

function place(offset: number): string {
  return offset === 0 ? 'at' : `at + ${offset}`
}
