// Dispatch against the fake kernel: decoding, answers of every kind, errors, slots, interrupts, and what the session
// takes back when nobody receives an answer. Bytes in, bytes out; no mount.
import assert from 'node:assert/strict'
import { closeSync, openSync } from 'node:fs'
import { describe, it } from 'node:test'
import { EEXIST, EFBIG, EIO, ENOENT, ENOSYS, EOPNOTSUPP, EOVERFLOW, ERANGE } from 'devfuse'
import type { FdData, Filesystem } from 'devfuse'
import { FakeKernel } from '#dist/device/fake-kernel.js'
import { resolveOptions } from '#dist/session/options.js'
import { Session } from '#dist/session/session.js'
import { OFFER, attr, serve } from '../support/fake-session.js'
import { source } from '../support/one-file.js'

describe('answers', () => {
  it('answers a lookup with its entry, in seconds and nanoseconds', async () => {
    const { kernel } = await serve({
      lookup: ({ name }) => (name === 'a' ? { nodeid: 2, entryValid: 1.5, attrValid: 2, attr } : ENOENT),
    })
    const found = await kernel.request('lookup', { name: 'a' })
    assert.equal(found.error, 0)
    assert.equal(found['nodeid'], 2)
    assert.equal(found['entryValid'], 1.5)
    assert.equal((await kernel.request('lookup', { name: 'b' })).error, ENOENT)
  })

  it('keeps `this`, awaits promises and maps what is thrown', async () => {
    class Files implements Filesystem {
      readonly code = 'EEXIST'
      mkdir(): never {
        throw Object.assign(new Error('there'), { code: this.code })
      }
      async rmdir(): Promise<typeof ENOENT> {
        return await Promise.resolve(ENOENT)
      }
      unlink(): Promise<void> {
        return Promise.reject(new Error('a bug'))
      }
    }
    const { kernel, warnings } = await serve(new Files())
    assert.equal((await kernel.request('mkdir', { name: 'a', mode: 0, umask: 0 })).error, EEXIST)
    assert.equal((await kernel.request('rmdir', { name: 'a' })).error, ENOENT)
    assert.equal((await kernel.request('unlink', { name: 'a' })).error, EIO)
    assert.match(warnings.join(), /unlink failed.*EIO: a bug/)
  })

  it('says what a misfitting answer should have been', async () => {
    const { kernel, warnings } = await serve({
      lookup: () => undefined as never,
      getattr: () => 5 as never,
      read: () => 'text' as never,
      write: () => 1.5,
      statfs: () => -100_000 as never,
    })
    for (const [name, fields] of [
      ['lookup', { name: 'a' }],
      ['getattr', {}],
      ['read', { fh: 0, offset: 0, size: 10 }],
      ['write', { fh: 0, offset: 0, data: Buffer.from('x') }],
      ['statfs', {}],
    ] as const) {
      assert.equal((await kernel.request(name, fields)).error, EIO, name)
    }
    assert.equal(warnings.length, 5)
    for (const message of warnings) assert.match(message, /returned .* where .* is needed/)
  })

  it('takes no descriptor, offset or size that means another one to the addon', async (t) => {
    const fd = openSync(source(t, 'content'), 'r')
    t.after(() => closeSync(fd))
    const good = { fd, offset: 0, size: 7 }
    let answer: FdData = good
    const { kernel, warnings } = await serve({ read: () => answer })
    const read = () => kernel.request('read', { fh: 0, offset: 0, size: 20 })
    assert.equal(String((await read())['data']), 'content')
    for (const [name, value] of [
      ['fd', NaN],
      ['fd', -1],
      ['fd', fd + 0.5],
      ['fd', fd + 2 ** 32],
      ['offset', undefined],
      ['offset', -1],
      ['offset', 2 ** 53],
      ['offset', 5n],
      ['size', undefined],
      ['size', NaN],
      ['size', -1],
    ] as const) {
      answer = { ...good, [name]: value }
      assert.equal((await read()).error, EIO, `${name}: ${value}`)
      assert.match(warnings.pop() ?? '', new RegExp(`read returned \\W${name}\\W: ${value} where an integer`))
    }
  })

  it('answers for absent methods as the table says', async () => {
    const { kernel } = await serve({})
    assert.equal((await kernel.request('open', { flags: 0 })).error, 0)
    assert.equal((await kernel.request('statfs')).error, 0)
    assert.equal((await kernel.request('lookup', { name: 'a' })).error, ENOSYS)
    assert.equal((await kernel.request('mkdir', { name: 'a', mode: 0, umask: 0 })).error, -1)
  })

  it('answers numbers that JavaScript cannot hold by itself: EFBIG in a size or where to write, else EOVERFLOW', async () => {
    let called = 0
    const count = () => {
      called++
      return EIO
    }
    const { kernel } = await serve({
      write: count,
      setattr: count,
      fallocate: count,
      lseek: count,
      read: count,
    })
    const huge = 2n ** 60n
    for (const [name, fields, expected] of [
      ['write', { offset: huge, data: Buffer.from('x') }, EFBIG],
      ['setattr', { valid: 8, size: huge }, EFBIG],
      ['fallocate', { offset: 0, length: huge }, EFBIG],
      ['read', { offset: huge, size: 10 }, EOVERFLOW],
      ['lseek', { offset: huge, whence: 3 }, EOVERFLOW],
    ] as const)
      assert.equal((await kernel.request(name, fields)).error, expected, name)
    assert.equal(called, 0)
  })

  it('asks nobody for holes while the kernel has data that it has not written yet', async () => {
    let called = 0
    const lseek = () => ++called
    const { kernel, warnings } = await serve({ lseek }, { want: ['FUSE_WRITEBACK_CACHE'] })
    assert.equal((await kernel.request('lseek', { fh: 0, offset: 0, whence: 3 })).error, ENOSYS)
    assert.deepEqual([called, warnings], [0, []])
  })

  it('fits extended attributes to the size asked for', async () => {
    const { kernel } = await serve({
      getxattr: () => 'value',
      listxattr: () => ['user.a', 'user.b'],
    })
    const size = await kernel.request('getxattr', { size: 0, name: 'user.a' })
    assert.equal((size['data'] as Buffer).readUInt32LE(0), 5)
    const value = await kernel.request('getxattr', { size: 5, name: 'user.a' })
    assert.equal(String(value['data']), 'value')
    assert.equal((await kernel.request('getxattr', { size: 4, name: 'user.a' })).error, ERANGE)
    const list = await kernel.request('listxattr', { size: 100 })
    assert.equal(String(list['data']), 'user.a\0user.b\0')
  })

  it('lists the names of attributes, exact where they are Buffers, and says what no list is', async () => {
    let names: unknown
    const exact = Buffer.from('user.\xff', 'latin1')
    const { kernel, warnings } = await serve({ listxattr: () => names as string[] }, { encoding: 'buffer' })
    names = [exact, Buffer.from('user.b')]
    const { error, data } = await kernel.request('listxattr', { size: 100 })
    assert.deepEqual([error, (data as Buffer).toString('latin1')], [0, 'user.\xff\0user.b\0'])
    assert.deepEqual(warnings, [])
    for (const none of [5, null, '', Buffer.from('a\0b')]) {
      names = [exact, none]
      assert.equal((await kernel.request('listxattr', { size: 100 })).error, EIO)
      assert.match(
        warnings.splice(0).join(),
        /listxattr returned the name .* where an array of strings or Buffers/,
      )
    }
    // These are the kernel's to refuse.
    names = Buffer.from('user.a\0user.b')
    for (const size of [0, 100]) {
      assert.equal((await kernel.request('listxattr', { size })).error, 0)
      assert.match(warnings.splice(0).join(), /listxattr for EIO: there is no NUL after the last name/)
    }
  })

  it('refuses opcodes that nobody knows, and messages that end too early', async () => {
    const { kernel } = await serve({ lookup: () => ENOENT })
    const message = Buffer.alloc(40)
    message.writeUInt32LE(40, 0)
    message.writeUInt32LE(2000, 4)
    message.writeUInt32LE(77, 8)
    kernel.deliver(message)
    message.writeUInt32LE(1, 4)
    kernel.deliver(message)
    assert.deepEqual(
      kernel.strays.map((reply) => reply.readInt32LE(4)),
      [ENOSYS, EIO],
    )
    assert.equal(kernel.freeSlots, 8)
  })
})

describe('ENOSYS where it is sticky', () => {
  it('is reported once, and replaced once the operation has worked', async () => {
    let answer: typeof ENOSYS | 'value' = ENOSYS
    const { kernel, warnings } = await serve({ getxattr: () => answer })
    assert.equal((await kernel.request('getxattr', { size: 9, name: 'a' })).error, ENOSYS)
    answer = 'value'
    assert.equal((await kernel.request('getxattr', { size: 9, name: 'a' })).error, 0)
    answer = ENOSYS
    assert.equal((await kernel.request('getxattr', { size: 9, name: 'a' })).error, EOPNOTSUPP)
    assert.equal(warnings.length, 1)
    assert.match(warnings[0] ?? '', /turns the operation off/)
  })

  it('is meant where the flag for it is asked for', async () => {
    const options = { want: ['FUSE_NO_OPENDIR_SUPPORT'] } as const
    const { kernel, warnings } = await serve({ opendir: () => ENOSYS }, options)
    for (let i = 0; i < 2; i++) assert.equal((await kernel.request('opendir', { flags: 0 })).error, ENOSYS)
    assert.deepEqual(warnings, [])
  })
})

describe('slots', () => {
  it('come back after every request, and never run out while writes wait', async () => {
    const waiting: (() => void)[] = []
    const seen: string[] = []
    const { kernel } = await serve({
      write: ({ data }) =>
        new Promise((done) => {
          waiting.push(() => {
            seen.push(data.toString())
            done(data.byteLength)
          })
        }),
    })
    const writes = Array.from({ length: 50 }, (_, i) =>
      kernel.request('write', { fh: 0, offset: 0, data: Buffer.from(`data ${i}`) }),
    )
    assert.ok(kernel.freeSlots > 0)
    for (const go of waiting) go()
    for (const reply of await Promise.all(writes)) assert.equal(reply.error, 0)
    assert.equal(kernel.freeSlots, 8)
    assert.deepEqual(
      seen,
      Array.from({ length: 50 }, (_, i) => `data ${i}`),
    )
  })
})

describe('interrupts', () => {
  it('abort the signal of the request they name, before or after it was asked for', async () => {
    let late: AbortSignal | undefined
    const { kernel, session } = await serve({
      read: (request) =>
        new Promise((_, fail) => {
          request.signal.addEventListener('abort', () => fail(request.signal.reason as Error))
        }),
      unlink: async (request) => {
        await new Promise((done) => setTimeout(done, 10))
        late = request.signal
      },
    })
    const read = kernel.post('read', { fh: 0, offset: 0, size: 1 })
    kernel.tell('interrupt', { interrupted: read.unique })
    assert.equal((await read.promise).error, -4)
    const unlink = kernel.post('unlink', { name: 'a' })
    kernel.tell('interrupt', { interrupted: unlink.unique })
    assert.equal((await unlink.promise).error, 0)
    assert.equal(late?.aborted, true)
    kernel.tell('interrupt', { interrupted: 12_345 })
    assert.equal(session.stats().inFlight, 0)
  })
})

describe('answers that reach nobody', () => {
  it('are taken back: the lookup is forgotten, the open file released', async () => {
    const gone: string[] = []
    let go = (): void => undefined
    const wait = (): Promise<void> => new Promise((done) => (go = done))
    const { kernel } = await serve({
      create: async () => {
        await wait()
        return { nodeid: 5, attr, fh: 9 }
      },
      forget: ({ nodeid, nlookup }) => void gone.push(`forget ${nodeid} ${nlookup}`),
      release: ({ nodeid, fh }) => void gone.push(`release ${nodeid} ${fh}`),
    })
    const create = kernel.post('create', { flags: 0, mode: 0, umask: 0, name: 'a' })
    kernel.drop(create.unique)
    go()
    await new Promise((done) => setImmediate(done))
    assert.deepEqual(gone, ['release 5 9', 'forget 5 1'])
  })
})

describe('forget', () => {
  it('reaches the filesystem one by one, from FORGET and BATCH_FORGET', async () => {
    const gone: [number, number][] = []
    const { kernel } = await serve({ forget: ({ nodeid, nlookup }) => void gone.push([nodeid, nlookup]) })
    kernel.tell('forget', { nodeid: 4, nlookup: 2 })
    kernel.tell('batchForget', {
      items: [
        { nodeid: 5, nlookup: 1 },
        { nodeid: 6, nlookup: 3 },
      ],
    })
    assert.deepEqual(gone, [
      [4, 2],
      [5, 1],
      [6, 3],
    ])
  })
})

describe('the end', () => {
  it('aborts what is in flight, calls destroy once and answers nothing more', async () => {
    let destroyed = 0
    let aborted = false
    const { kernel, session } = await serve({
      destroy: () => void destroyed++,
      read: ({ signal }) =>
        new Promise((done) => {
          signal.addEventListener('abort', () => {
            aborted = true
            done(Buffer.alloc(0))
          })
        }),
    })
    void kernel.request('read', { fh: 0, offset: 0, size: 1 })
    kernel.unmount()
    assert.equal((await session.closed).reason, 'outside')
    assert.equal(destroyed, 1)
    assert.equal(aborted, true)
    assert.equal(kernel.closed, true)
    await new Promise((done) => setImmediate(done))
    assert.equal(kernel.strays.length, 0)
  })

  it('fails the start where INIT cannot be settled', async () => {
    const kernel = new FakeKernel()
    const options = resolveOptions({ handleSignals: false, onWarning: () => undefined, passthrough: 'on' })
    const started = new Session(kernel, {}, options, undefined).start()
    const refused = assert.rejects(started, /passthrough: 'on' is impossible.*7\.38/)
    assert.notEqual((await kernel.request('init', { ...OFFER, minor: 38, flags2: 0 })).error, 0)
    await refused
  })
})
