// The example sqlite against a real mount, with a Node that has node:sqlite: this one, or one of `npm run test:nodes`.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { run, sh, skip, temporary } from '../support/mounting.js'
import { root } from '../support/server.js'
import { built, exampleWith } from './example.js'

const has = (node: string): boolean =>
  existsSync(node) && spawnSync(node, ['-e', `require('node:sqlite')`], { timeout: 20_000 }).status === 0
const candidates = [
  process.execPath,
  ...['24', '26', '22'].map((line) => join(root, `build/nodes/node_modules/node${line}/bin/node`)),
]
const node = candidates.find(has)

describe('examples/sqlite', { timeout: 60_000 }, () => {
  it(
    'says what it needs where Node lacks it',
    { skip: has(process.execPath) && 'this Node has node:sqlite' },
    async (t) => {
      const { code, stderr } = await run(process.execPath, [built('sqlite'), temporary(t)])
      assert.equal(code, 1)
      assert.match(stderr, /has no node:sqlite; 22\.13 and newer have/)
    },
  )

  it(
    'shows tables and rows, and changes them',
    {
      skip: skip || (node === undefined && 'no Node at hand has node:sqlite: run `npm run test:nodes` once'),
    },
    async (t) => {
      const file = join(temporary(t), 'data.db')
      const sql = (statements: string) =>
        `const db = new (require('node:sqlite').DatabaseSync)('${file}'); ${statements}`
      const query = async (statements: string): Promise<string> => {
        const { code, stdout, stderr } = await run(node as string, ['-e', sql(statements)])
        assert.equal(code, 0, stderr)
        return stdout
      }
      await query(`db.exec("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INT CHECK (age > 0), photo BLOB)")
      db.exec("CREATE TABLE \\"odd \\"\\" name\\" (a)"); db.exec("CREATE TABLE hidden (k PRIMARY KEY) WITHOUT ROWID")
      db.prepare("INSERT INTO people VALUES (7, 'Ann, \\"A\\"', 30, x'00ff')").run()`)
      const { mnt } = await exampleWith(t, { node }, 'sqlite', file)
      assert.equal(await sh(`ls ${mnt}`), 'odd " name\npeople\n')
      assert.equal(
        await sh(`cd ${mnt}/people; ls . rows`),
        '.:\nrows\nrows.csv\nschema.sql\n\nrows:\n7.json\n',
      )
      assert.match(await sh(`cat ${mnt}/people/schema.sql`), /^CREATE TABLE people \(.*\);\n$/)
      assert.equal(await sh(`cat ${mnt}/people/rows.csv`), 'id,name,age,photo\n7,"Ann, ""A""",30,AP8=\n')
      assert.deepEqual(JSON.parse(await sh(`cat ${mnt}/people/rows/7.json`)), {
        id: 7,
        name: 'Ann, "A"',
        age: 30,
        'photo:base64': 'AP8=',
      })

      await sh(`cd ${mnt}/people/rows
      changed=$(sed s/30/31/ 7.json) && echo "$changed" > 7.json
      echo '{ "name": "Bob", "age": 5, "photo:base64": "AQI=" }' > 9.json
      echo '{ "name": "Eve" }' > 10.json && rm 10.json && touch 11.json && rm 11.json`)
      const all = `console.log(JSON.stringify(db.prepare('SELECT *, hex(photo) photo FROM people').all()))`
      assert.deepEqual(JSON.parse(await query(all)), [
        { id: 7, name: 'Ann, "A"', age: 31, photo: '00FF' },
        { id: 9, name: 'Bob', age: 5, photo: '0102' },
      ])
      for (const content of [
        '{ "name": 1, "nope": 2 }',
        '{ "age": -1 }',
        '{}',
        '[]',
        'no json',
        '{ "name": { "a": 1 } }',
      ]) {
        const { stderr } = await run('sh', ['-c', `echo '${content}' > ${mnt}/people/rows/12.json`])
        // Closing reports it, which the shell does not look at: the row is not there.
        assert.equal(stderr, '', content)
        await sh(`rm -f ${mnt}/people/rows/12.json`)
      }
      assert.match(
        (await run('cp', [`${mnt}/people/schema.sql`, `${mnt}/people/rows/13.json`])).stderr,
        /Invalid argument/,
      )
      assert.match((await run('touch', [`${mnt}/people/rows/x`])).stderr, /denied/)
      assert.equal((JSON.parse(await query(all)) as unknown[]).length, 2)
    },
  )
})
