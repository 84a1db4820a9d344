// An ordinary user mounts with fusermount3: it works without passthrough, says why, and keeps others out.
import assert from 'node:assert/strict'
import { chmodSync, chownSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { skipUsers } from '../support/mounting.js'
import { attempt, missing, run } from './command.js'
import { devfuse, minorOf, place, unfit } from './mounted.js'

const skip = missing('fusermount3', 'setpriv') || skipUsers || unfit()
const user = 65534
const stranger = 4242
const as = (id: number) => ['setpriv', `--reuid=${id}`, `--regid=${id}`, '--clear-groups', '--']

test('devfuse mirror as an ordinary user', { skip, timeout: 120_000 }, async (t) => {
  const here = place(t, 'user')
  chmodSync(here.directory, 0o755)
  writeFileSync(`${here.src}/file`, 'text\n')
  for (const path of [here.src, here.mnt, `${here.src}/file`]) chownSync(path, user, user)

  const server = await here.mirror({ prefix: as(user) })
  const { mnt } = server
  const own = (...command: string[]) => run([...as(user), ...command], { timeout: 10_000 })
  assert.equal((await own('cat', `${mnt}/file`)).stdout, 'text\n')
  await own(
    'sh',
    '-c',
    `echo more >> ${mnt}/file; mkdir ${mnt}/d; mv ${mnt}/file ${mnt}/d/file; chmod 600 ${mnt}/d/file`,
  )
  assert.equal((await own('cat', `${mnt}/d/file`)).stdout, 'text\nmore\n')
  assert.equal((await own('stat', '-c', '%u %a', `${mnt}/d/file`)).stdout, `${user} 600\n`)
  assert.match(server.output, /passthrough/i, 'says that passthrough is not possible')

  // Kernel: without allow_other even root is kept out.
  const others = { timeout: 10_000 }
  assert.notEqual((await attempt(['ls', mnt], others)).status, 0, 'root')
  assert.notEqual((await attempt([...as(stranger), 'ls', mnt], others)).status, 0, 'another user')

  const stats = await own(...devfuse, 'stats', mnt, '--json')
  assert.equal(typeof JSON.parse(stats.stdout), 'object')
  await own(...devfuse, 'unmount', mnt)
  assert.equal(minorOf(mnt), undefined)
  assert.ok(await server.ended(5000), 'the server ends after the unmount')
})
