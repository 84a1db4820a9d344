// The guard's word to the author: a request that waited for the thread that should have answered it was answered EDEADLK
// (native/guard.c); here that becomes a warning which names the cause and the fix.
import { operations } from '../protocol/index.js'
import type { Transport } from '../device/transport.js'
import { warning } from './errors.js'
import type { DevfuseWarning } from './errors.js'

/** What the thread was waiting for, by the number that the addon gives it. */
const CAUSES: Record<number, (mountPoint: string, pid: number) => string> = {
  1: (mountPoint) =>
    `a sync call on ${mountPoint} was made by the very thread that serves it, so that nobody was left to answer`,
  2: (mountPoint, pid) =>
    `a program was started (process ${pid}), and its start uses ${mountPoint}: its working directory or its file lies there, or it ` +
    'inherited a file of it. The thread that serves the mount waits until the program runs, so that nobody was left to answer',
  3: (mountPoint, pid) =>
    `process ${pid} uses ${mountPoint}, and the thread that serves the mount waits for its end (execFileSync, spawnSync), so that ` +
    'nobody was left to answer',
  4: (mountPoint, pid) =>
    `a sync call on ${mountPoint} was made by the very thread that serves it, and waits for a file, name or page that a call of ` +
    `thread ${pid} has locked, which nobody was left to answer`,
}

const FIX =
  'Let a worker thread serve the mount: mount(mountPoint, new URL(...)) with the URL of a module that exports the filesystem; or ' +
  'use async functions, or another process'

/** Counts what the guard of one session has done, and reports each cause once. */
export class Guard {
  /** Requests answered EDEADLK. */
  deadlocks = 0
  readonly #mountPoint: string
  readonly #report: (problem: DevfuseWarning) => void
  readonly #reported = new Set<number>()

  constructor(mountPoint: string, report: (problem: DevfuseWarning) => void) {
    this.#mountPoint = mountPoint
    this.#report = report
  }

  /** Watches over the calling thread from now on, where the transport and the machine can. */
  begin(transport: Transport): void {
    transport.guard?.((verdict, opcode, pid) => this.#ended(verdict, opcode, pid), this.#mountPoint)
  }

  /** Watches no more; what was not reported yet is, at once. */
  end(transport: Transport): void {
    transport.guard?.(null, '')
  }

  #ended(verdict: number, opcode: number, pid: number): void {
    this.deadlocks++
    if (this.#reported.has(verdict)) return
    this.#reported.add(verdict)
    const cause = CAUSES[verdict](this.#mountPoint, pid)
    const name = operations[opcode]?.name ?? `request ${opcode}`
    this.#report(warning('ERR_DEVFUSE_DEADLOCK', `${cause}: ${name} failed with EDEADLK. ${FIX}`))
  }
}
