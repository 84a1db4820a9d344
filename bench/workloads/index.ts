// Every workload, in the order in which a round goes through them.
import { calls, trips } from './calls.js'
import { data } from './data.js'
import { life } from './life.js'
import { programs } from './programs.js'
import { trees } from './trees.js'
import type { Plan, Workload } from './workload.js'

export function workloads(plan: Plan): Workload[] {
  return [...trips(plan), ...calls(plan), ...data(plan), ...trees(plan), ...programs(plan), ...life(plan)]
}
