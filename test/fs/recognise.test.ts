// Which kind of filesystem an object is, errors for those that are none, options, and the root that nothing leads out of.
import assert from 'node:assert/strict'
import defaultFs, * as nodeFs from 'node:fs'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import * as fsPromises from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { fs as zenfs } from '@zenfs/core'
import { fsFilesystem, fsFrom, mountFs, recognise } from 'devfuse/fs'
import type { Caller, PathFilesystem } from 'devfuse/fs'
import { Volume, memfs } from 'memfs'
import { Union } from 'unionfs'
import { createStorage } from 'unstorage'
import memoryDriver from 'unstorage/drivers/memory'
import { WholeFiles, WholeFilesSync } from './objects.js'

const caller: Caller = { uid: 0, gid: 0, pid: 0, signal: new AbortController().signal }
const code = (wanted: string) => (error: unknown) => (error as { code?: string }).code === wanted

const nothing = async (): Promise<undefined> => undefined
const { fs, vol } = memfs({})

describe('recognising', () => {
  const objects: [object, string][] = [
    [nodeFs, 'node:fs'],
    [defaultFs, 'node:fs'],
    [fsPromises, 'node:fs/promises'],
    [fs, 'memfs'],
    [vol, 'memfs'],
    [new Volume(), 'memfs'],
    [fs.promises, 'promises of memfs'],
    [{ promises: fs.promises }, 'promises of memfs'],
    [new Union().use(fs as never), 'unionfs'],
    [zenfs, 'sync methods of node:fs'],
    [zenfs.promises, 'methods of node:fs/promises'],
    [memoryDriver(), 'unstorage driver or storage'],
    [createStorage(), 'unstorage driver or storage'],
    [{ stat: nothing, readdir: nothing, open: nothing, capabilities: {} }, 'mountx driver'],
    [
      {
        readFileBuffer: nothing,
        writeFile: nothing,
        stat: nothing,
        readdir: nothing,
        mv: nothing,
        rm: nothing,
        appendFile: nothing,
      },
      'just-bash IFileSystem',
    ],
    [
      {
        promises: { readFile: nothing, writeFile: nothing, stat: nothing, lstat: nothing, readdir: nothing },
      },
      '{ promises }',
    ],
    [
      {
        stat: (_path: string, _options: object, _done: () => void) => undefined,
        readFile: (_path: string, _options: object, _done: () => void) => undefined,
      },
      'callback methods of node:fs',
    ],
    [new WholeFilesSync(), 'sync methods of node:fs'],
    [new WholeFiles(), 'PathFilesystem'],
    [{ readdir: () => [], readFile: () => '' }, 'PathFilesystem'],
  ]

  it('tells kinds by what they have', () => {
    for (const [object, shape] of objects)
      assert.equal(recognise(object, { root: '/tmp' }).shape, shape, Object.keys(object).slice(0, 8).join())
  })

  it('calls async methods on demand', () => {
    const { fs: path } = recognise(fs, { calls: 'async' })
    assert.ok(path.lstat!('/', caller) instanceof Promise)
    assert.ok(!(recognise(fs).fs.lstat!('/', caller) instanceof Promise))
  })

  it('moves symlinks of memfs with their owner and times', async () => {
    const { fs: inner } = memfs({})
    inner.symlinkSync('nowhere', '/link')
    inner.lchownSync('/link', 1, 2)
    inner.lutimesSync('/link', 1, 2)
    await recognise(inner).fs.rename!('/link', '/moved', caller)
    const { uid, gid, mtimeMs } = inner.lstatSync('/moved')
    assert.deepEqual([uid, gid, mtimeMs], [1, 2, 2000])
  })

  it('says what is missing', () => {
    assert.throws(() => recognise({ fetch: nothing, close: nothing }), {
      name: 'TypeError',
      code: 'ERR_DEVFUSE_OPTION',
      message: /no filesystem that can be mounted: it has fetch, close\. It needs .*readdir/,
    })
    assert.throws(() => recognise({}), /it has no methods/)
    assert.throws(() => recognise(nodeFs), /node:fs needs the option `root`/)
  })

  it('of what is given as a filesystem by path refuses other kinds, with the fix', () => {
    for (const object of [fs, nodeFs, zenfs, new Union(), createStorage(), new WholeFilesSync()])
      assert.throws(() => fsFilesystem(object as PathFilesystem), {
        code: 'ERR_DEVFUSE_OPTION',
        message: /but one of the kind .*: give it to mountFs, or pass `recognise\(object\)\.fs`/,
      })
    fsFilesystem(Object.assign(new WholeFiles(), { lstatSync: nothing, readdirSync: nothing }))
  })

  it('mounts a directory of an object as its root', async () => {
    const { fs: inner } = memfs({ '/data/sub/file': 'inside', '/other': 'outside' })
    const view = fsFrom(fsFilesystem(recognise(inner, { root: '/data' }).fs))
    assert.deepEqual(await view.readdir('/'), ['sub'])
    await view.rename('/sub/file', '/moved')
    await view.symlink('moved', '/link')
    assert.equal(await view.readFile('/link', 'utf8'), 'inside')
    await view.close()
    assert.equal(inner.readFileSync('/data/moved', 'utf8'), 'inside')
  })
})

describe('options', () => {
  const bad: [object, RegExp][] = [
    [{ entryvalid: 1 }, /unknown option `entryvalid` .* the options are access, .*entryValid/],
    [{ entryValid: -1 }, /option `entryValid` must be a number of seconds from 0, not -1/],
    [{ unsupported: 'ignore' }, /option `unsupported` must be 'remember' or 'refuse', not ignore/],
    [{ fileMode: 0o100644 }, /option `fileMode` must be permission bits/],
    [{ uid: -1 }, /option `uid` must be a user or group id/],
    [{ root: 'relative' }, /option `root` must be an absolute path/],
    [{ calls: 'both' }, /option `calls` must be 'sync' or 'async'/],
    [{ encoding: 'buffer' }, /unknown option `encoding`/],
    [{ maxWrite: 1 }, /option `maxWrite` must be an integer from 4096/],
  ]

  it('are refused by name', async () => {
    for (const [options, message] of bad)
      await assert.rejects(mountFs(new WholeFiles(), '/nowhere', options), {
        code: 'ERR_DEVFUSE_OPTION',
        message,
      })
  })

  it('do not let an async init go by', () => {
    const filesystem = fsFilesystem({ readdir: () => [], lstat: () => undefined, init: nothing })
    assert.throws(() => filesystem.init!({} as never, {} as never), /mount it with mountFs/)
  })
})

describe('node:fs at a directory', () => {
  const dir = mkdtempSync(join(tmpdir(), 'devfuse-root-'))
  after(() => rmSync(dir, { recursive: true, force: true }))
  const root = join(dir, 'root')
  mkdirSync(join(root, 'real'), { recursive: true })
  mkdirSync(join(dir, 'outside'))
  writeFileSync(join(dir, 'outside/secret'), 'secret')
  writeFileSync(join(root, 'real/file'), 'inside')
  symlinkSync(join(dir, 'outside'), join(root, 'absolute'))
  symlinkSync('../outside', join(root, 'relative'))
  symlinkSync(join(dir, 'outside/secret'), join(root, 'link'))

  for (const [name, module] of [
    ['node:fs', nodeFs],
    ['node:fs/promises', fsPromises],
  ] as const) {
    const made = (): PathFilesystem => recognise(module, { root }).fs
    const use = async (step: () => unknown): Promise<unknown> => step()

    it(`${name} follows no symlink out of it`, async () => {
      const path = made()
      for (const at of ['/absolute/secret', '/relative/secret', '/../outside/secret']) {
        for (const step of [
          () => path.lstat!(at, caller),
          () => path.open!(at, 0, 0, caller),
          () => path.unlink!(at, caller),
          () => path.chmod!(at, 0o777, caller),
          () => path.rename!(at, '/stolen', caller),
          () => path.rename!('/real/file', at, caller),
          () => path.symlink!('x', `${at}x`, null, caller),
        ])
          await assert.rejects(
            use(step),
            (error: { code?: string; errno?: number }) =>
              ['ELOOP', 'EXDEV', 'ENOENT', 'ENOTDIR'].includes(error.code ?? '') ||
              [-40, -18, -20].includes(error.errno ?? 0),
          )
      }
      await assert.rejects(
        use(() => path.open!('/link', 0, 0, caller)),
        code('ELOOP'),
      )
      await assert.rejects(use(() => path.chmod!('/link', 0o777, caller)))
      await path.destroy!()
      assert.equal(nodeFs.readFileSync(join(dir, 'outside/secret'), 'utf8'), 'secret')
      assert.equal(nodeFs.statSync(join(dir, 'outside/secret')).mode & 0o777, 0o644)
    })

    it(`${name} stays in the directory when it is moved`, async () => {
      const view = fsFrom(fsFilesystem(made()))
      assert.deepEqual(await view.readdir('/real'), ['file'])
      renameSync(root, `${root}-moved`)
      try {
        assert.equal(await view.readFile('/real/file', 'utf8'), 'inside')
      } finally {
        renameSync(`${root}-moved`, root)
        await view.close()
      }
    })
  }

  it('keeps times to the microsecond', async () => {
    for (const [module, calls] of [
      [nodeFs, 'sync'],
      [fsPromises, 'sync'],
      [fsPromises, 'async'],
    ] as const) {
      const view = fsFrom(fsFilesystem(recognise(module, { root, calls }).fs))
      const file = await view.open('/timed', 'w')
      for (const seconds of [-1_000_000_000, 0, 1_000_000_000, 1_714_557_600, 4_000_000_000])
        for (const microseconds of [0, 1, 2, 7, 123_457, 654_321, 999_999]) {
          const at = seconds + microseconds / 1e6
          const wanted = BigInt(seconds) * 1_000_000n + BigInt(microseconds)
          for (const set of [file.utimes.bind(file), view.utimes.bind(view, '/timed')]) {
            await set(at, at)
            const { mtimeNs } = nodeFs.statSync(join(root, 'timed'), { bigint: true })
            const more = mtimeNs - wanted * 1000n
            assert.ok(more >= 0n && more < 1000n, `${mtimeNs} for ${at}`)
          }
        }
      await file.close()
      await view.close()
    }
  })

  it('keeps hard links together', async () => {
    const view = fsFrom(fsFilesystem(recognise(nodeFs, { root }).fs))
    await view.writeFile('/one', 'x')
    await view.link('/one', '/two')
    const [one, two] = [await view.stat('/one'), await view.stat('/two')]
    assert.deepEqual([one.nlink, two.nlink, one.ino === two.ino], [2, 2, true])
    await view.unlink('/one')
    assert.equal((await view.stat('/two')).nlink, 1)
    assert.equal(await view.readFile('/two', 'utf8'), 'x')
    await view.close()
  })
})

describe('unstorage', () => {
  it('refuses names that no key can hold, and loses nothing', async () => {
    const storage = createStorage()
    await storage.setItem('a:b', 'text')
    const view = fsFrom(fsFilesystem(recognise(storage).fs))
    assert.equal(await view.readFile('/a/b', 'utf8'), 'text')
    for (const name of ['c:d', 'what?', 'meta$', 'back\\slash', 'dots..'])
      await assert.rejects(view.writeFile(`/${name}`, 'x'), code('EINVAL'), name)
    assert.deepEqual(await storage.getKeys(), ['a:b'])
    await view.close()
  })

  it('refuses them for directories and symlinks too, which it keeps in memory', async () => {
    const storage = createStorage()
    for (const key of ['a', 'd:one', 'd:two', 'x:y', 'price$:c']) await storage.setItem(key, key)
    for (const root of ['/', '/d']) {
      const view = fsFrom(fsFilesystem(recognise(storage, { root }).fs))
      for (const name of ['a?b', 'c:d', 'meta$', 'back\\slash', 'dots..']) {
        await assert.rejects(view.mkdir(`/${name}`), code('EINVAL'), name)
        await assert.rejects(view.symlink('a', `/${name}`), code('EINVAL'), name)
      }
      await view.close()
    }
    const view = fsFrom(fsFilesystem(recognise(storage).fs))
    await view.mkdir('/empty')
    await view.symlink('a', '/link')
    for (const from of ['/d', '/a', '/empty', '/link'])
      await assert.rejects(view.rename(from, '/a?z'), code('EINVAL'), from)
    await assert.rejects(view.stat('/x:y'), code('ENOENT'))
    assert.equal(await view.readFile('/price$/c', 'utf8'), 'price$:c')
    await view.close()
    for (const key of await storage.getKeys()) assert.equal(await storage.getItem(key), key)
    assert.equal((await storage.getKeys()).length, 5)
  })

  it('shows what the program puts in, with values of every kind', async () => {
    const driver = memoryDriver()
    const view = fsFrom(fsFilesystem(recognise(driver).fs))
    await driver.setItem!('n:object', { a: 1 }, {})
    assert.equal(await view.readFile('/n/object', 'utf8'), '{"a":1}')
    assert.equal((await view.stat('/n/object')).size, 7)
    await view.writeFile('/n/bytes', Buffer.from([0, 255, 128]))
    assert.deepEqual(await driver.getItemRaw!('n:bytes', {}), Buffer.from([0, 255, 128]))
    await view.close()
  })
})

describe('the option root', () => {
  it('has to be a directory that is there', async () => {
    const store = new WholeFiles()
    store.nodes.set('/file', Buffer.from('x'))
    for (const [object, root, wanted] of [
      [nodeFs, '/nowhere', /ENOENT/],
      [fsPromises, '/etc/passwd', /ENOTDIR/],
      [store, '/nowhere', /no such directory/],
      [store, '/file', /no such directory/],
    ] as const)
      await assert.rejects(mountFs(object, '/nowhere', { root }), (error: Error) => {
        assert.match(error.message, /option `root`/)
        assert.match(error.message, wanted)
        return true
      })
    // A prefix of keys comes with the first of them: what fails is the mount point.
    await assert.rejects(mountFs(createStorage(), '/nowhere', { root: '/new' }), code('ENOENT'))
  })

  it('and what is no object are refused with the fix', () => {
    assert.throws(() => recognise(WholeFiles), /make one with `new`/)
    assert.throws(() => recognise(Promise.resolve(new WholeFiles())), /`await` it first/)
  })
})
