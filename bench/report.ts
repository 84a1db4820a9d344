// Owns the figures after measuring: medians, ratios, the printed tables and the note about the machine.
import { readFileSync } from 'node:fs'
import { arch, availableParallelism, cpus, loadavg, release } from 'node:os'
import type { Subject } from './subjects.js'
import type { Measurement, Workload } from './workloads.js'

export interface Row {
  subject: string
  peer: boolean
  runs: Measurement[]
  median: number
  min: number
  max: number
}

export interface Result {
  workload: string
  about: string
  unit: string
  better: 'lower' | 'higher'
  rows: Row[]
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

export function resultOf(
  workload: Workload,
  subjects: readonly Subject[],
  measured: Map<Subject, Measurement[]>,
): Result {
  const rows = subjects.flatMap((subject): Row[] => {
    const runs = measured.get(subject)
    if (runs === undefined) return []
    const values = runs.map((run) => run.value)
    const spread = { median: median(values), min: Math.min(...values), max: Math.max(...values) }
    return [{ subject: subject.name, peer: subject.peer, runs, ...spread }]
  })
  const { name, about, unit, better } = workload
  return { workload: name, about, unit, better, rows }
}

/** One table for a workload: median, spread, and the ratio to the native directory and to each peer. */
export function table(result: Result): string {
  const references = result.rows.filter((row) => row.subject === 'native' || row.peer)
  const head = ['', 'median', 'min', 'max', ...references.map((row) => `x ${row.subject}`)]
  const body = result.rows.map((row) => [
    row.subject,
    ...[row.median, row.min, row.max].map(figure),
    ...references.map((reference) => (reference === row ? '-' : (row.median / reference.median).toFixed(3))),
  ])
  const widths = head.map((_, column) => Math.max(...[head, ...body].map((line) => line[column].length)))
  const lines = [head, ...body].map((line) =>
    line
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
      .join('  '),
  )
  return [`${result.workload}: ${result.about} (${result.unit}, ${result.better} is better)`, ...lines].join(
    '\n',
  )
}

function figure(value: number): string {
  return value.toFixed(value < 100 ? 2 : 0)
}

export interface Machine {
  cpus: number
  model: string
  arch: string
  kernel: string
  node: string
  load: number[]
  directory: string
}

export function machine(directory: string): Machine {
  return {
    cpus: availableParallelism(),
    model: cpus()[0]?.model ?? 'unknown',
    arch: arch(),
    kernel: release(),
    node: process.version,
    load: loadavg().map((value) => Number(value.toFixed(2))),
    directory: `${directory} (${filesystemOf(directory)})`,
  }
}

/** The type of the filesystem a directory lies on, by the longest mount point above it. */
export function filesystemOf(directory: string): string {
  let best = ''
  let type = 'unknown'
  for (const line of readFileSync('/proc/self/mounts', 'utf8').split('\n')) {
    const [, point, kind] = line.split(' ')
    if (point === undefined || kind === undefined || point.length < best.length) continue
    if (point === '/' || directory === point || directory.startsWith(`${point}/`)) {
      best = point
      type = kind
    }
  }
  return type
}
