// Without a worker, a thread that waits for its own mount gets EDEADLK and a warning instead of hanging for ever, and nobody
// else notices. Each program is a child process that is killed when it hangs.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, it } from 'node:test'
import { run, skip } from '../support/mounting.js'
import { isMounted, moduleUrl, places, result, start } from '../support/program.js'
import type { Place } from '../support/program.js'

/** The beginning of a program: serves a mirror of the place's source by itself. */
const mounting = ({ mnt, source }: Place, options = ''): string => `
  const mnt = ${JSON.stringify(mnt)}
  const filesystem = mirror(${JSON.stringify(source)}, { passthrough: 'off' })
  const session = await mount(mnt, filesystem, { ...filesystem.mountOptions, onWarning, ${options} })
  /** What became of a call, and whether it took less than 2 seconds. */
  const attempt = (call) => {
    const began = performance.now()
    let outcome
    try {
      outcome = call() ?? 'done'
    } catch (error) {
      outcome = error.errno ?? error.status ?? String(error)
    }
    return performance.now() - began < 2000 ? outcome : 'took ' + (performance.now() - began)
  }
`
const finish = `
  await delay(10)
  const { deadlocks } = session.stats()
  await session.shutdown()
  print({ ...found, warnings, deadlocks: deadlocks > 0 })
`

interface Found extends Record<string, unknown> {
  warnings: string[]
  deadlocks: boolean
}

const EDEADLK = -35

describe('the guard', { skip, timeout: 120_000 }, () => {
  it('ends every sync call on its own mount', async (t) => {
    const place = places(t)
    const { warnings, ...found } = (await result(
      t,
      `${mounting(place)}
      const handle = await fs.promises.open(mnt + '/file', 'r+')
      const { fd } = handle
      const found = {
        stat: attempt(() => fs.statSync(mnt + '/file')),
        lookup: attempt(() => fs.statSync(mnt + '/new')),
        readFile: attempt(() => fs.readFileSync(mnt + '/file')),
        writeFile: attempt(() => fs.writeFileSync(mnt + '/other', 'text')),
        mkdir: attempt(() => fs.mkdirSync(mnt + '/folder')),
        readdir: attempt(() => fs.readdirSync(mnt)),
        read: attempt(() => fs.readSync(fd, Buffer.alloc(8))),
        write: attempt(() => fs.writeSync(fd, 'text')),
      }
      await handle.close()
      found.later = await fs.promises.readFile(mnt + '/file', 'utf8')
      ${finish}`,
    )) as Found
    const { later, deadlocks, ...calls } = found
    assert.deepEqual([later, deadlocks], ['hello\n', true])
    for (const [name, errno] of Object.entries(calls)) assert.equal(errno, EDEADLK, name)
    assert.equal(warnings.length, 1, warnings.join('\n'))
    assert.match(
      warnings[0],
      /^ERR_DEVFUSE_DEADLOCK: a sync call on .*mnt was made by the very thread that serves it/,
    )
    assert.match(warnings[0], /Let a worker thread serve the mount: mount\(mountPoint, new URL/)
  })

  it('ends processes that their parent waits for', async (t) => {
    const place = places(t)
    const { warnings, ...found } = (await result(
      t,
      `${mounting(place)}
      const quiet = { stdio: ['ignore', 'pipe', 'ignore'] }
      const found = {
        cat: attempt(() => execFileSync('cat', [mnt + '/file'], quiet)),
        shell: attempt(() => execFileSync('sh', ['-c', 'cat ' + mnt + '/file'], quiet)),
        list: attempt(() => execFileSync('ls', ['-l', mnt], quiet)),
        cwd: attempt(() => spawnSync('pwd', { cwd: mnt }).error.errno),
        program: attempt(() => execFileSync(mnt + '/tool', quiet)),
        spawned: attempt(() => spawn('pwd', { cwd: mnt }).on('error', () => {})),
        started: attempt(() => spawn(mnt + '/tool').on('error', () => {})),
        elsewhere: attempt(() => String(execFileSync('echo', ['fine']))),
      }
      // Kernel: a child that closes a file of the mount in execve(2) sends FLUSH.
      const handle = await fs.promises.open(mnt + '/file')
      found.inherited = attempt(() => String(execFileSync('echo', ['fine'])))
      await handle.close()
      ${finish}`,
    )) as Found
    assert.deepEqual(found, {
      ...{ cat: 1, shell: 1, list: 2, cwd: EDEADLK, program: EDEADLK, spawned: EDEADLK, started: EDEADLK },
      ...{ elsewhere: 'fine\n', inherited: 'fine\n', deadlocks: true },
    })
    assert.equal(warnings.length, 2, warnings.join('\n'))
    assert.match(
      warnings[0],
      /process \d+ uses .*mnt, and the thread .* waits for its end \(execFileSync, spawnSync\)/,
    )
    assert.match(warnings[1], /a program was started \(process \d+\), and its start uses .*mnt/)
  })

  it('ends calls that wait for a lock which an unanswered call holds', async (t) => {
    const { mnt } = places(t)
    const { warnings, ...found } = (await result(
      t,
      `const mnt = ${JSON.stringify(mnt)}
      const shared = { nlink: 1, uid: 0, gid: 0, blocks: 0, atime: 0, mtime: 0, ctime: 0 }
      const attrs = { 1: { ...shared, ino: 1, size: 0, mode: 0o40755 }, 2: { ...shared, ino: 2, size: 6, mode: 0o100644 } }
      const filesystem = {
        lookup: ({ name }) => name === 'file' ? { nodeid: 2, attr: attrs[2], entryValid: 99, attrValid: 99 } : -2,
        getattr: ({ nodeid }) => ({ attr: attrs[nodeid], attrValid: 99 }),
        mkdir: () => -1, mknod: () => -1, access: () => 0,
        read: () => Buffer.from('hello\\n'),
      }
      const session = await mount(mnt, filesystem, { onWarning })
      const busy = (ms) => { for (const end = performance.now() + ms; performance.now() < end;); }
      /** What becomes of a call under way, and of a sync one that meets its lock; the latter within 2 seconds of its own. */
      const meet = async (first, second) => {
        const began = performance.now()
        const settled = first().then(() => 'answered', ({ errno }) => errno)
        busy(300)
        let errno
        try { second() } catch (error) { errno = error.errno }
        return performance.now() - began < 2500 ? [errno, await settled] : 'too late'
      }
      const { promises } = fs
      await promises.stat(mnt + '/file')
      const handle = await promises.open(mnt + '/file')
      const found = {
        folder: await meet(() => promises.mkdir(mnt + '/a'), () => fs.writeFileSync(mnt + '/b', '')),
        name: await meet(() => promises.stat(mnt + '/c'), () => fs.statSync(mnt + '/c')),
        page: await meet(() => handle.read(Buffer.alloc(6), 0, 6, 0), () => fs.readSync(handle.fd, Buffer.alloc(6), 0, 6, 0)),
        other: await meet(() => once(spawn('mkdir', [mnt + '/d'], { stdio: 'ignore' }), 'exit'), () => {
          busy(200)
          fs.writeFileSync(mnt + '/e', '')
        }),
      }
      await handle.close()
      ${finish}`,
    )) as Found
    const { deadlocks, ...met } = found
    assert.equal(deadlocks, true)
    // Where the call under way came late, the sync one did not meet its lock, and it is answered in the end.
    for (const [name, [errno, settled]] of Object.entries(met as Record<string, unknown[]>)) {
      assert.equal(errno, EDEADLK, name)
      assert.ok(
        settled === EDEADLK || settled === 'answered' || (settled as number) < 0,
        `${name}: ${String(settled)}`,
      )
    }
    assert.match(warnings.join(), /waits for a file, name or page that a call of thread \d+ has locked/)
  })

  it('warns although the error ends the process', async (t) => {
    const { mnt, source } = places(t)
    const ended = await start(
      t,
      `await mountMirror(${JSON.stringify(source)}, ${JSON.stringify(mnt)}); fs.readdirSync(${JSON.stringify(mnt)})`,
    ).ended
    assert.equal(ended.code, 1)
    assert.match(
      ended.stderr,
      /ERR_DEVFUSE_DEADLOCK.*a sync call on .* getattr failed with EDEADLK|opendir failed with EDEADLK/,
    )
    assert.match(ended.stderr, /errno: -35/)
    assert.equal(isMounted(mnt), false)
  })

  it('has nothing to do where fs.rm removes 500 entries with one thread in the pool of libuv', async (t) => {
    const place = places(t)
    for (let i = 0; i < 500; i++) {
      mkdirSync(join(place.source, 'tree', `${i % 10}`), { recursive: true })
      writeFileSync(join(place.source, 'tree', `${i % 10}`, `${i}`), '')
    }
    const found = await result(
      t,
      `${mounting(place)}
      await fs.promises.rm(mnt + '/tree', { recursive: true })
      const found = {}
      ${finish}`,
      { env: { UV_THREADPOOL_SIZE: '1' } },
    )
    assert.deepEqual(found, { warnings: [], deadlocks: false })
    assert.equal(existsSync(join(place.source, 'tree')), false)
  })

  it('leaves process.exit() alone, also while calls are under way', async (t) => {
    const place = places(t)
    const ended = await start(
      t,
      `${mounting(place)}
      filesystem.readlink = undefined
      for (let i = 0; i < 8; i++) void fs.promises.readFile(mnt + '/file')
      setImmediate(() => process.exit(5))`,
    ).ended
    assert.equal(ended.code, 5, ended.stderr)
    assert.equal(isMounted(place.mnt), false)
  })

  it('lets others wait for a thread that is busy, sleeps, or waits for a process', async (t) => {
    const place = places(t)
    const gone = `${place.source}.clients-are-gone`
    const running = start(
      t,
      `${mounting(place)}
      const early = execFile('sh', ['-c', 'sleep 0.3; cat ' + mnt + '/file'])
      const closed = once(early, 'close')
      let read = ''
      early.stdout.on('data', (text) => (read += text))
      const mine = fs.promises.readFile(mnt + '/file', 'utf8')
      print('ready')
      for (const end = performance.now() + 1000; performance.now() < end;);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000)
      execFileSync('sleep', ['1'])
      print('free')
      const found = { mine: await mine }
      await closed
      found.read = read
      // Who still has the file open keeps the mount from a clean end.
      while (!fs.existsSync(${JSON.stringify(gone)})) await delay(20)
      ${finish}`,
    )
    await running.prints('ready')
    const clients = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        await delay(i * 70)
        return run('cat', [join(place.mnt, 'file')])
      }),
    )
    writeFileSync(gone, '')
    for (const { stdout, stderr } of clients) assert.equal(stdout, 'hello\n', stderr)
    assert.deepEqual((await running.ended).result, {
      ...{ mine: 'hello\n', read: 'hello\n', warnings: [], deadlocks: false },
    })
  })

  it('lets killed callers go while the thread waits for a process', async (t) => {
    const place = places(t)
    const running = start(
      t,
      `${mounting(place)}
      print('ready')
      execFileSync('sleep', ['3'])
      print('free')
      const found = {}
      ${finish}`,
    )
    await running.prints('ready')
    await delay(100)
    const client = spawn('cat', [join(place.mnt, 'file')])
    await delay(900)
    client.kill('SIGKILL')
    await new Promise((done) => client.once('exit', done))
    assert.doesNotMatch(running.output(), /free/)
    assert.deepEqual((await running.ended).result, { warnings: [], deadlocks: false })
  })

  it('watches over a worker thread, too', async (t) => {
    const { mnt } = places(t)
    const code = `
      import fs from 'node:fs'
      import { parentPort } from 'node:worker_threads'
      parentPort.on('message', () => {
        try { fs.readdirSync(${JSON.stringify(mnt)}) } catch ({ errno }) { parentPort.postMessage(errno) }
      })
      const attr = { ino: 1, size: 0, blocks: 0, mode: 0o40755, nlink: 1, uid: 0, gid: 0, atime: 0, mtime: 0, ctime: 0 }
      export default { getattr: () => ({ attr }), readdir: () => [] }`
    const module = `data:text/javascript,${encodeURIComponent(code)}`
    const found = (await result(
      t,
      `const session = await mount(${JSON.stringify(mnt)}, new URL(${JSON.stringify(module)}), { onWarning })
      session.worker.postMessage('read')
      const found = { errno: (await once(session.worker, 'message'))[0] }
      await delay(100)
      found.deadlocks = (await session.stats()).deadlocks
      await session.shutdown()
      print({ ...found, warnings })`,
    )) as Found
    assert.deepEqual([found['errno'], found.deadlocks], [EDEADLK, 1])
    assert.match(found.warnings.join(), /^ERR_DEVFUSE_DEADLOCK/)
  })

  it('leaves it to the other threads to answer where several serve the mount', async (t) => {
    const { mnt } = places(t)
    const module = JSON.stringify(moduleUrl('mount/shared-filesystem.js'))
    const found = await result(
      t,
      `import { addWorkers } from 'devfuse'
      const { default: filesystem } = await import(${module})
      const session = await mount(${JSON.stringify(mnt)}, filesystem, { onWarning, passthrough: 'off' })
      await addWorkers(session, new URL(${module}), 1)
      const found = { size: fs.statSync(${JSON.stringify(join(mnt, 'f1'))}).size }
      ${finish}`,
    )
    assert.deepEqual(found, { size: 1 << 20, warnings: [], deadlocks: false })
  })

  it('can be turned off', async (t) => {
    const place = places(t)
    const ended = await start(
      t,
      `${mounting(place, 'deadlockGuard: false')}
      fs.writeSync(1, 'reading')
      attempt(() => fs.readdirSync(mnt))
      fs.writeSync(1, 'read')`,
      { timeout: 2500 },
    ).ended
    assert.deepEqual([ended.signal, ended.stdout], ['SIGKILL', 'reading'])
  })
})
