// Files made for others by several threads at once: each has the mode that its own umask leaves.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { makeFiles } from './umask-worker.js'
import type { Orders } from './umask-worker.js'

const COUNT = 3000
const skip = process.getuid?.() === 0 ? false : 'needs root'
const dir = mkdtempSync(join(tmpdir(), 'devfuse-umask-'))
after(() => rmSync(dir, { recursive: true }))

const maskIn = (status: string): string => /^Umask:\s+(\d+)/m.exec(status)![1]

test('threads do not get the umask of one another', { skip, timeout: 60_000 }, async () => {
  const before = maskIn(readFileSync('/proc/self/status', 'latin1'))
  const orders = (name: string, umask: number): Orders => ({
    prefix: join(dir, `${name}.`),
    umask,
    count: COUNT,
  })
  const workers = [orders('public', 0), orders('group', 0o027)].map(
    (workerData) => new Worker(new URL('./umask-worker.js', import.meta.url), { workerData }),
  )
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  for (const worker of workers) worker.postMessage('go')
  const ended = workers.map((worker) => once(worker, 'exit'))
  makeFiles(orders('private', 0o077))
  await Promise.all(ended)

  const found: Record<string, number> = {}
  for (const name of readdirSync(dir)) {
    const kind = `${name.split('.')[0]} ${(statSync(join(dir, name)).mode & 0o777).toString(8)}`
    found[kind] = (found[kind] ?? 0) + 1
  }
  assert.deepEqual(found, { 'private 600': COUNT, 'public 666': COUNT, 'group 640': COUNT })
  assert.equal(maskIn(readFileSync('/proc/self/status', 'latin1')), before)
  // Read by a thread of libuv's pool.
  assert.equal(maskIn(await readFile('/proc/thread-self/status', 'latin1')), before)
})
