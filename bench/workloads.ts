// Owns what is measured: each workload turns one mounted directory into one figure.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { installed, run } from './child.js'

export interface Measurement {
  value: number
  /** Further figures of the same run, for the JSON file. */
  details: Record<string, number>
}

export interface Workload {
  name: string
  about: string
  unit: string
  better: 'lower' | 'higher'
  /** Server and client share one CPU. */
  pinned: boolean
  /** Runs on a filesystem that holds nothing of ours, too. */
  anywhere: boolean
  measure: (directory: string) => Promise<Measurement>
}

export interface Plan {
  /** Path of the built latency client. */
  latency: string
  /** The CPU for pinned runs. */
  cpu: number
  /** Calls in one latency run. */
  calls: number
  /** Seconds of one fio run. */
  seconds: number
}

/** Bytes of each file that fio works on. */
export const dataSize = 256 * 1024 * 1024

/** Lays out, in the source directory, what the workloads use. The files are then in the page cache for every subject alike. */
export async function prepare(source: string): Promise<void> {
  await writeFile(join(source, 'small'), 'a small file\n')
  const block = Buffer.alloc(dataSize)
  for (let at = 0; at < dataSize; at += 4096) block.writeUInt32LE(at, at)
  await writeFile(join(source, 'read.data'), block)
  await writeFile(join(source, 'write.data'), block)
  await run(['sync', join(source, 'read.data'), join(source, 'write.data')])
}

function latencyWorkloads(plan: Plan): Workload[] {
  const operations = [
    { op: 'statfs', file: '', about: 'statfs round trip (never cached)', anywhere: true, divide: 1 },
    {
      op: 'stat',
      file: 'small',
      about: 'stat of a known file (caches may answer)',
      anywhere: false,
      divide: 1,
    },
    {
      op: 'missing',
      file: '',
      about: 'stat of a name that does not exist, never asked before',
      anywhere: false,
      divide: 1,
    },
    { op: 'open', file: 'small', about: 'open + close of a file', anywhere: false, divide: 2 },
    { op: 'create', file: '', about: 'create + close + unlink', anywhere: false, divide: 10 },
  ]
  return operations.flatMap(({ op, file, about, anywhere, divide }) =>
    [true, false].map((pinned): Workload => ({
      name: `${op}/${pinned ? 'pinned' : 'free'}`,
      about: `${about}, ${pinned ? 'client and server on one CPU' : 'free to move'}; mean`,
      unit: 'us',
      better: 'lower',
      pinned,
      anywhere,
      measure: async (directory) => {
        const client = [plan.latency, op, join(directory, file), String(Math.ceil(plan.calls / divide))]
        const command = pinned ? ['taskset', '-c', String(plan.cpu), ...client] : client
        const { stdout } = await run(command, 120_000)
        const { mean, p50, p99 }: { mean: number; p50: number; p99: number } = JSON.parse(stdout)
        return { value: mean / 1000, details: { p50: p50 / 1000, p99: p99 / 1000 } }
      },
    })),
  )
}

// Buffered, the same size and seed everywhere; the page cache stays as it is (fio would drop it before each run on the
// native file, but could not reach the backing file through a mount).
const fioBase = [
  '--ioengine=psync',
  '--direct=0',
  '--invalidate=0',
  `--size=${dataSize}`,
  '--time_based',
  '--randrepeat=1',
]

function fioWorkloads(plan: Plan): Workload[] {
  const kinds = [
    {
      name: 'read128k',
      about: 'sequential 128 KiB reads, warm',
      file: 'read.data',
      rw: 'read',
      bs: '128k',
      extra: [],
    },
    {
      name: 'read4k',
      about: 'random 4 KiB reads, warm',
      file: 'read.data',
      rw: 'randread',
      bs: '4k',
      extra: [],
    },
    {
      name: 'write128k',
      about: 'sequential 128 KiB writes, no fsync',
      file: 'write.data',
      rw: 'write',
      bs: '128k',
      extra: ['--overwrite=1', '--end_fsync=0'],
    },
    {
      name: 'fsync128k',
      about: 'sequential 128 KiB writes, one fsync at the end',
      file: 'write.data',
      rw: 'write',
      bs: '128k',
      extra: ['--overwrite=1', '--end_fsync=1'],
    },
  ]
  return kinds.map(({ name, about, file, rw, bs, extra }): Workload => {
    const reads = !rw.includes('write')
    const random = rw.startsWith('rand')
    return {
      name,
      about: `fio, ${about}`,
      unit: random ? 'kIOPS' : 'MiB/s',
      better: 'higher',
      pinned: false,
      anywhere: false,
      measure: async (directory) => {
        const job = [
          '--name=run',
          `--filename=${join(directory, file)}`,
          `--rw=${rw}`,
          `--bs=${bs}`,
          ...extra,
        ]
        const output = ['--output-format=json', `--runtime=${plan.seconds}`]
        const { stdout } = await run(['fio', ...job, ...fioBase, ...output], plan.seconds * 1000 + 60_000)
        // Dirty pages of this run must not be written back during the next one.
        if (!reads) await run(['sync', join(directory, file)])
        const parsed: FioOutput = JSON.parse(stdout.slice(stdout.indexOf('{')))
        const side = reads ? parsed.jobs[0].read : parsed.jobs[0].write
        const bandwidth = side.bw_bytes / 1024 / 1024
        return {
          value: random ? side.iops / 1000 : bandwidth,
          details: {
            iops: side.iops,
            mibs: bandwidth,
            p99us: (side.clat_ns?.percentile?.['99.000000'] ?? 0) / 1000,
          },
        }
      },
    }
  })
}

interface FioSide {
  bw_bytes: number
  iops: number
  clat_ns?: { percentile?: Record<string, number> }
}

interface FioOutput {
  jobs: { read: FioSide; write: FioSide }[]
}

/** The workloads that this machine can run, and a line for each kind that it cannot. */
export async function workloads(plan: Plan): Promise<{ list: Workload[]; skipped: string[] }> {
  const list = latencyWorkloads(plan)
  if (await installed('fio')) return { list: [...list, ...fioWorkloads(plan)], skipped: [] }
  return { list, skipped: ['read128k, read4k, write128k, fsync128k: fio is not installed'] }
}
