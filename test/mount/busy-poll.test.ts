// Busy polling where server and clients share one CPU: never for one client, which could not even ask meanwhile, but for a crowd.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { usableCpus } from '#dist/device/cpus.js'
import { run, skip } from '../support/mounting.js'
import { place, serve, serverSource, until } from '../support/server.js'
import type { Server } from '../support/server.js'

const onOneCpu = ['taskset', '-c', String(usableCpus()[0])]
// Asks without a pause for half a second.
const client = `
  import { statfsSync } from 'node:fs'
  for (const end = performance.now() + 500; performance.now() < end;) statfsSync(process.argv[1])`

interface Asked {
  requests: number
  spins: number
}

describe('busy polling on one CPU', { skip, timeout: 60_000 }, () => {
  it('waits for a crowd of clients and for no single one', async (t) => {
    const mnt = place(t)
    const tell = `process.on('SIGUSR2', () => console.log(JSON.stringify(session.stats().device) + ' told'))`
    const source = serverSource(`mount(${JSON.stringify(mnt)}, filesystem)`, tell)
    const server = await serve(t, source, { prefix: onOneCpu })
    const told = asker(server)

    await clients(1, mnt)
    const single = await told()
    assert.ok(single.requests > 1000, `${single.requests} requests`)
    assert.equal(single.spins, 0)

    await clients(6, mnt)
    const crowd = await told()
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

/** Has the server tell the counters of its transport, again and again. */
function asker(server: Server): () => Promise<Asked> {
  let seen = server.output().length
  return async () => {
    server.child.kill('SIGUSR2')
    assert.ok(await until(() => server.output().slice(seen).includes('told'), 10_000), server.output())
    const text = server.output().slice(seen)
    seen = server.output().length
    return JSON.parse(text.slice(0, text.indexOf(' told'))) as Asked
  }
}
