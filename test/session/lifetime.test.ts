// How a session over a transport of any kind begins and ends where something goes wrong: nothing waits for ever, the transport is
// closed, and nothing of a failed session stays behind. Against the fake kernel.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AbortError, serve } from 'devfuse'
import type { Filesystem, Transport } from 'devfuse'
import { FakeKernel } from '#dist/device/fake-kernel.js'
import { resolveOptions } from '#dist/session/options.js'
import { Session } from '#dist/session/session.js'
import { serve as started } from '../support/fake-session.js'

describe('serve()', { timeout: 30_000 }, () => {
  it('that waits for INIT ends with its signal, and closes the transport', async () => {
    const controller = new AbortController()
    const kernel = new FakeKernel()
    const serving = serve({}, kernel, { signal: controller.signal })
    const reason = new Error('no more')
    controller.abort(reason)
    await assert.rejects(
      serving,
      (error: AbortError) => error instanceof AbortError && error.cause === reason,
    )
    assert.equal(kernel.closed, true)
  })

  it('says what a transport is', async () => {
    for (const none of [null, undefined, 5, 'x'])
      await assert.rejects(serve({}, none as never), {
        code: 'ERR_DEVFUSE_OPTION',
        message: /takes a transport/,
      })
    const half = { start: () => undefined } as unknown as Transport
    await assert.rejects(serve({}, half), { code: 'ERR_DEVFUSE_OPTION', message: /no method `release`/ })
  })

  it('closes a transport that cannot start, and forgets the session', async () => {
    class Broken extends FakeKernel {
      override start(): void {
        throw new Error('cannot start')
      }
    }
    const kernel = new Broken()
    const before = process.listenerCount('exit')
    await assert.rejects(serve({}, kernel), /cannot start/)
    assert.equal(kernel.closed, true)
    assert.equal(process.listenerCount('exit'), before)
  })

  it('has a name for what ended, though nothing is mounted', async () => {
    const { kernel, session, warnings } = await started({})
    kernel.unmount(-5)
    await session.closed
    const lost = await started({})
    lost.kernel.unmount()
    await lost.session.closed
    assert.deepEqual(
      [...warnings, ...lost.warnings],
      ['the connection of a session without a mount point was lost: EIO', 'the other side ended the session'],
    )
  })
})

describe('detachNow()', { timeout: 30_000 }, () => {
  it('ends the session: `closed` settles and `destroy` is called once, but not before it has returned', async () => {
    let destroyed = 0
    const filesystem: Filesystem = { destroy: () => void destroyed++ }
    const { kernel, session, warnings } = await started(filesystem)
    session.detachNow()
    assert.equal(destroyed, 0)
    assert.equal(kernel.closed, true)
    assert.deepEqual(await session.closed, { reason: 'unmount', errno: 0 })
    session.detachNow()
    await session.shutdown()
    assert.deepEqual([destroyed, warnings], [1, []])
  })

  it('ends one that waits for INIT, too', async () => {
    const kernel = new FakeKernel()
    const session = new Session(kernel, {}, resolveOptions({ handleSignals: false }), undefined)
    const starting = session.start()
    session.detachNow()
    await assert.rejects(starting, /ended before INIT/)
    await session.closed
  })
})
