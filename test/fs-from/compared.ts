// Cases that are run twice, with node:fs/promises on a directory and with fsFrom over a mirror of another, and have to come out alike.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import * as native from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fsFrom } from 'devfuse/fs'
import type { FsCalls } from 'devfuse/fs'
import { mirror } from 'devfuse/mirror'
import { skip, temporary } from '../support/mounting.js'

/** A case: works with paths below `at`, returns what shall be the same. */
export type Case = (fs: FsCalls, at: (path: string) => string) => Promise<unknown>

export const codeOf = (error: unknown): unknown => (error as NodeJS.ErrnoException).code

export const textOf =
  (at: (path: string) => string) =>
  (error: NodeJS.ErrnoException & { dest?: string }): unknown => ({
    name: error.name,
    message: error.message.replaceAll(at(''), '/'),
    code: error.code,
    errno: error.errno,
    syscall: error.syscall,
    path: error.path?.replaceAll(at(''), '/'),
    dest: error.dest?.replaceAll(at(''), '/'),
  })

export function compare(title: string, cases: Record<string, Case>): void {
  describe(title, { skip, timeout: 120_000 }, () => {
    for (const [name, run] of Object.entries(cases)) {
      it(name, async (t) => {
        const folder = temporary(t)
        const real = join(folder, 'real')
        const mirrored = join(folder, 'mirrored')
        mkdirSync(real)
        mkdirSync(mirrored)
        const fs = fsFrom(mirror(mirrored), { umask: process.umask() })
        const expected = await run(native, (path) => `${real}/${path}`)
        assert.deepEqual(await run(fs, (path) => `/${path}`), expected)
        assert.deepEqual(await fs.close(), { open: [], inodes: [] })
      })
    }
  })
}
