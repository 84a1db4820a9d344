// Device clones against the real kernel: several threads serve one mount, interrupts find the thread that they are meant
// for, and everything ends together.
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, it } from 'node:test'
import { addWorkers, mount, serveClone } from 'devfuse'
import { openDevices } from '../support/descriptors.js'
import { mounted, run, sh, skip, takeDown, temporary } from '../support/mounting.js'
import filesystem from './shared-filesystem.js'

const module = new URL('./shared-filesystem.js', import.meta.url)
const inline = (text: string): URL => new URL(`data:text/javascript,${text}`)
const off = { passthrough: 'off', transport: 'device' } as const

describe('device clones', { skip, timeout: 120_000 }, () => {
  it('let two workers and the first thread answer 16 clients', async (t) => {
    const before = openDevices()
    const { session, mnt } = await mounted(t, filesystem, off)
    const workers = await addWorkers(session, module, 2)
    assert.equal(openDevices(), before + 3)
    const program = `n=0; while [ $n -lt 100 ]; do head -c 16 ${mnt}/f$1; n=$((n+1)); done`
    const outputs = await Promise.all(
      Array.from({ length: 16 }, (_, i) => run('sh', ['-ec', program, 'client', String(i)])),
    )
    const counts = new Map<string, number>()
    for (const { code, stdout, stderr } of outputs) {
      assert.equal(code, 0, stderr)
      for (const thread of stdout.match(/\d+/g) ?? []) counts.set(thread, (counts.get(thread) ?? 0) + 1)
    }
    t.diagnostic(`reads by thread: ${[...counts].map(([thread, count]) => `${thread}: ${count}`).join(', ')}`)
    for (const { threadId } of workers)
      assert.ok((counts.get(String(threadId)) ?? 0) > 0, `worker ${threadId}`)
    assert.equal(
      [...counts.values()].reduce((sum, count) => sum + count, 0),
      1600,
    )
    const ends = workers.map((worker) => new Promise((done) => worker.once('exit', done)))
    await session.unmount()
    assert.deepEqual(await Promise.all(ends), [0, 0])
    assert.equal(openDevices(), before)
  })

  it('bring an interrupt to the thread that has its request', async (t) => {
    const { session, mnt, warnings } = await mounted(t, filesystem, off)
    await addWorkers(session, module, 2)
    // Which thread reads a request, and which its INTERRUPT, is chance: enough of them meet every combination.
    const started = performance.now()
    const callers = await Promise.all(
      Array.from({ length: 60 }, () => run('timeout', ['-s', 'KILL', '1', 'cat', `${mnt}/slow`])),
    )
    for (const { code } of callers) assert.notEqual(code, 0)
    t.diagnostic(`60 callers gone after ${Math.round(performance.now() - started)} ms`)
    await delay(200)
    assert.equal(session.stats().inFlight, 0)
    const after = await run('head', ['-c', '16', `${mnt}/f`])
    assert.match(after.stdout, /\d/, `${after.stderr}${warnings.join()}`)
  })

  it('end with a mount that is busy', async (t) => {
    const { session, mnt } = await mounted(t, filesystem, off)
    const workers = await addWorkers(session, module, 1)
    const ended = new Promise((done) => workers[0]?.once('exit', done))
    const busy = run('sh', ['-c', `exec 3< ${mnt}/f; echo open; sleep 2; head -c 16 <&3`])
    await delay(500)
    await takeDown(session)
    assert.equal(await ended, 0)
    assert.match((await busy).stderr, /not connected|aborted/)
  })

  it('survive the end of one thread', async (t) => {
    const { session, mnt, warnings } = await mounted(t, filesystem, off)
    const [first, second] = await addWorkers(session, module, 2)
    assert.ok(first !== undefined && second !== undefined)
    assert.equal(session.stats().threads, 3)
    await first.terminate()
    assert.equal(session.stats().threads, 2)
    for (let i = 0; i < 20; i++) assert.match(await sh(`head -c 16 ${mnt}/f`), /\d/)
    assert.deepEqual(warnings, [])
  })

  it('can be served in the thread that mounted, and given up', async (t) => {
    const { session, mnt } = await mounted(t, filesystem, off)
    const served = serveClone(session.clone(), filesystem)
    assert.equal(served.mountPoint, mnt)
    assert.equal(served.negotiation.minor, session.negotiation.minor)
    await sh(`stat -f ${mnt}; cat ${mnt}/f | head -c 16`)
    assert.ok(served.fd >= 0 && served.fd !== session.fd)
    assert.equal(session.stats().threads, 2)
    await served.close()
    assert.equal(served.fd, -1)
    for (let i = 0; i < 300 && session.stats().threads > 1; i++) await delay(10)
    assert.equal(session.stats().threads, 1)
    assert.match(await sh(`head -c 16 ${mnt}/f`), /\d/)
  })

  it('retrieve cached data whichever thread gets the answer', async (t) => {
    const cached = filesystem
    const { session, mnt } = await mounted(t, { ...cached, open: () => ({}) }, off)
    await addWorkers(session, module, 2)
    await sh(`stat ${mnt}/f`)
    assert.equal(await session.notify.store(2, 0, Buffer.alloc(8192, 'x')), true)
    for (let i = 0; i < 100; i++) {
      const back = await session.notify.retrieve(2, 0, 8192)
      assert.equal(back.byteLength, 8192)
      assert.ok(back.every((byte) => byte === 120))
    }
  })

  it('are refused where threads would get in each other’s way', async (t) => {
    const { session } = await mounted(t, { ...filesystem, shareable: false }, off)
    assert.throws(() => session.clone(), { code: 'ERR_DEVFUSE_OPTION', message: /shareable: true/ })
    const passing = await mounted(t, filesystem, { passthrough: 'auto', transport: 'device' })
    if (passing.session.negotiation.agreed.has('FUSE_PASSTHROUGH')) {
      assert.throws(() => passing.session.clone(), { message: /passthrough: 'off'/ })
    }
    const ended = await mount(temporary(t), filesystem, off)
    await ended.unmount()
    assert.throws(() => ended.clone(), { code: 'ENODEV', message: /the session has ended/ })
  })

  it('say what is wrong with a worker’s module', async (t) => {
    const before = openDevices()
    const { session, mnt } = await mounted(t, filesystem, off)
    await assert.rejects(addWorkers(session, inline('export default {}'), 1), /shareable/)
    await assert.rejects(addWorkers(session, new URL('file:///nonexistent.js'), 1), /nonexistent/)
    await assert.rejects(addWorkers(session, inline('process.exit(4)'), 1), /exit code 4/)
    const failing = 'export default { shareable: true, init() { throw new Error("no luck") } }'
    await assert.rejects(addWorkers(session, inline(failing), 1), /no luck/)
    const staying = 'setInterval(() => undefined, 1000); export default {}'
    await assert.rejects(addWorkers(session, inline(staying), 1), /shareable/)
    const uncloneable = { workerData: () => 1 }
    await assert.rejects(addWorkers(session, inline(''), 1, uncloneable), /workerData.*copied/)
    for (const count of [-1, Number.NaN, 'auto' as never])
      await assert.rejects(addWorkers(session, inline(''), count), /how many threads/)
    assert.equal(session.stats().threads, 1)
    const clone = session.clone()
    const hapless = { shareable: true, init: () => assert.fail('no luck') }
    assert.throws(() => serveClone(clone, hapless), /no luck/)
    // The thread's own copy goes with the thread.
    for (let i = 0; i < 300 && openDevices() > before + 1; i++) await delay(10)
    assert.equal(openDevices(), before + 1)
    assert.match(await sh(`head -c 16 ${mnt}/f`), /\d/)
  })
})
