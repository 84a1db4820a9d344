// The contract for node:vfs, served by a Node that has it (26, behind a flag).
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, it } from 'node:test'
import { cleanup, skip, temporary } from '../support/mounting.js'
import { runCases, runPrograms } from './clients.js'

/** Where `npm run test:nodes` installs Node 26. */
const installed = join(import.meta.dirname, '../../nodes/node_modules/node26/bin/node')

const candidates = [process.env.NODE_VFS ?? installed, process.execPath]

const node = candidates.find(
  (one) =>
    spawnSync(one, ['--experimental-vfs', '-e', "require('node:vfs')"], { timeout: 10_000 }).status === 0,
)

const reason =
  skip ||
  (node === undefined
    ? 'needs Node 26 for node:vfs: `npm run test:nodes` installs it, or NODE_VFS is its path'
    : false)

describe('node:vfs', { skip: reason, concurrency: false }, () => {
  for (const kind of ['filesystem', 'provider']) {
    it(kind, { timeout: 60_000 }, async (t) => {
      const dir = temporary(t)
      for (const one of ['mnt', 'src']) mkdirSync(join(dir, one))
      const server = join(import.meta.dirname, 'vfs-server.js')
      const child = spawn(
        'timeout',
        ['-s', 'KILL', '50', node!, '--experimental-vfs', '--no-warnings', server, join(dir, 'mnt'), kind],
        { stdio: ['pipe', 'pipe', 'inherit'] },
      )
      const ended = new Promise((resolve) => child.once('exit', resolve))
      cleanup(t, () => {
        child.stdin.end()
        return ended
      })
      const { value } = await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()
      assert.equal(value, 'ready')
      await runCases(t, join(dir, 'mnt'))
      await runPrograms(t, join(dir, 'mnt'), join(dir, 'src'))
    })
  }
})
