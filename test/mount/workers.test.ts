// The option `workers`: one mount served by several threads, over the device and over io_uring, where each thread has the
// requests of its own CPUs.
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { mount } from 'devfuse'
import type { ModuleOptions, Session, WorkerSession } from 'devfuse'
import { usableCpus } from '#dist/device/cpus.js'
import { abortMount, cleanup, compiled, run, sh, skip, temporary } from '../support/mounting.js'
import { isMounted } from '../support/program.js'
import { noRing, turnRingOn } from '../support/ring.js'
import type { Data } from './workers-module.js'

const module = new URL('./workers-module.js', import.meta.url)
const cpus = usableCpus()
const one = cpus.length < 2 ? 'needs two CPUs' : false

interface Served {
  mnt: string
  session: Session | WorkerSession
  warnings: string[]
}

async function served(t: TestContext, data: Data, options: ModuleOptions): Promise<Served> {
  const mnt = temporary(t)
  const warnings: string[] = []
  const onWarning = (problem: Error): void => void warnings.push(problem.message)
  const session = await mount(mnt, module, { transport: 'device', onWarning, data, ...options })
  cleanup(t, async () => {
    const abort = setTimeout(() => abortMount(mnt), 10_000)
    await session.shutdown()
    clearTimeout(abort)
  })
  return { mnt, session, warnings }
}

/** The threads that answer `calls` times `threads` statfs(2) calls. */
async function who(mnt: string, calls: number, threads: number, cpu?: number): Promise<string[]> {
  const where = cpu === undefined ? [] : [String(cpu)]
  const { code, stdout, stderr } = await run(
    compiled('test/mount/who.c'),
    [mnt, `${calls}`, `${threads}`, ...where],
    { timeout: 30_000 },
  )
  assert.equal(code, 0, stderr)
  return stdout.trim().split('\n')
}

/** Threads of this process that are kept on these CPUs. */
const keptOn = (list: string): number =>
  readdirSync('/proc/self/task').filter((tid) => {
    try {
      return readFileSync(`/proc/self/task/${tid}/status`, 'latin1').includes(`Cpus_allowed_list:\t${list}\n`)
    } catch {
      return false
    }
  }).length

describe('workers', { skip, timeout: 120_000 }, () => {
  it('tell of a problem once, whichever thread has it', async (t) => {
    const made = new Int32Array(new SharedArrayBuffer(4))
    const { mnt, session, warnings } = await served(t, { made }, { workers: 3 })
    const calls = 60
    await sh(`for i in $(seq ${calls}); do stat ${mnt}/throw 2>/dev/null & done; wait`)
    await session.unmount()
    assert.ok(warnings.length >= 3, `${warnings.length} warnings`)
    const told = (index: number): number =>
      warnings.filter((text) => text.includes(`thrown by ${index}`)).length
    assert.equal(told(0) + told(1) + told(2), calls)
  })

  it('answer together over the device, counted together, and end with the mount', async (t) => {
    const { mnt, session, warnings } = await served(t, { busy: 1 }, { workers: 3 })
    assert.equal((await who(mnt, 40, 8)).length, 3)
    const { threads } = await session.stats()
    assert.equal(threads, 3)
    const counted = async () => (await session.stats()).operations['STATFS'] ?? { count: 0, p50: 0 }
    // Kernel: the caller goes on as soon as it has its answer, and the thread that gave it counts after that.
    for (let i = 0; i < 100 && (await counted()).count < 320; i++) await sleep(10)
    const { count, p50 } = await counted()
    assert.equal(count, 320)
    assert.ok(p50 >= 1000, `p50 of all threads: ${p50} us`)
    await session.unmount()
    assert.deepEqual(await session.closed, { reason: 'unmount', errno: 0 })
    assert.deepEqual(warnings, [])
  })

  it('answer together with the thread that mounts, where that serves', async (t) => {
    const { mnt, session } = await served(t, { busy: 1 }, { workers: 2, worker: false })
    const threads = await who(mnt, 40, 4)
    assert.ok(threads.includes('0') && threads.length === 2, threads.join())
    await session.unmount()
  })

  it('hold to the access list, every one of them', async (t) => {
    const { mnt } = await served(t, { busy: 1 }, { workers: 2, access: 'rootAndOwner' })
    assert.equal((await who(mnt, 20, 4)).length, 2)
    const asUser = await Promise.all(
      Array.from({ length: 12 }, () => run('stat', ['-f', mnt], { uid: 1234, gid: 1234 })),
    )
    for (const { stderr } of asUser) assert.match(stderr, /Permission denied/)
  })

  it('are one for each CPU with `auto`, and one by default', async (t) => {
    const { session } = await served(t, {}, { workers: 'auto' })
    assert.equal((await session.stats()).threads, cpus.length)
    const alone = await served(t, { shareable: false }, {})
    assert.equal((await alone.session.stats()).threads, 1)
  })

  it('are refused where they cannot be, with nothing mounted', async (t) => {
    const mnt = temporary(t)
    const refused = (options: ModuleOptions, message: RegExp, data: Data = {}): Promise<void> =>
      assert.rejects(mount(mnt, module, { data, ...options }), { code: 'ERR_DEVFUSE_OPTION', message })
    for (const workers of [0, 1.5, 257, -1, Number.NaN, 'many' as 'auto', '2' as 'auto'])
      await refused({ workers }, /`workers` must be an integer from 1 to 256 or 'auto', not/)
    await refused({ workers: 2, pinWorkers: 1 as unknown as boolean }, /`pinWorkers` must be true or false/)
    await refused({ workers: 2 }, /shareable: true/, { shareable: false })
    await refused({ workers: 2, passthrough: 'on' }, /one thread only/)
    await refused({ workers: 2, transferList: [new ArrayBuffer(1)] }, /`transferList` goes with one worker/)
    await refused({ workers: 2, worker: false, data: () => 1 }, /`data` cannot be copied/)
    const object = mount(mnt, { shareable: true }, { workers: 2 } as object)
    await assert.rejects(object, { code: 'ERR_DEVFUSE_OPTION', message: /`workers` is for a module/ })
    const passed = mount('/dev/fd/9', module, { workers: 2, worker: false })
    await assert.rejects(passed, { message: /use addWorkers/ })
    assert.equal(isMounted(mnt), false)
  })

  it('say which thread’s module failed, and leave nothing mounted', async (t) => {
    const mnt = temporary(t)
    for (const fails of [0, 1]) {
      const made = new Int32Array(new SharedArrayBuffer(4))
      const failing = mount(mnt, module, { data: { made, fails }, workers: 2, transport: 'device' })
      await assert.rejects(failing, new RegExp(`thread ${fails} has no luck`))
      assert.equal(isMounted(mnt), false)
    }
  })

  it('go on without one that dies, over the device', async (t) => {
    const made = new Int32Array(new SharedArrayBuffer(4))
    const { mnt } = await served(t, { busy: 1, made, dies: 2 }, { workers: 3 })
    const { code, stderr } = await run(compiled('test/mount/who.c'), [mnt, '100', '8'])
    assert.equal(code, 1)
    assert.match(stderr, /abort/)
    assert.equal((await who(mnt, 20, 8)).length, 2)
  })
})

describe('workers over io_uring', { skip: noRing || one, timeout: 120_000 }, () => {
  const ring = { transport: 'ring', workers: 2 } as const

  it('have the requests of their own CPUs, and stay on them', async (t) => {
    await turnRingOn(t)
    const { mnt, session } = await served(t, {}, ring)
    const { threads, transport, device } = await session.stats()
    assert.deepEqual([threads, transport], [2, 'ring'])
    assert.ok((device['ringQueues'] ?? 0) >= 1)
    const first = await who(mnt, 200, 2, cpus[0])
    const last = await who(mnt, 200, 2, cpus.at(-1))
    assert.equal(first.length, 1)
    assert.equal(last.length, 1)
    assert.notEqual(first[0], last[0])
    assert.equal((await session.stats()).operations['STATFS']?.count, 800)
    if (cpus.length === 2) for (const cpu of cpus) assert.equal(keptOn(`${cpu}`), 1)
    await session.unmount()
    assert.deepEqual(await session.closed, { reason: 'unmount', errno: 0 })
  })

  it('let the calling thread go at the end, and do not hide its CPUs meanwhile', async (t) => {
    await turnRingOn(t)
    const script = `
    import { mkdtempSync, rmdirSync } from 'node:fs'
    import { availableParallelism } from 'node:os'
    import { mount } from 'devfuse'
    const options = { transport: 'ring', workers: 2, worker: false }
    const places = [1, 2].map(() => mkdtempSync('/tmp/devfuse-pinned-'))
    const module = new URL('./build/test/mount/workers-module.js', 'file://' + process.cwd() + '/')
    const sessions = []
    for (const mnt of places) sessions.push(await mount(mnt, module, options))
    const meanwhile = availableParallelism()
    for (const session of sessions) await session.unmount()
    console.log(meanwhile, availableParallelism())
    for (const mnt of places) rmdirSync(mnt)`
    const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '-e', script], {
      timeout: 60_000,
    })
    assert.equal(stdout, `${Math.floor(cpus.length / 2)} ${cpus.length}\n`, stderr)
  })

  it('stay where they like without pinWorkers', async (t) => {
    await turnRingOn(t)
    const { mnt } = await served(t, {}, { ...ring, pinWorkers: false })
    assert.notDeepEqual(await who(mnt, 20, 1, cpus[0]), await who(mnt, 20, 1, cpus.at(-1)))
    for (const cpu of cpus) assert.equal(keptOn(`${cpu}`), 0)
  })

  it('let interrupted callers of every CPU go, though one thread alone hears of it', async (t) => {
    await turnRingOn(t)
    const { mnt, session, warnings } = await served(t, {}, ring)
    const callers = await Promise.all(
      cpus.flatMap((cpu) =>
        [1, 2, 3].map(() =>
          run('taskset', ['-c', `${cpu}`, 'timeout', '-s', 'KILL', '1', 'cat', `${mnt}/slow`]),
        ),
      ),
    )
    for (const { code } of callers) assert.notEqual(code, 0)
    assert.equal((await who(mnt, 20, 2)).length <= 2, true)
    assert.deepEqual(warnings, [])
    await session.unmount()
  })

  it('let a reader through while more callers of each CPU wait than there are entries', async (t) => {
    await turnRingOn(t)
    const { mnt, session } = await served(t, {}, { ...ring, ringDepth: 2 })
    const waiting = cpus.flatMap((cpu) =>
      Array.from({ length: 10 }, () =>
        run('taskset', ['-c', `${cpu}`, 'timeout', '-s', 'KILL', '10', 'cat', `${mnt}/slow`]),
      ),
    )
    for (let read = 0; read < 10; await new Promise((done) => setTimeout(done, 50)))
      read = (await session.stats()).operations['OPEN']?.count ?? 0
    for (const cpu of cpus) assert.equal((await who(mnt, 20, 2, cpu)).length, 1)
    await session.unmount({ lazy: true })
    abortMount(mnt)
    await session.shutdown()
    await Promise.all(waiting)
  })

  it('end the mount when one of them dies, because nobody else has its CPUs', async (t) => {
    await turnRingOn(t)
    const { mnt, session, warnings } = await served(t, {}, ring)
    const [cpu] = cpus.slice(-1)
    assert.equal((await who(mnt, 5, 1, cpu)).length, 1)
    await run('timeout', ['-s', 'KILL', '20', 'taskset', '-c', `${cpu}`, 'stat', `${mnt}/die`])
    const { reason } = await session.closed
    assert.ok(reason === 'aborted' || reason === 'error', reason)
    assert.ok(
      warnings.some((text) => /is gone/.test(text)),
      warnings.join(),
    )
    assert.equal(isMounted(mnt), false)
    await sh(`stat ${mnt}`)
  })

  it('are one for each CPU at the most, and `auto` takes the device for more', async (t) => {
    await turnRingOn(t)
    const workers = cpus.length + 1
    const refused = mount(temporary(t), module, { transport: 'ring', workers })
    await assert.rejects(refused, { code: 'ERR_DEVFUSE_OPTION', message: /as many at the most/ })
    const more = await served(t, {}, { transport: 'auto', workers })
    const stats = await more.session.stats()
    assert.equal(stats.transport, 'device')
    assert.match(stats.transportReason, /one thread for each CPU/)
    const fewer = await served(t, {}, { transport: 'auto', workers: 2 })
    assert.equal((await fewer.session.stats()).transport, 'ring')
  })
})
