// Filesystems that answer wrongly: their callers get what they would get on a mount, and the author learns why.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EACCES } from 'devfuse'
import type { Dirent, Filesystem } from 'devfuse'
import { fsFrom } from 'devfuse/fs'
import type { FsView } from 'devfuse/fs'
import { attrOf, file, recorded, root, small, text } from './small.js'

/** Expects a call to fail with `code`, and its cause to explain it. */
async function fails(
  handlers: Filesystem,
  call: (fs: FsView) => Promise<unknown>,
  code: string,
  cause?: RegExp,
): Promise<void> {
  const fs = fsFrom(small(handlers), { onWarning: () => undefined })
  await assert.rejects(call(fs), (error: NodeJS.ErrnoException & { cause?: Error }) => {
    assert.equal(error.code, code)
    if (cause !== undefined) assert.match(error.cause?.message ?? 'no cause', cause)
    return true
  })
  await fs.close()
}

describe('a wrong answer', () => {
  it('is EIO where the kernel would not believe it', async () => {
    const entry = (nodeid: number, mode: number) => (): { nodeid: number; attr: typeof file } => ({
      nodeid,
      attr: attrOf(2, mode),
    })
    await fails(
      { lookup: entry(2, 0o644) },
      (fs) => fs.stat('/x'),
      'EIO',
      /lookup: the mode 0o644 has no file type/,
    )
    await fails({ lookup: entry(1, 0o100644) }, (fs) => fs.stat('/x'), 'EIO', /nodeid of the root/)
    await fails(
      { getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? root : { ...file, mode: 0o040755 } }) },
      (fs) => fs.stat('/hello'),
      'EIO',
      /getattr: the file type changed from 0o100000 to 0o40000/,
    )
    await fails({ create: entry(0, 0o100644) }, (fs) => fs.writeFile('/new', ''), 'EIO', /nodeid 0/)
    await fails(
      { create: entry(5, 0o040755) },
      (fs) => fs.writeFile('/new', ''),
      'EIO',
      /create: the file type/,
    )
    await fails({ mkdir: entry(5, 0o100644) }, (fs) => fs.mkdir('/new'), 'EIO', /mkdir: the file type/)
    await fails(
      { write: ({ size }) => size + 1 },
      (fs) => fs.writeFile('/hello', 'x', { flag: 'r+' }),
      'EIO',
      /2 where 1/,
    )
    await fails(
      { write: () => 0 },
      (fs) => fs.writeFile('/hello', 'x', { flag: 'r+' }),
      'EIO',
      /nothing was written/,
    )
    await fails(
      { listxattr: () => Buffer.from('user.a\0user.b') },
      (fs) => fs.listxattr('/hello'),
      'EIO',
      /end in NUL/,
    )
    await fails(
      { open: () => ({ backingId: 77, openFlags: 0x80 }) },
      (fs) => fs.readFile('/hello'),
      'EIO',
      /backing id 77/,
    )
  })

  it('gives back the lookup that came with it', async () => {
    const forgotten: number[] = []
    await fails(
      {
        lookup: () => ({ nodeid: 8, attr: attrOf(8, 0o777) }),
        forget: ({ nodeid }) => void forgotten.push(nodeid),
      },
      (fs) => fs.stat('/x'),
      'EIO',
    )
    assert.deepEqual(forgotten, [8])
  })

  it('that cannot be encoded is EIO, and reported', async () => {
    const answers: Filesystem[] = [
      { getattr: () => ({}) as never },
      { getattr: () => 'text' as never },
      { getattr: () => undefined as never },
      {
        getattr: () => {
          throw new Error('a bug')
        },
      },
      { getattr: () => Promise.reject(new TypeError('a bug')) },
      { getattr: () => -9999 as never },
    ]
    for (const handlers of answers) {
      const { fs, warnings } = recorded(handlers)
      await assert.rejects(fs.stat('/'), { code: 'EIO', syscall: 'stat', path: '/' })
      assert.equal(warnings.length, 1, String(handlers.getattr))
      await fs.close()
    }
  })

  it('with an errno of its own goes to the caller', async () => {
    await fails({ getattr: () => EACCES }, (fs) => fs.stat('/'), 'EACCES')
    await fails(
      {
        getattr: () => {
          throw Object.assign(new Error('x'), { code: 'ENXIO' })
        },
      },
      (fs) => fs.stat('/'),
      'ENXIO',
    )
    await fails({ getattr: () => -199 as never }, (fs) => fs.stat('/'), 'Unknown system error -199')
  })
})

describe('a listing', () => {
  const names = (count: number): Dirent[] =>
    Array.from({ length: count }, (_, i) => ({ name: `name-${i}`, ino: i + 2, type: 8 }))

  it('that ignores the offset does not go on for ever', async () => {
    await fails({ readdir: () => names(3) }, (fs) => fs.readdir('/'), 'EIO', /is what came before/)
  })

  it('comes whole, however it comes', async () => {
    const all = names(5000)
    const listings: Filesystem['readdir'][] = [
      ({ offset }) => all.slice(offset),
      ({ offset }) => all.slice(offset, offset + 7),
      ({ offset }) => all.slice(offset).values(),
      async function* ({ offset }) {
        for (const entry of all.slice(offset)) yield await Promise.resolve(entry)
      } as Filesystem['readdir'],
    ]
    for (const readdir of listings) {
      const fs = fsFrom(small({ readdir }))
      assert.deepEqual(
        await fs.readdir('/'),
        all.map(({ name }) => name),
      )
      await fs.close()
    }
  })

  it('without types is completed by lookups', async () => {
    const fs = fsFrom(
      small({ readdir: ({ offset }) => (offset > 0 ? [] : [{ name: 'hello', ino: 2, type: 0 }]) }),
    )
    const [entry] = await fs.readdir('/', { withFileTypes: true })
    assert.deepEqual([entry.name, entry.isFile()], ['hello', true])
    await fs.close()
  })
})

describe('the end of a view', () => {
  it('tells what was left open, releases it, and calls destroy', async () => {
    const said: string[] = []
    const fs = fsFrom(
      small({
        release: () => void said.push('release'),
        releasedir: () => void said.push('releasedir'),
        destroy: () => void said.push('destroy'),
      }),
    )
    await fs.open('/hello')
    await fs.opendir('/')
    assert.deepEqual(await fs.close(), { open: ['/hello', '/'], inodes: [] })
    assert.deepEqual(said.toSorted(), ['destroy', 'release', 'releasedir'])
    assert.equal(said.at(-1), 'destroy')
    await assert.rejects(fs.stat('/'), { code: 'ENOTCONN' })
    assert.deepEqual(await fs.close(), { open: ['/hello', '/'], inodes: [] })
  })

  it('lets nobody wait for an answer that will not come', async () => {
    const never = new Promise<never>(() => undefined)
    const fs = fsFrom(small({ read: () => never }), { interruptGrace: 20 })
    const reading = fs.readFile('/hello')
    const failed = assert.rejects(reading, { code: 'ECONNABORTED' })
    await new Promise((resolve) => setTimeout(resolve, 20))
    const { inodes } = await fs.close()
    await failed
    assert.deepEqual(inodes, [2])
  })

  it('says what made it impossible', async () => {
    assert.throws(() => fsFrom({}, { nonsense: 1 } as never), /unknown option `nonsense`/)
    assert.throws(() => fsFrom({}, { uid: -1 }), /option `uid`/)
    const wrong = fsFrom({}, { want: ['FUSE_WRITEBACK_CACHE'], passthrough: 'off' })
    await assert.rejects(wrong.stat('/'), /does not offer FUSE_WRITEBACK_CACHE/)
    const broken = fsFrom(
      small({
        init: () => {
          throw new Error('no database')
        },
      }),
    )
    await assert.rejects(broken.readFile('/hello'), /no database/)
    assert.equal(String(text).length, 31)
  })
})
