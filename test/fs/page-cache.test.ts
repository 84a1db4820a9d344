// What the kernel may keep of a file's content over an open, of an object that changes by itself: nothing that is no longer so.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { mountFs } from 'devfuse/fs'
import type { FsOptions, StatsLike } from 'devfuse/fs'
import { cleanup, sh, skip, takeDown, temporary } from '../support/mounting.js'

const LONG_AGO = 1_600_000_000_000

async function mounted(t: TestContext, stats: StatsLike, options: FsOptions = {}) {
  const file = { content: 'first', stats, reads: 0 }
  const mnt = temporary(t)
  const session = await mountFs(
    {
      readdir: () => ['f'],
      lstat: (path: string) =>
        path === '/f' ? { type: 'file', size: file.content.length, ...file.stats } : { type: 'directory' },
      open: () => ({
        read(buffer: Uint8Array, offset: number, length: number, position: number) {
          file.reads++
          return Buffer.from(file.content).copy(buffer, offset, position, position + length)
        },
      }),
    },
    mnt,
    options,
  )
  cleanup(t, () => takeDown(session))
  return { file, cat: () => sh(`cat ${mnt}/f`) }
}

describe('pages of an object that changes by itself', { skip, timeout: 60_000 }, () => {
  it('stay while size and times stay, and go with each of them', async (t) => {
    const { file, cat } = await mounted(t, { mtimeMs: LONG_AGO, ctimeMs: LONG_AGO })
    assert.equal(await cat(), 'first')
    const { reads } = file
    assert.equal(await cat(), 'first')
    assert.equal(file.reads, reads)
    Object.assign(file, { content: 'other', stats: { mtimeMs: LONG_AGO + 1, ctimeMs: LONG_AGO + 1 } })
    assert.equal(await cat(), 'other')
    // The time of change was put back, as rsync and tar do.
    Object.assign(file, { content: 'again', stats: { mtimeMs: LONG_AGO + 1, ctimeMs: LONG_AGO + 2 } })
    assert.equal(await cat(), 'again')
    file.content = 'longer than before'
    assert.equal(await cat(), 'longer than before')
  })

  it('go where it changes twice within a tick of its clock', async (t) => {
    const now = Date.now()
    const { file, cat } = await mounted(t, { mtimeMs: now, ctimeMs: now })
    assert.equal(await cat(), 'first')
    file.content = 'other'
    assert.equal(await cat(), 'other')
    file.content = 'third'
    assert.equal(await cat(), 'third')
  })

  it('go with each open where attributes are believed, and no time tells that they changed', async (t) => {
    const { file, cat } = await mounted(t, {}, { attrValid: 0.1 })
    assert.equal(await cat(), 'first')
    file.content = 'other'
    assert.equal(await cat(), 'other')
  })

  it('stay where attributes are believed and mtime stays', async (t) => {
    const { file, cat } = await mounted(t, { mtimeMs: LONG_AGO }, { attrValid: 100 })
    assert.equal(await cat(), 'first')
    file.content = 'other'
    assert.equal(await cat(), 'first')
  })

  it('go where it does not tell both times', async (t) => {
    for (const stats of [{ mtimeMs: LONG_AGO }, { ctimeMs: LONG_AGO }, {}]) {
      const { file, cat } = await mounted(t, stats)
      assert.equal(await cat(), 'first')
      file.content = 'other'
      assert.equal(await cat(), 'other')
    }
  })
})
