// Mount options over real mounts: each as the kernel shows it, names with any byte, and the words of those that are refused.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { mount } from 'devfuse'
import type { SessionOptions } from 'devfuse'
import { cleanup, mounted, run, skip, skipUsers, temporary } from '../support/mounting.js'
import { as, mountAt, oneFile, place, root, serve, serverSource } from '../support/server.js'

const shown: [SessionOptions, string, 'options' | 'superOptions'][] = [
  [{ readOnly: true }, 'ro', 'options'],
  [{}, 'nosuid', 'options'],
  [{}, 'nodev', 'options'],
  [{}, 'relatime', 'options'],
  [{ relatime: true }, 'relatime', 'options'],
  [{ noexec: true }, 'noexec', 'options'],
  [{ noatime: true }, 'noatime', 'options'],
  [{ nodiratime: true }, 'nodiratime', 'options'],
  [{ nosymfollow: true }, 'nosymfollow', 'options'],
  [{ lazytime: true }, 'lazytime', 'superOptions'],
  [{ sync: true }, 'sync', 'superOptions'],
  [{ dirsync: true }, 'dirsync', 'superOptions'],
  [{ allowOther: true }, 'allow_other', 'superOptions'],
  [{ allowRoot: true }, 'allow_other', 'superOptions'],
  [{ defaultPermissions: true }, 'default_permissions', 'superOptions'],
  [{ maxRead: 65_536 }, 'max_read=65536', 'superOptions'],
  [{ owner: { uid: 1001, gid: 1002 } }, 'user_id=1001', 'superOptions'],
  [{ owner: { uid: 1001, gid: 1002 } }, 'group_id=1002', 'superOptions'],
  [{ options: ['noexec'] }, 'noexec', 'options'],
  [{ options: ['max_read=8192'] }, 'max_read=8192', 'superOptions'],
]

const hidden: [SessionOptions, string][] = [
  [{ strictatime: true }, 'relatime'],
  [{ suid: true }, 'nosuid'],
  [{ dev: true }, 'nodev'],
  [{ noexec: true, options: ['exec'] }, 'noexec'],
]

/** Compiles the program that runs another one without the new mount calls. */
function withoutFsopen(): string {
  const out = join(root, 'build/test-client/without-fsopen')
  mkdirSync(join(root, 'build/test-client'), { recursive: true })
  execFileSync('cc', ['-Wall', '-Werror', '-o', out, join(root, 'test/support/without-fsopen.c')])
  return out
}

describe('mount options', { skip, timeout: 60_000 }, () => {
  for (const [options, word, where] of shown) {
    it(`${JSON.stringify(options)} shows as ${word}`, async (t) => {
      const { mnt } = await mounted(t, oneFile, options)
      assert.ok(mountAt(mnt)?.[where].includes(word), JSON.stringify(mountAt(mnt)))
    })
  }

  for (const [options, word] of hidden) {
    it(`${JSON.stringify(options)} shows without ${word}`, async (t) => {
      const { mnt } = await mounted(t, oneFile, options)
      assert.ok(!mountAt(mnt)?.options.includes(word), JSON.stringify(mountAt(mnt)))
    })
  }

  it('names a source that is too long', async (t) => {
    for (const length of [256, 5000])
      await assert.rejects(
        mount(temporary(t), oneFile, { fsName: 'x'.repeat(length) }),
        /option `fsName` is longer than/,
      )
  })

  for (const fsName of ['a,b', 'a\\b', 'a b', 'ü\\,\\', 'x,user_id=5,y']) {
    it(`shows the source ${JSON.stringify(fsName)} as it is`, async (t) => {
      const { mnt } = await mounted(t, oneFile, { fsName, subtype: 'sub' })
      assert.equal(mountAt(mnt)?.source, fsName)
      assert.equal(mountAt(mnt)?.fsType, 'fuse.sub')
    })

    it(
      `shows the source ${JSON.stringify(fsName)} as it is, through fusermount3`,
      { skip: skipUsers },
      async (t) => {
        const user = place(t)
        execFileSync('chown', ['65534', user])
        const options = JSON.stringify({ fsName, subtype: 'sub' })
        await serve(t, serverSource(`mount(${JSON.stringify(user)}, filesystem, ${options})`), {
          prefix: as(65534),
        })
        assert.equal(mountAt(user)?.source, fsName)
        assert.equal(mountAt(user)?.fsType, 'fuse.sub')
        assert.ok(mountAt(user)?.superOptions.includes('user_id=65534'))
      },
    )
  }

  it('says what the kernel says about an option it does not know', async (t) => {
    const mnt = temporary(t)
    await assert.rejects(mount(mnt, oneFile, { options: ['frobnicate=a,b'] }), {
      code: 'EINVAL',
      syscall: 'fsconfig',
      message: /Unknown parameter 'frobnicate'/,
    })
    await assert.rejects(mount(mnt, oneFile, { options: ['frobnicate'] }), /Unknown parameter 'frobnicate'/)
    assert.equal(mountAt(mnt), undefined)
  })

  it('refuses what no option can be, and what belongs to the library, before anything is mounted', async (t) => {
    const mnt = temporary(t)
    for (const [entry, why] of [
      ['fd=3', /library sets itself/],
      ['user_id=0', /library sets itself/],
      ['', /no mount option/],
      ['ro,suid', /one option an entry/],
      ['a b', /no mount option/],
      ['max_read=x', /`maxRead` must be/],
    ] as const) {
      await assert.rejects(mount(mnt, oneFile, { options: [entry] }), {
        code: 'ERR_DEVFUSE_OPTION',
        message: why,
      })
    }
    await assert.rejects(mount(mnt, oneFile, { blksize: 512 }), /needs `blockDevice`/)
    await assert.rejects(mount(mnt, oneFile, { relatime: true, strictatime: true }), /exclude each other/)
    await assert.rejects(mount(mnt, oneFile, { allowRoot: true, allowOther: true }), /rootAndOwner/)
  })

  it('mounts fuseblk with a block device', async (t) => {
    const image = join(temporary(t), 'image')
    writeFileSync(image, Buffer.alloc(1 << 20))
    const { code, stdout } = await run('losetup', ['-f', '--show', image])
    if (code !== 0) return t.skip('no loop device')
    const device = stdout.trim()
    cleanup(t, () => run('losetup', ['-d', device]))
    const { mnt, session } = await mounted(t, oneFile, {
      blockDevice: device,
      blksize: 1024,
      subtype: 'tiny',
      allowOther: true,
    })
    const found = mountAt(mnt)
    assert.equal(found?.fsType, 'fuseblk.tiny')
    assert.equal(found.source, device)
    assert.equal(found.major, 7)
    // Kernel: some make it the size of a page by themselves.
    assert.ok(
      found.superOptions.some((word) => word.startsWith('blksize=')),
      found.superOptions.join(),
    )
    assert.equal((await run('cat', [`${mnt}/file`])).stdout, 'hello\n')
    await session.unmount()
    assert.equal(mountAt(mnt), undefined)
    t.diagnostic(
      `fuseblk on ${device}: type, source, device number ${found.major}:${found.minor} and block size shown`,
    )
  })

  it('falls back to mount(2), which cannot express a comma', async (t) => {
    const mnt = place(t)
    const source = serverSource(
      `mount(${JSON.stringify(mnt)}, filesystem, {
        fsName: 'a,b', subtype: 'old', maxRead: 8192, noexec: true, nosymfollow: true, lazytime: true })`,
      `
      await mount(${JSON.stringify(mnt)}, filesystem, { options: ['x=a,b'] }).catch((e) => console.log(e.message))
      await mount(${JSON.stringify(mnt)}, filesystem, { syncInit: true }).catch((e) => console.log(e.message))`,
    )
    const server = await serve(t, source, { prefix: [withoutFsopen()] })
    assert.match(server.output(), /mount\(2\) cannot express the comma in the option `x`/)
    assert.match(server.output(), /fsopen says ENOSYS; syncInit needs it/)
    const found = mountAt(mnt)
    assert.equal(found?.source, 'a,b')
    assert.equal(found.fsType, 'fuse.old')
    for (const word of ['noexec', 'nosymfollow', 'nosuid', 'nodev'])
      assert.ok(found.options.includes(word), word)
    for (const word of ['lazytime', 'max_read=8192']) assert.ok(found.superOptions.includes(word), word)
    assert.equal((await run('cat', [`${mnt}/file`])).stdout, 'hello\n')
  })
})
