// Emits generated/requests.ts: one class for each opcode's request.

import { operations } from '../../src/protocol/operations.js'
import type { Field, Operation } from '../../src/protocol/schema.js'
import {
  comment,
  flagValue,
  handlerOf,
  jsName,
  kernelName,
  preamble,
  requestClass,
  visible,
} from './tables.js'

/** One constructor parameter of a request class. */
export interface Parameter {
  readonly name: string
  readonly type: string
  readonly doc: string
}

/** What a request class holds beyond the header, in the order of its constructor. */
export function parametersOf(operation: Operation): Parameter[] {
  const parameters = visible(operation.in)
    .filter((member) => !operation.items || member.c !== operation.items.count)
    .flatMap(fieldParameters)
  for (const { js, doc } of operation.implied ?? []) parameters.push({ name: js, type: 'number', doc })
  for (const { js, doc } of operation.names ?? []) parameters.push({ name: js, type: 'Name', doc })
  if (operation.payload)
    parameters.push({ name: operation.payload.js, type: 'Buffer', doc: operation.payload.doc })
  if (operation.items) {
    parameters.push({ name: 'items', type: `${operation.items.struct.type}[]`, doc: operation.items.doc })
  }
  if (operation.extensions) {
    const doc = 'Groups and security contexts, when the kernel sent any.'
    parameters.push({ name: 'extensions', type: 'Extensions | undefined', doc })
  }
  return parameters
}

function fieldParameters(member: Field): Parameter[] {
  const name = jsName(member)
  if (member.struct) return [{ name, type: member.struct.type, doc: member.doc }]
  if (member.meaning !== 'opaque') return [{ name, type: 'number', doc: member.doc }]
  return [
    { name: `${name}Low`, type: 'number', doc: `Lower half of \`${name}\`.` },
    { name: `${name}High`, type: 'number', doc: `Upper half of \`${name}\`.` },
  ]
}

export function emitRequests(): string {
  const rows = operations.filter((row) => !row.sameRequest)
  const union = rows
    .map((row) => `  | ${requestClass(row)}${row.names ? '<string | Buffer>' : ''}`)
    .join('\n')
  return (
    preamble('One class for each kind of request, with the fields of its struct, names and payload.') +
    `import type { Extensions } from '../extensions.js'\n` +
    `import type { RequestContext } from '../request.js'\n` +
    `import { Request } from '../request.js'\n` +
    `import { bigOf } from '../wire.js'\n` +
    `import type { FileLock, ForgetOne, RemovemappingOne } from './replies.js'\n\n` +
    rows.map(emitClass).join('\n') +
    `\n/** Any request a decoder makes. */\nexport type AnyRequest =\n${union}\n`
  )
}

function emitClass(row: Operation): string {
  const parameters = parametersOf(row)
  const opaque = visible(row.in).filter((member) => member.meaning === 'opaque')
  const generic = row.names ? '<Name = string>' : ''
  const also = operations
    .filter((other) => other.sameRequest === row.name)
    .map((other) => ` and ${label(other)}`)
  const session = handlerOf(row) === null ? ' The session takes it.' : ''
  let text = comment('', [`${label(row)}${also.join('')}: ${row.sent}${session}`])
  text += `export class ${requestClass(row)}${generic} extends Request {\n`
  for (const { name, type, doc } of parameters) {
    text += comment('  ', [doc]) + `  declare readonly ${name}: ${type}\n`
  }
  if (parameters.length > 0) text += emitConstructor(parameters) + '\n'
  text += `  /** \`'${row.name}'\`. */\n  get operation(): '${row.name}' {\n    return '${row.name}'\n  }\n`
  for (const member of opaque) {
    const name = jsName(member)
    text += `\n${comment('  ', [member.doc])}  get ${name}(): bigint {\n    return bigOf(this.${name}Low, this.${name}High)\n  }\n`
  }
  for (const getter of row.getters ?? []) {
    const test = `(this.${getter.field} & ${flagValue(getter.flag)}) !== 0`
    text += `\n${comment('  ', [`${getter.doc} (${getter.flag})`])}  get ${getter.name}(): boolean {\n    return ${test}\n  }\n`
  }
  return `${text}}\n`
}

function emitConstructor(parameters: readonly Parameter[]): string {
  const header = ['context: RequestContext', 'unique: number', 'nodeid: number', 'uid: number', 'gid: number']
  header.push('pid: number', 'resent: boolean')
  const all = [...header, ...parameters.map(({ name, type }) => `${name}: ${type}`)]
  return (
    `\n  constructor(\n${all.map((one) => `    ${one},\n`).join('')}  ) {\n` +
    `    super(context, unique, nodeid, uid, gid, pid, resent)\n` +
    parameters.map(({ name }) => `    this.${name} = ${name}\n`).join('') +
    `  }\n`
  )
}

function label(row: Operation): string {
  return `${kernelName(row)} (${row.opcode})`
}
