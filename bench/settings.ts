// Owns the command line of the benchmark.
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'

const usage = `usage: npm run bench -- [options]
  --rounds N         most rounds of interleaved runs (default 5)
  --budget MINUTES   no round is begun that would end later (default 23)
  --only NAME,...    workloads or chapters whose name starts so (statfs, statfs/1/pinned, data, ...)
  --subjects NAME,.. only these subjects (native, mirror, "mirror ring", a peer's name, ...)
  --peer PATH        one more peer: a JSON file, or a directory of them (see bench/README.md); may be repeated
  --npm DIR          where node_modules holds the peers from npm (default: the current directory)
  --dir DIR          where the test files lie (default: the temporary directory; use a disk filesystem)
  --json FILE        write every figure there
  --write FILE.md    write the page there, and its picture next to it
  --goals            print what we aim at, and whether it is met
  --quick            two rounds of short runs on few files, to try things out
  --list             print the workloads and the subjects, and end`

export interface Settings {
  rounds: number
  budget: number
  quick: boolean
  only: string[]
  subjects: string[]
  peers: string[]
  npm: string
  directory: string
  json: string | undefined
  write: string | undefined
  goals: boolean
  list: boolean
}

export function readSettings(): Settings {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string' },
      budget: { type: 'string', default: '23' },
      only: { type: 'string' },
      subjects: { type: 'string' },
      peer: { type: 'string', multiple: true, default: [] },
      npm: { type: 'string', default: '.' },
      dir: { type: 'string' },
      json: { type: 'string' },
      write: { type: 'string' },
      goals: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    console.log(usage)
    process.exit(0)
  }
  const rounds = Number(values.rounds ?? (values.quick ? 2 : 5))
  const budget = Number(values.budget)
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new Error(`--rounds ${values.rounds}: a count is expected`)
  }
  if (!(budget > 0)) throw new Error(`--budget ${values.budget}: a number of minutes is expected`)
  return {
    rounds,
    budget: budget * 60_000,
    quick: values.quick,
    only: values.only?.split(',') ?? [],
    subjects: values.subjects?.split(',') ?? [],
    peers: values.peer,
    npm: values.npm,
    directory: values.dir ?? tmpdir(),
    json: values.json,
    write: values.write,
    goals: values.goals,
    list: values.list,
  }
}
