// Many files: walking 20,000 of them and listing one directory of 100,000, on a mount where nobody has looked yet and again.
import { median } from '../report/figures.js'
import { figuresOf, inside, timedProgram } from './workload.js'
import { count } from './workload.js'
import type { Measurement, Plan, Target, Workload } from './workload.js'

/** Three runs, and the middle one. */
export async function repeated(measure: () => Promise<Measurement>): Promise<Measurement> {
  const runs = [await measure(), await measure(), await measure()]
  const middle = median(runs.map(({ value }) => value))
  return runs.find(({ value }) => value === middle) ?? runs[0]
}

/** The order counts: the first one that meets a directory finds it cold. */
export function trees(plan: Plan): Workload[] {
  const list = async (target: Target): Promise<Measurement> => {
    const once = ['ms=60000', 'warm=0', 'calls=1', `server=${target.pid}`]
    const { mean, cpu } = await figuresOf([plan.latency, 'readdir', inside(target, 'many'), ...once], 120_000)
    return { value: mean / 1e6, details: { serverCpu: cpu / 1e6 } }
  }
  const walk = (target: Target) => timedProgram(plan, target, ['find', inside(target, 'tree')])
  const long = (target: Target) => timedProgram(plan, target, ['ls', '-lR', inside(target, 'tree')])
  const { directories, entries } = plan.sizes
  const shape = { chapter: 'trees', unit: 'ms', better: 'lower' } as const
  return [
    {
      ...shape,
      name: 'find/cold',
      about: `find of ${count(directories * 100)} files, mounted just now`,
      measure: walk,
    },
    {
      ...shape,
      name: 'find/warm',
      about: 'the same again',
      measure: (target) => repeated(() => walk(target)),
    },
    { ...shape, name: 'ls-lR', about: 'ls -lR of the same tree', measure: long },
    {
      ...shape,
      name: 'readdir/cold',
      about: `one directory of ${count(entries)} files, read to its end`,
      measure: list,
    },
    { ...shape, name: 'readdir/warm', about: 'the same again', measure: list },
  ]
}
