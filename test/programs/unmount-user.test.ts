// devfuse unmount and doctor as an ordinary user: through fusermount3, busy mounts included, and not for strangers.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmodSync, chownSync } from 'node:fs'
import { test } from 'node:test'
import { skipUsers } from '../support/mounting.js'
import { attempt, missing, run } from './command.js'
import { devfuse, minorOf, place, unfit } from './mounted.js'

const skip = missing('fusermount3', 'setpriv') || skipUsers || unfit()
const user = 65534
const stranger = 4242
const as = (id: number) => ['setpriv', `--reuid=${id}`, `--regid=${id}`, '--clear-groups', '--']
const limit = { timeout: 15_000 }

test('devfuse unmount as an ordinary user', { skip, timeout: 60_000 }, async (t) => {
  const here = place(t, 'unmount-user')
  chmodSync(here.directory, 0o755)
  for (const path of [here.src, here.mnt]) chownSync(path, user, user)
  const server = await here.mirror({ prefix: as(user) })
  const { mnt } = server

  const refused = await attempt([...as(stranger), ...devfuse, 'unmount', mnt], limit)
  assert.equal(refused.status, 1)
  assert.match(
    refused.stderr,
    /^devfuse: cannot unmount .*only root and the user who mounted it can unmount it/,
  )
  const forced = await attempt([...as(user), ...devfuse, 'unmount', '--force', mnt], limit)
  assert.equal(forced.status, 1)
  assert.match(forced.stderr, /only root can use --force/)
  assert.notEqual(minorOf(mnt), undefined)

  const sitting = spawn(
    as(user)[0],
    [...as(user).slice(1), 'sh', '-c', `cd ${mnt} && echo here && exec sleep 60`],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  t.after(() => sitting.kill('SIGKILL'))
  await new Promise((resolve) => sitting.stdout.once('data', resolve))
  const busy = await run([...as(user), ...devfuse, 'unmount', mnt], limit)
  assert.match(busy.stdout, /^detached .*because it was busy/)
  assert.match(busy.stdout, /\(sleep\): working directory/)
  assert.equal(minorOf(mnt), undefined)
  sitting.kill('SIGKILL')
  assert.ok(await server.ended(10_000), 'the server ends when the last user lets go')
})

test(
  'devfuse unmount as an ordinary user clears the mount of a dead server',
  { skip, timeout: 60_000 },
  async (t) => {
    const here = place(t, 'stale-user')
    chmodSync(here.directory, 0o755)
    for (const path of [here.src, here.mnt]) chownSync(path, user, user)
    const server = await here.mirror({ prefix: as(user) })
    server.kill('SIGKILL')
    assert.ok(await server.ended(5000))
    await run([...as(user), ...devfuse, 'unmount', server.mnt], limit)
    assert.equal(minorOf(server.mnt), undefined)
  },
)

test('devfuse doctor as an ordinary user', { skip, timeout: 60_000 }, async () => {
  const { stdout } = await run([...as(user), ...devfuse, 'doctor'], limit)
  assert.match(stdout, /^ok +mount +a throw-away filesystem was up/m)
  assert.match(stdout, /^warn +passthrough +the process lacks CAP_SYS_ADMIN/m)
})
