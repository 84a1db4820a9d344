// Programs that everybody runs: git, tar, npm and sqlite3, each in a directory of its own on the mount.
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { run } from '../child.js'
import { count, inside, timedProgram } from './workload.js'
import type { Measurement, Plan, Target, Workload } from './workload.js'
import { repeated } from './trees.js'

const transactions = (journal: string, length: number): string =>
  [
    `PRAGMA journal_mode=${journal}; PRAGMA synchronous=NORMAL; CREATE TABLE t (a INTEGER, b TEXT);`,
    ...Array.from({ length }, (_, i) => `BEGIN; INSERT INTO t VALUES (${i}, 'row ${i}'); COMMIT;`),
  ].join('\n')

/** The SQL that the workloads feed to sqlite3, by file name. */
export const scripts = (all: number) => ({
  'wal.sql': transactions('WAL', all),
  // Each one syncs the file and its directory, so they are few.
  'delete.sql': transactions('DELETE', Math.ceil(all / 20)),
})

let places = 0

/**
 * Runs `act` in a new directory on the mount, far from the others: see `prepareSource`. Never by a system call of our own: the server
 * may hang. What it leaves stays until the end of the benchmark. Kernel: for a minute and more ext4 makes no file of an inode that
 * was just deleted, and looks at each of them anew: after an `rm -rf` every creat(2) takes 20 times as long, on all subjects.
 */
async function within(
  target: Target,
  name: string,
  act: (place: string) => Promise<Measurement>,
): Promise<Measurement> {
  const place = inside(target, 'programs', `${name}-${++places}`)
  await run(['mkdir', '-p', place], 10_000)
  return await act(place)
}

export function programs(plan: Plan): Workload[] {
  const { sizes } = plan
  const supply = (name: string) => join(plan.supplies, name)
  const shell = (script: string, ...words: string[]) => ['sh', '-c', script, 'sh', ...words]
  const clone = ['git', 'clone', '-q', `file://${supply('repository.git')}`]
  const install = 'cd "$1" && npm install --offline --no-audit --no-fund --ignore-scripts --no-package-lock'
  const shape = { chapter: 'programs', unit: 'ms', better: 'lower' } as const
  const single = (name: string, about: string, command: (place: string) => string[], prepare = '') => ({
    ...shape,
    name,
    about,
    measure: (target: Target) =>
      within(target, name, async (place) => {
        if (prepare !== '') await run(shell(prepare, place), 60_000)
        return await timedProgram(plan, target, command(place))
      }),
  })
  return [
    single('git-clone', `git clone of ${count(sizes.checkout)} files`, (place) => [
      ...clone,
      join(place, 'clone'),
    ]),
    {
      ...shape,
      name: 'git-status',
      about: 'git status of that clone, warm, with an index younger than all files',
      measure: (target) =>
        within(target, 'git-status', async (place) => {
          const copy = join(place, 'clone')
          await run([...clone, copy], 120_000)
          // Git reads files again that are as young as its index, in seconds, until a status writes the index anew.
          await sleep(1100)
          for (let i = 0; i < 2; i++) await run(['git', '-C', copy, 'status'], 60_000)
          return await repeated(() => timedProgram(plan, target, ['git', '-C', copy, 'status']))
        }),
    },
    single('tar', `tar x of ${count(sizes.archive)} files`, (place) => [
      'tar',
      '-xf',
      supply('files.tar'),
      '-C',
      place,
    ]),
    single(
      'npm',
      `npm install of ${sizes.packages} local packages, offline`,
      (place) => shell(install, place),
      `cp ${supply('package.json')} "$1/package.json"`,
    ),
    single('sqlite/wal', `sqlite3, ${count(sizes.transactions)} transactions, write-ahead log`, (place) =>
      shell('sqlite3 "$1/db" < "$2"', place, supply('wal.sql')),
    ),
    single(
      'sqlite/delete',
      `sqlite3, ${count(Math.ceil(sizes.transactions / 20))} transactions, rollback journal`,
      (place) => shell('sqlite3 "$1/db" < "$2"', place, supply('delete.sql')),
    ),
  ]
}
