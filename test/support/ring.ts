// FUSE over io_uring in tests: turned on for a test where root may, and left as it was found. One test at a time has it.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { whyNoRing } from '#dist/device/ring-support.js'
import { cleanup, skip } from './mounting.js'

const PARAMETER = '/sys/module/fuse/parameters/enable_uring'
const LOCK = join(tmpdir(), 'devfuse-ring-lock')
const OWNER = join(LOCK, 'pid')
const PATIENCE = 60_000

/** Why mounts over io_uring cannot be tested here, false where they can. */
export const noRing: string | false = skip || whyNoneHere() || false

function whyNoneHere(): string | undefined {
  const reason = whyNoRing()
  if (reason === undefined || !existsSync(PARAMETER)) return reason
  try {
    writeFileSync(PARAMETER, readFileSync(PARAMETER))
    // Turned on it may still be impossible, which the first test then says.
    return /turned off/.test(reason) ? undefined : reason
  } catch (error) {
    return `${PARAMETER} cannot be written: ${String(error)}`
  }
}

/** Turns it on until the end of the test. */
export async function turnRingOn(t: TestContext): Promise<void> {
  if (held.has(t)) return
  held.add(t)
  await lock()
  cleanup(t, () => rmSync(LOCK, { recursive: true }))
  const before = readFileSync(PARAMETER, 'latin1').trim()
  if (before === 'Y') return
  writeFileSync(PARAMETER, 'Y')
  cleanup(t, () => writeFileSync(PARAMETER, before))
}

const held = new WeakSet<TestContext>()

async function lock(): Promise<void> {
  for (const end = performance.now() + PATIENCE; performance.now() < end;) {
    try {
      mkdirSync(LOCK)
      writeFileSync(OWNER, String(process.pid))
      return
    } catch {
      if (isStale()) rmSync(LOCK, { recursive: true, force: true })
      await new Promise((done) => setTimeout(done, 20))
    }
  }
  throw new Error(`${LOCK} is held by another test for more than ${PATIENCE} ms`)
}

function isStale(): boolean {
  try {
    return !existsSync(`/proc/${readFileSync(OWNER, 'latin1')}`)
  } catch {
    return false
  }
}
