// faults and limit: failures by rule and seed, and less room and speed than there is.
import assert from 'node:assert/strict'
import { constants } from 'node:fs'
import { describe, it } from 'node:test'
import { EIO, ENOSPC, FOPEN_NOFLUSH, FOPEN_PASSTHROUGH, FUSE_WRITE_CACHE, connect } from 'devfuse'
import type { Filesystem } from 'devfuse'
import { STATX_MODE } from 'devfuse/syscalls'
import { faults, limit } from 'devfuse/wrappers'
import type { FaultRule } from 'devfuse/wrappers'
import { skip } from '../support/mounting.js'
import { failure, filled, someDirectory as attr, viewed } from './filled.js'

describe('faults', { skip }, () => {
  it('strike by operation and path', async (t) => {
    const inner = await filled({ '/d/': '', '/d/a.db': 'a', '/d/b': 'b', '/c': 'c' })
    const rules: FaultRule[] = [
      { operation: 'read', path: /\.db$/, errno: 'EIO' },
      { operation: ['mkdir', 'unlink'], path: '/d/b', errno: -28 },
      { operation: 'open', path: (path) => path.startsWith('/c'), errno: 'EACCES' },
    ]
    const fs = viewed(t, faults(inner, rules))
    assert.equal(await failure(fs.readFile('/d/a.db')), 'EIO')
    assert.equal(await fs.readFile('/d/b', 'utf8'), 'b')
    assert.equal(await failure(fs.unlink('/d/b')), 'ENOSPC')
    assert.equal(await failure(fs.open('/c')), 'EACCES')
    await fs.rename('/d/b', '/d/e.db')
    assert.equal(await failure(fs.readFile('/d/e.db')), 'EIO')
    await fs.rename('/d', '/c.d')
    assert.equal(await failure(fs.open('/c.d/a.db')), 'EACCES')
  })

  it('know a file by the names that it still has', async () => {
    const file = { ...attr, mode: 0o100644 }
    const inner: Filesystem = {
      lookup: () => ({ nodeid: 2, attr: file }),
      link: () => ({ nodeid: 2, attr: file }),
      unlink: () => undefined,
      rename: () => undefined,
      read: () => Buffer.from('x'),
    }
    await using kernel = await connect(faults(inner, [{ operation: 'read', path: '/a', errno: 'EIO' }]))
    const read = async (): Promise<number> => (await kernel.send('read', { nodeid: 2, size: 1 })).error
    await kernel.send('lookup', { name: 'a' })
    await kernel.send('link', { oldnodeid: 2, newname: 'b' })
    assert.equal(await read(), 0)
    await kernel.send('unlink', { name: 'b' })
    assert.equal(await read(), EIO)
    await kernel.send('rename', { name: 'a', newdir: 1, newname: 'c' })
    assert.equal(await read(), 0)
    await kernel.send('unlink', { name: 'c' })
    assert.equal(await read(), 0)
    await kernel.send('lookup', { name: 'a' })
    await kernel.send('unlink', { name: 'a' })
    assert.equal(await read(), EIO)
  })

  it('count what passed and how often they struck', async (t) => {
    const fs = viewed(
      t,
      faults(await filled({ '/f': '' }), [{ operation: 'statfs', after: 2, times: 2, errno: 'EIO' }]),
    )
    const found: unknown[] = []
    for (let i = 0; i < 6; i++) found.push(await failure(fs.statfs('/')))
    assert.deepEqual(found, ['no failure', 'no failure', 'EIO', 'EIO', 'no failure', 'no failure'])
  })

  it('are the same with the same seed', async (t) => {
    const inner = await filled({})
    const run = async (seed: number): Promise<string> => {
      const connection = await connect(
        faults(inner, [{ operation: 'statfs', probability: 0.3, errno: 'EIO' }], { seed }),
      )
      let found = ''
      for (let i = 0; i < 64; i++) found += (await connection.send('statfs')).error === 0 ? '.' : 'x'
      await connection.close()
      return found
    }
    const [first, second, other] = [await run(7), await run(7), await run(8)]
    assert.equal(first, second)
    assert.notEqual(first, other)
    const struck = first.replaceAll('.', '').length
    assert.ok(struck > 8 && struck < 32, `${struck} of 64`)
    t.diagnostic(first)
  })

  it('cut reads and writes short', async (t) => {
    const inner = await filled({ '/f': '0123456789' })
    const reading = viewed(t, faults(inner, [{ operation: 'read', short: 0.001 }]))
    // A short read of a cached file is its end: 4 of the 4096 bytes that the page has.
    assert.equal(await reading.readFile('/f', 'utf8'), '0123')
    await reading.close()
    const writing = viewed(t, faults(inner, [{ operation: 'write', short: 0.5 }]))
    await using handle = await writing.open('/f', 'r+')
    assert.equal((await handle.write('abcdefgh', 0)).bytesWritten, 4)
    assert.equal(await writing.readFile('/f', 'utf8'), 'abcd456789')
  })

  it('cut no write out of the page cache, of which the rest would be lost, and do not count it', async () => {
    const sizes: number[] = []
    const inner: Filesystem = {
      write: ({ size, data }) => (sizes.push(data.byteLength), size),
      statfs: () => ({}),
    }
    const rules: FaultRule[] = [
      { short: 0.5, times: 1 },
      { operation: 'write', short: 0.25, latency: 1 },
    ]
    await using kernel = await connect(faults(inner, rules))
    await kernel.send('statfs')
    const found: unknown[] = []
    for (const writeFlags of [FUSE_WRITE_CACHE, 0, FUSE_WRITE_CACHE, 0]) {
      const { value } = await kernel.send('write', { nodeid: 2, size: 8, data: Buffer.alloc(8), writeFlags })
      found.push(value)
    }
    assert.deepEqual(
      [found, sizes],
      [
        [8, 4, 8, 2],
        [8, 4, 8, 2],
      ],
    )
  })

  it('leave sizes alone that are not those of reads and writes', async (t) => {
    const fs = viewed(t, faults(await filled({ '/f': '01234567' }), [{ short: 0.5 }]))
    await fs.truncate('/f', 6)
    assert.equal((await fs.stat('/f')).size, 6)
  })

  it('serve files whose filesystem passes them through, whatever form it answers in', async () => {
    const inner: Filesystem = {
      open: () => ({ fh: 1, openFlags: FOPEN_PASSTHROUGH | FOPEN_NOFLUSH, backingId: 7 }),
      read: () => Buffer.from('served'),
      write: ({ size }) => size,
    }
    await using kernel = await connect(faults(inner, []))
    const { error, openFlags } = await kernel.send('open')
    assert.deepEqual([error, openFlags], [0, FOPEN_NOFLUSH])
  })

  it('are for one thread, as limits are', () => {
    assert.equal(faults({ shareable: true }, []).shareable, false)
    assert.equal(limit({ shareable: true }, {}).shareable, false)
  })

  it('hang until the caller is interrupted, and wait', async (t) => {
    const inner = await filled({ '/f': 'content', '/g': 'x' })
    const fs = viewed(
      t,
      faults(inner, [
        { operation: 'read', path: '/f', hang: true },
        { operation: 'read', path: '/g', latency: [30, 40] },
      ]),
    )
    const started = performance.now()
    const caller = new AbortController()
    setTimeout(() => caller.abort(), 50)
    await assert.rejects(fs.readFile('/f', { signal: caller.signal }), { name: 'AbortError' })
    assert.equal(await fs.readFile('/g', 'utf8'), 'x')
    assert.ok(performance.now() - started >= 75)
  })

  it('must make sense', () => {
    assert.throws(() => faults({}, [{ errno: 'ENONSENSE' }]), /ENONSENSE/)
    assert.throws(() => faults({}, [{ probability: 2 }]), /from 0 to 1/)
    assert.throws(() => faults({}, [{ operation: 'read' }]), /no effect/)
    const wrong: [object, RegExp][] = [
      [{ latency: -1 }, /`latency` .* not -1/],
      [{ latency: [5] }, /`latency` .* not \[ 5 \]/],
      [{ latency: [9, 5] }, /`latency` .* the smaller first/],
      [{ latency: Infinity }, /`latency`/],
      [{ times: NaN }, /`times` .* not NaN/],
      [{ after: '1' }, /`after` .* not '1'/],
      [{ probability: '0.5' }, /`probability` .* not '0.5'/],
      [{ short: true }, /`short` .* not true/],
      [{ hang: 1 }, /`hang` .* true or false/],
      [{ path: 'a.db' }, /`path` .* not 'a.db'/],
      [{ path: '/d/' }, /`path`/],
      [{ operation: [] }, /`operation`/],
      [{ errno: 9999 }, /`errno` .* not 9999/],
    ]
    for (const [rule, message] of wrong) assert.throws(() => faults({}, [{ errno: 'EIO', ...rule }]), message)
    assert.throws(() => faults({}, [{ operation: 'getattr', short: 0.5 }]), /`short` .* not for getattr/)
    assert.throws(
      () => faults({}, [{ operation: 'getattr', short: 0.5, latency: 5 }]),
      /`short` .* read and write/,
    )
    faults({}, [{ operation: ['getattr', 'write'], short: 0.5 }])
    faults({}, [{ errno: -28, path: '/', times: Infinity, latency: [5, 5] }])
    assert.throws(() => faults({}, [{ hang: false }]), /no effect/)
    assert.throws(() => faults({}, [5 as FaultRule]), /a fault takes an object/)
    assert.throws(() => faults({}, { errno: 'EIO' } as never), /array of rules/)
    assert.throws(
      () => faults({}, [], { seed: 'x' as never }),
      /`seed` of faults\(\) must be an integer, not 'x'/,
    )
    assert.throws(() => faults({}, [{ errno: 'EIO', operaton: 'read' } as FaultRule]), /no `operaton`/)
    assert.throws(() => faults({}, [{ errno: 'EIO', operation: 'raed' as 'read' }]), /`raed`/)
    assert.throws(() => faults(undefined as never, []), /needs a filesystem/)
  })
})

describe('limit', { skip }, () => {
  const KIB = 1024

  it('says ENOSPC beyond the size, and statfs tells', async (t) => {
    const fs = viewed(t, limit(await filled({}), { size: 64 * KIB }))
    const free = async (): Promise<number> => {
      const { bfree, bsize, blocks } = await fs.statfs('/')
      assert.equal(blocks * bsize, 64 * KIB)
      return bfree * bsize
    }
    assert.equal(await free(), 64 * KIB)
    await fs.writeFile('/a', Buffer.alloc(40 * KIB))
    assert.equal(await free(), 24 * KIB)
    assert.equal(await failure(fs.writeFile('/b', Buffer.alloc(30 * KIB))), 'ENOSPC')
    assert.equal(await failure(fs.truncate('/a', 100 * KIB)), 'ENOSPC')
    await fs.writeFile('/b', Buffer.alloc(24 * KIB))
    assert.equal(await free(), 0)
    await fs.writeFile('/a', Buffer.alloc(40 * KIB, 1))
    await fs.truncate('/a', 8 * KIB)
    assert.equal(await free(), 32 * KIB)
    await fs.unlink('/b')
    assert.equal(await free(), 56 * KIB)
    await fs.link('/a', '/c')
    await fs.unlink('/a')
    assert.equal(await free(), 56 * KIB)
    await fs.writeFile('/d', '')
    await fs.rename('/d', '/c')
    assert.equal(await free(), 64 * KIB)
  })

  it('counts files that are removed while they are open until they are closed', async (t) => {
    const fs = viewed(t, limit(await filled({}), { size: 16 * KIB }))
    const handle = await fs.open('/a', 'w')
    await handle.write(Buffer.alloc(16 * KIB))
    await fs.unlink('/a')
    assert.equal(await failure(fs.writeFile('/b', 'x')), 'ENOSPC')
    await handle.close()
    await fs.writeFile('/b', 'x')
    assert.equal(await fs.readFile('/b', 'utf8'), 'x')
  })

  it('gives back what was set aside for a write that fails', async (t) => {
    const inner = faults(await filled({ '/a': '' }), [{ operation: 'write', errno: 'EIO', times: 1 }])
    const fs = viewed(t, limit(inner, { size: 16 * KIB }))
    assert.equal(await failure(fs.writeFile('/a', Buffer.alloc(16 * KIB))), 'EIO')
    await fs.writeFile('/a', Buffer.alloc(16 * KIB))
  })

  it('knows the sizes that a listing with attributes told', async () => {
    const inner = await filled({ '/f': 'x'.repeat(16 * KIB) })
    await using kernel = await connect(limit(inner, { size: 64 * KIB, used: 16 * KIB }), {
      encoding: 'latin1',
    })
    const free = async (): Promise<number> => {
      const { bfree, frsize } = (await kernel.send('statfs')) as unknown as Record<string, number>
      return bfree * frsize
    }
    const { fh: directory } = await kernel.send('opendir')
    const { entries } = await kernel.send('readdirplus', { fh: directory, size: 4096 })
    const listed = (entries as { name: string; nodeid: number }[]).find(({ name }) => name === 'f')
    const nodeid = listed?.nodeid ?? assert.fail('not listed')
    const { fh } = await kernel.send('open', { nodeid, flags: constants.O_RDWR })
    await kernel.send('write', { nodeid, fh, size: 16 * KIB, data: Buffer.alloc(16 * KIB) })
    assert.equal(await free(), 48 * KIB)
    await kernel.send('unlink', { name: 'f' })
    await kernel.send('release', { nodeid, fh })
    kernel.tell('forget', { nodeid, nlookup: 1 })
    assert.equal(await free(), 64 * KIB)
  })

  it('counts what FALLOCATE makes longer, and nothing that it keeps as long as it is', async () => {
    const file = { ...attr, mode: 0o100644, size: 0, nlink: 1 }
    const inner: Filesystem = {
      lookup: () => ({ nodeid: 2, attr: file }),
      fallocate: () => undefined,
      statfs: () => ({ frsize: KIB }),
    }
    await using kernel = await connect(limit(inner, { size: 8 * KIB }))
    const free = async (): Promise<unknown> => (await kernel.send('statfs')).bfree
    const [KEEP_SIZE, ZERO_RANGE] = [1, 16]
    await kernel.send('lookup', { name: 'f' })
    const allocate = async (mode: number, length: number): Promise<number> =>
      (await kernel.send('fallocate', { nodeid: 2, mode, length })).error
    assert.deepEqual([await allocate(KEEP_SIZE, 4 * KIB), await free()], [0, 8])
    assert.deepEqual([await allocate(KEEP_SIZE, 9 * KIB), await free()], [ENOSPC, 8])
    assert.deepEqual([await allocate(ZERO_RANGE, 9 * KIB), await free()], [ENOSPC, 8])
    assert.deepEqual([await allocate(ZERO_RANGE, 4 * KIB), await free()], [0, 4])
  })

  it('learns nothing from a STATX without the size', async () => {
    const file = { ...attr, mode: 0o100644, size: 4 * KIB, nlink: 1 }
    const time = { tvSec: 0 }
    const stat = { ...file, mask: STATX_MODE, size: 0, atime: time, btime: time, ctime: time, mtime: time }
    const inner: Filesystem = {
      lookup: () => ({ nodeid: 2, attr: file }),
      statx: () => ({ stat }),
      statfs: () => ({ frsize: KIB }),
    }
    await using kernel = await connect(limit(inner, { size: 8 * KIB, used: 4 * KIB }))
    await kernel.send('lookup', { name: 'f' })
    await kernel.send('statx', { nodeid: 2 })
    assert.equal((await kernel.send('statfs')).bfree, 4)
  })

  it('slows down what exceeds the rate', async (t) => {
    const fs = viewed(t, limit(await filled({}), { bytesPerSecond: 200 * KIB }))
    const started = performance.now()
    await fs.writeFile('/a', Buffer.alloc(200 * KIB))
    const burst = performance.now() - started
    await fs.writeFile('/b', Buffer.alloc(60 * KIB))
    const whole = performance.now() - started
    assert.ok(whole - burst >= 200, `${whole - burst} ms for 60 KiB at 200 KiB/s`)

    const calls = viewed(t, limit(await filled({}), { operationsPerSecond: 20 }))
    const then = performance.now()
    for (let i = 0; i < 25; i++) await calls.statfs('/')
    assert.ok(performance.now() - then >= 200)
  })

  it('must be above 0', () => {
    assert.throws(() => limit({}, { size: 0 }), /`size`/)
    assert.throws(() => limit({}, { bytes: 5 } as object), /no `bytes`/)
    assert.throws(() => limit({}, { bytesPerSecond: -1 }), /`bytesPerSecond`/)
    assert.throws(() => limit({}, { size: '5' as never }), /`size` .* not '5'/)
    assert.throws(() => limit({}, { operationsPerSecond: Infinity }), /left out for no limit/)
    assert.throws(() => limit({}, { size: 5, used: -1 }), /`used`/)
    assert.throws(() => limit({}, { used: 5 }), /without `size`/)
    assert.throws(() => limit({}, undefined as never), /limit\(\) takes an object/)
  })
})
