// Several threads on one connection, without a kernel: interrupts that overtake their request, or reach the wrong thread,
// and retrieved data that does.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { ENOENT } from 'devfuse'
import type { Filesystem } from 'devfuse'
import { FakeKernel } from '#dist/device/fake-kernel.js'
import { Siblings } from '#dist/session/siblings.js'
import { resolveOptions } from '#dist/session/options.js'
import { Session } from '#dist/session/session.js'

const EINTR = -4
const OFFER = { major: 7, minor: 45, maxReadahead: 131072, flags: 0xffff_ffff, flags2: 0x7ff }

async function serve(filesystem: Filesystem): Promise<{ kernel: FakeKernel; session: Session }> {
  const kernel = new FakeKernel()
  const options = resolveOptions({ handleSignals: false, passthrough: 'off' })
  const session = new Session(kernel, filesystem, options, undefined)
  const started = session.start()
  await kernel.request('init', OFFER)
  await started
  return { kernel, session }
}

/** A handler that settles only when its signal is aborted. */
const waiting: Filesystem = {
  lookup: ({ signal }) =>
    new Promise((_, fail) => {
      const end = (): void => fail(signal.reason as Error)
      if (signal.aborted) end()
      else signal.addEventListener('abort', end)
    }),
}

describe('an interrupt', () => {
  it('that arrives before its request aborts it at once', async () => {
    const { kernel } = await serve(waiting)
    const { unique } = kernel.post('getattr', {})
    const next = unique + 4 // the INTERRUPT itself takes one
    kernel.tell('interrupt', { interrupted: next })
    const late = kernel.post('lookup', { name: 'a' })
    assert.equal(late.unique, next)
    assert.equal((await late.promise).error, EINTR)
  })

  it('for a request that was answered already does no harm', async () => {
    const { kernel, session } = await serve({ lookup: () => ENOENT })
    for (let i = 0; i < 1000; i++) {
      const { unique, promise } = kernel.post('lookup', { name: 'a' })
      assert.equal((await promise).error, ENOENT)
      kernel.tell('interrupt', { interrupted: unique })
    }
    assert.equal(session.stats().inFlight, 0)
    assert.equal(kernel.freeSlots, 8)
  })
})

describe('siblings', () => {
  it('hear what one of them cannot use, and nothing of themselves', async () => {
    const key = randomUUID()
    const heard: [string, unknown][] = []
    const listen = (name: string): Siblings =>
      new Siblings(key, {
        interrupted: (unique) => heard.push([name, unique]),
        retrieved: (unique, data) => heard.push([name, `${unique}:${data.toString()}`]),
        ended: () => heard.push([name, 'end']),
        left: (index) => heard.push([name, `${index} left`]),
      })
    const first = listen('first')
    const second = listen('second')
    const stranger = new Siblings(randomUUID(), {
      interrupted: () => assert.fail(),
      retrieved: () => assert.fail(),
      ended: () => assert.fail(),
      left: () => assert.fail(),
    })
    first.interrupt(2 ** 50)
    second.retrieved(7, Buffer.from('data'))
    for (let i = 0; i < 100 && heard.length < 2; i++) await delay(5)
    first.end()
    for (let i = 0; i < 100 && heard.length < 3; i++) await delay(5)
    assert.deepEqual(
      heard.toSorted(([a], [b]) => a.localeCompare(b)),
      [
        ['first', '7:data'],
        ['second', 2 ** 50],
        ['second', 'end'],
      ],
    )
    second.close()
    stranger.close()
  })
})
