// Owns the picture: a panel of bars for each of some workloads, as an SVG. Bars tell how many times as good as the baseline a
// subject is, on a logarithmic scale, so that twice and half are equally long.
import { baselineOf, figure, type Result, type Row } from './figures.js'

/** The workloads that are drawn, those of them that were measured. */
const chosen = [
  'statfs/1/free',
  'statfs/1/pinned',
  'statfs/16/free',
  'statfs/16/free cpu',
  'create/free',
  'stat-storm',
  'find/cold',
  'readdir/cold',
  'git-clone',
  'tar',
  'buffered/read/seq/1m',
  'buffered/write/seq/64k',
  'direct/read/rand/4k',
  'start',
]

const font = 'font-family="DejaVu Sans, Verdana, sans-serif"'
const colours = { ours: '#2f6fb3', peer: '#b9bec5', baseline: '#6b7280' }
const yardsticks = ['native', 'C loop', 'node -e 0']
const panelWidth = 460
const lineHeight = 19
const namesWidth = 165
const valuesWidth = 100
const gap = 24

const escape = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

const text = (x: number, y: number, words: string, more = '') =>
  `<text x="${x}" y="${y}" font-size="12" fill="#1f2328" ${font} ${more}>${escape(words)}</text>`

/** How many times as good as the baseline, whichever direction is better. */
const merit = (result: Result, row: Row, baseline: Row) =>
  result.better === 'lower' ? baseline.median / row.median : row.median / baseline.median

interface Panel {
  height: number
  draw: (x: number, y: number) => string
}

function panel(result: Result, baseline: Row): Panel {
  const rows = result.rows
    .filter((row) => row.failed === undefined && row.median > 0)
    .toSorted((a, b) => merit(result, b, baseline) - merit(result, a, baseline))
  const merits = rows.map((row) => Math.log2(merit(result, row, baseline)))
  const low = Math.min(-1, ...merits)
  const high = Math.max(1, ...merits)
  const width = panelWidth - namesWidth - valuesWidth
  const at = (value: number) => namesWidth + ((value - low) / (high - low)) * width
  const height = 48 + rows.length * lineHeight
  const draw = (x: number, y: number) => {
    const bars = rows.map((row, index) => {
      const top = 46 + index * lineHeight
      const [from, to] = [at(0), at(merits[index])]
      const colour =
        row === baseline
          ? colours.baseline
          : row.peer || yardsticks.includes(row.subject)
            ? colours.peer
            : colours.ours
      const value = `${figure(row.median)} · ${figure(merit(result, row, baseline))}×`
      return [
        text(namesWidth - 8, top + 12, row.subject, 'text-anchor="end"'),
        `<rect x="${Math.min(from, to)}" y="${top + 2}" width="${Math.max(Math.abs(to - from), 1.5)}" height="13" fill="${colour}"/>`,
        text(panelWidth, top + 12, value, 'text-anchor="end"'),
      ].join('')
    })
    const line = `<line x1="${at(0)}" x2="${at(0)}" y1="42" y2="${height - 2}" stroke="#1f2328" stroke-width="1"/>`
    const title = `<text x="0" y="14" font-size="14" font-weight="bold" fill="#1f2328" ${font}>${escape(`${result.workload}, ${result.unit}`)}</text>`
    const about = `<text x="0" y="31" font-size="11" fill="#57606a" ${font}>${escape(result.about)}</text>`
    return `<g transform="translate(${x} ${y})">${title}${about}${bars.join('')}${line}</g>`
  }
  return { height, draw }
}

/** Two columns of panels, each going where there is more room. */
export function picture(results: readonly Result[], note: string): string {
  const panels = chosen.flatMap((name) => {
    const result = results.find(({ workload }) => workload === name)
    const baseline = result === undefined ? undefined : baselineOf(result)
    return result === undefined || baseline === undefined || result.rows.length < 2
      ? []
      : [panel(result, baseline)]
  })
  const ends = [64, 64]
  const parts = panels.map(({ height, draw }) => {
    const column = ends[0] <= ends[1] ? 0 : 1
    const y = ends[column]
    ends[column] += height + gap
    return draw(gap + column * (panelWidth + gap * 2), y)
  })
  const width = panelWidth * 2 + gap * 4
  const height = Math.max(...ends)
  const head =
    text(gap, 26, note) +
    text(
      gap,
      46,
      'Times as good as the baseline (the vertical line, grey bar): to the right is better. Logarithmic. Blue: devfuse.',
    )
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"><rect width="100%" height="100%" fill="#ffffff"/>${head}${parts.join('\n')}</svg>\n`
}
