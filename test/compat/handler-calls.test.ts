// The calls of single handlers, without a kernel: results, mistakes, timeouts.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { EEXIST, EIO, ENOENT, ENOTCONN, ERANGE, ETIMEDOUT } from 'devfuse'
import Fuse from 'devfuse/compat/fuse-native'
import type { Handlers, Timeout } from 'devfuse/compat/fuse-native'
import { HandlerCalls } from '#dist/filesystems/compat/fuse-native/handler-calls.js'

type Callback = (...values: unknown[]) => void

/** Calls a handler `open` that does this with its callback; what came of it, and what was warned of. */
async function ask(t: TestContext, handler: (cb: Callback) => unknown, timeout?: Timeout, counts = false) {
  const warnings: string[] = []
  const emit = t.mock.method(process, 'emitWarning', (warning: Error) => warnings.push(warning.message))
  const handlers = { open: (_path: string, _flags: number, cb: Callback) => handler(cb) }
  const calls = new HandlerCalls(handlers as unknown as Handlers, timeout, false)
  const answer = async () => calls.ask('open', ['/', 0], (result, values) => [result, ...values], counts)
  const result = await answer().catch((error: unknown) => error)
  await delay(20)
  emit.mock.restore()
  return { result, warnings }
}

describe('a handler', () => {
  it('answers at once, later, with null or with 0', async (t) => {
    for (const success of [0, null, undefined]) {
      assert.deepEqual((await ask(t, (cb) => cb(success, 7))).result, [0, 7])
      assert.deepEqual((await ask(t, (cb) => void setTimeout(cb, 5, success, 7))).result, [0, 7])
    }
    assert.equal((await ask(t, (cb) => cb(Fuse.ENOENT))).result, ENOENT)
    assert.equal((await ask(t, (cb) => process.nextTick(cb, -17))).result, EEXIST)
  })

  it('that answers at once is answered at once', () => {
    const calls = new HandlerCalls({ access: (_path, _mode, cb) => cb(0) }, undefined, false)
    assert.equal(
      calls.ask('access', ['/', 0], (result) => `${result}`),
      '0',
    )
  })

  it('is a method of its object', async () => {
    const handlers = {
      mine: 3,
      open: function (this: { mine: number }, ...[, , cb]: [string, number, Callback]) {
        cb(0, this.mine)
      },
    }
    const calls = new HandlerCalls(handlers as unknown as Handlers, undefined, false)
    assert.deepEqual(await calls.ask('open', ['/', 0], (_, values) => values), [3])
  })

  it('may count bytes only where bytes are counted', async (t) => {
    assert.deepEqual((await ask(t, (cb) => cb(5), undefined, true)).result, [5])
    const { result, warnings } = await ask(t, (cb) => cb(5))
    assert.equal(result, ERANGE)
    assert.match(warnings.join(), /open answered 5, which is no errno.*negative/)
    assert.equal((await ask(t, (cb) => cb(-4000), undefined, true)).result, ERANGE)
  })

  it('that throws fails its caller alone, with what was thrown', async (t) => {
    const thrown = Object.assign(new Error('no'), { code: 'EACCES' })
    for (const handler of [
      () => {
        throw thrown
      },
      () => Promise.reject(thrown),
      (cb: Callback) => cb(thrown),
    ]) {
      const { result, warnings } = await ask(t, handler)
      assert.equal(result, thrown)
      assert.deepEqual(warnings, [])
    }
  })

  it('that answers nonsense fails, and says so', async (t) => {
    for (const nonsense of ['ENOENT', {}, 1.5, NaN]) {
      const { result } = await ask(t, (cb) => cb(nonsense))
      assert.ok(result instanceof TypeError)
      assert.match(result.message, /the handler `open` answered .*negative errno/)
    }
  })

  it('that answers twice has answered once', async (t) => {
    const { result, warnings } = await ask(t, (cb) => {
      cb(0, 1)
      cb(Fuse.EIO)
      setTimeout(cb, 1, Fuse.EIO)
    })
    assert.deepEqual(result, [0, 1])
    assert.deepEqual(warnings, [
      'fuse-native: open called its callback more than once; only the first call counts',
    ])
  })

  it('that fails after it has answered is reported', async (t) => {
    const sync = await ask(t, (cb) => {
      cb(0, 1)
      throw new Error('afterwards')
    })
    assert.deepEqual(sync.result, [0, 1])
    assert.match(sync.warnings.join(), /open failed after it had answered: afterwards/)
    const later = await ask(t, async (cb) => {
      cb(EIO)
      throw new Error('afterwards')
    })
    assert.equal(later.result, EIO)
    assert.match(later.warnings.join(), /afterwards/)
  })

  it('that takes too long is answered ETIMEDOUT, and not heard any more', async (t) => {
    const slow = (cb: Callback): unknown => setTimeout(cb, 30, 0, 1)
    for (const timeout of [10, { default: 10 }, { open: 10, default: 1e6 }]) {
      const { result, warnings } = await ask(t, slow, timeout)
      assert.equal(result, ETIMEDOUT)
      await delay(30)
      assert.deepEqual(warnings, [])
    }
    for (const timeout of [
      false as const,
      1e6,
      undefined,
      { open: false as const, default: 10 },
      { default: 10, open: 1e6 },
    ]) {
      assert.deepEqual((await ask(t, slow, timeout)).result, [0, 1])
    }
  })
})

describe('init', () => {
  it('holds every other call back until it has answered', async () => {
    const order: string[] = []
    let ready: (result: number) => void = () => undefined
    const handlers: Handlers = {
      init: (cb) => void (ready = cb),
      access: (_path, _mode, cb) => {
        order.push('access')
        cb(0)
      },
    }
    const calls = new HandlerCalls(handlers, undefined, false)
    calls.init()
    const asked = calls.ask('access', ['/', 0], () => undefined)
    await delay(20)
    assert.equal(order.length, 0)
    order.push('ready')
    ready(0)
    await asked
    assert.deepEqual(order, ['ready', 'access'])
  })

  it('that takes too long holds nothing back for ever', async () => {
    const calls = new HandlerCalls(
      { init: () => undefined, access: (_p, _m, cb) => cb(0) },
      { init: 20 },
      false,
    )
    calls.init()
    // A mount would keep the process alive.
    const [answer] = await Promise.all([calls.ask('access', ['/', 0], () => 'done'), delay(100)])
    assert.equal(answer, 'done')
  })

  it('that throws makes mounting fail', () => {
    const calls = new HandlerCalls(
      {
        init: () => {
          throw new Error('cannot')
        },
      },
      undefined,
      false,
    )
    assert.throws(() => calls.init(), /cannot/)
  })
})

describe('the end', () => {
  it('calls nobody any more', async () => {
    const calls = new HandlerCalls({ access: () => assert.fail() }, undefined, false)
    calls.end()
    assert.equal(await calls.ask('access', ['/', 0], () => undefined), ENOTCONN)
  })
})
