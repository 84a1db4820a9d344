// Owns one serving process and its mount: starts it, waits until the kernel shows the mount, and removes it whatever happens.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { attempt, killGroup } from './child.js'

const live = new Set<Server>()

export class Server {
  readonly mountPoint: string
  readonly connection: number
  readonly #child: ChildProcess
  readonly #exited: Promise<void>

  constructor(mountPoint: string, connection: number, child: ChildProcess, exited: Promise<void>) {
    this.mountPoint = mountPoint
    this.connection = connection
    this.#child = child
    this.#exited = exited
    live.add(this)
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

  /** The last resort, callable while the process exits: lazy unmount, abort of the connection, SIGKILL. */
  destroy(): void {
    spawnSync('umount', ['-l', this.mountPoint], { stdio: 'ignore', timeout: 3000 })
    const abort = `/sys/fs/fuse/connections/${this.connection}/abort`
    spawnSync('sh', ['-c', `test -e ${abort} && echo 1 > ${abort}`], { stdio: 'ignore', timeout: 3000 })
    killGroup(this.#child.pid)
    live.delete(this)
  }
}

/** Starts a server that stays in the foreground. Rejects with what it printed if no mount appears within ten seconds. */
export async function startServer(command: readonly string[], mountPoint: string): Promise<Server> {
  const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  let output = ''
  const end = new AbortController()
  const gather = (text: Buffer) => (output = (output + text.toString()).slice(-4000))
  child.stdout.on('data', gather)
  child.stderr.on('data', gather)
  const exited = new Promise<void>((resolve) => {
    child.on('error', (error) => {
      output += error.message
      end.abort()
      resolve()
    })
    child.on('exit', () => {
      end.abort()
      resolve()
    })
  })
  const deadline = Date.now() + 10_000
  while (Date.now() < deadline && !end.signal.aborted) {
    const connection = connectionOf(mountPoint)
    if (connection !== undefined) return new Server(mountPoint, connection, child, exited)
    await sleep(20)
  }
  killGroup(child.pid)
  throw new Error(
    `${command.join(' ')}: ${end.signal.aborted ? 'ended without a mount' : 'no mount after 10 s'}: ${output.trim()}`,
  )
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
