// File data, moved by data.c: sequential and random, in several sizes, through the page cache, past it, and through a mapping.
import { figuresOf, inside } from './workload.js'
import type { Plan, Workload } from './workload.js'

type Way = 'buffered' | 'direct' | 'mmap'
type Row = [way: Way, what: 'read' | 'write', order: 'seq' | 'rand', kilobytes: number[]]

const rows: Row[] = [
  ['buffered', 'read', 'seq', [4, 64, 1024]],
  ['buffered', 'read', 'rand', [4, 64, 1024]],
  ['buffered', 'write', 'seq', [4, 64, 1024]],
  ['buffered', 'write', 'rand', [4, 64, 1024]],
  ['direct', 'read', 'seq', [64, 1024]],
  ['direct', 'read', 'rand', [4, 64]],
  ['direct', 'write', 'seq', [64, 1024]],
  ['direct', 'write', 'rand', [4, 64]],
  ['mmap', 'read', 'seq', [4]],
  ['mmap', 'read', 'rand', [4]],
  ['mmap', 'write', 'seq', [4]],
]

// What the disk is at changes from second to second: many short looks at each subject see the same of it.
const TURNS = 5

const orders = { seq: 'sequential', rand: 'random' }

export interface DataWorkload extends Workload {
  way: Way
  kilobytes: number
}

/**
 * The source's pages are in the page cache, for every subject alike. What the mount itself has cached is dropped before each pass
 * over the file, so that data comes from the server and not from an earlier pass.
 */
export function data(plan: Plan): DataWorkload[] {
  return rows.flatMap(([way, what, order, sizes]) =>
    sizes.map((kilobytes): DataWorkload => {
      const size = kilobytes === 1024 ? '1m' : `${kilobytes}k`
      return {
        name: `${way}/${what}/${order}/${size}`,
        chapter: 'data',
        about: `${orders[order]} ${what}s of ${kilobytes} KiB, ${way}`,
        unit: 'MiB/s',
        better: 'higher',
        turns: TURNS,
        way,
        kilobytes,
        measure: async (target) => {
          const job = [inside(target, `${what}.data`), what, order, String(kilobytes * 1024), way]
          const options = [`ms=${Math.ceil(plan.milliseconds / TURNS)}`, `server=${target.pid}`]
          // Kernel: what was written through a mapping is dirty, and stays.
          if (target.pid !== 0 && (what === 'read' || way !== 'mmap')) options.push('drop')
          const { bytes, spent, calls, cpu } = await figuresOf([plan.data, ...job, ...options])
          return { value: bytes / 2 ** 20 / (spent / 1e9), details: { cpu: cpu / calls / 1000, calls } }
        },
      }
    }),
  )
}
