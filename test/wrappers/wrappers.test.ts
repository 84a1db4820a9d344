// readonly, subdir, owner, trace: what is refused, mapped, squashed and told.
import assert from 'node:assert/strict'
import { constants, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { EACCES, EIO, ENODATA, ENOENT, ENOTDIR, connect } from 'devfuse'
import type { AttrReply, Filesystem } from 'devfuse'
import { mirror } from 'devfuse/mirror'
import { owner, pipe, readonly, subdir, trace, union } from 'devfuse/wrappers'
import type { TraceEvent } from 'devfuse/wrappers'
import { skip, temporary } from '../support/mounting.js'
import { failure, filled, someDirectory as attr, viewed } from './filled.js'

describe('readonly', { skip }, () => {
  it('lets everything be read and nothing be changed', async (t) => {
    const fs = viewed(t, readonly(await filled({ '/d/': '', '/d/f': 'content', '/g': '' })))
    assert.equal(await fs.readFile('/d/f', 'utf8'), 'content')
    assert.deepEqual(await fs.readdir('/'), ['d', 'g'])
    await fs.access('/g', constants.R_OK)
    const changes = {
      writeFile: fs.writeFile('/g', 'x'),
      create: fs.writeFile('/new', 'x'),
      append: fs.open('/g', 'a'),
      readWrite: fs.open('/g', 'r+'),
      mkdir: fs.mkdir('/new'),
      rmdir: fs.rmdir('/d'),
      unlink: fs.unlink('/g'),
      rename: fs.rename('/g', '/h'),
      link: fs.link('/g', '/h'),
      symlink: fs.symlink('g', '/h'),
      chmod: fs.chmod('/g', 0o600),
      chown: fs.chown('/g', 1, 1),
      utimes: fs.utimes('/g', 1, 1),
      truncate: fs.truncate('/g'),
      setxattr: fs.setxattr('/g', 'user.x', 'y'),
      removexattr: fs.removexattr('/g', 'user.x'),
    }
    for (const [name, change] of Object.entries(changes)) assert.equal(await failure(change), 'EROFS', name)
    assert.equal((await fs.stat('/g')).size, 0)
  })

  it('refuses even where there is no handler, and has no opinion about what cannot be there', async (t) => {
    const fs = viewed(t, readonly<Filesystem>({}), { defaultPermissions: false })
    assert.equal(await failure(fs.chmod('/', 0o700)), 'EROFS')
    assert.equal(await failure(fs.access('/', constants.W_OK)), 'ENOSYS')
  })

  it('passes passthrough on for reading', async (t) => {
    const folder = temporary(t)
    writeFileSync(join(folder, 'f'), 'from the kernel')
    const fs = viewed(t, readonly(mirror(folder)))
    assert.equal(await fs.readFile('/f', 'utf8'), 'from the kernel')
    const { session } = await fs.connection()
    assert.deepEqual([session.stats().passthrough.opens, session.stats().operations.read], [1, undefined])
  })
})

describe('subdir', { skip }, () => {
  it('makes a directory the root', async (t) => {
    const inner = await filled({ '/a/b/': '', '/a/b/f': 'inside', '/outside': '', '/a/b/c/': '' })
    const fs = viewed(t, subdir(inner, '/a/b/'))
    assert.deepEqual((await fs.readdir('/')).toSorted(), ['c', 'f'])
    assert.equal(await fs.readFile('/f', 'utf8'), 'inside')
    assert.equal(await failure(fs.stat('/../outside')), 'ENOENT')
    assert.equal(await fs.readFile('/c/../../../f', 'utf8'), 'inside')
    await fs.mkdir('/c/d')
    await fs.rename('/f', '/c/d/f')
    await fs.link('/c/d/f', '/g')
    await fs.rename('/c/d', '/d')
    await fs.writeFile('/d/new', '')
    assert.deepEqual((await fs.readdir('/', { recursive: true })).toSorted(), ['c', 'd', 'd/f', 'd/new', 'g'])
    assert.deepEqual(await fs.copyFile('/g', '/h'), undefined)
  })

  it('fails with every call while there is no such directory', async (t) => {
    const inner = await filled({ '/file': '', '/a/': '' })
    assert.equal(await failure(viewed(t, subdir(inner, '/file')).stat('/')), 'ENOTDIR')
    const other = await filled({})
    const fs = viewed(t, subdir(other, '/a/b'))
    assert.equal(await failure(fs.stat('/')), 'ENOENT')
    assert.throws(() => subdir(other, '/a/../b'), /must not contain/)
  })

  it('gives back what it found on the way to a directory that is not there', async () => {
    let owed = 0
    const inner: Filesystem = {
      lookup: ({ name }) => {
        if (name === 'missing') return ENOENT
        if (name === 'broken') throw new Error('broken')
        owed++
        return { nodeid: 5, attr: name === 'file' ? { ...attr, mode: 0o100644 } : attr }
      },
      getattr: () => ({ attr }),
      forget: ({ nlookup }) => void (owed -= nlookup),
    }
    const errors = { '/a/missing': ENOENT, '/a/file': ENOTDIR, '/a/broken': EIO }
    for (const [path, errno] of Object.entries(errors)) {
      await using kernel = await connect(subdir(inner, path), { onWarning: () => undefined })
      assert.deepEqual([(await kernel.send('getattr')).error, owed], [errno, 0], path)
    }
  })

  it('is owed nothing for lookups of its root', async () => {
    let owed = 0
    const inner: Filesystem = {
      lookup: ({ name }) => {
        owed++
        return { nodeid: name === 'child' ? 8 : 7, attr }
      },
      forget: ({ nlookup }) => void (owed -= nlookup),
    }
    const kernel = await connect(subdir(inner, 'top'))
    assert.equal((await kernel.send('lookup', { nodeid: 8, name: '..' })).nodeid, 1)
    assert.equal((await kernel.send('lookup', { nodeid: 1, name: '.' })).nodeid, 1)
    assert.equal(owed, 1)
    await kernel.close()
    assert.equal(owed, 0)
  })

  it('waits for a filesystem that takes its time, and gives back what it looked up', async () => {
    const asked: unknown[] = []
    const inner: Filesystem = {
      lookup: async ({ nodeid, name }) => {
        await new Promise((resolve) => setTimeout(resolve, 5))
        asked.push([nodeid, name])
        return nodeid === 1 && name === 'd' ? { nodeid: 7, attr } : ENOENT
      },
      getattr: ({ nodeid }) => (nodeid === 7 ? { attr } : ENOENT),
      forget: (forgotten) => void asked.push(forgotten),
    }
    const { fsFrom } = await import('devfuse/fs')
    const fs = fsFrom(subdir(inner, 'd'))
    const [one, two] = await Promise.all([fs.stat('/'), fs.stat('/')])
    assert.deepEqual([one.ino, two.ino], [7, 7])
    await fs.close()
    assert.deepEqual(asked, [[1, 'd'], { nodeid: 7, nlookup: 1 }])
  })
})

describe('owner', { skip }, () => {
  it('shows one owner, makes files his, and lets nobody else have them', async (t) => {
    const inner = await filled({ '/f': 'x', '/d/': '' })
    const fs = viewed(t, owner(inner, { uid: 1000, gid: 1001, umask: 0o027 }))
    const shown = async (path: string): Promise<unknown> => {
      const { uid, gid, mode } = await fs.lstat(path)
      return [uid, gid, (mode & 0o7777).toString(8)]
    }
    assert.deepEqual(await shown('/f'), [1000, 1001, '640'])
    assert.deepEqual(await shown('/d'), [1000, 1001, '750'])
    await fs.chmod('/f', 0o777)
    await fs.chown('/f', 1000, 1001)
    assert.equal(await failure(fs.chown('/f', 0, 0)), 'EPERM')
    assert.deepEqual(await shown('/f'), [1000, 1001, '750'])
    const attributes = await (await fs.connection()).send('getattr', { nodeid: 1 })
    assert.equal((attributes.attr as { uid: number }).uid, 1000)
  })

  it('leaves the groups of the caller behind', () => {
    let seen: unknown
    const inner: Filesystem = { mkdir: ({ extensions }) => ((seen = extensions), { nodeid: 2, attr }) }
    const secctx = [{ name: 'security.selinux', value: Buffer.from('x') }]
    const request = { unique: 2, nodeid: 1, operation: 'mkdir', mode: 0, extensions: { groups: [7], secctx } }
    void owner(inner, { uid: 1, gid: 1 }).mkdir?.(request as never)
    assert.deepEqual(seen, { secctx })
  })

  it('must be a user, and have a mask of permissions', () => {
    assert.throws(() => owner({}, { uid: -1, gid: 0 }), /`uid` .* not -1/)
    assert.throws(() => owner({}, { uid: '1' as never, gid: 0 }), /`uid` .* not '1'/)
    assert.throws(
      () => owner({}, { uid: 1, gid: 1, umsk: 0 } as never),
      /no `umsk`; there is uid, gid, umask/,
    )
    assert.throws(() => owner({}, { uid: 1, gid: 1, umask: 0o7777 }), /`umask` .* to 0o777, not 4095/)
  })

  it('asks as that user', async (t) => {
    const folder = temporary(t)
    const outer = viewed(t, owner(mirror(folder), { uid: 1000, gid: 1001 }))
    await outer.mkdir('/mine').catch(() => undefined)
    mkdirSync(join(folder, 'open'), { mode: 0o777 })
    await outer.chmod('/open', 0o777)
    await outer.writeFile('/open/new', '', { mode: 0o666 })
    const { uid, gid } = await viewed(t, mirror(folder)).stat('/open/new')
    assert.deepEqual([uid, gid], [1000, 1001])
  })
})

describe('trace', { skip }, () => {
  it('tells of every call, its answer and its time', async (t) => {
    const events: TraceEvent[] = []
    const inner = await filled({ '/f': 'content' })
    const fs = viewed(
      t,
      trace(inner, (event) => events.push(event)),
      { defaultPermissions: false },
    )
    await fs.readFile('/f')
    await failure(fs.getxattr('/f', 'user.none'))
    const told = events.map(({ operation, errno, async }) => [operation, errno, async])
    assert.deepEqual(told.slice(0, 3), [
      ['lookup', 0, false],
      ['open', 0, false],
      ['statx', 0, false],
    ])
    assert.ok(told.some(([operation, errno]) => operation === 'getxattr' && errno === ENODATA))
    assert.ok(told.some(([operation]) => operation === 'forget'))
    for (const { microseconds } of events) assert.ok(microseconds >= 0 && microseconds < 1e7)
    assert.match(String(events[0]), /^lookup unique=\d+ nodeid=1 .* name="f" -> nodeid=\d+.* \(\d+ us\)$/)
  })

  it('tells of promises and of what is thrown', async (t) => {
    const events: TraceEvent[] = []
    const inner: Filesystem = {
      lookup: () => Promise.resolve(ENOENT),
      getattr: () => {
        throw Object.assign(new Error('no'), { code: 'EACCES' })
      },
      statfs: () => Promise.reject(new Error('broken')),
      listxattr: () => Promise.reject(new DOMException('stop', 'AbortError')),
    }
    const fs = viewed(
      t,
      trace(inner, (event) => events.push(event)),
      { onWarning: () => undefined },
    )
    await failure(fs.stat('/x'))
    await failure(fs.stat('/'))
    await failure(fs.statfs('/'))
    await (await fs.connection()).send('listxattr')
    assert.deepEqual(
      events.map(({ operation, errno, async, error }) => [operation, errno, async, error !== undefined]),
      [
        ['lookup', -2, true, false],
        ['getattr', -13, false, true],
        ['statfs', -5, true, true],
        ['listxattr', -4, true, true],
      ],
    )
  })
  it('changes no answer when its sink fails, and says so once', { timeout: 60_000 }, async () => {
    const owed = { lookups: 0, opens: 0 }
    const inner: Filesystem = {
      lookup: () => (owed.lookups++, { nodeid: 2, attr }),
      mkdir: () => Promise.resolve((owed.lookups++, { nodeid: 2, attr })),
      getattr: () => Promise.reject(Object.assign(new Error('no'), { code: 'EACCES' })),
      open: () => ({ fh: ++owed.opens }),
      release: () => void owed.opens--,
      forget: ({ nlookup }) => void (owed.lookups -= nlookup),
    }
    const sinks = [() => assert.fail('log full'), () => Promise.reject(new Error('log full'))]
    for (const sink of sinks) {
      const warned: unknown[] = []
      const hear = (warning: unknown): unknown => warned.push(warning)
      process.on('warning', hear)
      const onWarning = (warning: unknown): void => assert.fail(String(warning))
      const kernel = await connect(trace(inner, sink as () => void), { onWarning })
      const errors: number[] = []
      for (const name of ['lookup', 'mkdir', 'open', 'getattr'] as const)
        errors.push((await kernel.send(name, { nodeid: 2, name: 'd' })).error)
      await kernel.send('release', { nodeid: 2, fh: 1 })
      kernel.tell('forget', { nodeid: 2, nlookup: 2 })
      await kernel.close()
      await new Promise(setImmediate)
      process.off('warning', hear)
      assert.deepEqual(errors, [0, 0, 0, EACCES])
      assert.deepEqual(owed, { lookups: 0, opens: 0 })
      assert.match(String(warned), /^DevfuseWarning: the sink of trace\(\) failed.*: log full$/)
      assert.equal(warned.length, 1)
    }
  })
})

describe('every wrapper', { skip }, () => {
  it('says what it cannot use', () => {
    const wrong: [() => unknown, RegExp][] = [
      [() => subdir({}, 5 as never), /path of subdir\(\) must be a string or a Buffer, not 5/],
      [() => trace({}, 0 as never), /`sink` of trace\(\) must be a function, not 0/],
      [() => readonly(undefined as never), /needs a filesystem, not undefined/],
      [() => union({} as never), /array of filesystems, not \{\}/],
      [() => union([{}, null as never]), /layer 1 of union\(\) needs a filesystem, not null/],
      [() => pipe({}, readonly, null as never), /wrapper 1 of pipe\(\) must be a function .* not null/],
      [() => pipe({}, (() => undefined) as never), /wrapper 0 .* must return a filesystem, not undefined/],
    ]
    for (const [make, message] of wrong)
      assert.throws(make, { name: 'TypeError', code: 'ERR_DEVFUSE_OPTION', message })
  })

  it('keeps sync answers sync, and what else the filesystem has', async () => {
    const inner = await filled({ '/d/': '' })
    const wrapped = pipe(
      inner,
      readonly,
      trace,
      (fs) => owner(fs, { uid: 1, gid: 1 }),
      (fs) => subdir(fs, '/d'),
    )
    assert.equal(wrapped.mountOptions, inner.mountOptions)
    assert.deepEqual(wrapped.used, inner.used)
    const request = { unique: 2, nodeid: 1, uid: 0, gid: 0, pid: 1, operation: 'lookup', name: 'none' }
    assert.deepEqual(wrapped.lookup?.(request as never), { nodeid: 0, entryValid: 1e9 })
  })

  it('passes methods of a class on with their object', async (t) => {
    class Own implements Filesystem {
      readonly #attr = { ...attr, size: 5 }
      getattr(): AttrReply {
        return { attr: this.#attr }
      }
    }
    const fs = viewed(t, pipe<Filesystem>(new Own(), readonly, trace))
    assert.equal((await fs.stat('/')).size, 5)
  })
})
