// Emits generated/notifications.ts: the messages a server sends of its own accord.

import { notifications } from '../../src/protocol/notifications.js'
import type { Notification } from '../../src/protocol/schema.js'
import { layoutOf, pascalCase, upperCase } from '../../src/protocol/schema.js'
import { comment, jsName, preamble, visible } from './tables.js'

const HEADER = 16

export function emitNotifications(): string {
  const kinds = notifications.map(({ name }) => `  | '${name}'`).join('\n')
  const facts = notifications.map(
    ({ name, code, since }) => `  ${name}: { code: ${code}, since: ${since} },\n`,
  )
  return (
    preamble('What the server tells the kernel unasked, as bytes.') +
    `import { nameBytes, setAny, setNumber, outHeader } from '../wire.js'\n\n` +
    `/** Name of a notification. */\nexport type NotificationName =\n${kinds}\n\n` +
    `/** Code of each notification, and the minor protocol version that brought it. */\n` +
    `export const notifications: Readonly<Record<NotificationName, { readonly code: number; readonly since: number }>> = {\n` +
    `${facts.join('')}}\n` +
    notifications.map((row) => `\n${emitNotification(row)}`).join('')
  )
}

function emitNotification(row: Notification): string {
  const type = `Notify${pascalCase(row.name)}`
  const members = visible(row.out).filter(
    (member) => member.c !== row.nameLength && member.c !== row.list?.count,
  )
  let text = ''
  if (row.out) {
    text += comment('', [`Fields of FUSE_NOTIFY_${upperCase(row.name)}.`]) + `export interface ${type} {\n`
    for (const member of members) {
      const optional = member.fallback === undefined ? '' : '?'
      const kind = member.meaning === 'opaque' ? 'number | bigint' : 'number'
      text += `${comment('  ', [member.doc])}  ${jsName(member)}${optional}: ${kind}\n`
    }
    if (row.nameLength)
      text += '  /** The name: a string (sent as UTF-8) or its bytes. */\n  name: string | Uint8Array\n'
    if (row.list) text += `  /** The inodes. */\n  ${row.list.js}: readonly number[]\n`
    text += '}\n\n'
  }
  const tail = row.payload
    ? ` \`${row.payload.size}\` bytes of ${row.payload.js} must follow: they are counted in the header, not written here.`
    : ''
  text += comment('', [
    `FUSE_NOTIFY_${upperCase(row.name)} (${row.code}, since 7.${row.since}). ${row.doc}`,
    `Writes the whole message and returns its length.${tail}`,
  ])
  text += `export function encode${type}(view: DataView, at: number${row.out ? `, value: ${type}` : ''}): number {\n`
  return `${text}${emitBody(row)}}\n`
}

function emitBody(row: Notification): string {
  if (!row.out) return `  outHeader(view, at, ${HEADER}, ${row.code}, 0)\n  return ${HEADER}\n`
  const { size, members } = layoutOf(row.out)
  const head = HEADER + size
  let text = ''
  if (row.nameLength) text += '  const name = nameBytes(value.name)\n'
  for (const { field: member, offset, size: bytes } of members) {
    const at = `at + ${HEADER + offset}`
    if (member.c === row.nameLength) text += `  view.setUint32(${at}, name.length, true)\n`
    else if (member.c === row.list?.count)
      text += `  view.setUint32(${at}, value.${row.list.js}.length, true)\n`
    else if (member.js === null)
      text += bytes === 8 ? `  setNumber(view, ${at}, 0)\n` : `  view.setUint32(${at}, 0, true)\n`
    else {
      const value = `value.${member.js}${member.fallback === undefined ? '' : ` ?? ${member.fallback}`}`
      if (member.type === 'u32') text += `  view.setUint32(${at}, ${value}, true)\n`
      else text += `  ${member.meaning === 'opaque' ? 'setAny' : 'setNumber'}(view, ${at}, ${value})\n`
    }
  }
  let length = String(head)
  if (row.nameLength) {
    text += `  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)\n`
    text += `  bytes.set(name, at + ${head})\n  bytes[at + ${head} + name.length] = 0\n`
    length = `${head} + name.length + 1`
  }
  if (row.list) {
    text += `  for (let index = 0; index < value.${row.list.js}.length; index++) {\n`
    text += `    setNumber(view, at + ${head} + 8 * index, value.${row.list.js}[index])\n  }\n`
    length = `${head} + 8 * value.${row.list.js}.length`
  }
  const total = row.payload ? `${head} + value.${row.payload.size}` : 'length'
  return `${text}  const length = ${length}\n  outHeader(view, at, ${total}, ${row.code}, 0)\n  return length\n`
}
