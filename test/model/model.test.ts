// Random sequences of operations, applied to a native directory, to mirrors of one and to the memory filesystem: results,
// errors, attributes and contents are the same. A sequence that shows a difference is made shorter until it can't be, and printed.
//
// MODEL_SEQUENCES: how many (default 200). MODEL_SEED: the seed, to repeat a run.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import * as fc from 'fast-check'
import { Mirrored, temporary } from '../mirror/mounted.js'
import { MountedMemory } from '../memory/mounted.js'
import { run, skip } from '../support/mounting.js'
import { become, sequences } from './operations.js'
import type { Operation } from './operations.js'
import { World } from './world.js'

const count = Number(process.env.MODEL_SEQUENCES ?? 200)
const seed = Number(process.env.MODEL_SEED ?? Date.now() % 2 ** 31)
/** Seconds that servers may live: a sequence takes some 20 ms on a busy machine. */
const lifetime = 100 + Math.ceil(count / 10)

interface Place {
  name: string
  root: string
}

const places: Place[] = []
const stops: (() => Promise<unknown>)[] = []
let made = 0

before(async () => {
  if (skip !== false) return
  const native = temporary()
  places.push({ name: 'native', root: native })
  stops.push(() => run('rm', ['-rf', native]))
  for (const passthrough of ['auto', 'off'] as const) {
    const mirrored = await Mirrored.start({ passthrough }, { lifetime })
    places.push({ name: `mirror, passthrough ${passthrough}`, root: mirrored.mnt })
    stops.push(() => mirrored.stop())
  }
  const memory = await MountedMemory.start({ lifetime }, '--size', '1G')
  places.push({ name: 'memory', root: memory.mnt })
  stops.push(() => memory.stop())
})
after(async () => {
  become(0)
  for (const stop of stops) await stop()
})

/** What each operation answered, and what there is at the end. */
function apply(operations: Operation[], root: string): unknown[] {
  const world = new World(root)
  const answers: unknown[] = []
  const umask = process.umask(0o027)
  try {
    for (const operation of operations) answers.push(operation.run(world))
  } finally {
    process.umask(umask)
    become(0)
  }
  answers.push(world.all())
  world.remove()
  return answers
}

/** The script up to the first difference, with what each place said there. */
function difference(operations: Operation[], answers: unknown[][]): string | undefined {
  const [native] = answers
  for (let index = 0; index < native.length; index++) {
    const here = answers.map((one) => JSON.stringify(one[index], null, 1))
    if (here.every((one) => one === here[0])) continue
    const script = operations
      .slice(0, index + 1)
      .map(({ line }, at) => `  ${line} -> ${JSON.stringify(native[at])}`)
    const what = index < operations.length ? 'the last call answered' : 'at the end there is'
    return `${script.join('\n')}\n${places.map(({ name }, at) => `${what}, ${name}: ${here[at]}`).join('\n')}`
  }
  return undefined
}

test('native, mirror and memory agree', { skip, timeout: lifetime * 1000 }, (t) => {
  const property = fc.property(sequences, (operations) => {
    const directory = `sequence-${made++}`
    const answers = places.map(({ root }) => apply(operations, join(root, directory)))
    const found = difference(operations, answers)
    if (found !== undefined) throw new Error(found)
  })
  const result = fc.check(property, { seed, numRuns: count, includeErrorInReport: false })
  t.diagnostic(`${result.numRuns} sequences, seed ${seed}`)
  const said = result.errorInstance instanceof Error ? result.errorInstance.message : ''
  assert.equal(
    result.failed,
    false,
    `after ${result.numRuns} sequences with MODEL_SEED=${seed}, made shorter ${result.numShrinks} times:\n${said}`,
  )
})
