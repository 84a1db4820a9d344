// Emits generated/info.ts (facts of each operation), generated/constants.ts (opcodes, flags, numbers) and
// generated/layout.ts (sizes and offsets of the structs).

import { constants, flagSets, initFlags } from '../../src/protocol/flags.js'
import { notifications } from '../../src/protocol/notifications.js'
import { operations } from '../../src/protocol/operations.js'
import type { Operation } from '../../src/protocol/schema.js'
import { entryOut, openOut } from '../../src/protocol/structs.js'
import { layoutOf, pascalCase, upperCase } from '../../src/protocol/schema.js'
import { LAST_OPCODE } from './emit-decoders.js'
import { replyCall } from './emit-replies.js'
import { parametersOf } from './emit-requests.js'
import { allStructs, comment, handlerOf, kernelName, preamble, visible } from './tables.js'

const INFO = `/** Facts of one operation that dispatch needs. */
export interface OperationInfo {
  readonly opcode: number
  readonly name: OperationName
  /** Method of the filesystem that answers; null when the session does. */
  readonly handler: HandlerName | null
  readonly reply: ReplyKind
  /** What is answered when the filesystem has no such method; 0 is success. */
  readonly absent: Errno | 0
  /** What is answered when a number of the request is beyond 2^53-1. */
  readonly overflow: Errno
  /** ENOSYS switches the operation off for the rest of the mount. */
  readonly sticky: boolean
  /** Minor protocol version that brought it. */
  readonly since: number
  /** Field that is a view into the slot of the request: the slot stays taken until the handler has settled. */
  readonly payload: string | undefined
  /** A successful answer counts a lookup of its nodeid (FORGET gives it back). */
  readonly lookup: boolean
  /** A successful answer opens the handle fh (RELEASE or RELEASEDIR closes it). */
  readonly opens: boolean
  /** Fields worth printing, with the flag set of each. */
  readonly fields: readonly { readonly name: string; readonly flags?: FlagSetName }[]
  /** Writes the reply struct (of an xattr or ioctl: the fixed part) and returns its length; 0 without one. */
  encode(view: DataView, at: number, value: unknown): number
}
`

export function emitInfo(): string {
  const names = operations.map((row) => `  | '${row.name}'`).join('\n')
  const handlers = [...new Set(operations.map(handlerOf))].filter((name) => name !== null)
  const kinds = [...new Set(operations.map((row) => row.reply))]
  const errnos = [...new Set(operations.flatMap((row) => [row.absent, overflowOf(row)]))].filter(
    (name) => name !== 0,
  )
  const indexed: string[] = []
  for (let opcode = 0; opcode <= LAST_OPCODE; opcode++) {
    const row = operations.find((candidate) => candidate.opcode === opcode)
    indexed.push(row ? `  operationsByName.${row.name},\n` : '  undefined,\n')
  }
  return (
    preamble('Facts of each operation.') +
    `import type { Errno } from '../errno.js'\n` +
    `import { ${errnos.join(', ')} } from '../errno.js'\n` +
    `import type { FlagSetName } from './constants.js'\nimport * as replies from './replies.js'\n\n` +
    `/** Name of an operation. */\nexport type OperationName =\n${names}\n\n` +
    `/** Name of a method of a filesystem. */\nexport type HandlerName =\n${handlers.map((name) => `  | '${name}'`).join('\n')}\n\n` +
    `/** How the answer of a handler travels. */\nexport type ReplyKind =\n${kinds.map((kind) => `  | '${kind}'`).join('\n')}\n\n` +
    `${INFO}\n/** Facts by name. */\nexport const operationsByName: Readonly<Record<OperationName, OperationInfo>> = {\n` +
    operations.map(emitRow).join('') +
    `}\n\n/** Facts by opcode; CUSE_INIT (4096) stands only in \`operationsByName\`. */\n` +
    `export const operations: readonly (OperationInfo | undefined)[] = [\n${indexed.join('')}]\n`
  )
}

function overflowOf(row: Operation): string {
  return row.overflow ?? 'EOVERFLOW'
}

function emitRow(row: Operation): string {
  const handler = handlerOf(row)
  const call = replyCall(row)
  const created = row.reply === 'create'
  const sets = new Map(visible(row.in).map((member) => [member.js, member.flags]))
  const opaque = new Set(
    visible(row.in)
      .filter((member) => member.meaning === 'opaque')
      .map((member) => member.js),
  )
  const fields = parametersOf(row)
    .filter(({ name }) => !(name.endsWith('High') && opaque.has(name.slice(0, -4))))
    .map(({ name }) => (name.endsWith('Low') && opaque.has(name.slice(0, -3)) ? name.slice(0, -3) : name))
    .map((name) => `{ name: '${name}'${sets.get(name) ? `, flags: '${sets.get(name)}'` : ''} }`)
  return (
    `  ${row.name}: {\n    opcode: ${row.opcode},\n    name: '${row.name}',\n` +
    `    handler: ${handler === null ? 'null' : `'${handler}'`},\n    reply: '${row.reply}',\n    absent: ${row.absent},\n` +
    `    overflow: ${overflowOf(row)},\n    sticky: ${row.sticky ?? false},\n    since: ${row.since},\n    payload: ${row.payload ? `'${row.payload.js}'` : 'undefined'},\n` +
    `    lookup: ${created || row.out === entryOut},\n    opens: ${created || row.out === openOut},\n` +
    `    fields: [${fields.join(', ')}],\n` +
    `    encode: ${call === '0' ? '() => 0' : `(view, at, value) => ${call}`},\n  },\n`
  )
}

export function emitConstants(): string {
  let text = preamble('Opcodes, notification codes, flags and numbers of the protocol, under their C names.')
  for (const row of operations) text += define(kernelName(row), row.opcode, `Opcode: ${row.sent}`)
  for (const row of notifications) text += define(`FUSE_NOTIFY_${upperCase(row.name)}`, row.code, row.doc)
  for (const { name, value, doc } of constants) text += define(name, value, doc)
  for (const set of flagSets) {
    for (const { name, bit, doc } of set.flags) text += define(name, 2 ** bit, doc)
  }
  text += `/** An INIT flag: a power of two up to 2^63. */\nexport type InitFlag =\n`
  text += `${initFlags.flags.map(({ name }) => `  | typeof ${name}`).join('\n')}\n\n`
  text += `/** Name of an INIT flag. */\nexport type InitFlagName =\n`
  text += `${initFlags.flags.map(({ name }) => `  | '${name}'`).join('\n')}\n\n`
  text += `/** The INIT flags, from bit 0 up. */\nexport const initFlags: readonly {\n  readonly name: InitFlagName\n`
  text += `  readonly bit: number\n  readonly value: InitFlag\n  readonly since: number\n  readonly doc: string\n}[] = [\n`
  for (const { name, bit, since, doc } of initFlags.flags) {
    text += `  { name: '${name}', bit: ${bit}, value: ${name}, since: ${since}, doc: ${quote(doc)} },\n`
  }
  text += `]\n\n/** Names of the flags of each set, for printing. */\nexport const flagSets = {\n`
  for (const set of flagSets) {
    text += `  ${set.name}: [${set.flags.map(({ name, bit }) => `['${name}', ${hex(2 ** bit)}]`).join(', ')}],\n`
  }
  return `${text}} as const\n\n/** Name of a flag set. */\nexport type FlagSetName = keyof typeof flagSets\n`
}

export function emitLayout(): string {
  const structs = allStructs()
  let text = preamble('Sizes and offsets of the structs, under their C names.')
  text += '/** Size of each struct in bytes. */\nexport const sizes = {\n'
  for (const of of structs) text += `  ${of.name}: ${layoutOf(of).size},\n`
  text += '} as const\n\n/** Offset of each member in its struct. */\nexport const offsets = {\n'
  for (const of of structs) {
    const members = layoutOf(of).members.map(({ field: member, offset }) => `${member.c}: ${offset}`)
    text += `  ${of.name}: { ${members.join(', ')} },\n`
  }
  return `${text}} as const\n`
}

function define(name: string, value: number, doc: string): string {
  return `${comment('', [doc])}export const ${name} = ${value > 9 ? hex(value) : value}\n`
}

function hex(value: number): string {
  return `0x${value.toString(16)}`
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "\\'")}'`
}

/** Name of the function that encodes a notification. */
export function notificationEncoder(name: string): string {
  return `encodeNotify${pascalCase(name)}`
}
