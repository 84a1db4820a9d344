// Owns the page: a picture, one table per chapter, and how the figures were made.
import type { Chapter } from '../subjects.js'
import { chapters } from '../subjects.js'
import type { Machine } from '../machine.js'
import { baselineOf, figure, spread, type Result, type Row } from './figures.js'

export interface Page {
  machine: Machine
  rounds: number
  command: string
  results: readonly Result[]
  failures: readonly { subject: string; reason: string; workloads: string[] }[]
  skipped: readonly string[]
  picture: string
}

const titles: Record<Chapter, string> = {
  trips: 'Round trips',
  calls: 'Single calls',
  data: 'File data',
  trees: 'Many files',
  programs: 'Programs',
  life: 'Starting, idling, growing',
}

function cell(row: Row | undefined, baseline: Row | undefined): string {
  if (row === undefined) return ''
  if (row.failed !== undefined) return 'failed'
  const around = spread(row)
  const ratio = baseline === undefined || row === baseline ? '' : ` ×${figure(row.median / baseline.median)}`
  return `${figure(row.median)}${around === '' ? '' : ` ±${around}`}${ratio}`
}

function grid(head: readonly string[], body: readonly (readonly string[])[]): string {
  const widths = head.map((_, column) => Math.max(...[head, ...body].map((line) => line[column].length), 3))
  const line = (cells: readonly string[]) =>
    `| ${cells.map((text, column) => (column === 0 ? text.padEnd(widths[0]) : text.padStart(widths[column]))).join(' | ')} |`
  const rule = `| ${widths.map((width, column) => (column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)).join(' | ')} |`
  return [line(head), rule, ...body.map(line)].join('\n')
}

/** The table of one chapter. The longer side goes down. */
function chapterTable(results: readonly Result[]): string {
  const subjects = [...new Set(results.flatMap(({ rows }) => rows.map(({ subject }) => subject)))]
  const at = (result: Result, subject: string) =>
    cell(
      result.rows.find((row) => row.subject === subject),
      baselineOf(result),
    )
  const title = ({ workload, unit }: Result) => `${workload}, ${unit}`
  if (results.length >= subjects.length) {
    return grid(
      ['', ...subjects],
      results.map((result) => [title(result), ...subjects.map((subject) => at(result, subject))]),
    )
  }
  return grid(
    ['', ...results.map(title)],
    subjects.map((subject) => [subject, ...results.map((result) => at(result, subject))]),
  )
}

const intros: Partial<Record<Chapter, string>> = {
  trips:
    'statfs, which no cache answers, by 1, 4 and 16 clients at a time: free to move, or all pinned to one CPU with the server. For each, ' +
    'the CPU time of the server per call; and its memory (RSS) at the end. `hello` and `C loop` answer from constants, the others ask ' +
    'what lies behind them.',
  data:
    'A file in the page cache of the source, in blocks of the given size; what the mount itself has cached is dropped before every ' +
    'pass, but for what was written through a mapping. `served`: without passthrough, so that the server moves the data.',
}

function chapterText(chapter: Chapter, results: readonly Result[]): string {
  const legend = results.map(
    ({ workload, about, better }) =>
      `- \`${workload}\`: ${about}. ${better === 'lower' ? 'Less' : 'More'} is better.`,
  )
  const intro = intros[chapter] ?? legend.join('\n')
  const bases = [...new Set(results.flatMap((result) => baselineOf(result)?.subject ?? []))]
  const ratio =
    bases.length === 0 ? '' : `\n\n× is the ratio to ${bases.map((name) => `\`${name}\``).join(' or ')}.`
  return `## ${titles[chapter]}\n\n${intro}${ratio}\n\n${chapterTable(results)}`
}

export function page({ machine, rounds, command, results, failures, skipped, picture }: Page): string {
  const parts = chapters.flatMap((chapter) => {
    const within = results.filter((result) => result.chapter === chapter && result.rows.length > 0)
    return within.length === 0 ? [] : [chapterText(chapter, within)]
  })
  const failed = failures.map(
    ({ subject, reason, workloads }) =>
      `- ${subject}, ${workloads.join(', ')}: ${reason.replaceAll(/\s+/g, ' ').slice(0, 300)}`,
  )
  const left = skipped.map((line) => `- ${line}`)
  const missing = [...failed, ...left]
  return `# Performance

Measured on ${machine.date} at commit ${machine.commit}, and written by this command (what is measured how: [bench](../bench/README.md)):

\`\`\`sh
${command}
\`\`\`

${machine.cpus} CPUs (${machine.model}), ${machine.memory}, ${machine.arch}, Linux ${machine.kernel}, Node ${machine.node}; files on ${machine.directory}; load average ${machine.load.join(', ')} before the
run. Medians of ${rounds} ${rounds === 1 ? 'round' : 'rounds'}, in each of which every subject had its turn (several for file data); ± is the spread of the middle half of the runs, in percent
of the median.

![The same figures as bars](${picture})

${parts.join('\n\n')}
${missing.length === 0 ? '' : `\n## What is missing\n\n${missing.join('\n')}\n`}`
}
