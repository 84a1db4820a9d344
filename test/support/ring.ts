// FUSE over io_uring in tests: turned on for a test where root may, and left as it was found.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { whyNoRing } from '#dist/device/ring-support.js'
import { cleanup, skip } from './mounting.js'

const PARAMETER = '/sys/module/fuse/parameters/enable_uring'

/** Why mounts over io_uring cannot be tested here, false where they can. */
export const noRing: string | false =
  skip || (existsSync(PARAMETER) ? withRing(whyNoRing) : whyNoRing()) || false

function withRing<T>(step: () => T): T {
  const before = readFileSync(PARAMETER, 'latin1').trim()
  try {
    writeFileSync(PARAMETER, 'Y')
    return step()
  } catch (error) {
    return `${PARAMETER} cannot be written: ${String(error)}` as T
  } finally {
    if (before !== 'Y') writeFileSync(PARAMETER, before)
  }
}

/** Turns it on until the end of the test; other tests may be at it, so it is never turned off under them. */
export function turnRingOn(t: TestContext): void {
  const before = readFileSync(PARAMETER, 'latin1').trim()
  if (before === 'Y') return
  writeFileSync(PARAMETER, 'Y')
  cleanup(t, () => writeFileSync(PARAMETER, before))
}
