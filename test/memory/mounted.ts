// A memory filesystem served by a child process (`devfuse memory`), so that the test itself may use the mount with plain
// synchronous calls.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { devfuse } from '../programs/mounted.js'

/** A server that hangs is killed after so many seconds: every caller on its mount then returns. */
const LIFETIME = 100

export class MountedMemory {
  readonly mnt: string
  readonly #child: ChildProcess
  readonly #dir: string

  private constructor(dir: string, child: ChildProcess) {
    this.mnt = join(dir, 'mnt')
    this.#child = child
    this.#dir = dir
  }

  /** Mounts with arguments of `devfuse memory`. */
  static async start(
    { lifetime = LIFETIME }: { lifetime?: number },
    ...args: string[]
  ): Promise<MountedMemory> {
    const dir = mkdtempSync(join(tmpdir(), 'devfuse-memory-'))
    chmodSync(dir, 0o755)
    mkdirSync(join(dir, 'mnt'))
    const words = ['-s', 'KILL', `${lifetime}`, ...devfuse, 'memory', join(dir, 'mnt'), ...args]
    const child = spawn('timeout', words, { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = new Promise<string>((resolve) => child.once('exit', (code) => resolve(`status ${code}`)))
    const ready = new Promise<undefined>((resolve) => child.stdout.once('data', () => resolve(undefined)))
    const failure = await Promise.race([ready, ended])
    if (failure !== undefined) throw new Error(`the server did not start: ${failure}`)
    return new MountedMemory(dir, child)
  }

  /** Ends the server as a user does, and removes the directory. */
  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.kill('SIGTERM')
    await ended
    rmSync(this.#dir, { recursive: true, force: true })
  }
}
