// A hundred mounts and unmounts in one process leave nothing behind: no descriptor, no thread, no memory, no connection.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { missing, run } from './command.js'
import { minorOf, place, unfit } from './mounted.js'
import type { Held } from './remounter.js'
import { makeTree } from './tree.js'

const skip = missing('find', 'sync') || unfit()

test('100 mounts and unmounts in a row leak nothing', { skip, timeout: 300_000 }, async (t) => {
  const here = place(t, 'leaks')
  makeTree(here.src, { directories: 5, filesEach: 10 })
  // V8 grows its young generation for as long as a program runs; kept small, what grows is ours.
  const flags = ['--expose-gc', '--max-semi-space-size=1']
  const program = [process.execPath, ...flags, join(import.meta.dirname, 'remounter.js')]
  // The first rounds fill what stays for good: compiled code, pools, the heap's slack.
  const { stdout, stderr } = await run([...program, here.src, here.mnt, '60', '100'], { timeout: 240_000 })
  const { before, after }: { before: Held; after: Held } = JSON.parse(stdout)
  t.diagnostic(`resident ${before.residentKiB} -> ${after.residentKiB} KiB, threads ${after.threads}`)
  assert.equal(stderr, '')
  assert.equal(after.descriptors.length, before.descriptors.length)
  assert.equal(after.threads, before.threads)
  assert.ok(
    after.residentKiB - before.residentKiB < 10 * 1024,
    `${before.residentKiB} -> ${after.residentKiB} KiB`,
  )
  assert.equal(minorOf(here.mnt), undefined)
})
