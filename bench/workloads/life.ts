// What a mount costs besides its requests: starting, being idle, and memory after very many requests.
import { setTimeout as sleep } from 'node:timers/promises'
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
      about:
        'CPU time of a server that nobody asks anything, over twenty seconds, from fifteen seconds after its start on',
      unit: '% of a CPU',
      better: 'lower',
      once: true,
      together: true,
      suits: served,
      measure: async ({ directory, pid }) => {
        // What starting left to do is done by then: V8 collects garbage some ten seconds later.
        await sleep(15_000)
        const idle = [plan.latency, 'idle', directory, 'ms=20000', 'warm=0', `server=${pid}`]
        const { cpu, wall } = await figuresOf(idle, 40_000)
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
