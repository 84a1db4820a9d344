// Owns the figures after measuring: medians, spread, ratios.
import type { Chapter, Subject } from '../subjects.js'
import type { Extra, Measurement, Workload } from '../workloads/workload.js'

export interface Row {
  subject: string
  peer: boolean
  /** Why there is no figure. */
  failed?: string
  runs: Measurement[]
  median: number
  /** Half of the runs lie between these. */
  low: number
  high: number
  /** Of the server: µs of CPU time per call, or ms for all where calls are not counted, and its memory in MiB. */
  cpu?: number
  serverCpu?: number
  rss?: number
}

export interface Result {
  workload: string
  chapter: Chapter
  about: string
  unit: string
  better: 'lower' | 'higher'
  baselines: readonly string[]
  rows: Row[]
}

/** The value below which `part` of the values lie, between neighbours in proportion. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (sorted.length - 1) * part
  const below = Math.floor(at)
  const above = Math.ceil(at)
  return sorted[below] + (sorted[above] - sorted[below]) * (at - below)
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)

function rowOf(subject: Subject, runs: Measurement[], values: number[]): Row {
  const details = (key: string) => {
    const known = runs.flatMap(({ details: { [key]: value } }) => (value > 0 ? [value] : []))
    return known.length === 0 ? undefined : median(known)
  }
  return {
    subject: subject.name,
    peer: subject.peer,
    runs,
    median: median(values),
    low: quantile(values, 0.25),
    high: quantile(values, 0.75),
    cpu: details('cpu'),
    serverCpu: details('serverCpu'),
    rss: details('rss'),
  }
}

const failedRow = ({ name, peer }: Subject, failed: string): Row => ({
  subject: name,
  peer,
  failed,
  runs: [],
  median: NaN,
  low: NaN,
  high: NaN,
})

/** What one workload gave: its own figure first, then its extras. `failures` tells why a subject has no figure. */
export function resultsOf(
  workload: Workload,
  subjects: readonly Subject[],
  measured: Map<Subject, Measurement[]>,
  failures: Map<Subject, string>,
): Result[] {
  const { name, chapter, about, unit, better, extras = [] } = workload
  // Where a request is made the native directory makes none, and says nothing.
  const { baselines = chapter === 'trips' ? ['libfuse', 'C loop', 'mirror'] : ['native', 'libfuse'] } =
    workload
  const own = subjects.flatMap((subject): Row[] => {
    const failed = failures.get(subject)
    if (failed !== undefined) return [failedRow(subject, failed)]
    const runs = measured.get(subject)
    if (runs === undefined) return []
    return [
      rowOf(
        subject,
        runs,
        runs.map(({ value }) => value),
      ),
    ]
  })
  const more = extras.map((extra: Extra): Result => {
    const rows = subjects.flatMap((subject): Row[] => {
      const runs = (measured.get(subject) ?? []).filter(({ details }) => details[extra.key] > 0)
      const values = runs.map(({ details }) => details[extra.key])
      return values.length === 0 || failures.has(subject) ? [] : [rowOf(subject, runs, values)]
    })
    const { name: row, about: what, unit: measure } = extra
    return { workload: row, chapter, about: what, unit: measure, better: 'lower', baselines, rows }
  })
  return [{ workload: name, chapter, about, unit, better, baselines, rows: own }, ...more]
}

/** What the other rows are compared with, if any. */
export function baselineOf({ baselines, rows }: Result): Row | undefined {
  const measured = rows.filter(({ failed, median: middle }) => failed === undefined && middle > 0)
  const found = baselines.map((name) => measured.find(({ subject }) => subject === name))
  return found.find((row) => row !== undefined)
}

/** Three digits that mean something. */
export function figure(value: number): string {
  if (value === 0 || value >= 100) return value.toFixed(0)
  return value.toPrecision(3)
}

/** The spread of the middle half, in percent of the median. */
export function spread({ median: middle, low, high, runs }: Row): string {
  return runs.length < 2 || middle === 0 ? '' : `${(((high - low) / middle) * 100).toFixed(0)}%`
}
