// A SQLite database as files. Arguments: MNT and the database. Needs node:sqlite: Node 22.13, or 22.5 with --experimental-sqlite.
//   TABLE/schema.sql, TABLE/rows.csv   how the table was made, and all of it
//   TABLE/rows/ROWID.json              a row: writing one changes or makes the row, rm deletes it
import { mountFs } from 'devfuse/fs'
import type { PathFilesystem } from 'devfuse/fs'
import { change, csvOf, fail, jsonOf, quote, rowOf } from './sqlite-rows.js'
import type { Database, Row } from './sqlite-rows.js'

const SQLITE = 'node:sqlite'
const { DatabaseSync } = (await import(SQLITE).catch(() => {
  console.error(`Node ${process.version} has no node:sqlite; 22.13 and newer have`)
  process.exit(1)
})) as { DatabaseSync: new (path: string) => Database }
const database = new DatabaseSync(process.argv[3] ?? 'data.db')

/** Tables whose rows have a number, and whose names can be those of files. */
function tables(): string[] {
  const sql = `SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT wr`
  const names = database.prepare(sql).all()
  return names.map(({ name }) => String(name)).filter((name) => !/\/|^sqlite_/.test(name))
}

/** Files that were made and not written yet: a row cannot be empty. */
const drafts = new Set<string>()

/** What a path below the root names: a table, a part of it, or a row. */
function locate(path: string): { table: string; part?: string; rowid?: number } {
  const [, table, part, file, ...rest] = path.split('/')
  if (rest.length > 0 || !tables().includes(table)) fail('ENOENT')
  if (file === undefined) return { table, part }
  if (part !== 'rows' || !/^\d{1,15}\.json$/.test(file)) return { table, part: `${part}/${file}` }
  return { table, part, rowid: Number.parseInt(file, 10) }
}

function rowAt(table: string, rowid: number): Row | undefined {
  return database.prepare(`SELECT * FROM ${quote(table)} WHERE rowid = ?`).get(rowid)
}

const filesystem: PathFilesystem = {
  lstat(path) {
    if (path === '/') return { type: 'directory' }
    const { table, part, rowid } = locate(path)
    if (rowid !== undefined) {
      const row = rowAt(table, rowid)
      if (row !== undefined) return { type: 'file', size: Buffer.byteLength(jsonOf(row)) }
      return drafts.has(path) ? { type: 'file', size: 0 } : undefined
    }
    if (part === undefined || part === 'rows') return { type: 'directory' }
    return part === 'schema.sql' || part === 'rows.csv' ? { type: 'file', mode: 0o444 } : undefined
  },

  readdir(path) {
    if (path === '/') return tables()
    const { table, part } = locate(path)
    if (part === undefined) return ['schema.sql', 'rows.csv', 'rows']
    const rows = database.prepare(`SELECT rowid AS number FROM ${quote(table)}`).all()
    return rows.map(({ number }) => `${String(number)}.json`)
  },

  readFile(path) {
    const { table, part, rowid } = locate(path)
    if (part === 'rows.csv') return csvOf(database.prepare(`SELECT * FROM ${quote(table)}`).all())
    if (part === 'schema.sql') {
      const found = database.prepare('SELECT sql FROM sqlite_schema WHERE name = ?').get(table)
      return `${String(found?.['sql'])};\n`
    }
    const row = rowAt(table, rowid as number)
    return row === undefined ? '' : jsonOf(row)
  },

  writeFile(path, data) {
    const { table, rowid = fail('EACCES') } = locate(path)
    const there = rowAt(table, rowid) !== undefined
    if (data.length === 0 && !there) return drafts.add(path)
    const row = rowOf(data)
    // The name of the file wins over what a column of the same meaning says.
    const columns = [...Object.keys(row).map(quote), 'rowid']
    const sql = there
      ? `UPDATE ${quote(table)} SET ${columns.map((name) => `${name} = ?`).join()} WHERE rowid = ${rowid}`
      : `INSERT INTO ${quote(table)} (${columns.join()}) VALUES (${columns.map(() => '?').join()})`
    change(database, sql, ...Object.values(row), rowid)
    return drafts.delete(path)
  },

  unlink(path) {
    const { table, rowid = fail('EACCES') } = locate(path)
    if (!drafts.delete(path)) change(database, `DELETE FROM ${quote(table)} WHERE rowid = ${rowid}`)
  },
}

const session = await mountFs(filesystem, process.argv[2] ?? '/mnt')
console.log(`mounted on ${session.mountPoint}`)
await session.closed
