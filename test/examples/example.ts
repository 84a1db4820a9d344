// Runs an example as its reader would, in a process of its own, until the test is over: then SIGINT, and nothing may be left.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { findMount } from '#dist/device/mountinfo.js'
import { cleanup, run, temporary } from '../support/mounting.js'

const folder = fileURLToPath(new URL('../../examples/', import.meta.url))

export interface Example {
  mnt: string
  pid: number
  /** What it printed so far. */
  output: () => string
  /** Ctrl-C; settles when the example has ended and its mount is gone. */
  stop: () => Promise<void>
}

/** Path of a built example. */
export const built = (name: string): string => join(folder, `${name}.js`)

/** Starts `examples/<name>.ts` with a mount point and `args`; resolves once it is mounted. */
export function example(t: TestContext, name: string, ...args: string[]): Promise<Example> {
  return exampleWith(t, {}, name, ...args)
}

/** The same with another Node, or with variables in its environment. */
export async function exampleWith(
  t: TestContext,
  { node = process.execPath, env = {} }: { node?: string; env?: NodeJS.ProcessEnv },
  name: string,
  ...args: string[]
): Promise<Example> {
  const mnt = join(temporary(t), 'mnt')
  mkdirSync(mnt)
  const child = spawn(node, [built(name), mnt, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...env },
  })
  let output = ''
  const exit = new Promise<void>((done) => child.once('close', () => done()))
  const mounted = new Promise<void>((done) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
        if (output.includes('mounted')) done()
      })
    }
  })
  const stop = async (): Promise<void> => {
    child.kill('SIGINT')
    const late = setTimeout(() => child.kill('SIGKILL'), 10_000)
    await exit
    clearTimeout(late)
    const left = findMount(mnt)
    if (left !== undefined) await run('umount', ['-l', mnt], { timeout: 5000 })
    assert.equal(left, undefined, `${name} left its mount behind: ${output}`)
    assert.notEqual(child.signalCode, 'SIGKILL', `${name} did not end`)
  }
  cleanup(t, () => (child.exitCode === null && child.signalCode === null ? stop() : undefined))
  await Promise.race([mounted, exit])
  assert.ok(findMount(mnt) !== undefined, `${name} did not mount: ${output}`)
  return { mnt, pid: child.pid ?? 0, output: () => output, stop }
}
