// The handlers of the memory filesystem, asked by a fake kernel: what a mount shows only now and then.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { getHeapStatistics } from 'node:v8'
import {
  EBADF,
  EEXIST,
  EINVAL,
  ENAMETOOLONG,
  ENODATA,
  ENOENT,
  ENOSPC,
  ENOTEMPTY,
  EOPNOTSUPP,
  EPERM,
  ESTALE,
  OptionError,
} from 'devfuse'
import { memoryFilesystem } from 'devfuse/memory'
import type { MemoryOptions } from 'devfuse/memory'
import { serve } from '../support/fake-session.js'

const BLOCK = 4096
const KEEP_CACHE = 2
const WRITE_CACHE = 1
const S_IFCHR = 0o020000
const FATTR_MODE = 1
const FATTR_GID = 1 << 2
const KILL_SUIDGID = 1 << 2
const INVAL_INODE = 2
const RENAME_EXCHANGE = 2
/** A process that there is not. */
const NOBODY = 2 ** 30

async function bed(options: MemoryOptions = {}) {
  const filesystem = memoryFilesystem(options)
  const { kernel } = await serve(filesystem, filesystem.mountOptions)
  const ask = kernel.request.bind(kernel)
  const forget = kernel.tell.bind(kernel, 'forget')
  const make = async (name: string, mode = 0o644, nodeid = 1) =>
    (await ask('create', { nodeid, name, flags: 2, mode, umask: 0, openFlags: 0 }))['nodeid'] as number
  const mkdir = async (name: string, nodeid = 1) =>
    (await ask('mkdir', { nodeid, name, mode: 0o755, umask: 0 }))['nodeid'] as number
  /** FUSE_NOTIFY_INVAL_INODE that came since the last call: nodeids, and where the data to drop begins. */
  const invalidated = () =>
    kernel.strays
      .splice(0)
      .filter((message) => message.readInt32LE(4) === INVAL_INODE)
      .map((message) => [Number(message.readBigUInt64LE(16)), Number(message.readBigInt64LE(24))])
  return { filesystem, ask, forget, make, mkdir, invalidated }
}

describe('the memory filesystem', () => {
  it('finds an inode under its number after the kernel forgot it, while it has a name', async () => {
    const { ask, forget, make, filesystem } = await bed()
    const nodeid = await make('file')
    forget({ nodeid, nlookup: 1 })
    assert.equal((await ask('getattr', { nodeid })).error, 0)
    assert.equal((await ask('lookup', { nodeid: 1, name: 'file' }))['nodeid'], nodeid)
    assert.equal((await ask('unlink', { nodeid: 1, name: 'file' })).error, 0)
    assert.equal((await ask('getattr', { nodeid })).error, 0)
    forget({ nodeid, nlookup: 1 })
    assert.equal((await ask('getattr', { nodeid })).error, ESTALE)
    assert.deepEqual(filesystem.used, { bytes: 0, inodes: 1 })
  })

  it('can be mounted again, and lets go of what only the last mount held', async () => {
    const { ask, make, filesystem } = await bed()
    const gone = await make('gone')
    await ask('write', { nodeid: gone, fh: 0, offset: 0, data: Buffer.from('x'), writeFlags: 0, flags: 2 })
    await ask('unlink', { nodeid: 1, name: 'gone' })
    const kept = await make('kept')
    assert.equal(filesystem.used.bytes, BLOCK)
    const again = await serve(filesystem, filesystem.mountOptions)
    assert.deepEqual(filesystem.used, { bytes: 0, inodes: 2 })
    assert.equal((await again.kernel.request('lookup', { nodeid: 1, name: 'kept' }))['nodeid'], kept)
  })

  it('says ENOSPC for one inode too many, and has room again after a removal', async () => {
    const { ask, forget, make } = await bed({ inodes: 2 })
    const nodeid = await make('one')
    assert.equal((await ask('mkdir', { nodeid: 1, name: 'two', mode: 0o755, umask: 0 })).error, ENOSPC)
    assert.equal((await ask('statfs', {}))['ffree'], 0)
    await ask('unlink', { nodeid: 1, name: 'one' })
    forget({ nodeid, nlookup: 1 })
    assert.equal((await ask('mkdir', { nodeid: 1, name: 'two', mode: 0o755, umask: 0 })).error, 0)
  })

  it('counts extended attributes against the size', async () => {
    const { ask, make, filesystem } = await bed({ size: 2 * BLOCK })
    const nodeid = await make('file')
    const set = async (name: string, bytes: number) =>
      (await ask('setxattr', { nodeid, name, value: Buffer.alloc(bytes), flags: 0, setxattrFlags: 0 })).error
    assert.equal(await set('user.a', BLOCK), 0)
    assert.equal(await set('user.b', BLOCK), ENOSPC)
    assert.equal(await set('user.a', 10), 0)
    assert.equal(filesystem.used.bytes, 16 + 1024)
    assert.equal((await ask('removexattr', { nodeid, name: 'user.a' })).error, 0)
    assert.equal(filesystem.used.bytes, 0)
  })

  it('shows the names of trusted attributes to root alone, and to nobody who cannot be seen', async () => {
    const { ask, make } = await bed()
    const nodeid = await make('file')
    for (const name of ['trusted.a', 'user.b'])
      await ask('setxattr', { nodeid, name, value: Buffer.from('1'), flags: 0, setxattrFlags: 0 })
    const length = async (who: object) =>
      ((await ask('listxattr', { nodeid, size: 100, ...who }))['data'] as Uint8Array).length
    assert.equal(await length({ uid: 0 }), 17)
    assert.equal(await length({ uid: 1000 }), 7)
    assert.equal(await length({ uid: 0xffff_ffff, pid: NOBODY }), 7)
  })

  it('counts targets of symlinks against the size', async () => {
    const { ask, forget, filesystem } = await bed({ size: BLOCK, inodes: 5 })
    const target = `é${'x'.repeat(4000)}`
    const symlink = (name: string) => ask('symlink', { nodeid: 1, name, target })
    const nodeid = (await symlink('one'))['nodeid'] as number
    const bytes = Buffer.from(target).toString('latin1')
    assert.equal(filesystem.readlink!({ nodeid } as never), bytes)
    assert.equal(((await ask('getattr', { nodeid }))['attr'] as { size: number }).size, 4002)
    assert.equal((await symlink('two')).error, ENOSPC)
    await ask('unlink', { nodeid: 1, name: 'one' })
    forget({ nodeid, nlookup: 1 })
    assert.equal(filesystem.used.bytes, 0)
    assert.equal((await symlink('two')).error, 0)
  })

  it('counts further names of a file as inodes, however they come and go', async () => {
    const { ask, make, mkdir, filesystem } = await bed({ inodes: 5 })
    const nodeid = await make('file')
    const dir = await mkdir('dir')
    const link = async (newname: string) =>
      (await ask('link', { nodeid: 1, oldnodeid: nodeid, newname })).error
    const rename = async (name: string, newdir: number, newname: string) =>
      (await ask('rename2', { nodeid: 1, name, newdir, newname, flags: 0 })).error
    assert.deepEqual([await link('a'), await link('b'), await link('c')], [0, 0, ENOSPC])
    assert.equal((await ask('statfs', {}))['ffree'], 0)
    assert.equal((await ask('create', { nodeid: 1, name: 'x', flags: 2, mode: 0, umask: 0 })).error, ENOSPC)
    assert.equal(await rename('a', dir, 'a'), 0)
    assert.equal(await rename('dir', 1, 'moved'), 0)
    assert.equal(filesystem.used.inodes, 5)
    await ask('unlink', { nodeid: dir, name: 'a' })
    await ask('unlink', { nodeid: 1, name: 'file' })
    assert.equal(filesystem.used.inodes, 3)
    assert.equal(await link('c'), 0)
    assert.equal(filesystem.used.inodes, 4)
  })

  it('does not take a value with the memory that it lies in', async () => {
    const { filesystem, ask, make } = await bed()
    const nodeid = await make('file')
    await ask('setxattr', { nodeid, name: 'user.a', value: Buffer.from('x'), flags: 0, setxattrFlags: 0 })
    const value = filesystem.getxattr!({ nodeid, name: 'user.a', size: 10 } as never) as Uint8Array
    assert.equal(value.buffer.byteLength, 1)
  })

  it('has no more inodes by default than the heap can hold', () => {
    const inodesOf = (options: MemoryOptions) =>
      (memoryFilesystem(options).statfs!({} as never) as { files: number }).files
    assert.equal(inodesOf({ size: 100 * BLOCK }), 100)
    assert.ok(inodesOf({ size: 2 ** 50 }) <= getHeapStatistics().heap_size_limit / 2 / 2048)
    assert.equal(inodesOf({ size: BLOCK, inodes: 10 ** 9 }), 10 ** 9)
  })

  it('writes what fits, but all or nothing of what the kernel had cached', async () => {
    const { ask, make } = await bed({ size: 2 * BLOCK, inodes: 9 })
    const nodeid = await make('file')
    const write = (writeFlags: number) =>
      ask('write', { nodeid, fh: 0, offset: 0, data: Buffer.alloc(3 * BLOCK), writeFlags, flags: 2 })
    assert.equal((await write(WRITE_CACHE)).error, ENOSPC)
    assert.equal((await write(0))['value'], 2 * BLOCK)
  })

  it('keeps the kernel from answering reads from its cache while the access time has to move', async () => {
    const { ask, make } = await bed()
    const nodeid = await make('file')
    await ask('write', { nodeid, fh: 0, offset: 0, data: Buffer.from('x'), writeFlags: 0, flags: 2 })
    const keeps = async () =>
      ((await ask('open', { nodeid, flags: 0, openFlags: 0 }))['openFlags'] as number) & KEEP_CACHE
    assert.equal(await keeps(), 0)
    await ask('read', { nodeid, fh: 0, offset: 0, size: 10, readFlags: 0, lockOwner: 0, flags: 0 })
    assert.equal(await keeps(), KEEP_CACHE)
    const { atime, mtime } = (await ask('getattr', { nodeid }))['attr'] as { atime: number; mtime: number }
    assert.ok(atime >= mtime)
  })

  it('lets the kernel forget the listing of a directory that has another parent', async () => {
    const { ask, mkdir, make, invalidated } = await bed()
    const [a, b] = [await mkdir('a'), await mkdir('b')]
    const [c, d] = [await mkdir('c', a), await mkdir('d', b)]
    await make('file', 0o644, b)
    const rename = async (nodeid: number, name: string, newdir: number, newname: string, flags = 0) => {
      assert.equal((await ask('rename2', { nodeid, name, newdir, newname, flags })).error, 0)
      return invalidated()
    }
    assert.deepEqual(await rename(a, 'c', a, 'e'), [])
    assert.deepEqual(await rename(a, 'e', b, 'c'), [[c, 0]])
    assert.deepEqual(await rename(b, 'd', a, 'd'), [[d, 0]])
    const exchanged = await rename(b, 'c', a, 'd', RENAME_EXCHANGE)
    assert.deepEqual(exchanged, [
      [c, 0],
      [d, 0],
    ])
    assert.deepEqual(await rename(b, 'file', a, 'd', RENAME_EXCHANGE), [[c, 0]])
    assert.deepEqual(await rename(a, 'd', 1, 'file'), [])
  })

  it('lets the kernel forget the access time that a copy has moved', async () => {
    const { ask, make, invalidated } = await bed()
    const [from, to] = [await make('from'), await make('to')]
    await ask('write', { nodeid: from, fh: 0, offset: 0, data: Buffer.from('x'), writeFlags: 0, flags: 2 })
    const copy = { nodeid: from, fhIn: 0, offIn: 0, nodeidOut: to, fhOut: 0, offOut: 0, len: 1, flags: 0 }
    assert.equal((await ask('copyFileRange', copy))['value'], 1)
    assert.deepEqual(invalidated(), [[from, -1]])
    assert.equal((await ask('copyFileRange', copy))['value'], 1)
    assert.deepEqual(invalidated(), [])
  })

  it('forgets directories that a mount had open when it ended', async () => {
    const { ask, filesystem } = await bed()
    const fh = (await ask('opendir', { nodeid: 1, flags: 0 }))['fh'] as number
    const { kernel } = await serve(filesystem, filesystem.mountOptions)
    assert.equal((await kernel.request('readdir', { nodeid: 1, fh, offset: 0, size: BLOCK })).error, EBADF)
    assert.equal((await kernel.request('opendir', { nodeid: 1, flags: 0 }))['fh'], fh)
  })

  it('says EINVAL to an attribute that is only a prefix, and ENOTSUP to an unknown one', async () => {
    const { ask, make } = await bed()
    const nodeid = await make('file')
    for (const [name, errno] of [
      ['user.', EINVAL],
      ['trusted.', EINVAL],
      ['user', EOPNOTSUPP],
      ['other.a', EOPNOTSUPP],
    ] as const) {
      const set = { nodeid, name, value: Buffer.from('x'), flags: 0, setxattrFlags: 0 }
      assert.equal((await ask('setxattr', set)).error, errno, name)
      assert.equal((await ask('getxattr', { nodeid, name, size: 0 })).error, errno, name)
      assert.equal((await ask('removexattr', { nodeid, name })).error, errno, name)
    }
  })

  it('hears of every readlink with strictatime', () => {
    const caches = (options: MemoryOptions) =>
      memoryFilesystem(options).mountOptions.prefer?.includes('FUSE_CACHE_SYMLINKS')
    assert.deepEqual([caches({}), caches({ strictatime: true })], [true, false])
  })

  it('clears set-id bits where the kernel says so', async () => {
    const { ask, make } = await bed()
    const modeOf = async (nodeid: number) =>
      ((await ask('getattr', { nodeid }))['attr'] as { mode: number }).mode & 0o7777
    const write = { fh: 0, offset: 0, data: Buffer.from('x'), flags: 1 }
    const plain = await make('plain', 0o6755)
    await ask('write', { ...write, nodeid: plain, writeFlags: 0 })
    assert.equal(await modeOf(plain), 0o6755)
    await ask('write', { ...write, nodeid: plain, writeFlags: KILL_SUIDGID })
    assert.equal(await modeOf(plain), 0o755)
    // setgid without execution for the group goes where the caller is a stranger to the group.
    await ask('setattr', { nodeid: plain, valid: FATTR_MODE, mode: 0o2644 })
    await ask('write', { ...write, nodeid: plain, writeFlags: KILL_SUIDGID })
    assert.equal(await modeOf(plain), 0o2644)
    // A change of nothing is chown(2) to nobody, unless the caller could write the file: a stranger takes nothing away.
    const nothing = { nodeid: plain, valid: 0, gid: 4711, pid: NOBODY }
    await ask('release', { nodeid: plain, fh: 0, flags: 1 })
    assert.equal((await ask('setattr', nothing)).error, EPERM)
    assert.equal(await modeOf(plain), 0o2644)
    await ask('write', { ...write, nodeid: plain, writeFlags: KILL_SUIDGID, gid: 4711, pid: NOBODY })
    assert.equal(await modeOf(plain), 0o644)
    await ask('setattr', { nodeid: plain, valid: FATTR_MODE, mode: 0o2666 })
    assert.equal((await ask('setattr', nothing)).error, 0)
    assert.equal(await modeOf(plain), 0o666)
    await ask('setattr', { nodeid: plain, valid: FATTR_MODE, mode: 0o4644 })
    await ask('open', { nodeid: plain, flags: 1, openFlags: 0 })
    assert.equal((await ask('setattr', nothing)).error, 0)
    assert.equal(await modeOf(plain), 0o644)
  })

  it('takes capabilities away with a change of the owner, but not from a directory', async () => {
    const { ask, make, mkdir } = await bed()
    for (const [nodeid, error] of [
      [await make('file'), ENODATA],
      [await mkdir('dir'), 0],
    ] as const) {
      const name = 'security.capability'
      await ask('setxattr', { nodeid, name, value: Buffer.alloc(20), flags: 0, setxattrFlags: 0 })
      await ask('setattr', { nodeid, valid: FATTR_GID, newGid: 1005 })
      assert.equal((await ask('getxattr', { nodeid, name, size: 100 })).error, error)
    }
  })

  it('refuses by itself what the kernel would refuse before', async () => {
    const { ask, make, mkdir } = await bed()
    await make('file')
    const dir = await mkdir('dir')
    const inner = await mkdir('inner', dir)
    const create = { nodeid: 1, flags: 2, mode: 0o644, umask: 0, openFlags: 0 }
    assert.equal((await ask('create', { ...create, name: 'file' })).error, EEXIST)
    assert.equal((await ask('create', { ...create, name: 'x'.repeat(256) })).error, ENAMETOOLONG)
    assert.equal((await ask('create', { ...create, name: 'a/b' })).error, EINVAL)
    assert.equal((await ask('rmdir', { nodeid: 1, name: 'dir' })).error, ENOTEMPTY)
    const into = { nodeid: 1, name: 'dir', newdir: inner, newname: 'loop', flags: 0 }
    assert.equal((await ask('rename', into)).error, EINVAL)
    await ask('rmdir', { nodeid: dir, name: 'inner' })
    assert.equal((await ask('create', { ...create, nodeid: inner, name: 'late' })).error, ENOENT)
  })

  it('leaves a whiteout that belongs to the caller', async () => {
    const { ask, make } = await bed()
    await make('file')
    const rename = { nodeid: 1, name: 'file', newdir: 1, newname: 'moved', flags: 4, padding: 0 }
    assert.equal((await ask('rename2', rename)).error, 0)
    const { attr } = (await ask('lookup', { nodeid: 1, name: 'file' })) as unknown as {
      attr: { mode: number; rdev: number }
    }
    assert.deepEqual([attr.mode, attr.rdev], [S_IFCHR, 0])
  })

  it('leaves a whiteout that takes over from its directory what any new file does', async () => {
    const { ask, make, mkdir } = await bed()
    const nodeid = await mkdir('dir')
    await ask('setattr', { nodeid, valid: FATTR_MODE | FATTR_GID, mode: 0o2777, newGid: 1005 })
    // user::rwx, user:1000:rwx, group::rwx, mask::rwx, other::---
    const list = Buffer.from(
      '02000000 01000700ffffffff 02000700e8030000 04000700ffffffff 10000700ffffffff 20000000ffffffff'.replaceAll(
        ' ',
        '',
      ),
      'hex',
    )
    const set = { nodeid, name: 'system.posix_acl_default', value: list, flags: 0, setxattrFlags: 0 }
    assert.equal((await ask('setxattr', set)).error, 0)
    await make('file', 0o644, nodeid)
    const rename = { nodeid, name: 'file', newdir: 1, newname: 'moved', flags: 4, padding: 0 }
    assert.equal((await ask('rename2', rename)).error, 0)
    const whiteout = (await ask('lookup', { nodeid, name: 'file' })) as unknown as {
      nodeid: number
      attr: { mode: number; gid: number }
    }
    assert.deepEqual([whiteout.attr.mode, whiteout.attr.gid], [S_IFCHR, 1005])
    const asked = { nodeid: whiteout.nodeid, name: 'system.posix_acl_access', size: 100 }
    assert.equal(((await ask('getxattr', asked))['data'] as Uint8Array).length, list.length)
  })

  it('names a wrong option and its fix', () => {
    for (const [options, message] of [
      [{ size: '1G' }, /`size` must be an integer from 4096 .*"1G"/],
      [{ inodes: 0 }, /`inodes` must be an integer from 1/],
      [{ sise: 1 }, /unknown option `sise` of a memory filesystem; the options are .*size/],
      [{ encoding: 'utf8' }, /`encoding`: .*leave it out/],
      [{ passthrough: 'on' }, /`passthrough`: no real files .*leave it out/],
    ] as [MemoryOptions, RegExp][]) {
      assert.throws(
        () => memoryFilesystem(options),
        (error) => error instanceof OptionError && message.test(error.message),
      )
    }
  })
})
