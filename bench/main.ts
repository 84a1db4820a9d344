// The benchmark: mounts every subject, runs the workloads on them in turn (A B C, A B C, …) and prints medians and ratios.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { run } from './child.js'
import { filesystemOf, machine, resultOf, table, type Result } from './report.js'
import { startServer, type Server } from './server.js'
import { debianPeers, ownSubjects, projectRoot, readPeer, type Subject } from './subjects.js'
import { prepare, workloads, type Measurement, type Workload } from './workloads.js'

const usage = `usage: npm run bench -- [options]
  --rounds N         rounds of interleaved runs (default 5)
  --only NAME,...    workloads whose name starts so (statfs, statfs/pinned, read128k, ...)
  --subjects NAME,.. only these subjects (native, mirror, hello, a peer's name)
  --peer FILE.json   one more peer: { "name": ..., "command": [program, ..., "{src}", "{mnt}"] }; may be repeated
  --dir DIR          where the test files lie (default: the temporary directory; use a disk filesystem)
  --json FILE        write every figure there
  --quick            two short rounds`

interface Settings {
  rounds: number
  quick: boolean
  only: string[]
  subjects: string[]
  peers: Subject[]
  directory: string
  json: string | undefined
}

function settings(): Settings {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string' },
      only: { type: 'string' },
      subjects: { type: 'string' },
      peer: { type: 'string', multiple: true },
      dir: { type: 'string' },
      json: { type: 'string' },
      quick: { type: 'boolean' },
      help: { type: 'boolean' },
    },
  })
  if (values.help === true) {
    console.log(usage)
    process.exit(0)
  }
  const quick = values.quick ?? false
  const rounds = Number(values.rounds ?? (quick ? 2 : 5))
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new Error(`--rounds ${values.rounds}: a count is expected`)
  return {
    rounds,
    quick,
    only: values.only?.split(',') ?? [],
    subjects: values.subjects?.split(',') ?? [],
    peers: (values.peer ?? []).map(readPeer),
    directory: values.dir ?? tmpdir(),
    json: values.json,
  }
}

/** The last CPU this process may use: the first one takes most interrupts. */
async function lastCpu(): Promise<number> {
  const status = await readFile('/proc/self/status', 'utf8')
  const list = /^Cpus_allowed_list:\s*(.+)$/m.exec(status)?.[1] ?? '0'
  return Number(list.split(/[,-]/).at(-1))
}

async function buildLatencyClient(directory: string): Promise<string> {
  const program = join(directory, 'latency')
  const source = join(projectRoot, 'bench/latency.c')
  await run(['cc', '-std=c11', '-O2', '-Wall', '-Wextra', '-Werror', source, '-o', program])
  return program
}

interface Mounted {
  directory: string
  server: Server | undefined
}

async function mountSubject(subject: Subject, source: string, point: string, cpu?: number): Promise<Mounted> {
  if (subject.command === undefined) return { directory: source, server: undefined }
  await mkdir(point, { recursive: true })
  const command = subject.command.map((word) => word.replaceAll('{src}', source).replaceAll('{mnt}', point))
  const placed = cpu === undefined ? command : ['taskset', '-c', String(cpu), ...command]
  return { directory: point, server: await startServer(placed, point) }
}

type Figures = Map<Workload, Map<Subject, Measurement[]>>

/** One pass of one subject set over the workloads of one placement. Mounts are fresh, so no subject profits from an earlier round. */
async function pass(
  list: Workload[],
  subjects: Subject[],
  directories: { source: string; points: string },
  cpu: number | undefined,
  figures: Figures,
  broken: Map<Subject, string>,
): Promise<void> {
  const mounted = new Map<Subject, Mounted>()
  try {
    for (const [index, subject] of subjects.entries()) {
      const point = join(directories.points, String(index))
      try {
        mounted.set(subject, await mountSubject(subject, directories.source, point, cpu))
      } catch (error) {
        broken.set(subject, String(error))
      }
    }
    for (const workload of list) {
      for (const [subject, { directory }] of mounted) {
        if (!subject.mirrors && !workload.anywhere) continue
        try {
          const measurement = await workload.measure(directory)
          const bySubject = figures.get(workload) ?? new Map<Subject, Measurement[]>()
          figures.set(workload, bySubject)
          bySubject.set(subject, [...(bySubject.get(subject) ?? []), measurement])
        } catch (error) {
          broken.set(subject, `${workload.name}: ${String(error)}`)
        }
      }
    }
  } finally {
    for (const { server } of mounted.values()) await server?.stop()
  }
}

async function main(): Promise<void> {
  const chosen = settings()
  const work = await mkdtemp(join(chosen.directory, 'devfuse-bench-'))
  try {
    const source = join(work, 'source')
    const points = join(work, 'mounts')
    await mkdir(source)
    await mkdir(points)
    const about = machine(work)
    const filesystem = filesystemOf(work)
    console.log(
      `${about.cpus} CPUs (${about.model}), ${about.arch}, Linux ${about.kernel}, Node ${about.node}`,
    )
    console.log(`load average ${about.load.join(' ')}; files in ${about.directory}`)
    if (filesystem === 'tmpfs') console.log('warning: tmpfs is no disk filesystem; use --dir')

    const cpu = await lastCpu()
    const plan = {
      latency: await buildLatencyClient(work),
      cpu,
      calls: chosen.quick ? 5_000 : 30_000,
      seconds: chosen.quick ? 1 : 3,
    }
    const { list: all, skipped } = await workloads(plan)
    for (const line of skipped) console.log(`skipped: ${line}`)
    const wanted = ({ name }: Workload) =>
      chosen.only.length === 0 || chosen.only.some((only) => name.startsWith(only))
    const list = all.filter(wanted)
    // Debian's older libfuse stands in where no peer is named.
    const named = chosen.subjects.length > 0
    const debian = named || chosen.peers.length === 0 ? await debianPeers(work) : []
    const candidates = [...ownSubjects(), ...chosen.peers, ...debian]
    const subjects = candidates.filter(({ name }) => !named || chosen.subjects.includes(name))
    if (list.length === 0) throw new Error('no workload of that name')
    if (subjects.length === 0) throw new Error('no subject of that name')
    await prepare(source)

    const figures: Figures = new Map()
    const broken = new Map<Subject, string>()
    for (let round = 1; round <= chosen.rounds; round++) {
      console.error(`round ${round} of ${chosen.rounds}`)
      const pinned = list.filter((workload) => workload.pinned)
      const free = list.filter((workload) => !workload.pinned)
      // Each round starts with another subject, so that none always runs first.
      const turn = (round - 1) % subjects.length
      const order = [...subjects.slice(turn), ...subjects.slice(0, turn)]
      if (pinned.length > 0) await pass(pinned, order, { source, points }, cpu, figures, broken)
      if (free.length > 0) await pass(free, order, { source, points }, undefined, figures, broken)
    }

    const results: Result[] = []
    for (const workload of list) {
      const measured = figures.get(workload)
      if (measured === undefined) continue
      const result = resultOf(workload, subjects, measured)
      results.push(result)
      console.log(`\n${table(result)}`)
    }
    for (const [subject, reason] of broken) console.log(`\n${subject.name} failed: ${reason}`)
    if (chosen.json !== undefined) {
      const failures = [...broken].map(([subject, reason]) => ({ subject: subject.name, reason }))
      const document = { machine: about, rounds: chosen.rounds, plan, results, failures }
      await writeFile(chosen.json, `${JSON.stringify(document, null, 2)}\n`)
    }
    if (broken.size > 0) process.exitCode = 1
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

await main()
