// What a mount costs besides its requests: starting, being idle, and memory after very many requests.
import { residentMemory } from '../server.js'
import { count, figuresOf } from './workload.js'
import type { Plan, Workload } from './workload.js'

export function life(plan: Plan): Workload[] {
  const served = ({ command, program }: { command?: string[]; program?: boolean }) =>
    command !== undefined && program !== true
  return [
    {
      name: 'start',
      baselines: ['node -e 0'],
      chapter: 'life',
      about: 'from starting the server to the first answer of its mount',
      unit: 'ms',
      better: 'lower',
      suits: ({ command }) => command !== undefined,
      measure: async ({ startup }) => {
        if (startup === undefined) throw new Error('nothing was started')
        return await Promise.resolve({ value: startup, details: {} })
      },
    },
    {
      name: 'idle',
      baselines: [],
      chapter: 'life',
      about: 'CPU time of a server that nobody asks anything, over two seconds',
      unit: '% of a CPU',
      better: 'lower',
      once: true,
      suits: served,
      measure: async ({ directory, pid }) => {
        // What a first request left to do is done by then.
        await figuresOf([plan.latency, 'idle', directory, 'ms=500', 'warm=0'])
        const idle = [plan.latency, 'idle', directory, 'ms=2000', 'warm=0', `server=${pid}`]
        const { cpu, wall } = await figuresOf(idle)
        return { value: (cpu / wall) * 100, details: {} }
      },
    },
    {
      name: 'growth',
      baselines: [],
      chapter: 'life',
      about: `RSS after ${count(plan.requests)} requests over RSS after a hundredth of them`,
      unit: 'ratio',
      better: 'lower',
      once: true,
      suits: ({ name }) => ['mirror', 'hello'].includes(name),
      measure: async ({ directory, pid }) => {
        const clients = 16
        const ask = (requests: number) => {
          const calls = Math.ceil(requests / clients)
          const course = [`clients=${clients}`, 'warm=0', `calls=${calls}`, 'ms=120000', `server=${pid}`]
          return figuresOf([plan.latency, 'statfs', directory, ...course], 150_000)
        }
        await ask(plan.requests / 100)
        const before = residentMemory(pid)
        await ask(plan.requests)
        const after = residentMemory(pid)
        return { value: after / before, details: { before, after } }
      },
    },
  ]
}
