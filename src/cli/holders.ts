// Owns the answer to "who keeps this mount busy?": reads links below /proc as text, never what they point at.
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import type { MountInfo } from '../device/mountinfo.js'

/** A process that keeps a mount busy. */
export interface Holder {
  pid: number
  /** Name of the program, from /proc/PID/comm. */
  command: string
  /** In what way: `working directory`, `root directory`, `program file`, `open file PATH`. */
  uses: string[]
}

const MAX_FILES = 3

function readlink(path: string): string | undefined {
  try {
    // Kernel: these links are answered from the dentry, without asking the file system.
    return readlinkSync(path, 'latin1')
  } catch {
    return undefined // the process or the file is gone, or is not ours to see
  }
}

function names(path: string): string[] {
  try {
    return readdirSync(path)
  } catch {
    return []
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return '?'
  }
}

function usesOf(pid: number, inside: (path: string | undefined) => boolean): string[] {
  const uses: string[] = []
  if (inside(readlink(`/proc/${pid}/cwd`))) uses.push('working directory')
  if (inside(readlink(`/proc/${pid}/root`))) uses.push('root directory')
  if (inside(readlink(`/proc/${pid}/exe`))) uses.push('program file')
  const files = names(`/proc/${pid}/fd`)
    .map((fd) => readlink(`/proc/${pid}/fd/${fd}`))
    .filter((path) => path !== undefined)
    .filter(inside)
  const shown = [...new Set(files)].map((path) => Buffer.from(path, 'latin1').toString('utf8'))
  for (const path of shown.slice(0, MAX_FILES)) uses.push(`open file ${path}`)
  if (shown.length > MAX_FILES) uses.push(`${shown.length - MAX_FILES} more open files`)
  return uses
}

/**
 * The processes that have their working directory, root, program or an open file below the mount point. Processes of
 * other users show only to root; files that are only mapped do not show at all.
 */
export function findHolders(mount: MountInfo): Holder[] {
  const below = mount.mountPointBytes.replace(/\/*$/, '/')
  const inside = (path: string | undefined): boolean =>
    path !== undefined && (`${path}/`.startsWith(below) || path === `${mount.mountPointBytes} (deleted)`)
  const holders: Holder[] = []
  for (const name of names('/proc')) {
    const pid = Number(name)
    if (!Number.isInteger(pid) || pid === process.pid) continue
    const uses = usesOf(pid, inside)
    if (uses.length > 0) holders.push({ pid, command: commandOf(pid), uses })
  }
  return holders
}

/** Mounts that sit on top of the given one or below it, which keep it busy as well. */
export function submounts(mount: MountInfo, mounts: MountInfo[]): MountInfo[] {
  return mounts.filter(({ parentId, id }) => parentId === mount.id && id !== mount.id)
}

/** One line per holder, for people. */
export function describeHolders(holders: Holder[], above: MountInfo[]): string[] {
  return [
    ...above.map(({ mountPoint, fsType }) => `${mountPoint} (${fsType}) is mounted inside it`),
    ...holders.map(({ pid, command, uses }) => `process ${pid} (${command}): ${uses.join(', ')}`),
  ]
}
