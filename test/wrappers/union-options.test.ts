// The mountOptions of a union: what its layers ask for, together.
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { Filesystem, SessionOptions } from 'devfuse'
import { fsFilesystem } from 'devfuse/fs'
import { memoryFilesystem } from 'devfuse/memory'
import { mirror } from 'devfuse/mirror'
import { union } from 'devfuse/wrappers'
import { skip, temporary } from '../support/mounting.js'
import { failure, filled, viewed } from './filled.js'

const merged = (...layers: SessionOptions[]): SessionOptions =>
  union(layers.map((mountOptions): Filesystem => ({ mountOptions }) as Filesystem)).mountOptions

describe('options of a union', { skip }, () => {
  it('keep names as the layers take them', async (t) => {
    const folder = temporary(t)
    const fs = viewed(t, union([mirror(folder)]))
    await fs.writeFile('/ü日', 'x')
    assert.deepEqual(readdirSync(folder), ['ü日'])
    assert.deepEqual(await fs.readdir('/'), ['ü日'])
  })

  it('have one encoding', () => {
    const paths = fsFilesystem({ lstat: () => undefined })
    assert.throws(() => union([memoryFilesystem(), {}, paths]), {
      name: 'TypeError',
      code: 'ERR_DEVFUSE_OPTION',
      message: /layers 0 and 2 .* "latin1" and "utf8"/,
    })
    assert.equal(union([{}, memoryFilesystem()]).mountOptions.encoding, 'latin1')
    assert.equal(merged({}).encoding, undefined)
  })

  it('ask for the INIT flags that all layers know', (t) => {
    const both = new Set(union([memoryFilesystem(), mirror(temporary(t))]).mountOptions.prefer)
    for (const flag of [
      'FUSE_DONT_MASK',
      'FUSE_HANDLE_KILLPRIV_V2',
      'FUSE_POSIX_ACL',
      'FUSE_ATOMIC_O_TRUNC',
    ] as const)
      assert.ok(both.has(flag), flag)
    // Files of the mirror change behind the kernel's back.
    assert.ok(!both.has('FUSE_EXPLICIT_INVAL_DATA'))
    assert.ok(!both.has('FUSE_EXPORT_SUPPORT'), 'a union looks up no `.` and `..`')
    assert.deepEqual(union([{}, mirror(temporary(t))]).mountOptions.prefer, ['FUSE_CREATE_SUPP_GROUP'])
  })

  it('insist on nothing that a layer does not know', () => {
    const [insisting, knowing] = [{ want: ['FUSE_DONT_MASK'] }, { prefer: ['FUSE_DONT_MASK'] }] as const
    assert.deepEqual(merged(insisting, knowing).want, ['FUSE_DONT_MASK'])
    assert.throws(() => merged(insisting, {}), /layer 1 of union\(\) does not know FUSE_DONT_MASK/)
    assert.throws(
      () => merged({ want: ['FUSE_EXPORT_SUPPORT'] }),
      /FUSE_EXPORT_SUPPORT, which a union cannot/,
    )
    assert.deepEqual(merged(knowing, { ...knowing, refuse: ['FUSE_ASYNC_READ'] }).refuse, ['FUSE_ASYNC_READ'])
    assert.deepEqual(merged(knowing, { ...knowing, refuse: ['FUSE_DONT_MASK'] }).prefer, [])
  })

  it('give the rights that all layers give, and none that one takes away', () => {
    const open: SessionOptions = { allowOther: true, suid: true, dev: true }
    const closed: SessionOptions = { defaultPermissions: true, noexec: true }
    const rights = ({
      allowOther,
      access,
      suid,
      dev,
      defaultPermissions,
      noexec,
    }: SessionOptions): unknown => [...[allowOther, access, suid, dev, defaultPermissions, noexec]]
    const none = undefined
    assert.deepEqual(rights(merged(open, open)), [true, none, true, true, none, none])
    assert.deepEqual(rights(merged(open, closed)), [none, none, none, none, true, true])
    assert.deepEqual(rights(merged(open, { allowRoot: true })), [
      none,
      'rootAndOwner',
      none,
      none,
      none,
      none,
    ])
    assert.equal(merged({ access: 'owner' }, open, {}).access, 'owner')
    assert.equal(merged({ allowRoot: true }, {}).access, undefined)
  })

  it('take what suits all layers', () => {
    const { maxWrite, timeGran, fsName, subtype, passthrough, maxStackDepth } = merged(
      { maxWrite: 65_536, timeGran: 1000, fsName: 'a', subtype: 's', passthrough: 'on', maxStackDepth: 1 },
      { maxWrite: 8192, timeGran: 100, fsName: 'b', passthrough: 'off' },
    )
    assert.deepEqual(
      [maxWrite, timeGran, fsName, subtype, passthrough, maxStackDepth],
      [8192, 100, undefined, 's', 'on', 1],
    )
    assert.equal(merged({ passthrough: 'off' }, { passthrough: 'off' }).passthrough, 'off')
  })

  it('leave a layer read-only that says so', async (t) => {
    const inner = await filled({ '/lower': '' })
    const sealed = { ...inner, mountOptions: { ...inner.mountOptions, readOnly: true } }
    const fs = viewed(t, union([sealed, await filled({})]))
    await fs.writeFile('/new', 'x')
    assert.equal(await failure(fs.writeFile('/lower', 'x')), 'EROFS')
    assert.equal(union([sealed, sealed]).mountOptions.readOnly, true)
  })
})
