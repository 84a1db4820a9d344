// The tracing channels, on the fake kernel: what subscribers hear of sync and async handlers, errors and absent ones.
import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { tracingChannel } from 'node:diagnostics_channel'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { ENOENT } from 'devfuse'
import type { RequestTrace } from 'devfuse'
import { attr, serve } from '../support/fake-session.js'

const EVENTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const

/** What is heard on a channel during a test, one line for each event. */
function listen(t: TestContext, name: string): { lines: string[]; traces: RequestTrace[] } {
  const lines: string[] = []
  const traces: RequestTrace[] = []
  const channel = tracingChannel<unknown, RequestTrace>(name)
  const subscribers = Object.fromEntries(
    EVENTS.map((event) => [
      event,
      (trace: RequestTrace) => {
        lines.push(`${trace.name} ${event} ${trace.errno ?? '-'}`)
        if (event === 'start') traces.push(trace)
      },
    ]),
  ) as unknown as Parameters<typeof channel.subscribe>[0]
  channel.subscribe(subscribers)
  t.after(() => channel.unsubscribe(subscribers))
  return { lines, traces }
}

const filesystem = {
  lookup: ({ name }: { name: string }) => (name === 'a' ? { nodeid: 2, attr } : ENOENT),
  getattr: async () => {
    await new Promise((done) => setTimeout(done, 20))
    return { attr }
  },
  unlink: () => {
    throw Object.assign(new Error('there'), { code: 'EACCES' })
  },
  rmdir: () => Promise.reject(new Error('a bug')),
  forget: () => undefined,
}

describe('tracing', () => {
  it('tells of every request, in the order of node:diagnostics_channel', async (t) => {
    const { kernel } = await serve(filesystem)
    const { lines, traces } = listen(t, 'devfuse:request')
    await kernel.request('lookup', { name: 'a' })
    await kernel.request('lookup', { name: 'b' })
    await kernel.request('getattr', {})
    await kernel.request('unlink', { name: 'a' })
    await kernel.request('rmdir', { name: 'a' })
    await kernel.request('access', { mask: 0 })
    assert.deepEqual(lines, [
      ...['lookup start -', 'lookup end 0', 'lookup start -', 'lookup end -2'],
      ...['getattr start -', 'getattr end -', 'getattr asyncStart 0', 'getattr asyncEnd 0'],
      ...['unlink start -', 'unlink error -13', 'unlink end -13'],
      ...['rmdir start -', 'rmdir end -', 'rmdir error -5', 'rmdir asyncStart -5', 'rmdir asyncEnd -5'],
      ...['access start -', 'access end -38'],
    ])
    const [lookup, missed, getattr, unlink] = traces
    assert.deepEqual(lookup.result, { nodeid: 2, attr })
    assert.equal((lookup.request as { name: string }).name, 'a')
    assert.equal(missed.result, ENOENT)
    assert.ok((getattr.microseconds ?? 0) > 10_000)
    assert.match(String(unlink.error), /there/)
    assert.equal(lookup.mountPoint, '')
  })

  it('has a channel for each operation', async (t) => {
    const { kernel } = await serve(filesystem)
    const { lines } = listen(t, 'devfuse:getattr')
    await kernel.request('lookup', { name: 'a' })
    await kernel.request('getattr', {})
    assert.deepEqual(lines, [
      ...['getattr start -', 'getattr end -', 'getattr asyncStart 0', 'getattr asyncEnd 0'],
    ])
  })

  it('hears nothing after it was unsubscribed, and changes no answer', async (t) => {
    const { kernel, warnings } = await serve(filesystem)
    const channel = tracingChannel<unknown, RequestTrace>('devfuse:lookup')
    let count = 0
    const onStart = (): void => void count++
    channel.start.subscribe(onStart)
    t.after(() => channel.start.unsubscribe(onStart))
    assert.equal((await kernel.request('lookup', { name: 'b' })).error, ENOENT)
    channel.start.unsubscribe(onStart)
    assert.equal((await kernel.request('lookup', { name: 'a' }))['nodeid'], 2)
    assert.equal(count, 1)
    assert.deepEqual(warnings, [])
  })

  it('waits once for a promise that works anew for everybody who waits', async (t) => {
    let queries = 0
    const query = {
      then: (resolve: (value: unknown) => void) => {
        queries++
        resolve({ attr })
      },
    }
    const { kernel } = await serve({ getattr: () => query as unknown as Promise<{ attr: typeof attr }> })
    const { lines } = listen(t, 'devfuse:getattr')
    assert.equal((await kernel.request('getattr', {})).error, 0)
    assert.equal(queries, 1)
    assert.deepEqual(lines.slice(2), ['getattr asyncStart 0', 'getattr asyncEnd 0'])
  })

  it('binds stores around the handler', async (t) => {
    const store = new AsyncLocalStorage<string>()
    const { start } = tracingChannel<string, RequestTrace>('devfuse:request')
    start.bindStore(store, ({ name }) => `in ${name}`)
    t.after(() => start.unbindStore(store))
    const seen: (string | undefined)[] = []
    const { kernel } = await serve({
      getattr: async () => {
        await Promise.resolve()
        seen.push(store.getStore())
        return { attr }
      },
    })
    await kernel.request('getattr', {})
    assert.deepEqual(seen, ['in getattr'])
  })
})
