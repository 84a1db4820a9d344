// Objects that answer what they should not, late, or while something else goes on: nothing is lost, and no answer is made up.
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, it } from 'node:test'
import { runInNewContext } from 'node:vm'
import { FUSE_WRITE_CACHE } from 'devfuse'
import { fsFilesystem, fsFrom, recognise } from 'devfuse/fs'
import { memfs } from 'memfs'
import type { FsView, HandleLike, PathFilesystem, StatsLike } from 'devfuse/fs'
import { PathHandles, WholeFiles } from './objects.js'

const code = (wanted: string) => (error: unknown) => (error as { code?: string }).code === wanted

async function view(fs: PathFilesystem, use: (view: FsView) => Promise<void>): Promise<void> {
  const made = fsFrom(fsFilesystem(fs), { onWarning: () => undefined })
  await use(made)
  assert.deepEqual((await made.close()).open, [])
}

/** Whole files that are read slowly where `slow` is set, or as streams. */
class Slow extends WholeFiles {
  slow = false
  streams = false
  constructor(content: string) {
    super()
    this.nodes.set('/a', Buffer.from(content))
  }
  override async readFile(path: string): Promise<Buffer> {
    const content = this.file(path)
    if (this.slow) await sleep(30)
    if (!this.streams) return content
    const chunks = [content.subarray(0, 4), content.subarray(4)]
    return chunks.values() as unknown as Buffer
  }
  get content(): string {
    return this.file('/a').toString()
  }
}

describe('content that is kept in memory', () => {
  it('keeps what is written while another open asks for the content', async () => {
    const fs = new Slow('0123456789')
    await view(fs, async (made) => {
      const writer = await made.open('/a', 'r+')
      fs.slow = true
      const opening = made.open('/a', 'r')
      await sleep(5)
      await writer.write(Buffer.from('WRITE'), 0, 5, 0)
      await (await opening).close()
      await writer.close()
    })
    assert.equal(fs.content, 'WRITE56789')
  })

  it('stays empty when it is emptied while another open asks for it', async () => {
    const fs = new Slow('0123456789')
    await view(fs, async (made) => {
      fs.slow = true
      const opening = made.open('/a', 'r')
      await sleep(5)
      const writer = await made.open('/a', 'w')
      await writer.write(Buffer.from('new'), 0, 3, 0)
      await (await opening).close()
      await writer.close()
    })
    assert.equal(fs.content, 'new')
  })

  it('stays cut when it is opened and written to while it is being cut', async () => {
    const fs = new Slow('0123456789')
    await view(fs, async (made) => {
      fs.slow = true
      const cutting = made.truncate('/a', 4)
      await sleep(5)
      const writer = await made.open('/a', 'r+')
      await cutting
      await writer.write(Buffer.from('W'), 0, 1, 0)
      await writer.close()
    })
    assert.equal(fs.content, 'W123')
  })

  it('is whole before it is written to, where another open began its stream anew', async () => {
    const fs = new Slow('0123456789')
    fs.streams = true
    await view(fs, async (made) => {
      const writer = await made.open('/a', 'r+')
      const reader = await made.open('/a', 'r')
      await writer.write(Buffer.from('WR'), 0, 2, 2)
      await reader.close()
      await writer.close()
    })
    assert.equal(fs.content, '01WR456789')
  })

  it('grows in few steps', async () => {
    const fs = new Slow('')
    await view(fs, async (made) => {
      const file = await made.open('/a', 'w')
      const part = Buffer.alloc(1 << 20, 1)
      for (let at = 0; at < 96; at++) await file.write(part, 0, part.length, at * part.length)
      await file.close()
    })
    assert.equal(fs.content.length, 96 << 20)
  })

  it('is cut to any part of it', async () => {
    const fs = new Slow('x'.repeat(1 << 20))
    await view(fs, (made) => made.truncate('/a', 10))
    assert.equal(fs.content, 'x'.repeat(10))
  })

  it('is not grown beyond what memory can hold', async () => {
    await view(new Slow(''), (made) => assert.rejects(made.truncate('/a', 2 ** 40), code('EFBIG')))
  })

  it('of a stream that failed does not look like the end of the file', () =>
    view(
      {
        lstat: (path) => (path === '/' ? { type: 'directory' } : {}),
        async *readFile() {
          yield 'abc'
          throw Object.assign(new Error('lost'), { code: 'ECONNRESET' })
        },
      },
      async (made) => {
        const file = await made.open('/a')
        for (let again = 0; again < 2; again++)
          await assert.rejects(file.read(Buffer.alloc(10), 0, 10, 0), code('ECONNRESET'))
        await file.close()
      },
    ))

  it('that is missing, or no content, is an error', async () => {
    for (const [given, wanted] of [
      [undefined, 'ENOENT'],
      [5, 'EIO'],
      [[{}], 'EIO'],
    ] as const) {
      const fs = {
        lstat: (path: string) => (path === '/' ? { type: 'directory' } : {}),
        readFile: () => given,
      }
      await view(fs as PathFilesystem, (made) => assert.rejects(made.readFile('/a'), code(wanted)))
    }
  })
})

describe('handles', () => {
  const withHandle = (handle: object): PathFilesystem => ({
    lstat: (path) => (path === '/' ? { type: 'directory' } : { size: 10 }),
    open: () => handle,
    writeFile: () => undefined,
  })

  it('that answer with no number of bytes give out no memory of others', async () => {
    for (const count of [undefined, -1, NaN, 1e9, Buffer.alloc(3), { bytesRead: '3' }])
      await view(withHandle({ read: async () => count }), (made) =>
        assert.rejects(made.readFile('/a'), code('EIO')),
      )
    for (const count of [undefined, -1, NaN, 100, {}])
      await view(withHandle({ write: async () => count }), async (made) => {
        const file = await made.open('/a', 'r+')
        await assert.rejects(file.write(Buffer.from('abc'), 0, 3, 0), code('EIO'))
        await file.close()
      })
  })

  it('may give anything where nothing is asked for', async () => {
    for (const result of [true, 'done', 5, {}, Promise.resolve(false), Promise.resolve({ flushed: 1 })]) {
      const anything = () => result as unknown as undefined
      const handle = { write: () => 3, flush: anything, sync: anything, datasync: anything, close: anything }
      await view(withHandle(handle), async (made) => {
        const file = await made.open('/a', 'r+')
        await file.write(Buffer.from('abc'), 0, 3, 0)
        await file.datasync()
        await file.sync()
        await file.close()
      })
    }
  })

  it('that read less than they are asked for are asked for the rest, but where nobody knows how much there is', async () => {
    const content = Buffer.from('0123456789')
    for (const size of [10, undefined]) {
      const fs: PathFilesystem = {
        lstat: (path) => (path === '/' ? { type: 'directory' } : { size }),
        open: () => ({
          read: async (buffer, offset, length, position) =>
            content.copy(buffer, offset, position, Math.min(position + Math.min(length, 4), 10)),
        }),
      }
      await view(fs, async (made) => {
        const file = await made.open('/a')
        const { buffer, bytesRead } = await file.read(Buffer.alloc(20), 0, 20, 0)
        assert.equal(buffer.toString('latin1', 0, bytesRead), size === undefined ? '0123' : '0123456789')
        await file.close()
      })
    }
  })

  it('read on to where others have written', async () => {
    const fs = new PathHandles()
    fs.nodes.set('/a', Buffer.alloc(0))
    await view(fs, async (made) => {
      const reader = await made.open('/a')
      await made.appendFile('/a', Buffer.alloc(120_000, 'x'))
      const { bytesRead } = await reader.read(Buffer.alloc(120_000), 0, 120_000, 0)
      assert.equal(bytesRead, 120_000)
      await reader.close()
    })
  })

  it('are opened once, and all closed, when reads meet a file that was renamed', async () => {
    let open = 0
    class Counting extends PathHandles {
      override async open(path: string, flags: number): Promise<HandleLike> {
        const handle = await super.open(path, flags)
        open++
        await sleep(5)
        return { ...handle, close: () => void open-- }
      }
    }
    const fs = new Counting()
    fs.nodes.set('/a', Buffer.from('content'))
    await view(fs, async (made) => {
      const file = await made.open('/a')
      await made.rename('/a', '/b')
      const reads = [0, 1, 2].map((at) => file.read(Buffer.alloc(1), 0, 1, at))
      assert.deepEqual(
        (await Promise.all(reads)).map(({ buffer }) => buffer.toString()),
        ['c', 'o', 'n'],
      )
      assert.equal(open, 1)
      await file.close()
      // Opened under a name that was gone before the answer came.
      const opening = made.open('/b')
      await made.rename('/b', '/c')
      const late = await opening
      assert.equal(await late.readFile('utf8'), 'content')
      await late.close()
      // And one that goes on without a name.
      const last = await made.open('/c')
      await made.unlink('/c')
      assert.equal(await last.readFile('utf8'), 'content')
      await last.close()
    })
    assert.equal(open, 0)
  })
})

describe('a file that is closed while its name is being taken away', () => {
  /** What is left after `step` took the name of `/a`, which is open until the object is asked to move `closedBy`. */
  async function left(
    step: (made: FsView) => Promise<unknown>,
    closedBy = '/a',
    fails = false,
  ): Promise<object> {
    const fs = new PathHandles()
    fs.nodes.set('/a', Buffer.from('a')).set('/b', Buffer.from('b'))
    await view(fs, async (made) => {
      const file = await made.open('/a')
      const rename = fs.rename.bind(fs)
      fs.rename = async (from, to) => {
        if (from === closedBy) await file.close()
        if (from === '/b' && fails) throw Object.assign(new Error('no'), { code: 'EACCES' })
        return rename(from, to)
      }
      await step(made)
    })
    fs.nodes.delete('/')
    return Object.fromEntries([...fs.nodes].map(([path, node]) => [path, node.toString()]))
  }

  it('does not stay under another one', async () => {
    assert.deepEqual(await left((made) => made.unlink('/a')), { '/b': 'b' })
    assert.deepEqual(await left((made) => made.rename('/b', '/a')), { '/a': 'b' })
  })

  it('keeps it where what was to take its place fails', async () => {
    const rename = (made: FsView): Promise<void> => assert.rejects(made.rename('/b', '/a'), code('EACCES'))
    assert.deepEqual(await left(rename, '/a', true), { '/a': 'a', '/b': 'b' })
    assert.deepEqual(await left(rename, '/b', true), { '/a': 'a', '/b': 'b' })
  })
})

it('pages that mmap changed go where they belong, through a file that appends, too', async () => {
  const { fs, vol } = memfs({ '/a': '0123456789' })
  const filesystem = fsFilesystem(recognise(fs).fs)
  const ask = (name: keyof typeof filesystem, fields: object): unknown =>
    (filesystem[name] as (request: object) => unknown)({ uid: 0, gid: 0, pid: 0, ...fields })
  const { nodeid } = ask('lookup', { nodeid: 1, name: 'a' }) as { nodeid: number }
  const flags = 0o2002
  const { fh } = ask('open', { nodeid, flags }) as { fh: number }
  const write = (text: string, fields: object): unknown =>
    ask('write', { nodeid, fh, data: Buffer.from(text), flags, writeFlags: 0, ...fields })
  assert.equal(await write('END', { offset: 10 }), 3)
  assert.equal(await write('PAGE', { offset: 2, flags: 0, writeFlags: FUSE_WRITE_CACHE }), 4)
  // After fcntl(2) took O_APPEND away.
  assert.equal(await write('x', { offset: 0, flags: 2 }), 1)
  assert.equal(vol.readFileSync('/a', 'utf8'), 'x1PAGE6789END')
  // Without a name, through the other file that is open.
  const other = ask('open', { nodeid, flags: 2 }) as { fh: number }
  await ask('unlink', { nodeid: 1, name: 'a' })
  assert.equal(await write('GONE', { offset: 9, flags: 0, writeFlags: FUSE_WRITE_CACHE }), 4)
  const read = (await ask('read', { nodeid, fh: other.fh, offset: 0, size: 99 })) as Buffer
  assert.equal(read.toString(), 'x1PAGE678GONE')
  await ask('release', { nodeid, fh })
  await ask('release', { nodeid, fh: other.fh })
  ask('forget', { nodeid, nlookup: 1 })
  assert.deepEqual(filesystem.known, { nodes: 1, files: 0 })
})

describe('attributes', () => {
  const statOf = async (stats: unknown): Promise<number> => {
    let size = -1
    const lstat = (path: string) => (path === '/' ? { type: 'directory' } : stats)
    await view({ lstat, readFile: () => 'x' } as PathFilesystem, async (made) => {
      size = (await made.stat('/a')).size
    })
    return size
  }

  it('that are no numbers are refused', async () => {
    const wrong = [{ size: NaN }, { size: -1 }, { size: 0.5 }, { size: 'x' }, { mode: '0644' }, { uid: -1 }]
    for (const stats of [...wrong, 'a string', true]) await assert.rejects(statOf(stats), code('EIO'))
  })

  it('that are null are as if left out', async () => {
    const none = { size: null, mode: null, uid: null, gid: null, nlink: null, mtimeMs: NaN, mtime: null }
    assert.equal(await statOf(none), 0)
  })
})

it('answers of another realm are understood', () =>
  view(
    {
      readdir: () => runInNewContext(`[new Uint8Array([97]), { name: new Uint8Array([98]) }]`),
      readFile: () => runInNewContext(`new Uint8Array([120, 121]).buffer`),
    },
    async (made) => {
      assert.deepEqual(await made.readdir('/'), ['a', 'b'])
      assert.equal(await made.readFile('/a', 'utf8'), 'xy')
    },
  ))

it('whatever is thrown is answered', async () => {
  for (const thrown of [undefined, null, 5, 'ENOENT', Object.create(null), { code: 5 }]) {
    const lstat = (path: string): StatsLike => {
      if (path === '/') return { type: 'directory' }
      throw thrown
    }
    await view({ lstat, readFile: () => '' }, (made) => assert.rejects(made.stat('/a'), code('EIO')))
  }
})
