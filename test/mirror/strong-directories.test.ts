// cache: 'strong' and directories: what is told of their names must not take them from those who are in them.
import { strict as assert } from 'node:assert'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { cleanup } from '../support/mounting.js'
import { Mirrored } from './mounted.js'
import { skipStrong } from './strong-support.js'

test(
  'a directory that was just made stays where it is, for whoever works in it',
  { skip: skipStrong, timeout: 90_000 },
  async (t) => {
    const mirrored = await Mirrored.start({ cache: 'strong' })
    cleanup(t, () => mirrored.stop())
    const { src, mnt } = mirrored
    // A working directory whose name is taken back has none any more, and what is mounted on it is gone.
    const script = `
  const { chmodSync, mkdirSync } = require('node:fs')
  const [src, mnt] = process.argv.slice(1)
  const lost = []
  for (let i = 0; i < 30; i++) {
    const name = '/made' + i
    mkdirSync((i % 2 === 0 ? mnt : src) + name)
    if (i % 2 === 0) chmodSync(mnt + name, 0o700)
    process.chdir(mnt + name)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
    try { process.cwd() } catch { lost.push(name) }
  }
  console.log(lost.join())`
    const lost = execFileSync(process.execPath, ['-e', script, src, mnt], { timeout: 60_000 })
    assert.equal(String(lost).trim(), '')
  },
)
