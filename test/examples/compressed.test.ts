// The example compressed against a real mount: an archive made of a directory, served by two threads, reads back as the directory.
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { run, sh, skip, temporary } from '../support/mounting.js'
import { built, example } from './example.js'

describe('examples/compressed', { skip, timeout: 100_000 }, () => {
  it('shows what was packed, byte for byte, whichever thread answers', async (t) => {
    const folder = temporary(t)
    const source = join(folder, 'source')
    mkdirSync(source)
    const line = 'the same line, again and again, which compresses well\n'
    for (let i = 0; i < 8; i++)
      writeFileSync(join(source, `text${i}`), line.repeat(10_000 + i) + randomBytes(i).toString('hex'))
    writeFileSync(join(source, 'random'), randomBytes(300_000))
    writeFileSync(join(source, 'empty'), '')
    const archive = join(folder, 'archive')
    const packing = await run(process.execPath, [built('compressed'), 'pack', source, archive])
    assert.equal(packing.code, 0, packing.stderr)
    const { mnt, output, stop } = await example(t, 'compressed', archive, '2', 'device')
    assert.match(output(), /served by 2 threads over device/)
    await sh(`diff -r ${source} ${mnt}`, { timeout: 60_000 })
    const parts = await sh(
      `cd ${mnt}; for i in 0 1 2 3; do tail -c 100 text$i & done; wait; tail -c +270000 random | wc -c`,
    )
    assert.match(parts, /again and again[^]*30001/)
    assert.notEqual((await run('cat', [join(mnt, 'missing')])).code, 0)
    await stop()
  })

  it('says what is wrong with an archive, and mounts nothing', async (t) => {
    const folder = temporary(t)
    writeFileSync(join(folder, 'archive'), 'no archive')
    const { code, stderr } = await run(process.execPath, [
      built('compressed'),
      folder,
      join(folder, 'archive'),
    ])
    assert.equal(code, 1)
    assert.match(stderr, /cut off|JSON|out of range/)
  })
})
