// union: several filesystems as one, and what it honestly cannot do; and all wrappers around each other on a mount.
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ENOSYS, connect } from 'devfuse'
import type { Filesystem, Notifier } from 'devfuse'
import { fsFrom } from 'devfuse/fs'
import { mirror } from 'devfuse/mirror'
import { faults, limit, owner, pipe, readonly, subdir, trace, union } from 'devfuse/wrappers'
import { mounted, sh, skip, temporary } from '../support/mounting.js'
import { failure, filled, someDirectory as attr, viewed } from './filled.js'

const notRoot = process.geteuid?.() === 0 ? false : 'a mirror keeps listings for root only'

const lower = {
  '/a': 'lower a',
  '/both': 'lower',
  '/d/': '',
  '/d/x': 'lower x',
  '/d/e/': '',
  '/d/e/f': 'f',
  '/only/': '',
  '/only/o': 'o',
}
const upper = { '/both': 'upper', '/d/': '', '/d/y': 'upper y', '/n': 'n' }

describe('union', { skip }, () => {
  it('merges by name, the first layer winning', async (t) => {
    const fs = viewed(t, union([await filled(upper), readonly(await filled(lower))]))
    assert.deepEqual((await fs.readdir('/', { recursive: true })).toSorted(), [
      ...['a', 'both', 'd', 'd/e', 'd/e/f', 'd/x', 'd/y', 'n', 'only', 'only/o'],
    ])
    assert.equal(await fs.readFile('/both', 'utf8'), 'upper')
    assert.equal(await fs.readFile('/d/x', 'utf8'), 'lower x')
    const inodes = await Promise.all(
      ['/a', '/both', '/d/x', '/d/y', '/n'].map((path) => fs.stat(path, { bigint: true })),
    )
    assert.equal(new Set(inodes.map(({ ino }) => ino)).size, 5)
  })

  it('writes to the first layer that is writable, and says what it cannot do', async (t) => {
    const top = await filled(upper)
    const fs = viewed(t, union([top, readonly(await filled(lower))]))
    await fs.writeFile('/new', 'new')
    await fs.mkdir('/d/made')
    await fs.writeFile('/d/made/f', '')
    await fs.appendFile('/both', '!')
    await fs.rename('/n', '/m')
    await fs.rename('/d/y', '/moved')
    await fs.unlink('/moved')
    await fs.link('/m', '/d/l')
    await fs.copyFile('/a', '/copy')
    assert.equal(await failure(fs.writeFile('/a', 'x')), 'EROFS')
    assert.equal(await failure(fs.writeFile('/only/x', 'x')), 'EROFS')
    assert.equal(await failure(fs.unlink('/a')), 'EROFS')
    assert.equal(await failure(fs.unlink('/both')), 'EROFS')
    assert.equal(await failure(fs.rmdir('/d')), 'EROFS')
    assert.equal(await failure(fs.rename('/both', '/x')), 'EXDEV')
    assert.equal(await failure(fs.rename('/m', '/only/m')), 'EXDEV')
    assert.equal(await failure(fs.link('/a', '/b')), 'EROFS')
    await fs.rename('/m', '/a')
    assert.equal(await fs.readFile('/a', 'utf8'), 'n')
    await fs.close()
    assert.deepEqual((await viewed(t, top).readdir('/', { recursive: true })).toSorted(), [
      ...['a', 'both', 'copy', 'd', 'd/l', 'd/made', 'd/made/f', 'new'],
    ])
  })

  it('goes on to a lower layer where the upper one is read-only', async (t) => {
    const fs = viewed(t, union([readonly(await filled(upper)), await filled(lower)]))
    await fs.writeFile('/new', 'x')
    await fs.writeFile('/a', 'changed')
    await fs.unlink('/only/o')
    assert.equal(await failure(fs.writeFile('/both', 'x')), 'EROFS')
    assert.deepEqual([await fs.readFile('/new', 'utf8'), await fs.readFile('/a', 'utf8')], ['x', 'changed'])
  })

  it('lists thousands of names of filesystems that answer in pieces, sync and async', async (t) => {
    const folder = temporary(t)
    for (let i = 0; i < 3000; i++) writeFileSync(join(folder, `name-${i}`), '')
    const inner = mirror(folder)
    const late: Filesystem = trace(await filled({ '/name-7': '', '/late': '' }), () => undefined)
    const fs = viewed(
      t,
      union([faults(late, [{ operation: ['lookup', 'readdir', 'opendir'], latency: 1 }]), inner]),
    )
    const names = await fs.readdir('/')
    assert.deepEqual([names.length, new Set(names).size], [3001, 3001])
    await fs.close()
    assert.equal(inner.known.inodes, 1)
  })

  it('lists a layer that opens no directories (ENOSYS to opendir)', { skip: notRoot }, async (t) => {
    const folder = temporary(t)
    mkdirSync(join(folder, 'below'))
    for (let i = 0; i < 3000; i++) writeFileSync(join(folder, `below/name-${i}`), '')
    const inner = mirror(folder, { cache: { entryValid: 100, attrValid: 100 } })
    const never: Filesystem = { ...inner, opendir: () => ENOSYS, releasedir: () => assert.fail('not opened') }
    for (const layer of [never, inner]) {
      const fs = viewed(t, union([await filled({ '/below/': '', '/below/above': '' }), layer]))
      assert.equal((await fs.readdir('/below')).length, 3001)
    }
  })

  it('takes filesystems that have little', async (t) => {
    const bare: Filesystem = { getattr: () => ({ attr: { ...attr, ino: 1 } }), lookup: () => -2 }
    const fs = viewed(t, union([bare, await filled({ '/f': 'x' })]))
    await fs.writeFile('/g', 'y')
    assert.equal(await fs.readFile('/g', 'utf8'), 'y')
    assert.equal(await failure(fs.getxattr('/', 'user.x')), 'EOPNOTSUPP')
    assert.equal(await failure(fs.getxattr('/f', 'user.x')), 'ENODATA')
  })
})

describe('wrappers around each other', { skip, timeout: 60_000 }, () => {
  it('make a filesystem that programs can use', async (t) => {
    const folder = temporary(t)
    mkdirSync(join(folder, 'public/sub'), { recursive: true })
    writeFileSync(join(folder, 'public/sub/given'), 'given\n')
    let calls = 0
    const stack = pipe<Filesystem>(
      union([
        await filled({ '/mine': 'mine\n', '/sub/': '' }),
        pipe<Filesystem>(mirror(folder), (fs) => subdir(fs, 'public'), readonly),
      ]),
      (fs) => owner(fs, { uid: 1234, gid: 1234 }),
      (fs) => limit(fs, { size: 1 << 20 }),
      (fs) => faults(fs, [{ operation: 'open', path: '/broken', errno: 'EIO' }]),
      (fs) => trace(fs, () => calls++),
    )
    const { mnt } = await mounted(t, stack, { encoding: 'latin1', passthrough: 'off' })
    const out = await sh(`
      cd ${mnt}
      cat mine sub/given
      mkdir dir && echo text > dir/file && mv dir/file dir/moved && cat dir/moved
      touch broken && ! cat broken 2>/dev/null
      ! touch sub/given 2>/dev/null
      stat -c %u mine sub/given dir/moved | sort -u
      ! dd if=/dev/zero of=big bs=1M count=2 2>/dev/null
      find . | sort`)
    assert.equal(
      out,
      'mine\ngiven\ntext\n1234\n.\n./big\n./broken\n./dir\n./dir/moved\n./mine\n./sub\n./sub/given\n',
    )
    assert.ok(calls > 30)
  })

  it('is seen the same without a mount', async () => {
    await using fs = fsFrom(
      pipe<Filesystem>(await filled({ '/a/': '', '/a/b': 'c' }), (inner) => subdir(inner, 'a'), readonly),
    )
    assert.equal(await fs.readFile('b', 'utf8'), 'c')
  })
})

describe('notifications through the wrappers', () => {
  it('name inodes as the kernel knows them', async () => {
    const told: unknown[] = []
    let notify: Notifier | undefined
    const inner: Filesystem = {
      init: (_, given) => void (notify = given),
      lookup: ({ name }) => ({ nodeid: name === 'd' ? 50 : 60, attr }),
      getattr: () => ({ attr }),
    }
    const wrapped = union([{}, subdir(inner, 'd')])
    await using connection = await connect(wrapped, { onNotify: (one) => told.push(one) })
    const { nodeid } = await connection.send('lookup', { name: 'x' })
    assert.equal(nodeid, 2)
    assert.deepEqual(
      [await notify?.invalInode(50), await notify?.invalInode(60, 5), await notify?.invalInode(70)],
      [true, true, false],
    )
    assert.deepEqual(told, [
      { kind: 'invalInode', nodeid: 1, off: 0, len: 0 },
      { kind: 'invalInode', nodeid: 2, off: 5, len: 0 },
    ])
  })
})
