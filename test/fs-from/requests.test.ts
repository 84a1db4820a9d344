// What a filesystem is asked behind fsFrom: the requests of a kernel, in its order, with its fields.
import assert from 'node:assert/strict'
import { constants } from 'node:fs'
import { describe, it } from 'node:test'
import {
  EIO,
  ENOENT,
  ENOSYS,
  FATTR_KILL_SUIDGID,
  FATTR_MODE,
  FATTR_SIZE,
  FOPEN_DIRECT_IO,
  FOPEN_NOFLUSH,
} from 'devfuse'
import type { Filesystem } from 'devfuse'
import { fsFrom } from 'devfuse/fs'
import { attrOf, file, recorded, root, small, text, wanting } from './small.js'

const { O_CREAT, O_EXCL, O_RDWR, O_TRUNC, O_WRONLY } = constants

/** `create` and what goes with it, for a file `/new` with nodeid 3. */
const made = { nodeid: 3, attr: attrOf(3, 0o100644) }
const writable: Filesystem = {
  create: () => ({ ...made, fh: 9 }),
  write: ({ size }) => size,
  setattr: ({ nodeid }) => ({ attr: nodeid === 3 ? made.attr : file }),
  getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? root : nodeid === 3 ? made.attr : file }),
}

describe('lookups', () => {
  it('are given back with the call, together', async () => {
    const { fs, asked } = recorded({
      lookup: ({ name }) =>
        name.startsWith('d') ? { nodeid: 10 + Number(name[1]), attr: { ...root, ino: 9 } } : ENOENT,
      getattr: () => ({ attr: root }),
      forget: () => undefined,
    })
    await fs.stat('/d1/d2/d3')
    assert.deepEqual(
      asked().map(({ operation, nodeid, name, nlookup }) => [operation, nodeid, name ?? nlookup]),
      [
        ['lookup', 1, 'd1'],
        ['lookup', 11, 'd2'],
        ['lookup', 12, 'd3'],
        ['getattr', 13, undefined],
        ['forget', 11, 1],
        ['forget', 12, 1],
        ['forget', 13, 1],
      ],
    )
    assert.deepEqual(await fs.close(), { open: [], inodes: [] })
  })

  it('are kept by open files, and those of listings given back at once', async () => {
    const forgotten: unknown[] = []
    const fs = fsFrom(
      small({
        forget: ({ nodeid, nlookup }) => void forgotten.push({ nodeid, nlookup }),
        readdirplus: ({ offset }) =>
          offset > 0
            ? []
            : [
                { name: 'hello', nodeid: 2, attr: file },
                { name: '.', nodeid: 1, attr: root },
              ],
      }),
    )
    const handle = await fs.open('/hello')
    await fs.stat('/hello')
    assert.deepEqual(forgotten, [])
    await handle.close()
    assert.deepEqual(forgotten.splice(0), [{ nodeid: 2, nlookup: 2 }])
    await fs.readdir('/')
    assert.deepEqual(forgotten, [{ nodeid: 2, nlookup: 1 }])
    await fs.close()
  })
})

describe('opening', () => {
  it('is OPEN, READ of whole pages, FLUSH, RELEASE', async () => {
    const { fs, asked } = recorded({
      open: () => ({ fh: 5 }),
      flush: () => undefined,
      release: () => undefined,
    })
    assert.equal(await fs.readFile('/hello', 'utf8'), String(text))
    const requests = asked()
    assert.deepEqual(
      requests.map(({ operation, fh }) => [operation, fh]),
      [
        ['lookup', undefined],
        ['open', undefined],
        ['getattr', 5],
        ['getattr', 5],
        ['read', 5],
        ['getattr', 5],
        ['flush', 5],
        ['release', 5],
      ],
    )
    const read = requests.find(({ operation }) => operation === 'read')
    assert.deepEqual([read?.offset, read?.size], [0, 4096])
    await fs.close()
  })

  it('asks no more once OPEN says ENOSYS, and needs no RELEASE', async () => {
    const { fs, names } = recorded(
      { open: () => ENOSYS, release: () => undefined, flush: () => undefined },
      wanting('FUSE_NO_OPEN_SUPPORT'),
    )
    await fs.readFile('/hello')
    assert.ok(names().includes('open'))
    await fs.readFile('/hello')
    const again = names()
    assert.ok(!again.includes('open') && !again.includes('release') && !again.includes('flush'), again.join())
    await fs.close()
    const without = recorded({ open: () => ENOSYS })
    await assert.rejects(without.fs.readFile('/hello'), { code: 'ENOSYS' })
    await without.fs.close()
  })

  it('creates by CREATE with umask and flags, else by MKNOD and OPEN', async () => {
    const { fs, asked } = recorded(writable, { umask: 0o027 })
    await (await fs.open('/new', O_CREAT | O_EXCL | O_RDWR, 0o666)).close()
    const [, create] = asked()
    assert.deepEqual(
      [create.operation, create.mode, create.umask, create.name],
      ['create', 0o100640, 0o027, 'new'],
    )
    assert.equal((create.flags as number) & (O_EXCL | O_RDWR), O_EXCL | O_RDWR)
    await fs.close()

    const unmasked = recorded(writable, { umask: 0o027, ...wanting('FUSE_DONT_MASK') })
    await (await unmasked.fs.open('/new', 'w')).close()
    assert.equal(unmasked.asked()[1].mode, 0o100666)
    await unmasked.fs.close()

    const byMknod = recorded({ ...writable, create: undefined, mknod: () => made, open: () => ({ fh: 4 }) })
    await byMknod.fs.writeFile('/new', 'x')
    assert.deepEqual(byMknod.names().slice(0, 3), ['lookup', 'mknod', 'open'])
    await byMknod.fs.close()
  })

  it('truncates with OPEN where that was agreed, else by SETATTR', async () => {
    const handlers = { ...writable, open: () => ({}) }
    const atomic = recorded(handlers, wanting('FUSE_ATOMIC_O_TRUNC'))
    await (await atomic.fs.open('/hello', 'w')).close()
    const [, open] = atomic.asked()
    assert.equal((open.flags as number) & (O_TRUNC | O_WRONLY | O_CREAT), O_TRUNC | O_WRONLY)
    await atomic.fs.close()
    const plain = recorded(handlers)
    await (await plain.fs.open('/hello', 'w')).close()
    const asked = plain.asked()
    assert.equal((asked[1].flags as number) & O_TRUNC, 0)
    assert.deepEqual([asked[2].operation, asked[2].valid, asked[2].size], ['setattr', FATTR_SIZE, 0])
    await plain.fs.close()
  })

  it('tells the error of FLUSH, and releases all the same', async () => {
    const { fs, names } = recorded({ ...writable, flush: () => EIO, release: () => undefined })
    const message = 'EIO: i/o error, close'
    await assert.rejects(fs.writeFile('/new', 'x'), { code: 'EIO', syscall: 'close', message })
    assert.equal(names().at(-1), 'release')
    const silent = recorded({
      ...writable,
      create: () => ({ ...made, openFlags: FOPEN_NOFLUSH }),
      flush: () => EIO,
    })
    await silent.fs.writeFile('/new', 'x')
    await fs.close()
    await silent.fs.close()
  })
})

describe('a copy that fails', () => {
  it('leaves no destination behind', async () => {
    const failures: Filesystem[] = [{ flush: () => EIO }, { write: () => EIO }, { setattr: () => EIO }]
    for (const failing of failures) {
      const files = new Map([['hello', { nodeid: 2, attr: file }]])
      const fs = fsFrom(
        small({
          ...writable,
          lookup: ({ name }) => files.get(name) ?? ENOENT,
          create: ({ name }) => {
            files.set(name, made)
            return made
          },
          unlink: ({ name }) => void files.delete(name),
          ...failing,
        }),
      )
      const expected = { code: 'EIO', syscall: 'copyfile', path: '/hello', dest: '/new' }
      await assert.rejects(fs.copyFile('/hello', '/new'), expected)
      assert.deepEqual([...files.keys()], ['hello'])
      await fs.copyFile('/hello', '/hello').catch(() => undefined)
      assert.deepEqual([...files.keys()], ['hello'])
      await fs.close()
    }
  })

  it('does not go on for ever where nothing is written', async () => {
    const direct = { openFlags: FOPEN_DIRECT_IO }
    const fs = fsFrom(small({ ...writable, create: () => ({ ...made, ...direct }), write: () => 0 }))
    await assert.rejects(fs.copyFile('/hello', '/new'), { code: 'EIO' })
    await fs.close()
  })
})

describe('data', () => {
  it('is cut to what was negotiated, at pages', async () => {
    const { fs, asked } = recorded(writable, { maxWrite: 8192 })
    const handle = await fs.open('/new', 'w')
    await handle.write(Buffer.alloc(20_000), 0, 20_000, 100)
    const writes = asked().filter(({ operation }) => operation === 'write')
    assert.deepEqual(
      writes.map(({ offset, size }) => [offset, size]),
      [
        [100, 8092],
        [8192, 8192],
        [16384, 3716],
      ],
    )
    await handle.close()
    await fs.close()
  })

  it('has no end before READ says so, with direct I/O', async () => {
    const content = Buffer.from('of unknown size')
    const handlers: Filesystem = {
      open: () => ({ openFlags: FOPEN_DIRECT_IO }),
      lookup: () => ({ nodeid: 2, attr: { ...file, size: 0 } }),
      getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? root : { ...file, size: 0 } }),
      read: ({ offset, size }) => content.subarray(offset, offset + size),
    }
    const direct = fsFrom(small(handlers))
    assert.equal(await direct.readFile('/f', 'utf8'), 'of unknown size')
    await direct.close()
    // Kernel: a cached file of size 0 is empty, whatever READ would bring.
    const empty = fsFrom(small({ ...handlers, open: undefined }))
    assert.equal(await empty.readFile('/f', 'utf8'), '')
    await empty.close()
  })

  it('takes setuid away in the way that was agreed', async () => {
    const suid = { ...file, mode: 0o104755 }
    const handlers: Filesystem = {
      lookup: () => ({ nodeid: 2, attr: suid }),
      getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? root : suid }),
      setattr: () => ({ attr: suid }),
      write: ({ size }) => size,
    }
    const user = { uid: 1000, gid: 1000 }
    const old = recorded(handlers, user)
    await old.fs.writeFile('/hello', 'x', { flag: 'r+' })
    const removal = old.asked().find(({ operation }) => operation === 'setattr')
    assert.deepEqual([removal?.valid, removal?.mode], [FATTR_MODE, 0o100755])
    const agreed = recorded(handlers, { ...user, ...wanting('FUSE_HANDLE_KILLPRIV_V2') })
    await agreed.fs.writeFile('/hello', 'x', { flag: 'r+' })
    await agreed.fs.truncate('/hello', 1)
    const asked = agreed.asked()
    assert.equal((asked.find(({ operation }) => operation === 'write')?.writeFlags as number) & 4, 4)
    assert.equal(
      asked.find(({ operation }) => operation === 'setattr')?.valid,
      FATTR_SIZE | FATTR_KILL_SUIDGID,
    )
    await old.fs.close()
    await agreed.fs.close()
  })
})

describe('what ENOSYS switches off', () => {
  it('stays off, with the fallback of the kernel', async () => {
    const { fs, names } = recorded({
      ...writable,
      statx: () => ENOSYS,
      getxattr: () => ENOSYS,
      access: () => ENOSYS,
      fsync: () => ENOSYS,
      lseek: () => ENOSYS,
    })
    for (let i = 0; i < 2; i++) {
      await fs.stat('/hello')
      await assert.rejects(fs.getxattr('/hello', 'user.x'), { code: 'EOPNOTSUPP' })
      await fs.access('/hello', constants.W_OK)
      await using handle = await fs.open('/hello', 'r+')
      await handle.sync()
      assert.deepEqual([await handle.seek(0, 'data'), await handle.seek(0, 'hole')], [0, text.length])
    }
    const counted = names().filter((name) => ['statx', 'getxattr', 'access', 'fsync', 'lseek'].includes(name))
    assert.deepEqual(counted, ['statx', 'getxattr', 'access', 'fsync', 'lseek'])
    await fs.close()
  })
})
