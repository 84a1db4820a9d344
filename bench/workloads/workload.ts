// What a workload is: it turns one mounted directory into one figure.
import { join } from 'node:path'
import { attempt } from '../child.js'
import type { Chapter, Subject } from '../subjects.js'

export interface Measurement {
  value: number
  /** Further figures of the same run: `cpu` (of the server, µs per call), `rss` (of the server, MiB) and the workload's own. */
  details: Record<string, number>
}

/** One subject, mounted and ready. */
export interface Target {
  subject: Subject
  /** The mounted directory, or the source itself. */
  directory: string
  /** Of the server; 0 for the native directory. */
  pid: number
  /** From starting the server to the first answer of its mount, in milliseconds; undefined where nothing was started. */
  startup: number | undefined
}

/** A further figure that the same runs give: a table row of its own. */
export interface Extra {
  key: string
  name: string
  about: string
  unit: string
}

export interface Workload {
  name: string
  chapter: Chapter
  about: string
  unit: string
  better: 'lower' | 'higher'
  /** Server and client share one CPU. */
  pinned?: boolean
  /** Measured in the first round only. */
  once?: boolean
  /** Short runs in each round, in turn with those of all other subjects; 1 by default. */
  turns?: number
  /** Of all subjects at the same time: it disturbs nobody. */
  together?: boolean
  /** Which subjects it means anything for; all of the chapter by default. */
  suits?: (subject: Subject) => boolean
  extras?: Extra[]
  /** Subjects that the others are compared with, the first one that has a figure; as its chapter has it by default. */
  baselines?: string[]
  measure: (target: Target) => Promise<Measurement>
}

/** How much is laid out for the workloads. */
export interface Sizes {
  /** Directories of 100 files in the tree that is walked. */
  directories: number
  /** Files of the one big directory. */
  entries: number
  /** Bytes of each file of data. Small enough that writing it twice stays below the kernel's limits for dirty pages. */
  data: number
  /** Files that tar unpacks and git checks out, packages that npm installs, transactions of sqlite3. */
  archive: number
  checkout: number
  packages: number
  transactions: number
}

/** What the workloads are made with: the programs built from C, and how long a run is. */
export interface Plan {
  latency: string
  data: string
  timed: string
  /** The CPU for pinned runs. */
  cpu: number
  /** Milliseconds of a run that repeats one call. */
  milliseconds: number
  sizes: Sizes
  /** Requests of the run that looks for growing memory. */
  requests: number
  /** Files, archives and repositories that are laid out beside the source. */
  supplies: string
}

/** Runs a measuring program, which prints one JSON line. */
export async function figuresOf(
  command: readonly string[],
  timeout = 60_000,
): Promise<Record<string, number>> {
  const { status, stdout, stderr } = await attempt(command, timeout)
  if (status !== 0) throw new Error(stderr.trim() || `${command[0]}: status ${status}`)
  return JSON.parse(stdout) as Record<string, number>
}

/** Runs one program in `directory` and tells its wall time in milliseconds. */
export async function timedProgram(plan: Plan, target: Target, command: readonly string[]) {
  const { wall, cpu } = await figuresOf([plan.timed, String(target.pid), ...command], 120_000)
  return { value: wall / 1e6, details: { serverCpu: cpu / 1e6 } }
}

export const inside = (target: Target, ...names: string[]): string => join(target.directory, ...names)

/** A count as people read it. */
export const count = (value: number): string => value.toLocaleString('en')
