// Owns the programs the tests run: every one in its own process group and with a time limit, because a call on a broken
// mount may never return. Nothing here touches a mount from this process.
import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { constants as system } from 'node:os'
import { join } from 'node:path'

export interface Finished {
  status: number
  stdout: string
  stderr: string
  milliseconds: number
}

export interface CommandOptions {
  cwd?: string
  env?: Record<string, string>
  input?: string
  /** Milliseconds; one minute if absent. */
  timeout?: number
}

/** Runs a program to its end, whatever its status. Rejects when it takes longer than allowed. */
export function attempt(command: readonly string[], options: CommandOptions = {}): Promise<Finished> {
  const { cwd, env = {}, input, timeout = 60_000 } = options
  return new Promise((resolve, reject) => {
    const begin = performance.now()
    const child = spawn(command[0], command.slice(1), {
      cwd,
      env: { ...process.env, LC_ALL: 'C', ...env },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      detached: true,
    })
    let stdout = ''
    let stderr = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
    const timer = setTimeout(() => {
      killGroup(child.pid)
      child.stdout?.destroy()
      child.stderr?.destroy()
      child.unref()
      reject(new Error(`${command.join(' ')}: no end after ${timeout} ms: ${stderr.slice(-2000)}`))
    }, timeout)
    child.on('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      const status = code ?? 128 + (signal === null ? 0 : system.signals[signal])
      resolve({ status, stdout, stderr, milliseconds: performance.now() - begin })
    })
  })
}

/** Runs a program that must succeed; the error carries what it said. */
export async function run(command: readonly string[], options: CommandOptions = {}): Promise<Finished> {
  const finished = await attempt(command, options)
  if (finished.status !== 0) {
    const said = `${finished.stdout.slice(-2000)}\n${finished.stderr.slice(-2000)}`.trim()
    throw new Error(`${command.join(' ')}: status ${finished.status}: ${said}`)
  }
  return finished
}

export function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It is gone already.
  }
}

/** Why a test that needs root, /dev/fuse and these programs can't run here; false when it can. */
export function missing(...programs: string[]): string | false {
  if (process.getuid?.() !== 0) return 'needs root'
  if (!accessible('/dev/fuse', constants.R_OK | constants.W_OK)) return 'needs /dev/fuse'
  const absent = programs.filter((program) => !onPath(program))
  return absent.length > 0 && `not installed: ${absent.join(', ')}`
}

function onPath(program: string): boolean {
  const directories = (process.env.PATH ?? '').split(':')
  return directories.some((directory) => accessible(join(directory, program), constants.X_OK))
}

function accessible(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    return false
  }
}
