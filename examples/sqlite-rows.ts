// Rows of a table as text, for sqlite.ts: JSON to read and write, with bytes in base64, and CSV to read.
export type Value = string | number | null | Uint8Array
export type Row = Record<string, Value>

/** What the example uses of node:sqlite; older type definitions do not know it. */
export interface Database {
  prepare(sql: string): { all(...values: Value[]): Row[]; get(...values: Value[]): Row | undefined }
}

export function fail(code: string): never {
  throw Object.assign(new Error(code), { code })
}

export const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`

const BASE64 = ':base64'

export function jsonOf(row: Row): string {
  const shown = Object.entries(row).map(([key, value]) =>
    value instanceof Uint8Array ? [key + BASE64, Buffer.from(value).toString('base64')] : [key, value],
  )
  return `${JSON.stringify(Object.fromEntries(shown), null, 2)}\n`
}

export function rowOf(json: Uint8Array): Row {
  let parsed: unknown
  try {
    parsed = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json))
  } catch {
    fail('EINVAL')
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) fail('EINVAL')
  const fields = Object.entries(parsed as Record<string, unknown>).map(([key, value]): [string, unknown] => {
    if (key.endsWith(BASE64)) return [key.slice(0, -BASE64.length), Buffer.from(String(value), 'base64')]
    return [key, typeof value === 'boolean' ? Number(value) : value]
  })
  if (
    fields.some(([, value]) => typeof value === 'object' && value !== null && !(value instanceof Uint8Array))
  )
    fail('EINVAL')
  return Object.fromEntries(fields) as Row
}

export function csvOf(rows: Row[]): string {
  const cell = (value: Value | undefined): string => {
    const text = value instanceof Uint8Array ? Buffer.from(value).toString('base64') : String(value ?? '')
    return /[",\r\n]/.test(text) ? quote(text) : text
  }
  return [Object.keys(rows[0] ?? {}), ...rows.map((row) => Object.values(row))]
    .map((row) => `${row.map(cell).join(',')}\n`)
    .join('')
}

const ERRNOS: Record<number, string> = { 5: 'EBUSY', 6: 'EBUSY', 8: 'EROFS', 13: 'ENOSPC' }

/** Runs a statement; what SQLite refuses (a column that is not there, a constraint) is EINVAL to whoever wrote the file. */
export function change(database: Database, sql: string, ...values: Value[]): void {
  try {
    database.prepare(sql).all(...values)
  } catch (error) {
    fail(ERRNOS[((error as { errcode?: number }).errcode ?? 0) & 0xff] ?? 'EINVAL')
  }
}
