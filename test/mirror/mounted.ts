// A mirror served by a child process, so that the test itself may use the mount with plain synchronous calls.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { MirrorOptions, Watching } from 'devfuse/mirror'

/** A server that hangs is killed after so many seconds: every caller on its mount then returns. */
const LIFETIME = 100

export interface Known {
  inodes: number
  pathDescriptors: number
  operations: Record<string, { count: number }>
  passthrough: { opens: number; fallbacks: Record<string, number> }
  warnings: string[]
  pid: number
  watching?: Watching
}

export interface Place {
  src?: string
  mnt?: string
  /** Words before the command, such as `prlimit --nofile=256`. */
  prefix?: string[]
  /** Seconds after which the server is killed. */
  lifetime?: number
}

/** A directory of this test's own, open to every user. */
export function temporary(): string {
  const dir = mkdtempSync(join(tmpdir(), 'devfuse-mirror-'))
  chmodSync(dir, 0o755)
  return dir
}

export class Mirrored {
  readonly src: string
  readonly mnt: string
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #dir: string | undefined

  private constructor(src: string, mnt: string, child: ChildProcess, dir: string | undefined) {
    this.src = src
    this.mnt = mnt
    this.#child = child
    this.#dir = dir
    this.#lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  }

  static async start(options: MirrorOptions = {}, place: Place = {}): Promise<Mirrored> {
    const dir = place.src === undefined || place.mnt === undefined ? temporary() : undefined
    const src = place.src ?? join(dir!, 'src')
    const mnt = place.mnt ?? join(dir!, 'mnt')
    for (const one of [src, mnt]) mkdirSync(one, { recursive: true })
    const server = join(import.meta.dirname, 'server.js')
    const words = [
      '-s',
      'KILL',
      `${place.lifetime ?? LIFETIME}`,
      ...(place.prefix ?? []),
      process.execPath,
      server,
    ]
    const child = spawn('timeout', [...words, src, mnt, JSON.stringify(options)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    const mirrored = new Mirrored(src, mnt, child, dir)
    const { value } = await mirrored.#lines.next()
    if (value !== 'ready') throw new Error(`the server did not start: ${String(value)}`)
    return mirrored
  }

  /** The server itself writes a file, beside its mount. */
  write(path: string, text: string): void {
    this.#child.stdin!.write(`write ${path} ${text}\n`)
  }

  /** What the server knows and counts. */
  async known(): Promise<Known> {
    this.#child.stdin!.write('known\n')
    const { value } = await this.#lines.next()
    return JSON.parse(value as string) as Known
  }

  /** Unmounts, waits for the server's end, and removes the directories. */
  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.stdin!.end()
    await ended
    if (this.#dir !== undefined) rmSync(this.#dir, { recursive: true, force: true })
  }
}
