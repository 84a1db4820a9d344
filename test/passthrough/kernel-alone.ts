// Takes the library's own rules of passthrough away, so that a test sees what the kernel does with an answer.
import type { TestContext } from 'node:test'
import { Passthrough } from '#dist/session/passthrough.js'
import type { OpenChoice } from '#dist/session/passthrough.js'
import { mountWithSingleFiles } from '../support/mounting.js'

/** Until the end of the test, `open` replies go to the kernel as they are: `{ fh, openFlags, backingId }`. */
export function withoutRules(t: TestContext): void {
  mountWithSingleFiles(t)
  t.mock.method(Passthrough.prototype, 'open', (_: number, choice: OpenChoice) => {
    const { fh = 0, openFlags = 0, backingId = 0 } = choice
    return { fh, openFlags, backingId }
  })
  t.mock.method(Passthrough.prototype, 'release', () => undefined)
}
