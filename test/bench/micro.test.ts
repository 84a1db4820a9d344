// The micro-benchmark runs over every operation of the table. How fast it finds them is not looked at here.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { operationsByName } from 'devfuse/protocol'

const micro = fileURLToPath(new URL('../../bench/micro.js', import.meta.url))
const young = ['--min-semi-space-size=64', '--max-semi-space-size=64']
const run = promisify(execFile)

interface Row {
  operation: string
  ns: number
  bytes: number
}

test('every operation is measured, or its line says why not', { timeout: 120_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'micro-'))
  try {
    const file = join(folder, 'figures.json')
    const args = ['--expose-gc', ...young, micro, '--quick', '--json', file]
    const { stdout } = await run(process.execPath, args, { timeout: 110_000 })
    const { rows }: { rows: Row[] } = JSON.parse(await readFile(file, 'utf8'))
    for (const name of Object.keys(operationsByName)) {
      const own = rows.filter(({ operation }) => operation === name)
      if (own.length === 0) assert.match(stdout, new RegExp(`^${name}: not measured, `, 'm'))
      for (const { ns, bytes } of own) assert.ok(Number.isFinite(ns) && bytes > 0, name)
    }
    assert.match(stdout, /^getattr +\d/m)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

test('without what it takes to count bytes, it says how to start it', { timeout: 60_000 }, async () => {
  await assert.rejects(run(process.execPath, [micro, '--quick'], { timeout: 50_000 }), /npm run bench:micro/)
})
