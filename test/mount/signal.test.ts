// The option `signal`: an abort ends the mount, or keeps it from being made.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { inspect } from 'node:util'
import { MessageChannel } from 'node:worker_threads'
import { AbortError, mount } from 'devfuse'
import { attrOf } from '../support/server.js'
import { openDevices } from '../support/descriptors.js'
import { run, skip, temporary } from '../support/mounting.js'
import { isMounted } from '../support/program.js'

const filesystem = { getattr: () => ({ attr: attrOf(1) }) }
const endless = 'await new Promise(() => setInterval(() => {}, 1000)); export default {}'
const slow = new URL(`data:text/javascript,${encodeURIComponent(endless)}`)

describe('the option signal', { skip, timeout: 60_000 }, () => {
  it('unmounts, also where the mount is busy', async (t) => {
    const mnt = temporary(t)
    for (const busy of [false, true]) {
      const controller = new AbortController()
      const warnings: string[] = []
      const { signal } = controller
      const session = await mount(mnt, filesystem, { signal, onWarning: ({ code }) => warnings.push(code) })
      const user = busy ? run('sh', ['-c', `cd ${mnt} && echo in && sleep 1`]) : undefined
      if (busy) await new Promise((done) => setTimeout(done, 300))
      controller.abort()
      assert.deepEqual(await session.closed, { reason: 'unmount', errno: 0 })
      assert.equal(isMounted(mnt), false)
      assert.deepEqual(warnings, busy ? ['ERR_DEVFUSE_UNMOUNT'] : [])
      await user
    }
  })

  it('that is aborted already keeps the mount from being made', async (t) => {
    const mnt = temporary(t)
    const reason = new Error('no more')
    for (const served of [filesystem, slow]) {
      const mounting = mount(mnt, served as object, { signal: AbortSignal.abort(reason) })
      await assert.rejects(mounting, (error: AbortError) => {
        assert.ok(error instanceof AbortError)
        assert.deepEqual([error.name, error.code, error.cause], ['AbortError', 'ABORT_ERR', reason])
        return true
      })
      assert.equal(isMounted(mnt), false)
    }
  })

  it('that is aborted meanwhile does so, too', async (t) => {
    const mnt = temporary(t)
    for (const served of [filesystem, slow]) {
      const controller = new AbortController()
      const mounting = mount(mnt, served as object, { signal: controller.signal })
      setTimeout(() => controller.abort(), served === slow ? 300 : 0)
      const ended = await mounting.then(
        (session) => session.closed,
        (error: Error) => error,
      )
      assert.ok(
        ended instanceof AbortError || ('reason' in ended && ended.reason === 'unmount'),
        inspect(ended),
      )
      assert.equal(isMounted(mnt), false)
    }
  })

  it('ends the wait for a module that takes its time, whichever thread it starts in', async (t) => {
    const mnt = temporary(t)
    const late = `import { isMainThread } from 'node:worker_threads'
      const wait = () => new Promise(() => isMainThread || setInterval(() => {}, 1000))
      export default (late) => isMainThread === late ? wait() : { shareable: true }`
    const module = new URL(`data:text/javascript,${encodeURIComponent(late)}`)
    for (const options of [
      { data: false },
      { data: true, worker: false },
      { data: false, worker: false, workers: 2 },
    ]) {
      const controller = new AbortController()
      const mounting = mount(mnt, module, { ...options, signal: controller.signal })
      setTimeout(() => controller.abort(), 200)
      await assert.rejects(mounting, { name: 'AbortError', code: 'ABORT_ERR' })
      assert.equal(isMounted(mnt), false)
    }
  })

  it('leaves nothing of a mount that a worker is in the middle of', async (t) => {
    const mnt = temporary(t)
    const here = 'export default (port) => { port.postMessage(0); return {} }'
    const telling = new URL(`data:text/javascript,${encodeURIComponent(here)}`)
    const before = openDevices()
    for (let i = 0; i < 12; i++) {
      const controller = new AbortController()
      const { port1, port2 } = new MessageChannel()
      port1.once('message', () => setTimeout(() => controller.abort(), i % 6))
      const mounting = mount(mnt, telling, { data: port2, transferList: [port2], signal: controller.signal })
      await mounting.then(
        (session) => session.closed,
        (error: unknown) => assert.ok(error instanceof AbortError, inspect(error)),
      )
      port1.close()
      assert.equal(isMounted(mnt), false)
      assert.equal(openDevices(), before)
    }
  })

  it('is refused where it is none', async (t) => {
    const signal = 'SIGINT' as unknown as AbortSignal
    await assert.rejects(
      mount(temporary(t), filesystem, { signal }),
      /option `signal` must be an AbortSignal/,
    )
  })
})
