// Owns how the counters of a session look in a terminal. Takes whatever arrived, because the server may be another version.

type Fields = Record<string, unknown>

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? Object.fromEntries(Object.entries(value)) : {}
}

function number(value: unknown): number {
  return typeof value === 'number' ? value : 0
}

/** A duration in seconds as `3h 4m 5s`. */
export function duration(seconds: number): string {
  const whole = Math.floor(seconds)
  const parts = [
    [Math.floor(whole / 86400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ] as const
  const first = parts.findIndex(([count]) => count > 0)
  return parts
    .slice(first < 0 ? 3 : first)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ')
}

/** A number of bytes with a binary unit. */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = count
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(1)} ${units[unit]}`
}

/** Microseconds with three significant digits. */
export function micros(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

function table(rows: string[][]): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])))
        .join('  '),
    )
    .join('\n')
}

function passthroughLines(value: unknown): string[] {
  const { agreed, opens, fallbacks, unavailable } = fields(value)
  const why = typeof unavailable === 'string' ? `: ${unavailable}` : ''
  const state = agreed === true ? 'agreed with the kernel' : `off${why}`
  const lines = [`passthrough    ${state}, ${number(opens)} opens handed to the kernel`]
  for (const [reason, count] of Object.entries(fields(fallbacks))) {
    lines.push(`               ${number(count)} opens served by devfuse: ${reason}`)
  }
  return lines
}

function filesystemLine(value: unknown): string[] {
  const own = Object.entries(fields(value)).map(([name, count]) => `${name} ${String(count)}`)
  return own.length === 0 ? [] : [`filesystem     ${own.join(', ')}`]
}

/** The counters as text of several lines. */
export function renderStats(answer: unknown): string {
  const stats = fields(answer)
  const lines = [
    `mount point    ${String(stats.mountPoint)}`,
    `process        ${number(stats.pid)}, up ${duration(number(stats.uptime))}`,
    `transport      ${String(stats.transport)}, protocol 7.${number(stats.minor)} (kernel: 7.${number(stats.kernelMinor)})`,
    ...passthroughLines(stats.passthrough),
    `in flight      ${number(stats.inFlight)} requests`,
    ...filesystemLine(stats.filesystem),
  ]
  const { spins, spinHits } = fields(stats.device)
  if (number(spins) > 0)
    lines.push(`busy polling   found a request ${number(spinHits)} of ${number(spins)} times`)
  const requests = Object.entries(fields(stats.operations))
    .map(([name, value]) => [name, fields(value)] as const)
    .filter(([, row]) => number(row.count) > 0)
    .toSorted(([, a], [, b]) => number(b.count) - number(a.count))
  if (requests.length === 0) return `${lines.join('\n')}\n\nno requests yet\n`
  const head = ['request', 'count', 'errors', 'in', 'out', 'p50 us', 'p90 us', 'p99 us', 'max us']
  const rows = requests.map(([name, row]) => {
    return [
      name,
      String(number(row.count)),
      String(number(row.errors)),
      bytes(number(row.bytesIn)),
      bytes(number(row.bytesOut)),
      ...['p50', 'p90', 'p99', 'max'].map((key) => micros(number(row[key]))),
    ]
  })
  return `${lines.join('\n')}\n\n${table([head, ...rows])}\n`
}
