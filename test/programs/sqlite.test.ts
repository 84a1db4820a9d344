// SQLite through a mirror: two processes write one database at the same time, in WAL and in rollback mode.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { missing, run } from './command.js'
import { place, unfit } from './mounted.js'

const skip = missing('sqlite3') || unfit()
const transactions = 200

for (const journal of ['wal', 'delete']) {
  test(`sqlite3, two writers, journal_mode=${journal}`, { skip, timeout: 300_000 }, async (t) => {
    const here = place(t, 'sqlite')
    const { mnt } = await here.mirror()
    const database = `${mnt}/test.db`
    const sqlite = async (script: string) =>
      (
        await run(['sqlite3', '-bail', database], { input: `.timeout 60000\n${script}`, timeout: 200_000 })
      ).stdout.trim()

    const schema =
      'CREATE TABLE counter(n INTEGER); INSERT INTO counter VALUES(0); CREATE TABLE log(who TEXT, n INTEGER);'
    assert.equal(await sqlite(`PRAGMA journal_mode=${journal};\n${schema}`), journal)
    const writer = (who: string) => {
      const step = `BEGIN IMMEDIATE; UPDATE counter SET n = n + 1; INSERT INTO log SELECT '${who}', n FROM counter; COMMIT;`
      return sqlite(`${step}\n`.repeat(transactions))
    }
    await Promise.all([writer('a'), writer('b')])

    assert.equal(await sqlite('PRAGMA integrity_check;'), 'ok')
    assert.equal(await sqlite('SELECT n FROM counter;'), String(2 * transactions))
    const logged = await sqlite('SELECT who, count(*) FROM log GROUP BY who ORDER BY who;')
    assert.equal(logged, `a|${transactions}\nb|${transactions}`)
    assert.equal(await sqlite('SELECT count(DISTINCT n) FROM log;'), String(2 * transactions))
  })
}
