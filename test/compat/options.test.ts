// The options of fuse-native and the words that they become, without a kernel.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import Fuse from 'devfuse/compat/fuse-native'
import type { Options } from 'devfuse/compat/fuse-native'
import { attrOf } from '#dist/filesystems/compat/fuse-native/attributes.js'
import { meaningOf, remarksOn, wordsOf } from '#dist/filesystems/compat/fuse-native/options.js'
import { DIRECTORY, FILE } from './callback-store.js'

const meaning = (options: Options) => meaningOf(wordsOf(options))

describe('words for libfuse', () => {
  it('are those of fuse-native, in its order', () => {
    assert.equal(wordsOf({}), '')
    assert.equal(
      wordsOf({
        debug: true,
        allowOther: true,
        autoUnmount: true,
        defaultPermissions: true,
        maxRead: 8192,
        fsname: 'a',
        subtype: 'b',
        kernelCache: true,
        autoCache: true,
        umask: '022',
        uid: 1,
        gid: 2,
        entryTimeout: 0.5,
        attrTimeout: 0,
        acAttrTimeout: 2,
        noforget: true,
        remember: 5,
        force: true,
        mkdir: true,
        timeout: 5,
      }),
      '-odebug,allow_other,auto_unmount,default_permissions,max_read=8192,fsname=a,subtype=b,kernel_cache,' +
        'auto_cache,umask=022,uid=1,gid=2,entry_timeout=0.5,attr_timeout=0,ac_attr_timeout=2,noforget,remember=5',
    )
    assert.equal(wordsOf({ allowOther: false, allowRoot: undefined, fsname: '' }), '')
  })

  it('keep a comma in a value to the value', () => {
    const { session } = meaning({ fsname: String.raw`a,allow_other\b` })
    assert.deepEqual(session, { fsName: String.raw`a,allow_other\b` })
  })

  it('become options of devfuse', () => {
    const { session } = meaning({
      allowOther: true,
      defaultPermissions: true,
      autoUnmount: true,
      maxRead: 1,
      userId: 5,
    })
    assert.deepEqual(session, {
      maxRead: 4096,
      owner: { uid: 5, gid: process.getgid?.() },
      fsName: '/dev/fuse',
      options: ['allow_other', 'auto_unmount', 'default_permissions'],
    })
    assert.equal(meaning({ subtype: 'x' }).session.fsName, 'x')
    assert.deepEqual(meaning({ blkdev: true, fsname: '/dev/loop0', blksize: 1024 }).session, {
      ...{ fsName: '/dev/loop0', blockDevice: '/dev/loop0', blksize: 1024 },
    })
    assert.deepEqual(meaning({ kernelCache: true }).session.refuse, ['FUSE_AUTO_INVAL_DATA'])
  })

  it('become settings', () => {
    const { settings } = meaning({
      umask: '027',
      uid: 1,
      gid: 2,
      entryTimeout: 0,
      attrTimeout: 3,
      noforget: true,
    })
    assert.equal(settings.permissions, 0o750)
    assert.deepEqual([settings.uid, settings.gid], [1, 2])
    assert.deepEqual([settings.entryTimeout, settings.attrTimeout, settings.acAttrTimeout], [0, 3, 3])
    assert.equal(settings.remember, Infinity)
    const none = meaning({}).settings
    assert.deepEqual([none.entryTimeout, none.negativeTimeout, none.attrTimeout, none.remember], [1, 0, 1, 0])
  })

  it('that cannot be honoured are refused by name, with what to do', () => {
    const refused: [Options, RegExp][] = [
      [{ modules: 'iconv' }, /`modules` is not supported: .*wrap/],
      [{ fd: 5 }, /`fd` is not supported: .*fromFd/],
      [{ umask: 0o022 }, /`umask` must be octal digits/],
      [{ umask: '9' }, /`umask` must be octal digits/],
      [{ uid: -1 }, /`uid` must be a whole number, not "-1"/],
      [{ gid: 2 ** 32 - 1 }, /`gid` must be an id/],
      [{ entryTimeout: NaN }, /`entry_timeout` must be a number of seconds/],
      [{ attrTimeout: -1 }, /`attr_timeout` must be a number of seconds/],
      [{ blkdev: true }, /`blkdev` needs `fsname`/],
      [{ blksize: 512 }, /`blksize` needs `blkdev`/],
      [{ fsname: {} as string }, /`fsname` must be a number or a string/],
    ]
    for (const [options, message] of refused) assert.throws(() => meaning(options), message)
    assert.throws(() => meaningOf('-ouse_ino'), /`use_ino` is not supported/)
    assert.throws(() => meaningOf('-ohard_remove'), /`hard_remove` is not supported/)
  })

  it('of a subclass are understood, too', () => {
    const { settings, session } = meaningOf(
      '-odirect_io,negative_timeout=2,max_write=65536,nonempty,ro,sync_read',
    )
    assert.deepEqual([settings.directIo, settings.negativeTimeout, session.maxWrite], [true, 2, 65_536])
    assert.deepEqual(session.options, ['ro'])
    assert.deepEqual(session.refuse, ['FUSE_ASYNC_READ'])
  })

  it('leave nothing unsaid that has no effect', () => {
    assert.deepEqual(
      remarksOn({ force: true, mkdir: true, timeout: 1, debug: true, displayFolder: false }),
      [],
    )
    assert.match(remarksOn({ displayFolder: true, name: 'x' }).join(), /displayFolder.*macOS.*name.*macOS/)
    assert.match(
      remarksOn({ directIo: true }).join(),
      /`directIo` has no effect: fuse-native has no such option/,
    )
  })
})

describe('the class', () => {
  it('has the errno constants of fuse-native', () => {
    assert.deepEqual([Fuse.EPERM, Fuse.ENOENT, Fuse.ETIMEDOUT, Fuse.EMEDIUMTYPE], [-1, -2, -110, -124])
    assert.deepEqual([Fuse.EWOULDBLOCK, Fuse.EDEADLOCK], [-11, -35])
    const fuse = new Fuse('/mnt', {})
    assert.deepEqual([fuse.errno('enoent'), fuse.errno('nonsense'), fuse.errno()], [-2, -1, -1])
  })

  it('keeps what it was made of', () => {
    const [ops, opts] = [{}, { timeout: 7 }]
    const fuse = new Fuse('relative/mnt', ops, opts)
    assert.deepEqual(
      [fuse.mnt, fuse.ops, fuse.opts, fuse.timeout],
      [`${process.cwd()}/relative/mnt`, ops, opts, 7],
    )
    assert.equal(new Fuse('/mnt', {}, { timeout: false }).timeout, 0)
    assert.equal(new Fuse('/mnt', {}).timeout, 15_000)
  })
})

describe('attributes', () => {
  const settings = meaning({}).settings

  it('have the defaults of fuse-native', () => {
    const before = Math.floor(Date.now() / 1000)
    const attr = attrOf({ mode: FILE }, settings)
    assert.ok(attr.mtime >= before && attr.atime >= before && attr.ctime >= before)
    const { mode, size, uid, gid, nlink, blocks, rdev } = attr
    assert.deepEqual(
      { mode, size, uid, gid, nlink, blocks, rdev },
      { mode: FILE, size: 0, uid: 0, gid: 0, nlink: 1, blocks: 0, rdev: 0 },
    )
  })

  it('take times as Dates and milliseconds, before 1970 too', () => {
    const attr = attrOf({ mode: FILE, atime: 1500.25, mtime: new Date(-1), ctime: 0 }, settings)
    assert.deepEqual([attr.atime, attr.atimensec], [1, 500_250_000])
    assert.deepEqual([attr.mtime, attr.mtimensec], [-1, 999_000_000])
    assert.deepEqual([attr.ctime, attr.ctimensec], [0, 0])
  })

  it('are overridden by umask, uid and gid', () => {
    const { settings: own } = meaning({ umask: 77, uid: 5, gid: 6 })
    const { mode, uid, gid } = attrOf({ mode: DIRECTORY | 0o4000, uid: 1, gid: 1 }, own)
    assert.deepEqual([mode, uid, gid], [0o040700, 5, 6])
  })

  it('that no file can have are refused by name', () => {
    assert.throws(() => attrOf(undefined, settings), /mode 00, which says no type of file/)
    assert.throws(() => attrOf({ mode: 0o644 }, settings), /mode 0644, which says no type/)
    assert.throws(() => attrOf({ mode: FILE, size: -1 }, settings), /the size -1/)
    assert.throws(() => attrOf({ mode: FILE, size: NaN }, settings), /the size NaN/)
    assert.throws(() => attrOf({ mode: FILE, mtime: new Date(NaN) }, settings), /mtime that is no valid Date/)
    assert.throws(() => attrOf({ mode: FILE, mtime: NaN }, settings), /mtime/)
  })
})
