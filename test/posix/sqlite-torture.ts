// Tortures one SQLite database through the sqlite3 command: writers at the same time, a reader that must never see half a
// transaction, writers killed in the middle, VACUUM, and reads through a mapping. Ends with status 1 and a reason at the first lie.
//
//   node sqlite-torture.js DATABASE delete|truncate|persist|wal WRITERS TRANSACTIONS KILLS
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { existsSync, writeSync } from 'node:fs'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

const [database = '', mode = '', ...counts] = process.argv.slice(2)
const [writers, transactions, kills] = counts.map(Number)
const ACCOUNTS = 50
const BALANCE = 1000
/** Milliseconds that a statement waits for the locks of others. */
const PATIENCE = 120_000
const MAPPED = 256 * 2 ** 20

/** A sqlite3 on the database. Its output comes line by line, not when a buffer is full. */
class Sqlite {
  readonly lines: string[] = []
  readonly ended: Promise<void>
  readonly #child: ChildProcess
  #complaints = ''
  #more = new EventTarget()

  constructor(mappedBytes = 0) {
    this.#child = spawn('stdbuf', ['-oL', 'sqlite3', '-bail', '-batch', database], { stdio: 'pipe' })
    this.#child.stderr?.on('data', (text) => (this.#complaints += String(text)))
    this.#child.stdin?.on('error', () => undefined)
    const reader = createInterface({ input: this.#child.stdout ?? process.stdin })
    reader.on('line', (line) => {
      this.lines.push(line)
      this.#more.dispatchEvent(new Event('line'))
    })
    this.ended = once(this.#child, 'close').then(([status, signal]) => {
      this.#more.dispatchEvent(new Event('line'))
      if (signal === 'SIGKILL') return
      if (status !== 0) throw new Error(`sqlite3 ended with status ${status}: ${this.#complaints}`)
    })
    this.ended.catch(() => undefined)
    // The mode is the database's for WAL alone; of the others each connection has its own.
    this.write(`.timeout ${PATIENCE}\nPRAGMA mmap_size=${mappedBytes};\nPRAGMA journal_mode=${mode};\n`)
  }

  write(statements: string): void {
    this.#child.stdin?.write(statements)
  }

  /** Runs the statements, and answers with what they printed. */
  async finish(statements = ''): Promise<string[]> {
    this.#child.stdin?.end(`.print ----\n${statements}`)
    await this.ended
    return this.lines.slice(this.lines.indexOf('----') + 1)
  }

  /** Waits until so many transactions have been acknowledged. */
  async acknowledged(count: number): Promise<void> {
    while (this.acks < count) {
      await Promise.race([once(this.#more, 'line'), this.ended.then(() => this.#mustHave(count))])
    }
  }

  get acks(): number {
    return this.lines.filter((line) => line === 'committed').length
  }

  async kill(): Promise<void> {
    // stdbuf has become sqlite3 by exec: the id is that of the one that writes.
    this.#child.kill('SIGKILL')
    await this.ended
  }

  #mustHave(count: number): void {
    if (this.acks < count) throw new Error(`sqlite3 ended after ${this.acks} of ${count} transactions`)
  }
}

const query = (statements: string, mappedBytes = 0) => new Sqlite(mappedBytes).finish(statements)

function equal(what: string, actual: string, expected: string): void {
  if (actual !== expected) throw new Error(`${mode}: ${what}: ${actual}, not ${expected}`)
}

/** One transaction: counts up, moves money, writes pages. Every tenth is tried and taken back before. */
function transaction(index: number): string {
  const from = (index * 7) % ACCOUNTS
  const to = (index * 13 + 1) % ACCOUNTS
  const move = `
BEGIN IMMEDIATE;
UPDATE counter SET n = n + 1;
UPDATE account SET balance = balance - 1 WHERE id = ${from};
UPDATE account SET balance = balance + 1 WHERE id = ${to};
INSERT INTO log SELECT n, printf('%0${200 + ((index * 97) % 3000)}d', n) FROM counter;
`
  return `${index % 10 === 0 ? `${move}ROLLBACK;` : ''}${move}COMMIT;\n.print committed\n`
}

const CHECKS = `
PRAGMA integrity_check;
SELECT n FROM counter;
SELECT count(*) FROM log;
SELECT max(n) FROM log;
SELECT sum(balance) FROM account;
SELECT count(*) FROM log WHERE ltrim(filler, '0') <> CAST(n AS TEXT);
`

/** Is the database sound, and does everything in it agree? Answers with the counter. */
async function check(when: string): Promise<number> {
  const [integrity = '', counter = '', logged = '', newest = '', money = '', wrong = ''] = await query(CHECKS)
  equal(`integrity_check ${when}`, integrity, 'ok')
  equal(`rows of the log ${when}`, logged, counter)
  equal(`newest row of the log ${when}`, newest, counter)
  equal(`sum of the accounts ${when}`, money, String(ACCOUNTS * BALANCE))
  equal(`rows with wrong content ${when}`, wrong, '0')
  return Number(counter)
}

async function readWhile(working: Promise<unknown>): Promise<number> {
  let open = true
  let looks = 0
  const done = working.finally(() => (open = false))
  done.catch(() => undefined)
  while (open) {
    const seen = await query(`BEGIN;
SELECT (SELECT n FROM counter) - (SELECT count(*) FROM log);
SELECT sum(balance) FROM account;
COMMIT;`)
    equal('what a reader saw between two writers', seen.join(' '), `0 ${ACCOUNTS * BALANCE}`)
    looks++
  }
  await done
  return looks
}

async function write(count: number): Promise<void> {
  const writer = new Sqlite()
  for (let index = 1; index <= count; index++) writer.write(transaction(index))
  await writer.finish()
  equal('acknowledged transactions of a writer', String(writer.acks), String(count))
}

async function create(): Promise<void> {
  const [shown] = await query(`PRAGMA journal_mode;
CREATE TABLE counter(n INTEGER);
INSERT INTO counter VALUES (0);
CREATE TABLE log(n INTEGER PRIMARY KEY, filler TEXT);
CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER);
INSERT INTO account SELECT value, ${BALANCE} FROM generate_series(0, ${ACCOUNTS - 1});`)
  equal('journal_mode', shown, mode)
}

/** Kills a writer at its work beside another, which must go on; what was acknowledged must still be there. */
async function killOne(round: number, before: number): Promise<number> {
  const victim = new Sqlite()
  const other = new Sqlite()
  for (let index = 1; index <= 2000; index++) victim.write(transaction(index))
  await victim.acknowledged(3 + Math.floor(Math.random() * 20))
  other.write(transaction(1))
  await victim.kill()
  const more = 10
  for (let index = 2; index <= more; index++) other.write(transaction(index))
  await other.finish()
  const counter = await check(`after kill ${round}`)
  const promised = before + victim.acks + other.acks
  // The victim may have committed once more than it could say.
  if (other.acks !== more || counter < promised || counter > promised + 1) {
    throw new Error(
      `${mode}: kill ${round}: the counter is ${counter}, but ${promised} transactions were acknowledged`,
    )
  }
  return counter
}

async function main(): Promise<void> {
  await create()
  const looks = await readWhile(Promise.all(Array.from({ length: writers }, () => write(transactions))))
  let counter = await check('after the writers')
  equal('the counter', String(counter), String(writers * transactions))
  for (let round = 1; round <= kills; round++) counter = await killOne(round, counter)

  await query('DELETE FROM log WHERE n % 3 = 0; INSERT INTO log SELECT n * 3, n * 3 FROM counter;')
  const [before = ''] = await query('.sha3sum')
  const [vacuumed] = await query('VACUUM;\nPRAGMA integrity_check;')
  equal('integrity_check after VACUUM', vacuumed, 'ok')
  equal('contents after VACUUM', (await query('.sha3sum')).join(), before)
  equal('contents through a mapping', (await query('.sha3sum', MAPPED)).join(), before)
  if (!/^[0-9a-f]{56,}$/.test(before)) throw new Error(`.sha3sum answered ${before}`)

  const left = ['-journal', '-wal', '-shm'].filter((suffix) => existsSync(database + suffix))
  equal('files beside the database', left.join(), mode === 'truncate' || mode === 'persist' ? '-journal' : '')
  console.log(`${looks} looks of the reader`)
  writeSync(3, `${writers * transactions} transactions, ${kills} kills`)
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
})
