// The benchmark: lays files out, mounts every subject, runs the workloads on them in turn, and reports.
import { rmSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { attempt, run } from './child.js'
import { filesystemOf, lastCpu, machine, ringIsEnabled, treeDirectories } from './machine.js'
import { prepareSource, prepareSupplies } from './prepare.js'
import { resultsOf, type Result } from './report/figures.js'
import { goals, goalsTable, verdict } from './report/goals.js'
import { page } from './report/markdown.js'
import { picture } from './report/picture.js'
import { table } from './report/text.js'
import { measureAll } from './rounds.js'
import { readSettings, type Settings } from './settings.js'
import { foundPeers, ownSubjects, projectRoot, readPeers, type Subject } from './subjects.js'
import { workloads } from './workloads/index.js'
import type { Plan, Sizes } from './workloads/workload.js'

async function build(name: string, directory: string): Promise<string> {
  const program = join(directory, name)
  const source = join(projectRoot, 'bench/native', `${name}.c`)
  await run(['cc', '-std=c11', '-O2', '-Wall', '-Wextra', '-Werror', source, '-o', program])
  return program
}

const fullSizes: Sizes = {
  directories: treeDirectories(),
  entries: 100_000,
  data: 64 * 1024 * 1024,
  archive: 1500,
  checkout: 2000,
  packages: 20,
  transactions: 1000,
}

const quickSizes: Sizes = {
  directories: 20,
  entries: 5000,
  data: 16 * 1024 * 1024,
  archive: 300,
  checkout: 200,
  packages: 5,
  transactions: 100,
}

async function makePlan(work: string, quick: boolean): Promise<Plan> {
  const programs = join(work, 'programs')
  const supplies = join(work, 'supplies')
  await mkdir(programs)
  await mkdir(supplies)
  return {
    latency: await build('latency', programs),
    data: await build('data', programs),
    timed: await build('timed', programs),
    cpu: lastCpu(),
    milliseconds: quick ? 100 : 250,
    sizes: quick ? quickSizes : fullSizes,
    requests: quick ? 20_000 : 1_000_000,
    supplies,
  }
}

/** Who takes part, and a line for each one who cannot. */
async function chooseSubjects(settings: Settings, work: string) {
  const peers = settings.peers.flatMap(readPeers)
  const all = [...ownSubjects(), ...peers, ...(await foundPeers(work, settings.npm))]
  const unknown = settings.subjects.find((name) => !all.some((subject) => subject.name === name))
  if (unknown !== undefined) {
    throw new Error(
      `--subjects ${unknown}: no such subject; there are ${all.map(({ name }) => name).join(', ')}`,
    )
  }
  const wanted = all.filter(({ name }) => settings.subjects.length === 0 || settings.subjects.includes(name))
  const enabled = ringIsEnabled()
  const skipped = wanted.filter(({ ring }) => ring && !enabled).map(({ name }) => name)
  const why = "the kernel's FUSE over io_uring is off (/sys/module/fuse/parameters/enable_uring)"
  return {
    subjects: wanted.filter(({ ring }) => enabled || !ring),
    skipped: skipped.length === 0 ? [] : [`${skipped.join(', ')}: ${why}`],
  }
}

function chooseWorkloads(settings: Settings, plan: Plan) {
  const { only } = settings
  const list = workloads(plan).filter(
    ({ name, chapter }) =>
      only.length === 0 || only.some((word) => chapter === word || name.startsWith(word)),
  )
  if (list.length === 0) throw new Error(`--only ${only.join(',')}: no workload or chapter of that name`)
  return list
}

async function report(settings: Settings, document: Document): Promise<void> {
  const { results, failures, skipped, machine: about, rounds } = document
  for (const result of results) if (result.rows.length > 0) console.log(`\n${table(result)}`)
  for (const { subject, reason, workloads: stopped } of failures) {
    console.log(`\n${subject} failed: ${stopped.join(', ')}: ${reason}`)
  }
  if (settings.goals) console.log(`\n${goalsTable(document.goals)}`)
  if (settings.json !== undefined) await writeFile(settings.json, `${JSON.stringify(document, null, 2)}\n`)
  if (settings.write === undefined) return
  const drawn = settings.write.replace(/\.md$/, '') + '.svg'
  const note = `devfuse ${about.commit}, ${about.date}, Linux ${about.kernel}, ${about.cpus} CPUs, medians of ${rounds} rounds`
  await writeFile(drawn, picture(results, note))
  const command = ['npm run bench --', ...process.argv.slice(2)].join(' ')
  const written = { machine: about, rounds, command, results, failures, skipped, picture: basename(drawn) }
  await writeFile(settings.write, page(written))
}

interface Document {
  machine: Awaited<ReturnType<typeof machine>>
  rounds: number
  plan: Plan
  results: Result[]
  goals: (ReturnType<typeof goals>[number] & { verdict: string })[]
  failures: { subject: string; reason: string; workloads: string[] }[]
  skipped: string[]
}

async function main(): Promise<void> {
  const settings = readSettings()
  const work = await mkdtemp(join(settings.directory, 'devfuse-bench-'))
  // For the end by a signal. What is mounted there is gone by then: server.ts was asked to see to it first.
  process.on('exit', () => {
    try {
      rmSync(work, { recursive: true, force: true })
    } catch (error) {
      console.error(`${work} could not be removed: ${String(error)}`)
    }
  })
  try {
    const about = await machine(work)
    console.log(
      `${about.cpus} CPUs (${about.model}), ${about.arch}, Linux ${about.kernel}, Node ${about.node}`,
    )
    console.log(`commit ${about.commit}; load average ${about.load.join(' ')}; files in ${about.directory}`)
    if (filesystemOf(work) === 'tmpfs') console.log('warning: tmpfs is no disk filesystem; use --dir')
    if (about.load[0] > 0.5)
      console.log('warning: this machine is busy; figures of a busy machine say little')

    // Kernel: ext4 puts what is below such a directory elsewhere, away from inodes that were deleted lately (workloads/programs.ts).
    await attempt(['chattr', '+T', work])
    const plan = await makePlan(work, settings.quick)
    const list = chooseWorkloads(settings, plan)
    const { subjects, skipped } = await chooseSubjects(settings, work)
    for (const line of skipped) console.log(`skipped: ${line}`)
    if (settings.list) return print(list, subjects)
    const source = join(work, 'source')
    const points = join(work, 'mounts')
    await mkdir(points)
    await prepareSource(source, plan.sizes)
    await prepareSupplies(plan.supplies, plan.sizes)

    const place = { source, points, loop: await build('loop', join(work, 'programs')), cpu: plan.cpu }
    const findings = await measureAll(list, subjects, place, settings)
    const results = list.flatMap((workload) =>
      resultsOf(workload, subjects, findings.runs(workload), findings.failures(workload)),
    )
    const failures = findings.reasons()
    const judged = goals(results).map((goal) => ({ ...goal, verdict: verdict(goal) }))
    const { rounds } = findings
    await report(settings, { machine: about, rounds, plan, results, goals: judged, failures, skipped })
    if (failures.length > 0) process.exitCode = 1
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

function print(list: ReturnType<typeof workloads>, subjects: readonly Subject[]): void {
  for (const { name, chapter, about } of list) console.log(`${chapter.padEnd(9)} ${name.padEnd(26)} ${about}`)
  for (const { name, chapters: within } of subjects) console.log(`${name.padEnd(26)} ${within.join(', ')}`)
}

await main()
