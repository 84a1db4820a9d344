// What we aim at, as ratios between subjects, so that a run says at once which aims are met. The peers' names are those of
// bench/README.md.
import type { Result, Row } from './figures.js'
import { columns } from './text.js'

export interface Goal {
  text: string
  value: number | undefined
  limit: number
  /** Whether the value must be at most, or at least, the limit. */
  most: boolean
}

const libfuses = ['libfuse', 'libfuse single', 'libfuse ring']
const metadata = ['find/cold', 'create/free', 'tar', 'git-clone', 'git-status']

/** Looks figures up by workload and subject; what was not measured is undefined, and so is every ratio of it. */
class Figures {
  readonly #rows = new Map<string, Row>()

  constructor(results: readonly Result[]) {
    for (const { workload, rows } of results) {
      for (const row of rows) if (row.failed === undefined) this.#rows.set(`${workload}\n${row.subject}`, row)
    }
  }

  of(workload: string, subject: string): number | undefined {
    return this.#rows.get(`${workload}\n${subject}`)?.median
  }

  /** The largest, or the smallest, of several subjects. */
  best(
    workload: string,
    subjects: readonly string[],
    pick: (...values: number[]) => number,
  ): number | undefined {
    const values = subjects.flatMap((subject) => this.of(workload, subject) ?? [])
    return values.length === 0 ? undefined : pick(...values)
  }
}

const ratio = (a: number | undefined, b: number | undefined) =>
  a === undefined || b === undefined ? undefined : a / b

export function goals(results: readonly Result[]): Goal[] {
  const f = new Figures(results)
  const list: Goal[] = []
  const atMost = (text: string, value: number | undefined, limit: number) =>
    list.push({ text, value, limit, most: true })
  const atLeast = (text: string, value: number | undefined, limit: number) =>
    list.push({ text, value, limit, most: false })
  const compare = (workload: string, a: string, b: string) => ratio(f.of(workload, a), f.of(workload, b))

  const oneThread = ['mirror', 'mirror ring']
  const threads = ['mirror workers', 'mirror ring workers']
  const free = f.best('statfs/1/free', oneThread, Math.min)
  const freeWorkers = f.best('statfs/1/free', threads, Math.min)
  const trip = 'round trip, one client, free to move'
  atMost(`${trip}: one thread / libfuse`, ratio(free, f.of('statfs/1/free', 'libfuse')), 0.5)
  atMost(`${trip}: one thread / libfuse ring`, ratio(free, f.of('statfs/1/free', 'libfuse ring')), 1.5)
  atMost(`${trip}: workers / libfuse ring`, ratio(freeWorkers, f.of('statfs/1/free', 'libfuse ring')), 1.1)
  atMost(`${trip}: one thread / mountx`, ratio(free, f.of('statfs/1/free', 'mountx')), 0.12)
  const pinned = f.best('statfs/1/pinned', oneThread, Math.min)
  const pinnedHello = f.best('statfs/1/pinned', ['hello', 'hello ring'], Math.min)
  const single = f.of('statfs/1/pinned', 'libfuse single')
  atMost('round trip, one client, pinned: one thread / libfuse single', ratio(pinned, single), 0.85)
  atMost(
    'round trip, one client, pinned: hello / C loop',
    ratio(pinnedHello, f.of('statfs/1/pinned', 'C loop')),
    1.25,
  )

  const most = f.best('statfs/16/free', libfuses, Math.max)
  const rate = 'requests a second, 16 clients'
  atLeast(`${rate}: workers / libfuse's best`, ratio(f.best('statfs/16/free', threads, Math.max), most), 1)
  atLeast(
    `${rate}: one thread / libfuse's best`,
    ratio(f.best('statfs/16/free', oneThread, Math.max), most),
    0.8,
  )
  const ours = [...oneThread, ...threads]
  const cpu = (names: readonly string[]) => f.best('statfs/16/free cpu', names, Math.min)
  atMost("server CPU per request, 16 clients: ours / libfuse's least", ratio(cpu(ours), cpu(libfuses)), 1.2)

  for (const { workload, chapter } of results) {
    if (chapter !== 'data') continue
    const blocks = workload.endsWith('/4k') ? 0.9 : 0.97
    atLeast(`passthrough, ${workload}: mirror / native`, compare(workload, 'mirror', 'native'), blocks)
    atLeast(`passthrough, ${workload}: mirror / libfuse`, compare(workload, 'mirror', 'libfuse'), 0.97)
  }
  for (const workload of ['read', 'write'].map((what) => `buffered/${what}/seq/1m`)) {
    const served = f.best(workload, ['mirror served', 'mirror ring served'], Math.max)
    atLeast(
      `served by JavaScript, ${workload}: / libfuse served`,
      ratio(served, f.of(workload, 'libfuse served')),
      0.9,
    )
    atLeast(`served by JavaScript, ${workload}: / mountx`, ratio(served, f.of(workload, 'mountx')), 2)
  }

  for (const workload of metadata) {
    atMost(`${workload}: mirror long / libfuse (as long)`, compare(workload, 'mirror long', 'libfuse'), 1.1)
  }
  atMost('find/cold: mirror / native', compare('find/cold', 'mirror', 'native'), 5)
  for (const workload of ['git-status', 'find/warm']) {
    atMost(`${workload}: mirror strong / native`, compare(workload, 'mirror strong', 'native'), 1.3)
  }

  for (const subject of ['mirror', 'hello']) atMost(`idle ${subject}, % of a CPU`, f.of('idle', subject), 0.1)
  for (const subject of ['mirror', 'hello'])
    atMost(`memory growth of ${subject}`, f.of('growth', subject), 1.1)
  atMost('start of `devfuse mirror`, ms', f.of('start', 'devfuse mirror'), 120)
  return list
}

export function verdict({ value, limit, most }: Goal): 'met' | 'missed' | 'not measured' {
  if (value === undefined) return 'not measured'
  return (most ? value <= limit : value >= limit) ? 'met' : 'missed'
}

export function goalsTable(list: readonly Goal[]): string {
  const lines = list.map((goal) => [
    goal.text,
    goal.value?.toFixed(3) ?? '-',
    `${goal.most ? '<=' : '>='} ${goal.limit}`,
    verdict(goal),
  ])
  return columns([['aim', 'value', 'limit', 'verdict'], ...lines])
}
