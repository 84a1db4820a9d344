// The same contract without a mount: the shared cases through the view that fsFrom gives of each kind of object.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fsFilesystem, fsFrom, recognise } from 'devfuse/fs'
import type { PathOptions } from 'devfuse/fs'
import { cases } from './shared-cases.js'
import { subjects } from './subjects.js'

describe('an object without a mount', { concurrency: false }, () => {
  for (const [name, make] of Object.entries(subjects)) {
    it(name, { timeout: 30_000 }, async (t) => {
      const back = mkdtempSync(join(tmpdir(), 'devfuse-view-'))
      t.after(() => rmSync(back, { recursive: true, force: true }))
      const { fs, options } = await make(back)
      const { root, calls, ...times } = { ...options }
      const view = fsFrom(fsFilesystem(recognise(fs, { root, calls }).fs, times as PathOptions))
      let at = 0
      for (const [title, one] of Object.entries(cases)) {
        await t.test(title, async () => {
          const dir = `/case-${at++}`
          await view.mkdir(dir)
          await one(view, dir)
          await view.rm(dir, { recursive: true })
        })
      }
      assert.deepEqual(await view.close(), { open: [], inodes: [] })
    })
  }
})
