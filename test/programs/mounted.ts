// Owns the mounts of the program tests: starts `devfuse mirror` as a child, waits until it is ready, and removes the mount
// and the process whatever became of them.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestContext } from 'node:test'
import { attempt, killGroup, run } from './command.js'

/** The command line that runs the built `devfuse`. */
export const devfuse = [process.execPath, resolve(import.meta.dirname, '../../../dist/cli/main.js')]

export interface MountOptions {
  /** Further arguments of `devfuse mirror`. */
  args?: string[]
  /** Words before the command, such as `prlimit --nofile=1024 --`. */
  prefix?: string[]
  /** The directory to show; `src` of the place if absent. */
  src?: string
  /** The mount point; `mnt` of the place if absent. */
  mnt?: string
}

/** A running `devfuse mirror`. */
export class Mounted {
  readonly src: string
  readonly mnt: string
  readonly #child: ChildProcess
  readonly #minor: number
  #output = ''

  constructor(src: string, mnt: string, child: ChildProcess, minor: number, output: string) {
    this.src = src
    this.mnt = mnt
    this.#child = child
    this.#minor = minor
    this.#output = output
    const gather = (text: Buffer) => (this.#output += text.toString())
    child.stdout?.on('data', gather)
    child.stderr?.on('data', gather)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** All it printed so far. */
  get output(): string {
    return this.#output
  }

  get exited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** What `devfuse stats --json` says. */
  async stats(): Promise<Record<string, unknown>> {
    const { stdout } = await run([...devfuse, 'stats', this.mnt, '--json'], { timeout: 10_000 })
    return JSON.parse(stdout)
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Waits for the process to end; false if it has not after that many milliseconds. */
  async ended(milliseconds: number): Promise<boolean> {
    for (const deadline = Date.now() + milliseconds; Date.now() < deadline; await sleep(10)) {
      if (this.exited) return true
    }
    return this.exited
  }

  /** Ends it the way a user does, with SIGINT, and says what went wrong when that leaves the mount or the process. */
  async stop(): Promise<void> {
    if (!this.exited) this.kill('SIGINT')
    const orderly = await this.ended(10_000)
    const left = minorOf(this.mnt) !== undefined
    this.destroy()
    if (!orderly) throw new Error(`devfuse mirror still runs 10 s after SIGINT: ${this.#output}`)
    if (left) throw new Error(`the mount is still there after SIGINT: ${this.#output}`)
  }

  /** Abort of the connection, lazy unmount, SIGKILL: nothing of it is left afterwards. */
  destroy(): void {
    if (minorOf(this.mnt) === this.#minor) {
      // Before the unmount: the number of a mount that is gone may be somebody else's.
      const abort = `/sys/fs/fuse/connections/${this.#minor}/abort`
      spawnSync('sh', ['-c', `test -e ${abort} && echo 1 > ${abort}`], { stdio: 'ignore', timeout: 3000 })
      spawnSync('umount', ['-l', this.mnt], { stdio: 'ignore', timeout: 3000 })
    }
    if (!this.exited) killGroup(this.#child.pid)
  }
}

/** A temporary directory with `src` and `mnt` in it, on the filesystem of the temporary directory. */
export class Place {
  readonly directory: string
  readonly src: string
  readonly mnt: string
  readonly #mounts: Mounted[] = []

  constructor(name: string) {
    this.directory = mkdtempSync(join(tmpdir(), `devfuse-${name}-`))
    this.src = this.path('src')
    this.mnt = this.path('mnt')
    mkdirSync(this.src)
    mkdirSync(this.mnt)
  }

  path(...names: string[]): string {
    return join(this.directory, ...names)
  }

  /** Mounts a mirror and waits for the line that says it is ready. */
  async mirror(options: MountOptions = {}): Promise<Mounted> {
    const { args = [], prefix = [], src = this.src, mnt = this.mnt } = options
    const command = [...prefix, ...devfuse, 'mirror', src, mnt, ...args]
    const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    let output = ''
    let ready = false
    const gather = (text: Buffer) => (output += text.toString())
    const notice = () => (ready = true)
    child.stdout.on('data', gather).on('data', notice)
    child.stderr.on('data', gather)
    child.on('error', gather)
    for (const deadline = Date.now() + 20_000; Date.now() < deadline; await sleep(10)) {
      if (child.exitCode !== null || child.signalCode !== null) break
      const minor = ready ? minorOf(mnt) : undefined
      if (minor === undefined) continue
      child.stdout.off('data', gather).off('data', notice)
      child.stderr.off('data', gather)
      const mounted = new Mounted(src, mnt, child, minor, output)
      this.#mounts.push(mounted)
      return mounted
    }
    await attempt(['umount', '-l', mnt], { timeout: 3000 }).catch(() => undefined)
    killGroup(child.pid)
    throw new Error(`${command.join(' ')} did not mount: ${output}`)
  }

  async remove(): Promise<void> {
    for (const mounted of this.#mounts) mounted.destroy()
    await run(['rm', '-rf', '--one-file-system', this.directory], { timeout: 120_000 })
  }
}

/** A place that the end of the test removes. */
export function place(context: TestContext, name: string): Place {
  const made = new Place(name)
  context.after(() => made.remove())
  return made
}

/** Minor number of the FUSE mount at a path. Kernel: /sys/fs/fuse/connections is indexed by it. */
export function minorOf(mountPoint: string): number | undefined {
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const fields = line.split(' ')
    if (fields[4] === mountPoint) return Number(fields[2].split(':')[1])
  }
  return undefined
}

/** Why the temporary directory is not fit to be mirrored in these tests; false when it is. */
export function unfit(): string | false {
  const probe = mkdtempSync(join(tmpdir(), 'devfuse-probe-'))
  const { stdout } = spawnSync('stat', ['-f', '-c', '%T', probe], { encoding: 'utf8' })
  rmSync(probe, { recursive: true })
  const type = stdout.trim()
  return (
    ['tmpfs', 'overlayfs', 'fuseblk'].includes(type) &&
    `${tmpdir()} is on ${type}; set TMPDIR to a disk filesystem`
  )
}
