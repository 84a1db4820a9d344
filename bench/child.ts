// Owns the processes the benchmark starts: each has a time limit and its own process group, so nothing outlives a run.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'

export interface Finished {
  status: number
  stdout: string
  stderr: string
}

/** A program that did not end in time; what it waits for may never come. */
export class TimeoutError extends Error {}

/** Runs a program to its end. Rejects when it exceeds `timeout` milliseconds or leaves with a status other than 0. */
export async function run(command: readonly string[], timeout = 60_000): Promise<Finished> {
  const finished = await attempt(command, timeout)
  if (finished.status !== 0) {
    const said = finished.stderr.trim() || finished.stdout.trim()
    throw new Error(`${command.join(' ')}: status ${finished.status}: ${said}`)
  }
  return finished
}

/** Like {@link run}, but hands back whatever status came; a program that does not exist has status 127. */
export function attempt(command: readonly string[], timeout = 60_000): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    const timer = setTimeout(() => {
      killGroup(child.pid)
      child.unref()
      reject(new TimeoutError(`${command.join(' ')}: no end after ${timeout} ms`))
    }, timeout)
    child.on('error', (error) => {
      clearTimeout(timer)
      resolve({ status: 127, stdout, stderr: error.message })
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      const status = code ?? 128 + (signal === null ? 0 : constants.signals[signal])
      resolve({ status, stdout, stderr })
    })
  })
}

/** Kills a process that was started as the leader of its own group, with everything it started. */
export function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It is gone already.
  }
}

/** Whether a program of this name is on the path. */
export async function installed(program: string): Promise<boolean> {
  return (await attempt(['sh', '-c', `command -v ${program}`], 5000)).status === 0
}
