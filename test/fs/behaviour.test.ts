// What a filesystem by path does beside the contract: sizes that are not known, streams, errors at the right moment, callers,
// what is remembered and what is refused.
import assert from 'node:assert/strict'
import { constants } from 'node:fs'
import { describe, it } from 'node:test'
import { FUSE_WRITE_CACHE } from 'devfuse'
import { fsFilesystem, fsFrom, recognise } from 'devfuse/fs'
import type { Caller, FsView, PathFilesystem, PathOptions, StatsLike } from 'devfuse/fs'
import { Volume } from 'memfs'
import { PathHandles, WholeFiles } from './objects.js'

const code = (wanted: string) => (error: unknown) => (error as { code?: string }).code === wanted

async function withView(
  fs: PathFilesystem,
  options: PathOptions,
  use: (view: FsView, filesystem: ReturnType<typeof fsFilesystem>) => Promise<void>,
): Promise<void> {
  const filesystem = fsFilesystem(fs, options)
  const view = fsFrom(filesystem)
  try {
    await use(view, filesystem)
  } finally {
    assert.deepEqual(await view.close(), { open: [], inodes: [] })
  }
}

const caller: Caller = { uid: 0, gid: 0, pid: 0, signal: new AbortController().signal }

describe('a filesystem of ten lines', () => {
  const files: Record<string, string> = { 'one.txt': 'first', 'two.txt': 'second' }
  const tiny: PathFilesystem = {
    async *readdir() {
      for (const name of Object.keys(files)) yield { name, size: files[name].length }
    },
    readFile: (path) => files[path.slice(1)],
  }

  it('lists, reads, and has sensible attributes', () =>
    withView(tiny, {}, async (view) => {
      assert.deepEqual(await view.readdir('/'), ['one.txt', 'two.txt'])
      assert.equal(await view.readFile('/two.txt', 'utf8'), 'second')
      const stats = await view.stat('/one.txt')
      assert.equal(stats.mode, 0o100444)
      assert.equal(stats.size, 5)
      assert.equal(stats.nlink, 1)
      assert.equal(stats.uid, process.geteuid?.())
      assert.ok(Math.abs(stats.mtimeMs - Date.now()) < 60_000)
      assert.equal((await view.stat('/')).mode, 0o040555)
      await assert.rejects(view.stat('/three.txt'), code('ENOENT'))
    }))

  it('is read-only', () =>
    withView(tiny, {}, async (view, { mountOptions }) => {
      assert.equal(mountOptions.readOnly, true)
      await assert.rejects(view.writeFile('/new', ''), code('EROFS'))
      await assert.rejects(view.mkdir('/dir'), code('EROFS'))
      await assert.rejects(view.unlink('/one.txt'), code('EROFS'))
      await assert.rejects(view.chmod('/one.txt', 0o600), code('EROFS'))
      await assert.rejects(view.rename('/one.txt', '/x'), code('EROFS'))
    }))
})

describe('files whose size is not known', () => {
  it('show 0, are read to the end, and show what was read', () =>
    withView(
      {
        lstat: (path) => (path === '/' ? { type: 'directory' } : { type: 'file' }),
        readdir: () => ['page'],
        readFile: () => 'x'.repeat(5000),
      },
      {},
      async (view) => {
        const file = await view.open('/page')
        const { bytesRead } = await file.read(Buffer.alloc(6000), 0, 6000, 0)
        assert.equal(bytesRead, 5000)
        assert.equal((await file.stat()).size, 5000)
        await file.close()
      },
    ))

  it('are opened for direct I/O', async () => {
    const filesystem = fsFilesystem({
      lstat: (path) => ({ type: path === '/' ? 'directory' : 'file' }),
      readFile: () => '',
    })
    const entry = filesystem.lookup!({ ...caller, nodeid: 1, name: 'page' } as never) as { nodeid: number }
    const reply = filesystem.open!({ ...caller, nodeid: entry.nodeid, flags: 0 } as never) as {
      openFlags: number
    }
    assert.equal(reply.openFlags & 1, 1)
  })
})

describe('streams', () => {
  const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, at) => at % 251))

  it('of createReadStream are read on, and begun anew for a jump', async () => {
    const begun: number[] = []
    let ended = 0
    const fs: PathFilesystem = {
      lstat: (path) => (path === '/' ? { type: 'directory' } : { size: 300_000_000 }),
      async *createReadStream(_path, { start }) {
        begun.push(start)
        try {
          for (let at = start; at < start + 3_000_000; at += 10_000)
            yield Buffer.from(Array.from({ length: 10_000 }, (_, plus) => (at + plus) % 251))
        } finally {
          ended++
        }
      },
    }
    await withView(fs, {}, async (view) => {
      const file = await view.open('/large')
      const buffer = Buffer.alloc(25_000)
      for (const at of [0, 25_000, 50_000, 30_000, 204_800_000, 204_825_000]) {
        assert.equal((await file.read(buffer, 0, buffer.length, at)).bytesRead, buffer.length)
        assert.ok(
          buffer.every((byte, plus) => byte === (at + plus) % 251),
          `at ${at}`,
        )
      }
      await file.close()
    })
    assert.deepEqual(begun, [0, 204_800_000])
    assert.equal(ended, 2)
  })

  it('of readFile are taken as they come', async () => {
    let taken = 0
    const fs: PathFilesystem = {
      lstat: (path) => (path === '/' ? { type: 'directory' } : { size: bytes.length }),
      readFile: async () =>
        (async function* () {
          for (let at = 0; at < bytes.length; at += 10_000) {
            taken++
            yield bytes.subarray(at, at + 10_000)
          }
        })(),
    }
    await withView(fs, {}, async (view) => {
      const file = await view.open('/f')
      await file.read(Buffer.alloc(100), 0, 100, 15_000)
      assert.equal(taken, 2)
      await file.close()
      assert.ok(bytes.equals(await view.readFile('/f')))
    })
  })
})

describe('whole files', () => {
  it('tell fsync and close that writing back failed, and try again', async () => {
    const store = new WholeFiles()
    let full = false
    const writeFile = store.writeFile.bind(store)
    store.writeFile = async (path, data) => {
      if (full && data.length > 0) throw Object.assign(new Error('full'), { code: 'ENOSPC' })
      await writeFile(path, data)
    }
    await withView(store, {}, async (view) => {
      const file = await view.open('/f', 'w')
      await file.write('precious')
      full = true
      await assert.rejects(file.sync(), code('ENOSPC'))
      full = false
      await file.sync()
      assert.equal(String(store.nodes.get('/f')), 'precious')
      await file.write(' more')
      full = true
      await assert.rejects(file.close(), code('ENOSPC'))
      full = false
    })
  })

  it('are emptied by who opens them for reading alone, too', async () => {
    const store = new WholeFiles()
    await withView(store, {}, async (view) => {
      await view.writeFile('/f', 'text')
      const file = await view.open('/f', constants.O_RDONLY | constants.O_TRUNC)
      await file.close()
      assert.equal((await view.stat('/f')).size, 0)
    })
    assert.equal(String(store.nodes.get('/f')), '')
  })

  it('are not changed in the hands of the object', async () => {
    const kept: Uint8Array[] = []
    const store = new WholeFiles()
    store.writeFile = async (path, data) => {
      kept.push(data)
      store.nodes.set(path, data as Buffer)
    }
    await withView(store, {}, async (view) => {
      await view.writeFile('/f', 'first')
      await view.appendFile('/f', ' and second')
      const file = await view.open('/f', 'r+')
      await file.write(Buffer.from('FIRST'), 0, 5, 0)
      await file.sync()
      await file.write(Buffer.from('x'), 0, 1, 0)
      await file.close()
    })
    assert.deepEqual(kept.map(String), [
      '',
      'first',
      'first and second',
      'FIRST and second',
      'xIRST and second',
    ])
  })

  it('have the times that were set last, where the object keeps times', async () => {
    const times = new Map<string, number>()
    class Timed extends WholeFiles {
      override async lstat(path: string): Promise<StatsLike | undefined> {
        const stats = await super.lstat(path)
        return stats && { ...stats, mtimeMs: times.get(path) }
      }
      override async writeFile(path: string, data: Uint8Array): Promise<void> {
        await super.writeFile(path, data)
        times.set(path, Date.now())
      }
      async utimes(path: string, _atime: number, mtime: number): Promise<void> {
        times.set(path, mtime * 1000)
      }
    }
    await withView(new Timed(), {}, async (view) => {
      const file = await view.open('/f', 'w')
      await file.write('text')
      await file.utimes(1, 1_000_000_000)
      await file.close()
    })
    assert.equal(times.get('/f'), 1_000_000_000_000)
  })

  it('of other opens are appended to', () =>
    withView(new WholeFiles(), {}, async (view) => {
      const one = await view.open('/log', 'a')
      const other = await view.open('/log', 'a')
      await one.write('1')
      await other.write('2')
      await one.write('3')
      await one.close()
      await other.close()
      assert.equal(await view.readFile('/log', 'utf8'), '123')
    }))
})

describe('handles that hold a path', () => {
  it('leave no hidden file behind', async () => {
    const store = new PathHandles()
    await withView(store, {}, async (view) => {
      await view.mkdir('/d')
      await view.writeFile('/d/f', 'text')
      const file = await view.open('/d/f', 'r+')
      await view.unlink('/d/f')
      await view.rmdir('/d')
      assert.deepEqual(await view.readdir('/'), [])
      await file.write('more')
      await file.close()
    })
    assert.deepEqual([...store.nodes.keys()], ['/'])
  })
})

describe('handles that stay with their file', () => {
  it('write to places of a file that is only appended to, once its name is gone', async () => {
    const volume = Volume.fromJSON({ '/f': 'abcd', '/other': 'wxyz' })
    const filesystem = fsFilesystem(recognise(volume).fs)
    const ask = async (name: keyof typeof filesystem, fields: object): Promise<unknown> =>
      (filesystem[name] as (request: object) => unknown)({ ...caller, ...fields })
    const { nodeid } = (await ask('lookup', { nodeid: 1, name: 'f' })) as { nodeid: number }
    const flags = constants.O_RDWR | constants.O_APPEND
    const opens = [
      (await ask('open', { nodeid, flags })) as { fh: number },
      (await ask('open', { nodeid, flags })) as { fh: number },
    ]
    await ask('rename', { nodeid: 1, name: 'other', newdir: 1, newname: 'f', flags: 0 })
    // The first one's own handle must not be the only one.
    await ask('release', { nodeid, fh: opens[0].fh })
    const { fh } = opens[1]
    const page = { nodeid, fh, offset: 1, flags, writeFlags: FUSE_WRITE_CACHE, data: Buffer.from('BC') }
    assert.equal(await ask('write', page), 2)
    const read = (await ask('read', { nodeid, fh, offset: 0, size: 10 })) as Uint8Array
    assert.equal(Buffer.from(read).toString(), 'aBCd')
    await ask('release', { nodeid, fh })
    assert.equal(volume.readFileSync('/f', 'utf8'), 'wxyz')
    assert.equal(filesystem.known.files, 0)
  })
})

describe('a rename that fails', () => {
  it('leaves both files, and what is open', async () => {
    const store = new PathHandles()
    const rename = store.rename.bind(store)
    store.rename = async (from, to) => {
      if (from === '/new') throw Object.assign(new Error('no'), { code: 'EACCES' })
      await rename(from, to)
    }
    await withView(store, {}, async (view) => {
      await view.writeFile('/old', 'old')
      await view.writeFile('/new', 'new')
      const file = await view.open('/old', 'r+')
      await assert.rejects(view.rename('/new', '/old'), code('EACCES'))
      await file.write(Buffer.from('OLD'), 0, 3, 0)
      await file.close()
      assert.equal(await view.readFile('/old', 'utf8'), 'OLD')
      assert.equal(await view.readFile('/new', 'utf8'), 'new')
      assert.deepEqual((await view.readdir('/')).toSorted(), ['new', 'old'])
    })
  })
})

describe('what an object has no method for', () => {
  it('is refused on demand', () =>
    withView(new WholeFiles(), { unsupported: 'refuse' }, async (view) => {
      await view.writeFile('/f', '')
      await assert.rejects(view.chmod('/f', 0o600), code('EOPNOTSUPP'))
      await assert.rejects(view.utimes('/f', 1, 1), code('EOPNOTSUPP'))
      await assert.rejects(view.symlink('f', '/l'), code('EPERM'))
      await assert.rejects(view.link('/f', '/l'), code('EPERM'))
    }))

  it('is remembered while it lasts: not by another file of that name', () =>
    withView(new WholeFiles(), {}, async (view) => {
      await view.writeFile('/f', '')
      await view.chmod('/f', 0o600)
      await view.unlink('/f')
      await view.writeFile('/f', '')
      assert.equal((await view.stat('/f')).mode & 0o777, 0o644)
    }))

  it('is forgotten with the nodes that it belonged to', () =>
    withView(new WholeFiles(), {}, async (view, filesystem) => {
      for (let at = 0; at < 20; at++) {
        await view.writeFile(`/f${at}`, '')
        await view.chmod(`/f${at}`, 0o600)
        await view.rename(`/f${at}`, '/g')
      }
      await view.unlink('/g')
      const file = await view.open('/open', 'w')
      await view.unlink('/open')
      await file.write('text')
      await file.close()
      assert.deepEqual(filesystem.known, { nodes: 1, files: 0 })
    }))
})

describe('callers', () => {
  it('are told to every method, last', async () => {
    const seen: Record<string, Caller> = {}
    const store = new WholeFiles()
    const spy = new Proxy(store, {
      get(target, name) {
        const value = Reflect.get(target, name) as unknown
        if (typeof value !== 'function' || typeof name !== 'string') return value
        return (...args: unknown[]) => {
          seen[name] = args.at(-1) as Caller
          return value.apply(target, args) as unknown
        }
      },
    })
    const view = fsFrom(fsFilesystem(spy), { uid: 0, gid: 7 })
    await view.mkdir('/d')
    await view.writeFile('/d/f', 'x')
    await view.rename('/d/f', '/d/g')
    await view.readFile('/d/g')
    await view.readdir('/d')
    await view.unlink('/d/g')
    for (const name of ['lstat', 'mkdir', 'writeFile', 'rename', 'readFile', 'readdir', 'unlink']) {
      assert.equal(seen[name]?.gid, 7, name)
      assert.ok(seen[name].signal instanceof AbortSignal, name)
    }
    assert.equal((await view.stat('/d')).gid, 7)
    await view.close()
  })
})

describe('extended attributes', () => {
  it('go through the methods of the object', async () => {
    const values = new Map<string, Uint8Array>()
    const fs: PathFilesystem = Object.assign(new WholeFiles(), {
      getxattr: (_path: string, name: string) => values.get(name),
      setxattr: (_path: string, name: string, value: Uint8Array) => void values.set(name, value),
      listxattr: () => values.keys(),
      removexattr: (_path: string, name: string) => void values.delete(name),
    })
    await withView(fs, {}, async (view) => {
      await view.writeFile('/f', '')
      await view.setxattr('/f', 'user.a', 'value')
      assert.deepEqual(await view.listxattr('/f'), ['user.a'])
      assert.equal(String(await view.getxattr('/f', 'user.a')), 'value')
      await view.removexattr('/f', 'user.a')
      await assert.rejects(view.getxattr('/f', 'user.a'), code('ENODATA'))
    })
  })
})

describe('listings', () => {
  it('stay true while entries come and go', async () => {
    const names = new Set(Array.from({ length: 3000 }, (_, at) => `entry-${at}`))
    const fs: PathFilesystem = {
      lstat: (path) => (path === '/' ? { type: 'directory' } : { size: 0 }),
      async *readdir() {
        for (const name of [...names]) yield name
      },
    }
    await withView(fs, {}, async (view) => {
      const dir = await view.opendir('/')
      const seen: string[] = []
      for await (const entry of dir) {
        seen.push(entry.name)
        names.delete(entry.name)
        names.add(`new-${entry.name}`)
      }
      assert.equal(new Set(seen).size, seen.length)
      for (let at = 0; at < 3000; at++) assert.equal(seen[at], `entry-${at}`)
    })
  })
})

describe('answers', () => {
  it('of sync objects are no promises', () => {
    const filesystem = fsFilesystem({
      lstat: (path) => (path === '/' ? { type: 'directory' } : { size: 4 }),
      readdir: () => ['f'],
      readFile: () => 'text',
      writeFile: () => undefined,
      unlink: () => undefined,
    })
    const ask = (name: keyof typeof filesystem, fields: object): unknown =>
      (filesystem[name] as (request: object) => unknown)({ ...caller, ...fields })
    const entry = ask('lookup', { nodeid: 1, name: 'f' }) as { nodeid: number; entryValid: number }
    assert.equal(entry.entryValid, 0)
    const { nodeid } = entry
    const open = ask('open', { nodeid, flags: 2 }) as { fh: number }
    const { fh } = open
    for (const answer of [
      entry,
      open,
      ask('getattr', { nodeid }),
      ask('read', { nodeid, fh, offset: 0, size: 4 }),
      ask('write', { nodeid, fh, offset: 0, flags: 2, data: Buffer.from('TEXT') }),
      ask('flush', { nodeid, fh }),
      ask('release', { nodeid, fh }),
      ask('setattr', { nodeid, valid: 8, size: 2, hasFh: false }),
      ask('unlink', { nodeid: 1, name: 'f' }),
    ])
      assert.ok(!(answer instanceof Promise), String(answer))
  })

  it('carry the validity that was asked for', () => {
    const filesystem = fsFilesystem(
      { lstat: (path) => (path === '/' ? { type: 'directory' } : path === '/f' ? { size: 0 } : undefined) },
      { entryValid: 3, attrValid: Infinity, negativeValid: 2 },
    )
    const lookup = (name: string): unknown => filesystem.lookup!({ ...caller, nodeid: 1, name } as never)
    const { entryValid, attrValid } = lookup('f') as { entryValid: number; attrValid: number }
    assert.deepEqual({ entryValid, attrValid }, { entryValid: 3, attrValid: 365 * 86_400 })
    assert.deepEqual(lookup('none'), { nodeid: 0, entryValid: 2 })
  })
})
