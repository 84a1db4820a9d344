// Owns what is noted about the machine and the commit that the figures come from.
import { readFileSync } from 'node:fs'
import { arch, availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { attempt } from './child.js'
import { projectRoot } from './subjects.js'

export interface Machine {
  date: string
  commit: string
  cpus: number
  model: string
  memory: string
  arch: string
  kernel: string
  node: string
  load: number[]
  directory: string
}

export async function machine(directory: string): Promise<Machine> {
  const git = ['git', '-C', projectRoot]
  const head = (await attempt([...git, 'rev-parse', '--short=10', 'HEAD'])).stdout.trim()
  const changed = (await attempt([...git, 'status', '--porcelain', '-uno'])).stdout.trim() !== ''
  return {
    date: new Date().toISOString().slice(0, 10),
    commit: `${head || 'unknown'}${changed ? ' and local changes' : ''}`,
    cpus: availableParallelism(),
    model: cpus()[0]?.model ?? 'unknown',
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    arch: arch(),
    kernel: release(),
    node: process.version,
    load: loadavg().map((value) => Number(value.toFixed(2))),
    directory: `${directory} (${filesystemOf(directory)})`,
  }
}

/** The type of the filesystem a directory lies on, by the longest mount point above it. */
export function filesystemOf(directory: string): string {
  let best = ''
  let type = 'unknown'
  for (const line of readFileSync('/proc/self/mounts', 'utf8').split('\n')) {
    const [, point, kind] = line.split(' ')
    if (point === undefined || kind === undefined || point.length < best.length) continue
    if (point === '/' || directory === point || directory.startsWith(`${point}/`)) {
      best = point
      type = kind
    }
  }
  return type
}

/** Whether this kernel lets FUSE use io_uring. */
export function ringIsEnabled(): boolean {
  try {
    return readFileSync('/sys/module/fuse/parameters/enable_uring', 'utf8').startsWith('Y')
  } catch {
    return false
  }
}

/** The last CPU this process may use: the first one takes most interrupts. */
export function lastCpu(): number {
  const list = /^Cpus_allowed_list:\s*(.+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'
  return Number(list.split(/[,-]/).at(-1))
}

/**
 * At most this many directories of 100 files in the tree: 200, or as many as a server can serve that keeps a descriptor for every file it knows.
 * Several peers do, and where the hard limit of the machine (RLIMIT_NOFILE) is about 20,000, they fail at the whole tree.
 */
export function treeDirectories(): number {
  const line = /^Max open files\s+\S+\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))
  const limit = Number(line?.[1] ?? Infinity)
  return Math.max(1, Math.min(200, Math.floor((limit - 1000) / 105)))
}
