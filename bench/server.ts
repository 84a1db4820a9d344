// Owns one serving process and its mount: starts it, waits until the mount answers, and removes it whatever happens.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { attempt, killGroup } from './child.js'

const live = new Set<Server>()
const patience = 10_000

export class Server {
  readonly mountPoint: string
  /** From starting the process to the first answer of the mount, in milliseconds. */
  startup = 0
  readonly #child: ChildProcess
  readonly #exited: Promise<void>
  #output = ''
  #connection: number | undefined

  constructor(command: readonly string[], mountPoint: string, env: Record<string, string>) {
    this.mountPoint = mountPoint
    const child = spawn(command[0], command.slice(1), {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, ...env },
    })
    this.#child = child
    live.add(this)
    const gather = (text: Buffer) => (this.#output = (this.#output + text.toString()).slice(-4000))
    child.stdout.on('data', gather)
    child.stderr.on('data', gather)
    this.#exited = new Promise((resolve) => {
      child.on('error', (error) => {
        this.#output += error.message
        resolve()
      })
      child.on('close', () => resolve())
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Rejects with what the server printed if its mount does not answer within ten seconds. */
  async ready(): Promise<void> {
    const started = performance.now()
    const why = (await this.#mounted(started)) ?? (await this.#answered())
    if (why !== undefined) {
      this.destroy()
      throw new Error(`${why}: ${telling(this.#output)}`)
    }
    this.startup = performance.now() - started
  }

  /** Whether its process runs and its mount is there. */
  alive(): boolean {
    return !this.#ended() && connectionOf(this.mountPoint) === this.#connection
  }

  /** Unmounts, by force if asking does not help, and waits for the process to be gone. */
  async stop(): Promise<void> {
    await attempt(['umount', this.mountPoint], 5000).catch(() => undefined)
    if (!(await within(this.#exited, 3000))) {
      this.#child.kill('SIGINT')
      if (!(await within(this.#exited, 3000))) this.destroy()
      await within(this.#exited, 2000)
    }
    if (connectionOf(this.mountPoint) !== undefined) this.destroy()
    live.delete(this)
  }

  /** The last resort, callable while the process exits: SIGKILL, lazy unmount, abort of the connection. */
  destroy(): void {
    const connection = connectionOf(this.mountPoint) ?? this.#connection
    killGroup(this.#child.pid)
    spawnSync('umount', ['-l', this.mountPoint], { stdio: 'ignore', timeout: 3000 })
    const abort = `/sys/fs/fuse/connections/${connection}/abort`
    spawnSync('sh', ['-c', `test -e ${abort} && echo 1 > ${abort}`], { stdio: 'ignore', timeout: 3000 })
    live.delete(this)
  }

  #ended(): boolean {
    const { pid, exitCode, signalCode } = this.#child
    return pid === undefined || exitCode !== null || signalCode !== null
  }

  /** Waits for the mount to appear; the reason if it does not. */
  async #mounted(started: number): Promise<string | undefined> {
    while (performance.now() - started < patience) {
      this.#connection = connectionOf(this.mountPoint)
      if (this.#connection !== undefined) return undefined
      if (this.#ended()) {
        await within(this.#exited, 1000)
        return 'ended without a mount'
      }
      await sleep(1)
    }
    return `no mount after ${patience / 1000} s`
  }

  async #answered(): Promise<string | undefined> {
    const answer = statfs(this.mountPoint).then(
      () => undefined,
      (error: unknown) => String(error),
    )
    return await Promise.race([answer, sleep(patience, 'its mount does not answer', { ref: false })])
  }
}

/** Starts a server that stays in the foreground, and waits until its mount answers. */
export async function startServer(
  command: readonly string[],
  mountPoint: string,
  env: Record<string, string> = {},
): Promise<Server> {
  const server = new Server(command, mountPoint, env)
  await server.ready()
  return server
}

/** Of what a server printed, the line that names the error, else the last one. */
function telling(output: string): string {
  const lines = output.split('\n').map((line) => line.trim())
  const error = lines.find((line) => /^\w*Error\b.*:/.test(line))
  return error ?? lines.findLast((line) => line !== '') ?? 'it printed nothing'
}

/** RSS of a process in MiB; 0 when it is gone. */
export function residentMemory(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024
  } catch {
    return 0
  }
}

/** The number of the FUSE connection mounted at a path. Kernel: it is the minor device number of the mount. */
function connectionOf(mountPoint: string): number | undefined {
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const fields = line.split(' ')
    if (fields[4] === mountPoint) return Number(fields[2].split(':')[1])
  }
  return undefined
}

async function within(event: Promise<void>, milliseconds: number): Promise<boolean> {
  const late = Symbol('late')
  return (await Promise.race([event, sleep(milliseconds, late, { ref: false })])) !== late
}

process.on('exit', () => {
  for (const server of live) server.destroy()
})
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130))
