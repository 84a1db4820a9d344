// What must not get lost when things go wrong halfway: handles and lookups that an answer gave out, signals, data jobs at
// the end of a session. Against the fake kernel.
import assert from 'node:assert/strict'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, it } from 'node:test'
import { EIO, FUSE_WRITE_CACHE } from 'devfuse'
import type { Direntplus, Request } from 'devfuse'
import { O_RDWR } from 'devfuse/syscalls'
import { resolveOptions } from '#dist/session/options.js'
import { openFiles } from '../support/descriptors.js'
import { attr, serve } from '../support/fake-session.js'
import { temporary } from '../support/mounting.js'
import { source } from '../support/one-file.js'

const turn = (): Promise<void> => new Promise((done) => setImmediate(done))

describe('an answer that cannot be made', () => {
  it('is taken back: the handle is released, the lookup forgotten', async () => {
    const gone: string[] = []
    const { kernel, session } = await serve({
      open: () => ({ fh: 3, openFlags: 0x80 }), // FOPEN_PASSTHROUGH without a backing file
      create: () => ({ nodeid: 5, fh: 4 }) as never, // no attributes
      release: ({ nodeid, fh }) => void gone.push(`release ${nodeid} ${fh}`),
      forget: ({ nodeid }) => void gone.push(`forget ${nodeid}`),
    })
    assert.equal((await kernel.request('open', { nodeid: 2, flags: 0 })).error, EIO)
    assert.equal((await kernel.request('create', { flags: 0, mode: 0, umask: 0, name: 'a' })).error, EIO)
    assert.deepEqual(gone, ['release 2 3', 'release 5 4', 'forget 5'])
    assert.equal(session.stats().passthrough.backingIds, 0)
  })

  it('gives back nothing that its operation gave out, whatever fields it has', async () => {
    const gone: string[] = []
    let answer: () => void = () => undefined
    // One object per inode, as authors keep them.
    const node = { nodeid: 5, attr, fh: 4 }
    const slow = () => new Promise<never>((resolve) => (answer = () => resolve(node as never)))
    const { kernel } = await serve({
      getattr: slow,
      unlink: slow,
      release: ({ fh }) => void gone.push(`release ${fh}`),
      forget: ({ nodeid }) => void gone.push(`forget ${nodeid}`),
    })
    for (const [operation, fields] of [
      ['getattr', { nodeid: 5 }],
      ['unlink', { nodeid: 1, name: 'a' }],
    ] as const) {
      const { unique } = kernel.post(operation, fields)
      kernel.drop(unique)
      answer()
      await turn()
    }
    assert.deepEqual(gone, [])
  })

  it('is not counted as open, whatever stands in it', async (t) => {
    const fd = openSync(source(t, 'content'), 'r')
    t.after(() => closeSync(fd))
    const bad = [
      ['fh', 5n],
      ['fh', -1],
      ['fh', 2 ** 53],
      ['openFlags', Symbol('flags')],
      ['openFlags', 2 ** 32],
      ['passthrough', NaN],
      ['passthrough', fd + 2 ** 32],
    ] as const
    let next: readonly [string, unknown] = bad[0]
    const { kernel, session, warnings } = await serve({
      open: () => ({ fh: 1, passthrough: fd, ...{ [next[0]]: next[1] } }),
      create: () => ({ nodeid: 2, attr, fh: 1, passthrough: fd, ...{ [next[0]]: next[1] } }),
    })
    for (next of bad) {
      assert.equal((await kernel.request('open', { nodeid: 2, flags: 0 })).error, EIO)
      assert.equal((await kernel.request('create', { flags: 0, mode: 0, umask: 0, name: 'a' })).error, EIO)
      assert.equal(session.stats().passthrough.backingIds, 0)
      for (const message of warnings.splice(0))
        assert.match(message, new RegExp(`returned \\W${next[0]}\\W: `))
    }
  })

  it('gives back the lookups of a listing that throws midway', async () => {
    const gone: number[] = []
    const { kernel } = await serve({
      *readdirplus() {
        yield { name: 'a', nodeid: 5, attr }
        yield { name: 'b', nodeid: 6, attr }
        throw new Error('a bug')
      },
      forget: ({ nodeid }) => void gone.push(nodeid),
    })
    assert.equal((await kernel.request('readdirplus', { fh: 0, offset: 0, size: 4096 })).error, EIO)
    assert.deepEqual(gone, [5, 6])
  })
})

describe('an answer that cannot be true', () => {
  it('is never success, and its author learns why', async () => {
    let answer: unknown
    const say = (() => answer) as () => never
    const { kernel, warnings } = await serve({
      lookup: say,
      mkdir: say,
      unlink: say,
      fsync: say,
      access: say,
      write: say,
    })
    const name = { name: 'a' }
    const cached = { fh: 0, offset: 0, writeFlags: FUSE_WRITE_CACHE }
    const cases = [
      ['unlink', name, 13, /returned 13 where nothing, 0 or a negative errno is needed/],
      ['fsync', { fh: 0, fsyncFlags: 0 }, 5n, /returned 5 where/],
      [
        'unlink',
        name,
        new Error('no'),
        /unlink returned an Error \(no\) where nothing, 0 or a negative errno/,
      ],
      ['fsync', { fh: 0, fsyncFlags: 0 }, Promise.resolve(new Error('disk')), /an Error \(disk\) where/],
      ['access', { mask: 4 }, false, /access returned false where/],
      ['unlink', name, '', /returned '' where/],
      ['unlink', name, 'ENOENT', /returned ENOENT where/],
      ['unlink', name, {}, /returned an object where/],
      ['unlink', name, NaN, /returned NaN where/],
      ['lookup', name, { attr }, /`nodeid`: undefined/],
      ['lookup', name, { nodeid: 1.5, attr }, /`nodeid`: 1.5/],
      ['write', { fh: 0, offset: 0, data: Buffer.from('x') }, 2 ** 32 + 1, /returned 4294967297/],
      ['write', { ...cached, data: Buffer.from('xyz') }, 2, /returned 2 where 3 \(all of the cached data/],
    ] as const
    for (const [operation, fields, value, why] of cases) {
      answer = value
      assert.equal((await kernel.request(operation, fields)).error, EIO, operation)
      assert.match(warnings.splice(0).join(), why)
    }
    for (const [operation, fields, value] of [
      ['unlink', name, undefined],
      ['unlink', name, null],
      ['unlink', name, Promise.resolve(0)],
      ['write', { ...cached, data: Buffer.from('xyz') }, 3],
      ['write', { fh: 0, offset: 0, data: Buffer.from('xyz') }, 2],
    ] as const) {
      answer = value
      assert.equal((await kernel.request(operation, fields)).error, 0, operation)
    }
    assert.deepEqual(warnings, [])
    // These are the kernel's to refuse.
    for (const [operation, fields, value, why] of [
      ['lookup', name, { nodeid: 5, attr: { ...attr, mode: 0o644 } }, /`mode` 0o644 without the type/],
      ['mkdir', { ...name, mode: 0, umask: 0 }, { nodeid: 0 }, /`nodeid` 0 for what was made/],
      ['write', { fh: 0, offset: 0, data: Buffer.from('x') }, 2, /2 where 1 bytes were asked for/],
    ] as const) {
      answer = value
      assert.equal((await kernel.request(operation, fields)).error, 0, operation)
      assert.match(warnings.splice(0).join(), why)
    }
  })
})

describe('an entry without an inode number', () => {
  it('is shown all the same: readdir(3) would leave it out', async () => {
    const { kernel } = await serve({
      readdir: () => [{ name: 'a', type: 8 } as never, { name: 'b', ino: 5, type: 8 }],
      readdirplus: () => [{ name: 'c', nodeid: 0 } as never, { name: 'd', nodeid: 6, attr }],
    })
    const inos = async (operation: 'readdir' | 'readdirplus') => {
      const { entries } = await kernel.request(operation, { fh: 0, offset: 0, size: 4096 })
      return (entries as { ino: number }[]).map(({ ino }) => ino)
    }
    assert.deepEqual(await inos('readdir'), [0xffff_ffff, 5])
    assert.deepEqual(await inos('readdirplus'), [0xffff_ffff, attr.ino])
  })
})

describe('a listing with an entry that cannot be sent', () => {
  const bad = {
    'an illegal name': { name: 'b/c', nodeid: 6, attr },
    'no attributes': { name: 'b', nodeid: 6 } as Direntplus,
    'a name that is none': { name: 5 as never, nodeid: 6, attr },
  }
  for (const [what, entry] of Object.entries(bad)) {
    it(`is EIO, and gives back every lookup in it: ${what}`, async () => {
      const gone: number[] = []
      const entries = [
        { name: '.', nodeid: 1, attr },
        { name: 'a', nodeid: 5, attr },
        entry,
        { name: 'd', nodeid: 7, attr },
      ]
      let answer: Iterable<Direntplus> | AsyncIterable<Direntplus> = entries
      const { kernel } = await serve({
        readdirplus: () => answer,
        forget: ({ nodeid }) => void gone.push(nodeid),
      })
      const list = () => kernel.request('readdirplus', { fh: 0, offset: 0, size: 4096 })
      assert.equal((await list()).error, EIO)
      assert.deepEqual(gone.splice(0), [5, 6, 7])
      // A generator has not counted what it was not asked for.
      answer = entries.values()
      assert.equal((await list()).error, EIO)
      assert.deepEqual(gone.splice(0), [5, 6])
      answer = Readable.from(entries)
      assert.equal((await list()).error, EIO)
      assert.deepEqual(gone.splice(0), [5, 6])
    })
  }
})

describe('the end of a session', () => {
  it('waits for handlers in flight before destroy, and takes back what they give out late', async () => {
    const steps: string[] = []
    let go = (): void => undefined
    const { kernel, session } = await serve({
      open: async () => {
        await new Promise<void>((done) => (go = done))
        steps.push('opened')
        return { fh: 9 }
      },
      release: ({ fh }) => void steps.push(`released ${fh}`),
      destroy: () => void steps.push('destroyed'),
    })
    void kernel.request('open', { nodeid: 2, flags: 0 })
    kernel.unmount()
    await turn()
    assert.deepEqual(steps, [])
    go()
    await session.closed
    assert.deepEqual(steps, ['opened', 'released 9', 'destroyed'])
    assert.equal(kernel.strays.length, 0)
  })
})

describe('data that the session writes by itself', () => {
  // As after a kill: the caller is answered before a thread comes to its write, and its file is released.
  it('goes to the file that was meant, though it is released before the job has run', async (t) => {
    const dir = temporary(t)
    const path = join(dir, 'file')
    const fd = openSync(path, 'w+')
    const { kernel, session } = await serve({
      open: () => ({ fh: 3, passthrough: fd }),
      release: () => closeSync(fd),
    })
    await kernel.request('open', { nodeid: 2, flags: O_RDWR })
    const open = () => openFiles().filter((link) => link === path).length
    const data = Buffer.alloc(1 << 20, 'x')
    const write = kernel.request('write', { nodeid: 2, fh: 3, offset: 0, data })
    const release = kernel.request('release', { nodeid: 2, fh: 3 })
    assert.equal(open(), 1)
    await Promise.all([write, release])
    assert.equal(open(), 0)
    assert.deepEqual(readFileSync(path), data)
    await session[Symbol.asyncDispose]()
  })
})

describe('signals', () => {
  it('are forgotten with the answer, and aborted from then on', async () => {
    const kept: Request[] = []
    const { kernel, session } = await serve({
      *readdir(request) {
        assert.equal(request.signal.aborted, false)
        kept.push(request)
        yield { name: 'a', ino: 1, type: 8 }
      },
    })
    for (let i = 0; i < 20; i++) await kernel.request('readdir', { fh: 0, offset: 0, size: 4096 })
    assert.equal(session.stats().inFlight, 0)
    assert.equal(kept[0]?.signal.aborted, true)
    assert.equal(session.stats().inFlight, 0)
  })

  it('asked for after the end are aborted', async () => {
    let late: boolean | undefined
    const { kernel, session } = await serve({
      unlink: async (request) => {
        await turn()
        late = request.signal.aborted
      },
    })
    void kernel.request('unlink', { name: 'a' })
    kernel.unmount()
    await session.closed
    assert.equal(late, true)
  })
})

describe('options that cannot be kept', () => {
  it('are refused, or have the effect they say', async () => {
    assert.throws(() => resolveOptions({ busyPoll: 5000 }), /`busyPoll` must be an integer from 0 to 1000/)
    await assert.rejects(
      serve({}, { passthrough: 'off', want: ['FUSE_PASSTHROUGH'] }),
      /contradict each other/,
    )
    const { session } = await serve({}, { refuse: ['FUSE_INIT_EXT'] })
    assert.equal(session.negotiation.agreed.has('FUSE_PASSTHROUGH'), false)
    assert.match(session.negotiation.passthroughUnavailable ?? '', /FUSE_INIT_EXT/)
  })
})
