// Answers and errors that throw when they are looked at, and promises of another make that keep no promise: every caller gets an
// answer all the same, and every slot comes back. Against the fake kernel.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EIO } from 'devfuse'
import type { Filesystem } from 'devfuse'
import { FakeKernel } from '#dist/device/fake-kernel.js'
import { attr, serve } from '../support/fake-session.js'

const gone = (): never => {
  throw new Error('the database is gone')
}

function revoked(): never {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy as never
}

/** What a handler may do instead of answering. */
const hostile: Record<string, () => unknown> = {
  'a `then` that cannot be read': () => Object.defineProperty({}, 'then', { get: gone }),
  'a `then` that throws': () => ({ then: gone }),
  'a promise whose constructor throws': () => {
    const promise = Promise.resolve({ nodeid: 2, attr })
    return Object.defineProperty(promise, 'constructor', { get: gone })
  },
  'an answer that cannot be read': () => Object.defineProperty({ attr }, 'nodeid', { get: gone }),
  'the same later': async () => {
    await Promise.resolve()
    return Object.defineProperty({ attr }, 'nodeid', { get: gone })
  },
  'a revoked proxy': revoked,
  'one that is thrown': () => {
    throw revoked()
  },
  'one that a promise fails with': () => Promise.reject(revoked()),
  'an error whose code cannot be read': () => {
    throw Object.defineProperty({}, 'code', { get: gone }) as Error
  },
  'the same from a promise': () =>
    Promise.reject(Object.defineProperty(new Error('no code'), 'code', { get: gone })),
  'an error whose message cannot be read': () => {
    throw Object.defineProperty(new Error('no message'), 'message', { get: gone })
  },
  'an error that cannot be shown': () => {
    throw { [Symbol.for('nodejs.util.inspect.custom')]: gone } as unknown as Error
  },
}

describe('an answer that cannot be looked at', { timeout: 30_000 }, () => {
  for (const [name, answer] of Object.entries(hostile)) {
    it(`is EIO, and reported: ${name}`, async () => {
      const { kernel, session, warnings } = await serve({
        lookup: answer as NonNullable<Filesystem['lookup']>,
        write: answer as NonNullable<Filesystem['write']>,
      })
      assert.equal((await kernel.request('lookup', { name: 'a' })).error, EIO)
      assert.match(warnings.join(), /lookup failed with an error that has no errno/)
      assert.equal((await kernel.request('write', { fh: 0, offset: 0, data: Buffer.from('x') })).error, EIO)
      assert.equal(kernel.freeSlots, 8)
      assert.equal(session.stats().inFlight, 0)
      kernel.unmount()
      await session.closed
    })
  }

  it('is EIO even where nobody wants to hear of it', async () => {
    const { kernel } = await serve(
      { lookup: revoked, getattr: () => ({ attr }) },
      { onWarning: () => revoked() },
    )
    assert.equal((await kernel.request('lookup', { name: 'a' })).error, EIO)
    assert.equal((await kernel.request('getattr', {})).error, 0)
  })
})

describe('a promise of another make', { timeout: 30_000 }, () => {
  const makes: Record<string, (value: unknown) => unknown> = {
    'settles at once': (value) => ({ then: (done: (value: unknown) => void) => done(value) }),
    'settles twice': (value) => ({
      then: (done: (value: unknown) => void) => {
        done(value)
        setImmediate(done, value)
      },
    }),
    'settles, then throws': (value) => ({
      then: (done: (value: unknown) => void) => {
        done(value)
        gone()
      },
    }),
    'only looks like a native one': (value) =>
      Object.assign(Object.create(Promise.prototype) as object, {
        then: (done: (value: unknown) => void) => done(value),
      }),
  }
  for (const [name, make] of Object.entries(makes)) {
    it(`that ${name} is waited for once`, async () => {
      const { kernel, session } = await serve({ write: ({ size }) => make(size) as number })
      for (let i = 0; i < 10; i++) {
        const { error, value } = await kernel.request('write', { fh: 0, offset: 0, data: Buffer.from('abc') })
        assert.deepEqual({ error, value }, { error: 0, value: 3 })
        await new Promise((done) => setImmediate(done))
      }
      assert.equal(kernel.freeSlots, 8)
      assert.equal(session.stats().inFlight, 0)
      kernel.unmount()
      await session.closed
    })
  }
})

describe('a transport that throws', () => {
  it('costs one request', async () => {
    class Failing extends FakeKernel {
      fails = false
      override get scarce(): boolean {
        return this.fails ? gone() : super.scarce
      }
    }
    const kernel = new Failing()
    const { warnings } = await serve({ write: ({ size }) => size }, {}, kernel)
    const write = () => kernel.request('write', { fh: 0, offset: 0, data: Buffer.from('abc') })
    kernel.fails = true
    assert.equal((await write()).error, EIO)
    assert.match(warnings.join(), /write failed.*the database is gone/)
    kernel.fails = false
    assert.equal((await write()).error, 0)
  })
})
