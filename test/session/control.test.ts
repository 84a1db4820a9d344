// Checks the control socket: where it lies, what it answers, that stale ones are replaced and none is left behind.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { FakeKernel } from '#dist/device/fake-kernel.js'
import { UNKNOWN_MINOR } from '#dist/device/connection.js'
import { ControlSocket, controlPath, controlPaths, queryControl } from '#dist/session/control.js'
import { resolveOptions } from '#dist/session/options.js'
import { Session } from '#dist/session/session.js'
import { OFFER } from '../support/fake-session.js'

// Minor device numbers of FUSE mounts stay far below; these never meet a real mount.
let nextMinor = 900_000_000 + process.pid * 16
const module = new URL(import.meta.resolve('#dist/session/control.js')).href

describe('controlPath', () => {
  it('is in /run for root and in a folder of their own for others', () => {
    assert.equal(controlPath(7, 0), '/run/devfuse/7.sock')
    assert.equal(controlPath(7, 4711), '/tmp/devfuse-4711/devfuse/7.sock')
    assert.ok(controlPaths(7, 4711).includes('/run/user/4711/devfuse/7.sock'))
  })
})

describe('ControlSocket', () => {
  it('answers every connection with one JSON object, big integers included', async () => {
    let calls = 0
    const control = new ControlSocket(nextMinor++, () => ({ calls: ++calls, big: 12n, name: 'ünï' }))
    await control.listen()
    try {
      const answers = await Promise.all([queryControl(control.path, 5000), queryControl(control.path, 5000)])
      assert.deepEqual(answers, [
        { calls: 1, big: 12, name: 'ünï' },
        { calls: 2, big: 12, name: 'ünï' },
      ])
      assert.equal(statSync(dirname(control.path)).mode & 0o777, 0o700)
    } finally {
      control.close()
    }
    assert.equal(existsSync(control.path), false)
    control.close()
    await assert.rejects(queryControl(control.path, 1000), { code: 'ENOENT' })
  })

  it('sends an answer of several megabytes whole', async () => {
    const text = 'x'.repeat(5 << 20)
    const control = new ControlSocket(nextMinor++, () => ({ text }))
    await control.listen()
    try {
      assert.deepEqual(await queryControl(control.path, 10_000), { text })
    } finally {
      control.close()
    }
  })

  it('reports a failing callback instead of dying', async () => {
    const control = new ControlSocket(nextMinor++, () => {
      throw new Error('counters are on fire')
    })
    await control.listen()
    try {
      assert.deepEqual(await queryControl(control.path, 5000), { error: 'counters are on fire' })
    } finally {
      control.close()
    }
  })

  it('survives a client that hangs up at once', async () => {
    const control = new ControlSocket(nextMinor++, () => ({ text: 'x'.repeat(1 << 20) }))
    await control.listen()
    try {
      for (let i = 0; i < 10; i++) {
        await new Promise<void>((resolve) => {
          const client = createConnection(control.path, () => client.destroy())
          client.on('close', () => resolve())
        })
      }
      assert.ok(await queryControl(control.path, 5000))
    } finally {
      control.close()
    }
  })

  it('replaces what a killed server left behind', async () => {
    const minor = nextMinor++
    const script = `import { ControlSocket } from ${JSON.stringify(module)}
      await new ControlSocket(${minor}, () => ({})).listen()
      console.log('ready')
      setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    child.kill('SIGKILL')
    await new Promise((resolve) => child.once('exit', resolve))
    assert.equal(existsSync(controlPath(minor)), true)
    await assert.rejects(queryControl(controlPath(minor), 1000), { code: 'ECONNREFUSED' })
    const control = new ControlSocket(minor, () => ({ fresh: true }))
    await control.listen()
    try {
      assert.deepEqual(await queryControl(control.path, 5000), { fresh: true })
    } finally {
      control.close()
    }
  })

  it('never keeps the process alive, not even for a connected client, and leaves no file', async () => {
    const minor = nextMinor++
    const script = `import { ControlSocket } from ${JSON.stringify(module)}
      const one = new ControlSocket(${minor}, () => ({}))
      const other = new ControlSocket(${minor + 1}, () => ({}))
      await one.listen()
      await other.listen()
      one.close()`
    nextMinor++
    const { status, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      timeout: 20_000,
    })
    assert.equal(status, 0, stderr)
    assert.equal(existsSync(controlPath(minor)), false)
    assert.equal(existsSync(controlPath(minor + 1)), false)
  })

  it('refuses a folder that somebody else put in its place', { timeout: 20_000 }, () => {
    const base = mkdtempSync(join(tmpdir(), 'devfuse-control-'))
    try {
      mkdirSync(join(base, 'elsewhere'))
      symlinkSync(join(base, 'elsewhere'), join(base, 'devfuse'))
      const script = `import { ControlSocket } from ${JSON.stringify(module)}
        await new ControlSocket(${nextMinor}, () => ({})).listen()`
      writeFileSync(join(base, 'script.mjs'), script)
      spawnSync('chown', ['-hR', '65534:65534', base])
      const { status, stderr } = spawnSync(process.execPath, [join(base, 'script.mjs')], {
        encoding: 'utf8',
        uid: 65534,
        gid: 65534,
        env: { ...process.env, XDG_RUNTIME_DIR: base },
      })
      assert.equal(status, 1)
      assert.match(stderr, /is not a folder of user 65534/)
    } finally {
      rmSync(base, { recursive: true })
    }
  })
})

describe('queryControl', () => {
  it('gives up when nobody answers', async () => {
    const { createServer } = await import('node:net')
    const path = join(tmpdir(), `devfuse-silent-${process.pid}.sock`)
    const server = createServer(() => {}).listen(path)
    await new Promise((resolve) => server.once('listening', resolve))
    try {
      await assert.rejects(queryControl(path, 200), { code: 'ETIMEDOUT', message: /within 200 ms/ })
    } finally {
      server.close()
    }
  })
})

describe('a session that does not know the number of its mount', () => {
  it('has no control socket, and says why', async () => {
    const kernel = new FakeKernel()
    const warnings: string[] = []
    const options = resolveOptions({
      control: true,
      handleSignals: false,
      onWarning: ({ message }) => warnings.push(message),
    })
    const mounted = { fd: -1, mountPoint: '', major: 0, minor: UNKNOWN_MINOR, how: 'fd' } as const
    const session = new Session(kernel, {}, options, mounted)
    const started = session.start()
    await kernel.request('init', OFFER)
    await started
    try {
      assert.equal(existsSync(controlPath(UNKNOWN_MINOR)), false)
      assert.match(warnings.join(), /devfuse stats.*does not tell.*6\.16/)
    } finally {
      await session.shutdown()
    }
  })
})
