// Busy polling where server and clients share one CPU: never for one client, which could not even ask meanwhile, but for a crowd.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { usableCpus } from '#dist/device/cpus.js'
import { run, skip } from '../support/mounting.js'
import { place, root, serve, serverSource } from '../support/server.js'

const onOneCpu = ['taskset', '-c', String(usableCpus()[0])]
// Asks without a pause for half a second.
const client = `
  import { statfsSync } from 'node:fs'
  for (const end = performance.now() + 500; performance.now() < end;) statfsSync(process.argv[1])`

interface Counters {
  requests: number
  spins: number
}

describe('busy polling on one CPU', { skip, timeout: 60_000 }, () => {
  it('waits for a crowd of clients and for no single one', async (t) => {
    const mnt = place(t)
    const source = serverSource(`mount(${JSON.stringify(mnt)}, filesystem, { control: true })`)
    const server = await serve(t, source, { prefix: onOneCpu })

    await clients(1, mnt)
    const single = await counters(mnt)
    assert.ok(single.requests > 1000, `${single.requests} requests`)
    assert.equal(single.spins, 0)

    await clients(6, mnt)
    const crowd = await counters(mnt)
    assert.ok(crowd.spins > 0, `${crowd.spins} spins in ${crowd.requests} requests`)

    server.child.kill('SIGTERM')
    await server.ended
  })
})

async function clients(count: number, mnt: string): Promise<void> {
  const command = [...onOneCpu, process.execPath, '--input-type=module', '-e', client, mnt]
  const all = Array.from({ length: count }, () => run(command[0], command.slice(1), { timeout: 30_000 }))
  for (const { code, stderr } of await Promise.all(all)) assert.equal(code, 0, stderr)
}

/** The counters of the transport that serves `mnt`. */
async function counters(mnt: string): Promise<Counters> {
  const { stdout } = await run(process.execPath, [join(root, 'dist/cli/main.js'), 'stats', mnt, '--json'])
  return (JSON.parse(stdout) as { device: Counters }).device
}
