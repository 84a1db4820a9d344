// Opening and closing once, as the package nanoresource that fuse-native inherits from.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Resource } from '#dist/filesystems/compat/fuse-native/resource.js'
import type { Done } from '#dist/filesystems/compat/fuse-native/resource.js'

class Counted extends Resource {
  log: string[] = []
  fails = 0

  override _open(done: Done): void {
    this.log.push('open')
    setTimeout(done, 5, this.fails-- > 0 ? new Error('failed') : null)
  }

  override _close(done: Done): void {
    this.log.push('close')
    done(this.fails-- > 0 ? new Error('failed') : null)
  }
}

const opened = (one: Resource) => new Promise((done) => one.open(done))
const closed = (one: Resource) => new Promise((done) => one.close(done))

describe('a resource', () => {
  it('opens once, for whoever asks', async () => {
    const one = new Counted()
    const all = Promise.all([opened(one), opened(one)])
    assert.deepEqual([one.opening, one.opened], [true, false])
    assert.deepEqual(await all, [null, null])
    assert.deepEqual([one.opening, one.opened], [false, true])
    await opened(one)
    assert.deepEqual(one.log, ['open'])
  })

  it('may be opened again after a failure', async () => {
    const one = new Counted()
    one.fails = 1
    assert.match(String(await opened(one)), /failed/)
    assert.equal(one.opened, false)
    assert.equal(await opened(one), null)
  })

  it('closes once, after it has opened, and stays closed', async () => {
    const one = new Counted()
    one.open()
    await Promise.all([closed(one), closed(one)])
    assert.deepEqual(one.log, ['open', 'close'])
    assert.deepEqual([one.closing, one.closed], [false, true])
    await closed(one)
    assert.match(String(await opened(one)), /Resource is closed/)
    assert.equal(one.active(), false)
  })

  it('may be closed again after a failure', async () => {
    const one = new Counted()
    await opened(one)
    one.fails = 1
    assert.match(String(await closed(one)), /failed/)
    assert.equal(one.closed, false)
    await closed(one)
    assert.equal(one.closed, true)
  })

  it('closes without work when it was never open', async () => {
    const one = new Counted()
    await closed(one)
    assert.deepEqual([one.closed, one.log], [true, []])
  })

  it('waits with closing until nobody uses it', async () => {
    const one = new Counted()
    await opened(one)
    assert.ok(one.active())
    const end = closed(one)
    assert.equal(one.active(), false)
    assert.match(String(await new Promise((done) => one.active(done))), /Resource is closed/)
    assert.equal(one.closing, false)
    const [error, value] = await new Promise<unknown[]>((done) =>
      one.inactive((...all) => done(all), null, 7),
    )
    assert.deepEqual([error, value], [null, 7])
    await end
    assert.equal(one.closed, true)
  })

  it('may be used while it waits, if the one who closes allows it', async () => {
    const one = new Counted()
    await opened(one)
    one.active()
    const end = new Promise((done) => one.close(true, done as Done))
    assert.ok(one.active())
    one.inactive()
    assert.equal(one.closed, false)
    one.inactive()
    await end
  })

  it('calls back later, never inside the call', async () => {
    const one = new Counted()
    await opened(one)
    let inside = true
    await new Promise<void>((done) => {
      one.close(() => {
        assert.equal(inside, false)
        done()
      })
      inside = false
    })
  })
})
