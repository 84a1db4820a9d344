// However its process ends, a mount does not outlive it: signals, process.exit(), uncaught exceptions, a busy mount,
// a worker thread. Each server is a child process.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { readMountInfo } from '#dist/device/mountinfo.js'
import { cleanup, run, sh, skip, temporary } from '../support/mounting.js'

interface Server {
  mnt: string
  output: () => string
  signal: (name: NodeJS.Signals) => void
  /** Waits for the end: exit status or signal. */
  ended: Promise<number | NodeJS.Signals | null>
}

/** Starts a server process that mounts, prints `ready` and then runs `after`. */
async function serve(t: TestContext, after = '', options = '{}'): Promise<Server> {
  const mnt = join(temporary(t), 'mnt')
  mkdirSync(mnt)
  const script = `
    import { mount } from 'devfuse'
    const attr = { ino: 1, size: 0, blocks: 0, mode: 0o040755, nlink: 1, uid: 0, gid: 0, atime: 0, mtime: 0, ctime: 0 }
    const session = await mount(${JSON.stringify(mnt)}, { getattr: () => ({ attr }), readdir: () => [] }, ${options})
    setTimeout(() => console.log('ready'), 0)
    ${after}
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  cleanup(t, async () => {
    if (isMounted(mnt)) await sh(`umount -l ${mnt}`)
  })
  cleanup(t, () => child.kill('SIGKILL'))
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output += text))
  const ended = once(child, 'exit').then(
    ([code, signal]) => (signal ?? code) as number | NodeJS.Signals | null,
  )
  for (let i = 0; i < 500 && !output.includes('ready'); i++) await new Promise((done) => setTimeout(done, 10))
  assert.match(output, /ready/)
  return { mnt, output: () => output, signal: (name) => child.kill(name), ended }
}

const isMounted = (mnt: string): boolean => readMountInfo().some(({ mountPoint }) => mountPoint === mnt)

describe('the end of the serving process', { skip, timeout: 60_000 }, () => {
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    it(`unmounts on ${name}, which then ends the process`, async (t) => {
      const server = await serve(t)
      assert.equal(isMounted(server.mnt), true)
      server.signal(name)
      assert.equal(await server.ended, name)
      assert.equal(isMounted(server.mnt), false)
    })
  }

  for (const form of ['this thread', 'a worker']) {
    it(`unmounts on a signal that comes while it mounts, served by ${form}`, async (t) => {
      const mnt = join(temporary(t), 'mnt')
      mkdirSync(mnt)
      cleanup(t, async () => {
        if (isMounted(mnt)) await sh(`umount -l ${mnt}`)
      })
      // INIT: the mount shows, and mount() has not resolved.
      const source = `export default { init: () => void process.kill(process.pid, 'SIGTERM') }`
      const script = `
        import { mount } from 'devfuse'
        const module = new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(source)}))
        await mount(${JSON.stringify(mnt)}, module, { worker: ${form === 'a worker'} })
        setInterval(() => undefined, 1000)
      `
      const server = spawn(process.execPath, ['--input-type=module', '-e', script], { timeout: 30_000 })
      const [, signal] = (await once(server, 'exit')) as [number | null, NodeJS.Signals | null]
      assert.equal(signal, 'SIGTERM')
      assert.equal(isMounted(mnt), false)
    })
  }

  it('leaves the end of the process to a signal handler of the program', async (t) => {
    const server = await serve(t, `process.on('SIGTERM', () => session.closed.then(() => process.exit(7)))`)
    server.signal('SIGTERM')
    assert.equal(await server.ended, 7)
    assert.equal(isMounted(server.mnt), false)
  })

  it('leaves signals alone with handleSignals: false', async (t) => {
    const server = await serve(
      t,
      `process.on('SIGTERM', () => console.log('still here'))`,
      '{ handleSignals: false }',
    )
    server.signal('SIGTERM')
    for (let i = 0; i < 200 && !server.output().includes('still here'); i++) {
      await new Promise((done) => setTimeout(done, 10))
    }
    assert.equal(isMounted(server.mnt), true)
    await sh(`umount ${server.mnt}`)
    assert.equal(await server.ended, 0)
  })

  it('detaches on process.exit()', async (t) => {
    const server = await serve(t, 'setTimeout(() => process.exit(3), 50)')
    assert.equal(await server.ended, 3)
    assert.equal(isMounted(server.mnt), false)
  })

  it('detaches on an uncaught exception, and the exception shows', async (t) => {
    const server = await serve(t, `setTimeout(() => { throw new Error('a crash') }, 50)`)
    assert.equal(await server.ended, 1)
    assert.equal(isMounted(server.mnt), false)
    assert.match(server.output(), /a crash/)
  })

  it('detaches a busy mount on SIGTERM, and says so', async (t) => {
    const server = await serve(t)
    const busy = spawn('sh', ['-c', `cd ${server.mnt} && echo in && exec sleep 30`], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    cleanup(t, () => busy.kill('SIGKILL'))
    await once(busy.stdout, 'data')
    server.signal('SIGTERM')
    assert.equal(await server.ended, 'SIGTERM')
    assert.equal(isMounted(server.mnt), false)
    assert.match(server.output(), /EBUSY.*detached instead/)
  })

  it('keeps the process alive while mounted, and lets it go after an unmount from outside', async (t) => {
    const server = await serve(t)
    await new Promise((done) => setTimeout(done, 200))
    assert.equal(isMounted(server.mnt), true)
    await sh(`umount ${server.mnt}`)
    assert.equal(await server.ended, 0)
    assert.match(server.output(), /unmounted from outside/)
  })

  it('notices an aborted connection and clears the mount it leaves behind', async (t) => {
    const server = await serve(t, 'console.log(JSON.stringify(await session.closed))')
    const minor = readMountInfo().find(({ mountPoint }) => mountPoint === server.mnt)?.minor
    await run('mount', ['-t', 'fusectl', 'fusectl', '/sys/fs/fuse/connections'])
    await sh(`echo 1 > /sys/fs/fuse/connections/${minor}/abort`)
    assert.equal(await server.ended, 0)
    assert.equal(isMounted(server.mnt), false)
    assert.match(server.output(), /"reason":"(aborted|outside)"/)
  })
})
