// What a row of the kernel matrix is, and what its checks have in common.
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { TestContext } from 'node:test'
import type { Filesystem, Session, SessionOptions } from 'devfuse'
import { compiled, mounted, run } from '../support/mounting.js'
import { Memory } from './memory.js'

/** A row that is proved: which system call provoked what, and the proof itself. */
export interface Check {
  call: string
  shows: string
  /** What is proved is that the library refuses, with the reason. */
  refusal?: boolean
  prove(t: TestContext): Promise<void>
}

/** A row that this kernel, or any, cannot be made to show on /dev/fuse. */
export interface Cannot {
  cannot: string
}

/** One row for each name of a table: the compiler notices a missing one. */
export type Rows<Name extends string> = Record<Name, Check | Cannot>

export interface Mounted {
  memory: Memory
  session: Session
  mnt: string
  warnings: string[]
}

/** A mount of the recording filesystem. */
export async function recording(
  t: TestContext,
  options: SessionOptions = {},
  more?: Filesystem | ((memory: Memory) => Filesystem),
): Promise<Mounted> {
  const memory = new Memory()
  memory.put('file', 'content of file')
  const made = typeof more === 'function' ? more(memory) : memory.filesystem(more)
  const mount = { memory, ...(await mounted<SessionOptions>(t, made, options)) }
  sessions.set(t, [...(sessions.get(t) ?? []), mount.session])
  return mount
}

const sessions = new WeakMap<TestContext, Session[]>()

/** How often an operation came from the kernel to the mounts of a check. */
export function watched(t: TestContext, operation: string): number {
  const counts = (sessions.get(t) ?? []).map((session) => session.stats().operations[operation]?.count ?? 0)
  return counts.reduce((sum, count) => sum + count, 0)
}

/** Runs test/kernel/provoke.c: what it printed. Errors are printed by name, too. */
export async function provoke(
  operation: string,
  path: string,
  ...args: (string | number)[]
): Promise<string> {
  return await provokeAs(0, operation, path, ...args)
}

/** The same as another user. */
export async function provokeAs(
  uid: number,
  operation: string,
  path: string,
  ...args: (string | number)[]
): Promise<string> {
  const { code, stdout, stderr } = await run(
    compiled('test/kernel/provoke.c'),
    [operation, path, ...args.map(String)],
    uid === 0 ? {} : { uid, gid: uid },
  )
  assert.ok(code <= 1, `provoke ${operation}: exit status ${code} ${stderr}`)
  return stdout.trim()
}

/** Waits for what follows a system call without its caller waiting for it. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  for (let i = 0; i < 250; i++) {
    if (condition()) return
    await delay(20)
  }
  assert.fail(`${what}: not within 5 s`)
}
