// cache: 'strong' in a storm: the source changes behind the mount while readers check that nothing stale is seen for long, and that
// nothing stays stale, even when the server could not follow (FAN_Q_OVERFLOW).
//
//   STRONG_CHANGES=100000 STRONG_BOUND=100 node scripts/test.mjs strong-storm     the long run, with the real bound
import { strict as assert } from 'node:assert'
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { Mirrored } from './mounted.js'
import { DIRS, LOG_BYTES, NAMES, NAME_WORDS } from './strong-storm-layout.js'
import type { StormData } from './strong-storm-worker.js'
import { skipStrong } from './strong-support.js'

const CHANGES = Number(process.env['STRONG_CHANGES'] ?? 3000)
/** Milliseconds. By default far more than promised, because a busy machine may not even run the server for 100 ms. */
const BOUND = Number(process.env['STRONG_BOUND'] ?? 3000)
const SEED = Number(process.env['STRONG_SEED'] ?? Date.now() % 1_000_000)
const READERS = 2
/** Words before the server's command: where the machine is busy, `chrt -r 10` lets it run when it has to. */
const PREFIX = process.env['STRONG_PREFIX']?.split(' ') ?? []

/** Everything that lstat(2) and the listings say, in one text. */
function snapshot(root: string): string {
  const format = '%P %y %m %s %n %T@ %C@ %l\\n'
  return execFileSync('find', [root, '-printf', format], {
    encoding: 'utf8',
    timeout: 60_000,
    maxBuffer: 1 << 28,
  })
    .split('\n')
    .toSorted()
    .join('\n')
}

async function becomesTrue(mirrored: Mirrored, patience: number): Promise<void> {
  const end = Date.now() + patience
  for (;;) {
    const [seen, wanted] = [snapshot(mirrored.mnt), snapshot(mirrored.src)]
    if (seen === wanted) return
    if (Date.now() > end) assert.equal(seen, wanted)
    await sleep(20)
  }
}

for (const passthrough of ['auto', 'off'] as const) {
  const name = `${CHANGES} changes with passthrough ${passthrough}, seed ${SEED}`
  test(name, { skip: skipStrong, timeout: 1_800_000 }, async (context) => {
    const mirrored = await Mirrored.start(
      { cache: 'strong', passthrough },
      { lifetime: 1800, prefix: PREFIX },
    )
    try {
      const log = new SharedArrayBuffer(LOG_BYTES)
      for (let dir = 0; dir < DIRS; dir++) fs.mkdirSync(join(mirrored.src, `d${dir}`))
      // Every name begins with the state of not being there.
      const words = new BigInt64Array(log)
      for (let i = 0; i < DIRS * NAMES; i++) words[i * NAME_WORDS] = 1n
      const start = (role: StormData['role'], seed: number) => {
        const { src, mnt } = mirrored
        const workerData: StormData = { role, seed, src, mnt, changes: CHANGES, bound: BOUND, log }
        const worker = new Worker(join(import.meta.dirname, 'strong-storm-worker.js'), { workerData })
        return new Promise<{ looks: number; worst: number; stale: unknown[] }>((resolve, reject) => {
          worker.once('message', resolve)
          worker.once('error', reject)
        })
      }
      const readers = Array.from({ length: READERS }, (_, i) => start('reader', SEED + 1 + i))
      await start('writer', SEED)
      const results = await Promise.all(readers)
      for (const { looks, worst, stale } of results) {
        context.diagnostic(`${looks} looks, at worst ${worst.toFixed(1)} ms late`)
        assert.deepEqual(stale, [])
        assert.ok(looks > 0)
      }
      await becomesTrue(mirrored, BOUND)
      const { watching, warnings } = await mirrored.known()
      context.diagnostic(JSON.stringify(watching))
      assert.equal(watching!.overflows, 0)
      assert.deepEqual(warnings, [])
    } finally {
      await mirrored.stop()
    }
  })
}

describe('events are lost', { skip: skipStrong }, () => {
  test('while the server cannot run: it says so, nothing stays stale, and it recovers', async (context) => {
    const limit = Number(fs.readFileSync('/proc/sys/fs/fanotify/max_queued_events', 'latin1'))
    if (limit > 200_000) return context.skip(`the queue holds ${limit} events`)
    const mirrored = await Mirrored.start({ cache: 'strong' })
    const { src, mnt } = mirrored
    try {
      for (let i = 0; i < 200; i++) {
        fs.mkdirSync(join(src, `d${i}`))
        for (const name of ['a', 'b', 'c']) fs.writeFileSync(join(src, `d${i}/${name}`), 'old')
      }
      await becomesTrue(mirrored, 5000)
      for (let i = 0; i < 200; i++) assert.equal(fs.existsSync(join(mnt, `d${i}/none`)), false)
      const open = fs.openSync(join(mnt, 'd7/a'), 'r')
      assert.equal(fs.fstatSync(open).size, 3)
      const { pid } = await mirrored.known()
      process.kill(pid, 'SIGSTOP')
      try {
        for (let i = 0; i < limit + 1000; i++) fs.writeFileSync(join(src, `d0/new${i % 500}-${i}`), '')
        for (let i = 0; i < 200; i++) {
          fs.unlinkSync(join(src, `d${i}/b`))
          fs.appendFileSync(join(src, `d${i}/a`), 'er')
          fs.chmodSync(join(src, `d${i}/c`), 0o604)
          fs.writeFileSync(join(src, `d${i}/none`), 'there')
        }
      } finally {
        process.kill(pid, 'SIGCONT')
      }
      await becomesTrue(mirrored, 30_000)
      assert.equal(fs.fstatSync(open).size, 5)
      fs.closeSync(open)
      for (let i = 0; i < 200; i++) assert.equal(fs.readFileSync(join(mnt, `d${i}/none`), 'latin1'), 'there')
      let { watching, warnings } = await mirrored.known()
      assert.ok(watching!.overflows > 0)
      assert.equal(warnings.length, 1)
      assert.match(warnings[0], /events were lost \(FAN_Q_OVERFLOW\).*may be a second old/)
      for (let tries = 0; watching!.state !== 'on' && tries < 200; tries++) {
        await sleep(100)
        ;({ watching } = await mirrored.known())
      }
      assert.equal(watching!.state, 'on')
      // Strong again: what is cached now lasts, and what changes is seen.
      await sleep(1200)
      fs.statSync(join(mnt, 'd3/c'))
      await sleep(1200)
      const asked = async () => {
        const { LOOKUP, GETATTR } = (await mirrored.known()).operations
        return [LOOKUP.count, GETATTR.count]
      }
      const before = await asked()
      fs.statSync(join(mnt, 'd3/c'))
      assert.deepEqual(await asked(), before)
      fs.unlinkSync(join(src, 'd3/c'))
      await becomesTrue(mirrored, 5000)
    } finally {
      await mirrored.stop()
    }
  })
})
