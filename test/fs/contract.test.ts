// One contract for every kind of object: the shared cases from another process, and ordinary programs, on a mount of each.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { mountFs } from 'devfuse/fs'
import { cleanup, skip, takeDown, temporary } from '../support/mounting.js'
import { runCases, runPrograms } from './clients.js'
import { subjects } from './subjects.js'

describe('an object on a mount', { skip, concurrency: false }, () => {
  for (const [name, make] of Object.entries(subjects)) {
    it(name, { timeout: 60_000 }, async (t) => {
      const dir = temporary(t)
      for (const one of ['mnt', 'back', 'src']) mkdirSync(join(dir, one))
      const { fs, options } = await make(join(dir, 'back'))
      const warnings: string[] = []
      const session = await mountFs(fs, join(dir, 'mnt'), {
        onWarning: ({ message }) => void warnings.push(message),
        ...options,
      })
      cleanup(t, () => takeDown(session))
      await runCases(t, join(dir, 'mnt'))
      await runPrograms(t, join(dir, 'mnt'), join(dir, 'src'))
      assert.deepEqual(warnings, [])
    })
  }
})
