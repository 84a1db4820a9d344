// The conformance matrix: every row of the tables (operations, notifications, INIT flags, limits of INIT) against the running
// kernel. With KERNEL_MATRIX=FILE the result is written there.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { release } from 'node:os'
import { after, describe, it } from 'node:test'
import type { NotificationName, OperationName } from 'devfuse'
import { initFlags } from '#dist/protocol/index.js'
import { notifications } from '#dist/protocol/notifications.js'
import { operations } from '#dist/protocol/operations.js'
import { kernelName } from '#dist/session/stats.js'
import { skip } from '../support/mounting.js'
import { flagRows } from './flags.js'
import { limitRows } from './limits.js'
import { matrix } from './matrix.js'
import type { Line } from './matrix.js'
import { notificationRows } from './notifications.js'
import { operationRows } from './operations.js'
import { watched } from './rows.js'
import type { Check, Cannot } from './rows.js'

const MOST_IMPOSSIBLE = 5

const sections: { title: string; rows: { name: string; number: number | string; row?: Check | Cannot }[] }[] =
  [
    {
      title: 'Operations',
      rows: operations.map(({ name, opcode }) => ({
        name: kernelName(name),
        number: opcode,
        row: operationRows[name as OperationName] as Check | Cannot | undefined,
      })),
    },
    {
      title: 'Notifications',
      rows: notifications.map(({ name, code }) => ({
        name: `NOTIFY_${name.replace(/([A-Z])/g, '_$1').toUpperCase()}`,
        number: code,
        row: notificationRows[name as NotificationName] as Check | Cannot | undefined,
      })),
    },
    {
      title: 'INIT flags',
      rows: initFlags.map(({ name, bit }) => ({ name, number: bit, row: flagRows[name] })),
    },
    {
      title: 'Limits of INIT',
      rows: Object.entries(limitRows).map(([name, row]) => ({ name, number: '', row })),
    },
  ]

describe('the running kernel', { skip, timeout: 220_000, concurrency: 4 }, () => {
  const lines = new Map<string, Line[]>()
  for (const { title, rows } of sections) {
    const results: Line[] = []
    lines.set(title, results)
    describe(title, { concurrency: 4 }, () => {
      rows.forEach(({ name, number, row }, index) => {
        it(name, async (t) => {
          assert.ok(row !== undefined, `no check for ${name}`)
          if ('cannot' in row) {
            results[index] = { name, number, call: '', shows: row.cannot, result: 'kernel cannot' }
            t.diagnostic(`kernel cannot: ${row.cannot}`)
            return
          }
          results[index] = { name, number, call: row.call, shows: row.shows, result: 'fail' }
          await row.prove(t)
          // Whatever a row of operations says, the opcode itself must have come from the kernel.
          if (title === 'Operations' && name !== 'INIT') assert.ok(watched(t, name) > 0, `${name} never came`)
          results[index].result = row.refusal ? 'pass (refused)' : 'pass'
        })
      })
    })
  }
  it('at most five rows are out of its reach', () => {
    const impossible = sections.flatMap(({ rows }) => rows).filter(({ row }) => row && 'cannot' in row)
    assert.ok(impossible.length <= MOST_IMPOSSIBLE, `${impossible.length}`)
  })
  after(() => {
    const file = process.env['KERNEL_MATRIX']
    if (file !== undefined) writeFileSync(file, matrix(release(), [...lines]))
  })
})
