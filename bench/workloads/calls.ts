// Single calls, repeated by latency.c: the round trip, and the calls that programs make most.
import { count, figuresOf, inside } from './workload.js'
import type { Measurement, Plan, Target, Workload } from './workload.js'

interface Call {
  operation: string
  path: string[]
  clients?: number
  pinned?: boolean
  more?: string[]
}

async function repeat(plan: Plan, target: Target, call: Call): Promise<Measurement & { rate: number }> {
  const { operation, path, clients = 1, pinned = false, more = [] } = call
  const client = [plan.latency, operation, inside(target, ...path)]
  const options = [`clients=${clients}`, `ms=${plan.milliseconds}`, `server=${target.pid}`]
  const placed = pinned ? ['taskset', '-c', String(plan.cpu)] : []
  const {
    calls: all,
    mean,
    p50,
    p99,
    wall,
    cpu,
  } = await figuresOf([...placed, ...client, ...options, ...more])
  const details = { p50: p50 / 1000, p99: p99 / 1000, cpu: cpu / all / 1000 }
  return { value: mean / 1000, details, rate: all / (wall / 1e6) }
}

/** statfs, which the kernel never caches: the pure round trip, for 1, 4 and 16 clients at a time. */
export function trips(plan: Plan): Workload[] {
  return [false, true].flatMap((pinned) =>
    [1, 4, 16].map((clients): Workload => {
      const name = `statfs/${clients}/${pinned ? 'pinned' : 'free'}`
      const where = pinned ? 'all on one CPU' : 'free to move'
      const who = clients === 1 ? 'one client' : `${clients} clients at a time`
      // The first calls of a server that compiles while it runs cost a multiple, and these are the first workloads.
      const more = clients === 1 ? ['warm=20000'] : []
      const call = { operation: 'statfs', path: [], clients, pinned, more }
      const server = { key: 'cpu', about: `server CPU per statfs, ${who}, ${where}`, unit: 'us' }
      const memory = { key: 'rss', name: 'rss', about: 'memory of the server (RSS) after it', unit: 'MiB' }
      return {
        name,
        chapter: 'trips',
        about: `statfs round trip, ${who}, ${where}`,
        unit: clients === 1 ? 'us' : 'thousand/s',
        better: clients === 1 ? 'lower' : 'higher',
        pinned,
        extras: [{ ...server, name: `${name} cpu` }, ...(clients === 16 && !pinned ? [memory] : [])],
        measure: async (target) => {
          const { value, details, rate } = await repeat(plan, target, call)
          return { value: clients === 1 ? value : rate, details: { ...details, mean: value } }
        },
      }
    }),
  )
}

/** Calls by name: each is one round trip at least, unless a cache may answer. */
export function calls(plan: Plan): Workload[] {
  const table = [
    { operation: 'open', path: ['small'], about: 'open + close of a file' },
    { operation: 'create', path: ['work'], about: 'create + close + unlink' },
    { operation: 'missing', path: [], about: 'stat of a name that does not exist, never asked before' },
  ]
  const { directories } = plan.sizes
  const storm = { operation: 'storm', path: ['tree'], clients: 4, more: [`directories=${directories}`] }
  return [
    ...table.flatMap(({ operation, path, about }) =>
      [false, true].map((pinned): Workload => ({
        name: `${operation}/${pinned ? 'pinned' : 'free'}`,
        chapter: 'calls',
        about: `${about}, one client, ${pinned ? 'on the CPU of the server' : 'free to move'}`,
        unit: 'us',
        better: 'lower',
        pinned,
        measure: (target) => repeat(plan, target, { operation, path, pinned }),
      })),
    ),
    {
      name: 'stat',
      chapter: 'calls',
      about: 'stat of one file again and again (caches may answer)',
      unit: 'us',
      better: 'lower',
      measure: (target) => repeat(plan, target, { operation: 'stat', path: ['small'] }),
    },
    {
      name: 'stat-storm',
      chapter: 'calls',
      about: `4 clients, statx of ${count(directories * 100)} files in no order, the server asked each time (AT_STATX_FORCE_SYNC)`,
      unit: 'thousand/s',
      better: 'higher',
      measure: async (target) => {
        const { rate, details } = await repeat(plan, target, storm)
        return { value: rate, details }
      },
    },
  ]
}
