// Emits generated/filesystem.ts: the interface an author implements, with what the table knows of each method.

import { operations } from '../../src/protocol/operations.js'
import type { Operation, ReplyKind } from '../../src/protocol/schema.js'
import { comment, handlerOf, kernelName, preamble, requestClass, unwrap } from './tables.js'

const HEAD = `import type { Dirents, FdData, IoctlReply, Reply } from '../reply.js'
import type * as replies from './replies.js'
import type * as requests from './requests.js'

/**
 * A filesystem: one optional method for each operation. A method gets one request object and returns the answer, a
 * negative errno, or a promise of either. A thrown error with an \`errno\` or \`code\` that Linux knows becomes that errno,
 * anything else EIO. \`Name\` is the type of names: string, or Buffer with \`encoding: 'buffer'\`.
 */
export interface Filesystem<Name = string> {
`

export function emitFilesystem(): string {
  const rows = operations.filter((row) => handlerOf(row) === row.name)
  return preamble('The interface of a filesystem.') + HEAD + rows.map(emitMethod).join('\n') + '}\n'
}

function emitMethod(row: Operation): string {
  const shared = operations.filter((other) => other !== row && handlerOf(other) === row.name)
  const names = [row, ...shared].map((one) => `${kernelName(one)} (${one.opcode})`).join(', ')
  const argument = row.argument
    ? `replies.${row.argument}`
    : `requests.${requestClass(row)}${row.names ? '<Name>' : ''}`
  return (
    comment('  ', [`${names}. ${row.sent}`, ...paragraphs(row, shared), `@see ${row.see}`]) +
    `  ${row.name}?(request: ${argument}): ${replyType(row)}\n`
  )
}

function paragraphs(row: Operation, shared: readonly Operation[]): string[] {
  const list = [`Answer: ${row.answer}`]
  for (const one of shared) list.push(`As ${kernelName(one)}: ${one.sent}`)
  for (const one of [row, ...shared]) {
    if (one.enosys)
      list.push(`ENOSYS${one === row ? '' : ` to ${kernelName(one)}`}: ${lowerFirst(one.enosys)}`)
  }
  list.push(`Without this method: ${absence(row)}`)
  return list
}

/** What the library does without the method. */
export function absence(row: Operation): string {
  if (row.absent !== 0) return `${row.absent} is answered.`
  if (row.reply === 'none') return 'nothing happens.'
  if (row.reply === 'struct') return 'the defaults are answered, such as handle 0 and no flags.'
  return 'success.'
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}

/** Types of the answers that are not the object of a struct. */
const special: Partial<Record<ReplyKind, string>> = {
  none: 'void',
  empty: 'Reply<void>',
  create: 'Reply<replies.CreateReply>',
  number: 'Reply<number>',
  data: 'Reply<Uint8Array | FdData>',
  string: 'Reply<string | Uint8Array>',
  xattr: 'Reply<Uint8Array | string | number>',
  dirents: `Reply<Dirents<'dirent'>>`,
  direntplus: `Reply<Dirents<'direntplus'>>`,
  ioctl: 'Reply<number | IoctlReply>',
}

function replyType(row: Operation): string {
  if (row.name === 'listxattr') return 'Reply<readonly Name[] | Uint8Array | number>'
  const known = special[row.reply]
  if (known) return known
  if (!row.out) throw new Error(`${row.name}: no reply struct`)
  const { type } = unwrap(row.out)
  return row.negative ? `Reply<replies.${type} | replies.NegativeEntry>` : `Reply<replies.${type}>`
}
