// Owns the tables on the terminal, and what tables of plain text have in common.
import { baselineOf, figure, spread, type Result, type Row } from './figures.js'

/** Columns side by side: the first one to the left, the others to the right. */
export function columns(lines: readonly (readonly string[])[]): string {
  const widths = lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)))
  return lines
    .map((line) =>
      line
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** One table for a workload: median, spread of the middle half, runs, ratio to the baseline, CPU and memory of the server. */
export function table(result: Result): string {
  const baseline = baselineOf(result)
  const optional = (value: number | undefined, unit = '') =>
    value === undefined ? '' : `${figure(value)}${unit}`
  const cpu = (row: Row) => [optional(row.cpu, ' us'), optional(row.serverCpu, ' ms')].join('')
  const head = [
    '',
    'median',
    'spread',
    'runs',
    `x ${baseline?.subject ?? 'nothing'}`,
    'server cpu',
    'rss MiB',
  ]
  const body = result.rows.map((row) => {
    if (row.failed !== undefined) return [row.subject, 'failed', '', '', '', '', '']
    const ratio = baseline === undefined ? '' : (row.median / baseline.median).toFixed(2)
    const counts = [figure(row.median), spread(row), String(row.runs.length), ratio]
    return [row.subject, ...counts, cpu(row), optional(row.rss)]
  })
  const title = `${result.workload}: ${result.about} (${result.unit}, ${result.better} is better)`
  return `${title}\n${columns([head, ...body])}`
}
