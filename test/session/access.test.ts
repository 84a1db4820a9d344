// The access list against the fake kernel: requests of a stranger that pass, and those that do not. Who gets in on a real mount is
// in test/mount/access.test.ts.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EACCES, ENOSYS, FOPEN_CACHE_DIR, FOPEN_KEEP_CACHE } from 'devfuse'
import type { Filesystem, SessionOptions } from 'devfuse'
import { attr, serve } from '../support/fake-session.js'

const stranger = { uid: 65534 }
const LIST: SessionOptions = { access: 'owner', owner: { uid: 0, gid: 0 } }

const ATIME = 1 << 4
const MTIME = 1 << 5
const FH = 1 << 6
const ATIME_NOW = 1 << 7
const MTIME_NOW = 1 << 8
const CTIME = 1 << 10

describe('the access list and times', () => {
  const verdicts = async (options: SessionOptions): Promise<Record<string, number>> => {
    const { kernel } = await serve({ setattr: () => ({ attr }) }, { ...LIST, ...options })
    const list: Record<string, number> = {}
    for (const [name, valid] of Object.entries({
      'utimensat to now': ATIME | MTIME | ATIME_NOW | MTIME_NOW,
      'of the modification alone': MTIME,
      'the same to now': MTIME | MTIME_NOW,
      'a flush of cached writes': MTIME | CTIME,
      'the same of an open file': MTIME | CTIME | FH,
    }))
      list[name] = (await kernel.request('setattr', { nodeid: 2, valid, ...stranger })).error
    return list
  }

  it('nobody but those on it sets them', async () => {
    assert.deepEqual(Object.values(await verdicts({})), [EACCES, EACCES, EACCES, EACCES, 0])
  })

  it('the kernel does, with the ids of a stranger, where it caches writes', async () => {
    const wish: SessionOptions = { want: ['FUSE_WRITEBACK_CACHE'], passthrough: 'off' }
    assert.deepEqual(Object.values(await verdicts(wish)), [EACCES, EACCES, EACCES, 0, 0])
  })
})

describe('the access list and opens that nobody is asked for', () => {
  const filesystem: Filesystem = {
    open: () => ENOSYS,
    opendir: () => Promise.resolve(ENOSYS),
  }
  for (const options of [
    LIST,
    { ...LIST, want: ['FUSE_NO_OPEN_SUPPORT', 'FUSE_NO_OPENDIR_SUPPORT'] },
  ] as const) {
    it(`exclude each other: ${'want' in options ? 'wanted' : 'by chance'}`, async () => {
      const { kernel, warnings } = await serve(filesystem, options)
      for (let i = 0; i < 2; i++) {
        const file = await kernel.request('open', { nodeid: 2, flags: 0 })
        const directory = await kernel.request('opendir', { flags: 0 })
        assert.deepEqual([file.error, file['openFlags']], [0, FOPEN_KEEP_CACHE])
        assert.deepEqual([directory.error, directory['openFlags']], [0, FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR])
        assert.equal((await kernel.request('open', { nodeid: 2, flags: 0, ...stranger })).error, EACCES)
        assert.equal((await kernel.request('opendir', { flags: 0, ...stranger })).error, EACCES)
      }
      assert.equal(warnings.length, 2)
      assert.match(warnings.join(), /open answered ENOSYS.*access list.*opendir answered ENOSYS.*access list/)
    })
  }
})
