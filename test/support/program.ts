// A program that mounts and then uses its own mount, run as a child process: should it hang, it is killed and its mount
// taken away, and only its test fails.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { readMountInfo } from '#dist/device/mountinfo.js'
import { abortMount, cleanup, sh, temporary } from './mounting.js'

/** URL of a module of the tests, from the path of its built file below test/. */
export const moduleUrl = (path: string): string => new URL(`../${path}`, import.meta.url).href

export const isMounted = (mnt: string): boolean =>
  readMountInfo().some(({ mountPoint }) => mountPoint === mnt)

export interface Place {
  mnt: string
  /** A directory with `file`, the text `hello`, and `tool`, a script that prints `ran`. */
  source: string
}

/** An empty mount point and a directory to show there. Whatever is mounted there after the test is aborted and detached. */
export function places(t: TestContext): Place {
  const folder = temporary(t)
  const mnt = join(folder, 'mnt')
  const source = join(folder, 'source')
  mkdirSync(mnt)
  mkdirSync(source)
  writeFileSync(join(source, 'file'), 'hello\n')
  writeFileSync(join(source, 'tool'), '#!/bin/sh\necho ran\n', { mode: 0o755 })
  cleanup(t, () => tidy(mnt))
  return { mnt, source }
}

async function tidy(mnt: string): Promise<void> {
  for (const { mountPoint } of readMountInfo()) {
    if (mountPoint !== mnt) continue
    abortMount(mnt)
    await sh(`umount -l ${mnt}`)
  }
}

export interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
  /** What the program printed as its last line, as JSON. */
  result: unknown
}

export interface Running {
  ended: Promise<Ended>
  pid: number
  output(): string
  /** Waits until the program has printed the word. */
  prints(word: string): Promise<void>
}

/** What every program of these tests can use. */
const PRELUDE = `
  import { mount } from 'devfuse'
  import { mirror, mountMirror } from 'devfuse/mirror'
  import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process'
  import { once } from 'node:events'
  import fs from 'node:fs'
  import { setTimeout as delay } from 'node:timers/promises'
  const print = (value) => fs.writeSync(1, JSON.stringify(value) + '\\n')
  const warnings = []
  const onWarning = ({ code, message }) => warnings.push(code + ': ' + message)
`

/** Starts a program: ES module source after {@link PRELUDE}, in a process that is killed after `timeout` ms. */
export function start(
  t: TestContext,
  source: string,
  { env = {}, timeout = 20_000 }: { env?: NodeJS.ProcessEnv; timeout?: number } = {},
): Running {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PRELUDE + source], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...env },
    timeout,
    killSignal: 'SIGKILL',
  })
  cleanup(t, () => child.kill('SIGKILL'))
  // Kernel: a process that waits for its own mount does not even die, unless its connection ends.
  const late = setTimeout(() => {
    for (const { mountPoint } of readMountInfo())
      if (source.includes(JSON.stringify(mountPoint))) abortMount(mountPoint)
  }, timeout + 500)
  child.once('exit', () => clearTimeout(late))
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = once(child, 'close').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
    stdout,
    stderr,
    result: lastLine(stdout),
  }))
  return {
    ended,
    pid: child.pid ?? -1,
    output: () => stdout + stderr,
    async prints(word) {
      for (let i = 0; i < 1000 && !stdout.includes(word) && child.exitCode === null; i++)
        await new Promise((done) => setTimeout(done, 10))
      assert.ok(stdout.includes(word), `${word} is not in: ${stdout}${stderr}`)
    },
  }
}

/** Runs a program to its end; fails the test unless it exits 0. Returns what it printed last. */
export async function result(
  t: TestContext,
  source: string,
  options?: Parameters<typeof start>[2],
): Promise<unknown> {
  const ended = await start(t, source, options).ended
  assert.equal(ended.code, 0, `${ended.signal ?? ''} ${ended.stdout}${ended.stderr}`)
  return ended.result
}

function lastLine(text: string): unknown {
  try {
    return JSON.parse(text.trimEnd().split('\n').at(-1) ?? '')
  } catch {
    return undefined
  }
}
