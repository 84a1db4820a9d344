// Mounts served by a worker thread: what would be a deadlock otherwise just works, and the mount ends with whichever thread
// ends. Each program is a child process.
import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, it } from 'node:test'
import { MountError, OptionError, WorkerSession, mount } from 'devfuse'
import type { Data } from '../support/mirror-module.js'
import { cleanup, run, skip, temporary } from '../support/mounting.js'
import { isMounted, moduleUrl, places, result, start } from '../support/program.js'
import type { Place } from '../support/program.js'

const module = moduleUrl('support/mirror-module.js')

const emptyModule = new URL('data:text/javascript,export default {}')

/** What a mirror asks of the session that serves it. */
const options = { encoding: 'latin1', passthrough: 'off', prefer: ['FUSE_ATOMIC_O_TRUNC'] } as const

/** The beginning of a program: mounts a mirror of the place's source in a worker thread. */
const mounting = ({ mnt, source }: Place): string => `
  const mnt = ${JSON.stringify(mnt)}
  const data = { source: ${JSON.stringify(source)} }
  const options = { data, onWarning, ...${JSON.stringify(options)} }
  const session = await mount(mnt, new URL(${JSON.stringify(module)}), options)
`
const finish = `
  await session.unmount()
  print({ ...found, warnings, closed: await session.closed })
`
const ok = { warnings: [], closed: { reason: 'unmount', errno: 0 } }

describe('a mount served by a worker', { skip, timeout: 120_000 }, () => {
  it('answers sync calls, child processes and programs of the thread that mounted it', async (t) => {
    const place = places(t)
    const found = await result(
      t,
      `${mounting(place)}
      const found = { read: fs.readFileSync(mnt + '/file', 'utf8'), names: fs.readdirSync(mnt).sort() }
      fs.writeFileSync(mnt + '/new', 'text')
      found.size = fs.statSync(mnt + '/new').size
      found.cat = execFileSync('cat', [mnt + '/file'], { encoding: 'utf8' })
      found.tool = execFileSync(mnt + '/tool', { encoding: 'utf8' })
      const child = spawn('cat', ['file'], { cwd: mnt, stdio: ['ignore', 'pipe', 'inherit'] })
      found.spawned = String(await once(child.stdout, 'data'))
      if (child.exitCode === null) await once(child, 'exit')
      ${finish}`,
    )
    assert.deepEqual(found, {
      ...{
        read: 'hello\n',
        names: ['file', 'tool'],
        size: 4,
        cat: 'hello\n',
        tool: 'ran\n',
        spawned: 'hello\n',
      },
      ...ok,
    })
    assert.equal(isMounted(place.mnt), false)
  })

  it('lets fs.rm remove 500 entries with one thread in the pool of libuv', async (t) => {
    const place = places(t)
    const tree = join(place.source, 'tree')
    for (let i = 0; i < 10; i++) {
      mkdirSync(join(tree, `${i}`), { recursive: true })
      for (let k = 0; k < 50; k++) writeFileSync(join(tree, `${i}`, `${k}`), '')
    }
    const found = await result(
      t,
      `${mounting(place)}
      await fs.promises.rm(mnt + '/tree', { recursive: true })
      const found = {}
      ${finish}`,
      { env: { UV_THREADPOOL_SIZE: '1' } },
    )
    assert.deepEqual(found, ok)
    assert.deepEqual(readdirSync(place.source).toSorted(), ['file', 'tool'])
  })

  it('goes on while the main thread is busy', async (t) => {
    const place = places(t)
    const running = start(
      t,
      `${mounting(place)}
      print('ready')
      const end = performance.now() + 3000
      while (performance.now() < end);
      print('idle')
      const found = {}
      ${finish}`,
    )
    await running.prints('ready')
    for (let i = 0; i < 5; i++) {
      const { stdout } = await run('cat', [join(place.mnt, 'file')], { timeout: 5000 })
      assert.equal(stdout, 'hello\n')
    }
    assert.doesNotMatch(running.output(), /idle/)
    assert.deepEqual((await running.ended).result, ok)
  })

  const ends: [string, string, number | NodeJS.Signals, RegExp?][] = [
    ['process.exit()', 'process.exit(7)', 7],
    ['an exception in the main thread', "throw new Error('thrown here')", 1, /thrown here/],
    ['SIGTERM', "process.kill(process.pid, 'SIGTERM'); await delay(5000)", 'SIGTERM'],
    ['SIGINT', "process.kill(process.pid, 'SIGINT'); await delay(5000)", 'SIGINT'],
    ['SIGHUP', "process.kill(process.pid, 'SIGHUP'); await delay(5000)", 'SIGHUP'],
    ['SIGKILL', "process.kill(process.pid, 'SIGKILL')", 'SIGKILL'],
  ]
  for (const [what, code, end, said] of ends) {
    it(`ends with ${what}`, async (t) => {
      const place = places(t)
      const running = start(t, `${mounting(place)} fs.readdirSync(mnt); ${code}`)
      const ended = await running.ended
      assert.equal(ended.signal ?? ended.code, end, ended.stderr)
      if (said !== undefined) assert.match(ended.stderr, said)
      // Kernel: a process that is killed leaves a dead mount behind, whose connection has ended.
      if (end === 'SIGKILL') assert.match((await run('ls', [place.mnt])).stderr, /not connected/)
      else assert.equal(isMounted(place.mnt), false)
    })
  }

  it('ends with the worker, and session.closed tells', async (t) => {
    for (const how of ['session.worker.terminate()', "session.worker.postMessage('throw')"]) {
      const place = places(t)
      const crashing = moduleUrl('mount/crashing-module.js')
      const found = (await result(
        t,
        `const session = await mount(${JSON.stringify(place.mnt)}, new URL(${JSON.stringify(crashing)}), { onWarning })
        void ${how}
        print({ closed: await session.closed, warnings })`,
      )) as { closed: unknown; warnings: string[] }
      assert.deepEqual(found.closed, { reason: 'error', errno: -103 })
      assert.match(found.warnings.join(), /^ERR_DEVFUSE_WORKER: the worker thread that served .* is gone/)
      assert.equal(isMounted(place.mnt), false)
    }
  })

  it('ends as well where onWarning throws', async (t) => {
    const mnt = temporary(t)
    const throwing = (): never => {
      throw new Error('not today')
    }
    const heard: Error[] = []
    const hear = (problem: Error): void => void heard.push(problem)
    process.on('warning', hear)
    t.after(() => process.off('warning', hear))
    const session = await mount(mnt, emptyModule, { onWarning: throwing })
    await session.worker.terminate()
    assert.deepEqual(await session.closed, { reason: 'error', errno: -103 })
    await delay(10)
    assert.match(String(heard), /the onWarning option threw: Error: not today/)
    assert.equal(isMounted(mnt), false)
  })

  it('that died before its word of the mount was heard has failed', async (t) => {
    const mnt = temporary(t)
    const source = 'setTimeout(() => process.exit(3), 400); export default {}'
    const dying = new URL(`data:text/javascript,${encodeURIComponent(source)}`)
    const promised = mount(mnt, dying)
    // Nothing is heard meanwhile.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2000)
    const ended = await promised.then(
      (session) => session.closed,
      (error: Error) => error.message,
    )
    if (typeof ended === 'string') assert.match(ended, /exit code 3 before it had mounted/)
    else assert.equal(ended.reason, 'error')
    assert.equal(isMounted(mnt), false)
  })

  it('that hangs is ended by force', async (t) => {
    const place = places(t)
    const crashing = moduleUrl('mount/crashing-module.js')
    const found = (await result(
      t,
      `const session = await mount(${JSON.stringify(place.mnt)}, new URL(${JSON.stringify(crashing)}), { onWarning })
      session.worker.postMessage('hang')
      await delay(100)
      await session.shutdown()
      print({ closed: await session.closed, warnings })`,
    )) as { warnings: string[] }
    assert.match(found.warnings.join(), /does not answer: it is terminated/)
    assert.equal(isMounted(place.mnt), false)
  })

  it('tells of counters, limits and notifications, and refuses a busy unmount', async (t) => {
    const { mnt, source } = places(t)
    const session = await mount(mnt, new URL(module), { data: { source } satisfies Data, ...options })
    cleanup(t, () => session.shutdown())
    assert.ok(session instanceof WorkerSession)
    assert.equal(session.mountPoint, mnt)
    assert.ok(session.negotiation.agreed.has('FUSE_BIG_WRITES'))
    const cat = await run('sh', ['-c', `cd ${mnt} && cat file && sleep 1`])
    assert.equal(cat.stdout, 'hello\n')
    assert.ok(((await session.stats()).operations['READ']?.count ?? 0) > 0)
    assert.equal(await session.notify.invalInode(1), true)
    assert.equal(await session.notify.invalEntry(1, 'nothing there'), false)
    const busy = run('sh', ['-c', `cd ${mnt} && sleep 1`])
    await delay(300)
    await assert.rejects(session.unmount(), { code: 'EBUSY', errno: -16, syscall: 'umount2' })
    await busy
    await session.unmount()
    assert.deepEqual(await session.closed, { reason: 'unmount', errno: 0 })
    await assert.rejects(session.stats(), { code: 'ECONNABORTED', errno: -103 })
    await session.unmount()
    await session.shutdown()
  })

  it('passes on what went wrong', async (t) => {
    const { mnt, source } = places(t)
    const url = new URL(module)
    const missing = join(source, 'missing')
    await assert.rejects(mount(missing, url, { data: { source } }), (error: MountError) => {
      assert.ok(error instanceof MountError)
      assert.deepEqual([error.code, error.errno, error.syscall], ['ENOENT', -2, 'stat'])
      return true
    })
    await assert.rejects(mount(mnt, url, { data: { source: missing } }), /missing/)
    await assert.rejects(mount(mnt, new URL('nowhere.js', url)), { code: 'ERR_MODULE_NOT_FOUND' })
    await assert.rejects(mount(mnt, url, { data: () => 1 }), {
      code: 'ERR_DEVFUSE_OPTION',
      message: /`data`/,
    })
    const none = new URL('data:text/javascript,export const filesystem = {}')
    await assert.rejects(mount(mnt, none), (error: Error) => {
      assert.ok(error instanceof OptionError)
      assert.match(error.message, /the default export of data:.* is missing/)
      return true
    })
    await assert.rejects(mount(mnt, new URL('data:text/javascript,export default () => 5')), /made a number/)
    await assert.rejects(mount(mnt, new URL('data:text/javascript,process.exit(3)')), /exit code 3/)
    for (const worker of [true, false]) {
      for (const [code, message] of [
        ['throw null', /the module data:.* threw null$/],
        ['throw { reason: "no config" }', /threw \{ reason: 'no config' \}$/],
        ['export default () => Promise.reject(undefined)', /threw undefined$/],
      ] as const) {
        const throwing = new URL(`data:text/javascript,${encodeURIComponent(code)}`)
        await assert.rejects(mount(mnt, throwing, { worker }), message)
      }
    }
    await assert.rejects(mount(mnt, new URL('data:text/javascript,export default {}'), { maxWrite: 1 }), {
      code: 'ERR_DEVFUSE_OPTION',
    })
    assert.equal(isMounted(mnt), false)
  })

  it('says what to do where functions would have to cross threads', async (t) => {
    const mnt = temporary(t)
    const worker = { worker: true } as object
    await assert.rejects(mount(mnt, {}, worker), {
      code: 'ERR_DEVFUSE_OPTION',
      message: /functions cannot be copied: put the filesystem into a module .* new URL/,
    })
    await assert.rejects(mount(mnt, './fs.js' as unknown as object), /"\.\/fs\.js"; write new URL/)
    await assert.rejects(mount(mnt, {}, { data: 1 } as object), /`data` is for a module/)
  })

  const strips = process.features as { typescript?: unknown }
  it(
    'says what a TypeScript module needs',
    { skip: strips.typescript ? 'Node runs it' : false },
    async (t) => {
      const { mnt, source } = places(t)
      writeFileSync(join(source, 'fs.ts'), 'export default {}')
      await assert.rejects(mount(mnt, new URL(`file://${source}/fs.ts`)), {
        code: 'ERR_DEVFUSE_OPTION',
        message: /TypeScript needs Node 22.18 or newer, or a loader/,
      })
    },
  )

  it('takes the module first, a class, or `worker: false`', async (t) => {
    const { mnt } = places(t)
    const code =
      'export default class { constructor(ino) { this.ino = ino }; getattr() { return { attr: attr(this.ino) } } }'
    const attr =
      ';const attr = (ino) => ({ ino, size: 0, blocks: 0, mode: 0o40755, nlink: 1, uid: 0, gid: 0, atime: 0, mtime: 0, ctime: 0 })'
    const url = new URL(`data:text/javascript,${encodeURIComponent(code + attr)}`)
    for (const worker of [true, false]) {
      const session = worker
        ? await mount(url, mnt, { data: 77 })
        : await mount(url, mnt, { data: 77, worker: false })
      cleanup(t, () => session.shutdown())
      assert.equal(session instanceof WorkerSession, worker)
      assert.equal((await run('stat', ['-c', '%i', mnt])).stdout, '77\n')
      await session.unmount()
    }
  })

  it('may be one of eight', async (t) => {
    const all = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const { mnt, source } = places(t)
        writeFileSync(join(source, 'number'), `${i}\n`)
        const session = await mount(mnt, new URL(module), { data: { source }, ...options })
        cleanup(t, () => session.shutdown())
        return { mnt, session }
      }),
    )
    const script =
      'i=0; while [ $i -lt 50 ]; do cat "$1/number"; echo $i > "$1/out"; i=$((i+1)); done; cat "$1/out"'
    const clients = await Promise.all(all.map(({ mnt }) => run('sh', ['-ec', script, 'client', mnt])))
    for (const [i, { stdout, stderr }] of clients.entries())
      assert.equal(stdout, `${`${i}\n`.repeat(50)}49\n`, stderr)
    assert.equal(new Set(all.map(({ session }) => session.worker.threadId)).size, 8)
    await Promise.all(all.map(({ session }) => session.unmount()))
    for (const { mnt } of all) assert.equal(isMounted(mnt), false)
  })
})
