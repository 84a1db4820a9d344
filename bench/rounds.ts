// Owns the order of measuring: rounds of passes over the subjects, each on fresh mounts and each round starting with another one.
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { run, TimeoutError } from './child.js'
import { residentMemory, startServer, type Server } from './server.js'
import { chapters, type Chapter, type Subject } from './subjects.js'
import type { Measurement, Target, Workload } from './workloads/workload.js'

export interface Place {
  source: string
  points: string
  /** The program built from loop.c. */
  loop: string
  /** The CPU for pinned runs. */
  cpu: number
}

/** What was measured, and why what is missing is missing. */
export class Findings {
  readonly #runs = new Map<Workload, Map<Subject, Measurement[]>>()
  readonly #failures = new Map<Workload, Map<Subject, string>>()
  rounds = 0

  add(workload: Workload, subject: Subject, measurement: Measurement): void {
    const runs = this.runs(workload)
    this.#runs.set(workload, runs)
    runs.set(subject, [...(runs.get(subject) ?? []), measurement])
  }

  fail(workload: Workload, subject: Subject, reason: string): void {
    const failures = this.failures(workload)
    this.#failures.set(workload, failures)
    if (!failures.has(subject)) failures.set(subject, reason)
  }

  runs(workload: Workload): Map<Subject, Measurement[]> {
    return this.#runs.get(workload) ?? new Map<Subject, Measurement[]>()
  }

  failures(workload: Workload): Map<Subject, string> {
    return this.#failures.get(workload) ?? new Map<Subject, string>()
  }

  /** One line per subject and reason, with the workloads that it stopped. */
  reasons(): { subject: string; reason: string; workloads: string[] }[] {
    const all = new Map<string, { subject: string; reason: string; workloads: string[] }>()
    for (const [workload, failures] of this.#failures) {
      for (const [{ name: subject }, reason] of failures) {
        const key = `${subject}\n${reason}`
        const entry = all.get(key) ?? { subject, reason, workloads: [] }
        all.set(key, entry)
        entry.workloads.push(workload.name)
      }
    }
    return [...all.values()]
  }
}

// A run that takes so long is not repeated more often: the comparison is clear without.
const patience = 3000
const patientRuns = 2

// Mounts that watch the source would see, and be busy with, what the others do to it.
const oneAtATime: readonly Chapter[] = ['trees', 'programs']

async function mountSubject(subject: Subject, place: Place, pinned: boolean, point: string) {
  const words = { '{src}': place.source, '{mnt}': point, '{loop}': place.loop }
  const command = (subject.command ?? []).map((word) =>
    Object.entries(words).reduce((all, [name, value]) => all.replaceAll(name, value), word),
  )
  if (subject.program === true) {
    const before = performance.now()
    await run(command, 10_000)
    return { server: undefined, startup: performance.now() - before }
  }
  await mkdir(point, { recursive: true })
  const placed = pinned ? ['taskset', '-c', String(place.cpu), ...command] : command
  const server = await startServer(placed, point, subject.env)
  return { server, startup: server.startup }
}

const reasonOf = (error: unknown) => (error instanceof Error ? error.message : String(error))

/** Workloads of one chapter and one placement, on subjects that are mounted at the same time. */
async function pass(
  list: readonly Workload[],
  subjects: readonly Subject[],
  place: Place,
  findings: Findings,
) {
  const mounted = new Map<Subject, { target: Target; server: Server | undefined }>()
  const pinned = list[0].pinned === true
  try {
    for (const [index, subject] of subjects.entries()) {
      const native: Target = { subject, directory: place.source, pid: 0, startup: undefined }
      if (subject.command === undefined) {
        mounted.set(subject, { target: native, server: undefined })
        continue
      }
      const point = join(place.points, String(index))
      try {
        const { server, startup } = await mountSubject(subject, place, pinned, point)
        const target = { ...native, directory: point, pid: server?.pid ?? 0, startup }
        mounted.set(subject, { target, server })
      } catch (error) {
        for (const workload of list) findings.fail(workload, subject, reasonOf(error))
      }
    }
    for (const workload of list) {
      const all = [...mounted].filter(([subject]) => workload.suits?.(subject) !== false)
      const one = async ([subject, { target, server }]: (typeof all)[number]): Promise<void> => {
        const answers = await measure(workload, target, findings)
        if (server === undefined || (answers && server.alive())) return
        // Whoever asks a dead or hanging mount waits, or learns nothing.
        server.destroy()
        mounted.delete(subject)
      }
      if (workload.together === true) await Promise.all(all.map(one))
      else
        for (let turn = 0; turn < (workload.turns ?? 1); turn++) {
          for (const entry of rotated(all, turn)) if (mounted.has(entry[0])) await one(entry)
        }
    }
  } finally {
    for (const { server } of mounted.values()) await server?.stop()
  }
}

/** False when the subject did not answer in time. */
async function measure(workload: Workload, target: Target, findings: Findings): Promise<boolean> {
  const { subject, pid } = target
  const runs = findings.runs(workload).get(subject) ?? []
  const tired = runs.length >= patientRuns && runs.some(({ details: { took } }) => took > patience)
  if (tired || findings.failures(workload).has(subject)) return true
  const before = performance.now()
  try {
    const { value, details } = await workload.measure(target)
    const took = performance.now() - before
    const memory: Record<string, number> = pid === 0 ? {} : { rss: residentMemory(pid) }
    findings.add(workload, subject, { value, details: { ...details, ...memory, took } })
    return true
  } catch (error) {
    findings.fail(workload, subject, reasonOf(error))
    return !(error instanceof TimeoutError)
  }
}

function rotated<T>(list: readonly T[], turn: number): T[] {
  const start = turn % list.length
  return [...list.slice(start), ...list.slice(0, start)]
}

/** Runs every workload on every subject of its chapter, `rounds` times or as often as `budget` (milliseconds since the start of this process) allows. */
export async function measureAll(
  list: readonly Workload[],
  subjects: readonly Subject[],
  place: Place,
  { rounds, budget }: { rounds: number; budget: number },
): Promise<Findings> {
  const findings = new Findings()
  for (let longest = 0; findings.rounds < rounds; findings.rounds++) {
    const start = performance.now()
    if (findings.rounds > 0 && start + longest > budget) break
    for (const chapter of chapters) {
      const within = subjects.filter((subject) => subject.chapters.includes(chapter))
      if (within.length === 0) continue
      const order = rotated(within, findings.rounds)
      const groups = oneAtATime.includes(chapter) ? order.map((subject) => [subject]) : [order]
      const due = list.filter(
        (workload) => workload.chapter === chapter && (workload.once !== true || findings.rounds === 0),
      )
      for (const pinned of [false, true]) {
        const part = due.filter((workload) => (workload.pinned ?? false) === pinned)
        if (part.length === 0) continue
        for (const group of groups) await pass(part, group, place, findings)
      }
      if (due.length === 0) continue
      const spent = (performance.now() / 60_000).toFixed(1)
      console.error(`round ${findings.rounds + 1} of ${rounds}: ${chapter} done, ${spent} min`)
    }
    longest = Math.max(longest, performance.now() - start)
  }
  return findings
}
