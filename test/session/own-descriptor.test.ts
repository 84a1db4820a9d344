// Data that the library serves from descriptors of its own, while the file is opened again or closed: a number that is free too early is
// somebody else's file. Against the fake kernel, with jobs of the pool that have to wait.
import assert from 'node:assert/strict'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { FakeKernel } from '#dist/device/fake-kernel.js'
import { NR, closeAll, native, pipe } from '../native/calls.js'
import { openFiles } from '../support/descriptors.js'
import { serve } from '../support/fake-session.js'
import { cleanup, temporary } from '../support/mounting.js'
import { settled } from '../support/one-file.js'

const EINTR = -4
const O_RDONLY = 0
const O_WRONLY = 1
const O_RDWR = 2
const THREADS = 16

/** Keeps every thread of the pool waiting until the returned function is called. */
function busyPool(t: TestContext): () => Promise<unknown> {
  const pipes = Array.from({ length: THREADS }, () => pipe())
  const reads = pipes.map(([output]) => native.syscallAsyncUtf8(NR.read, output, new Uint8Array(1), 1))
  let open = true
  const goOn = async (): Promise<void> => {
    if (!open) return
    open = false
    for (const [, input] of pipes) native.syscallUtf8(NR.write, input, Buffer.from('x'), 1)
    await Promise.all(reads)
    for (const ends of pipes) closeAll(...ends)
  }
  cleanup(t, goOn)
  return goOn
}

/** Lets reads wait as one from a slow disk would. */
class SlowReads extends FakeKernel {
  readonly #gate: Promise<void>
  constructor(gate: Promise<void>) {
    super()
    this.#gate = gate
  }
  override async replyFromFd(...args: Parameters<FakeKernel['replyFromFd']>): Promise<number> {
    await this.#gate
    return await super.replyFromFd(...args)
  }
}

/** One file that all share one handle of, with its data served by the library. */
async function bed(t: TestContext, kernel?: FakeKernel) {
  const folder = temporary(t)
  const [real, victim] = [join(folder, 'real'), join(folder, 'victim')]
  writeFileSync(real, 'real')
  writeFileSync(victim, 'victim')
  const fds: number[] = []
  const on = await serve(
    {
      open: () => {
        if (fds.length === 0) fds.push(openSync(real, 'r+'))
        return { fh: 1, passthrough: fds[0] }
      },
      release: () => {
        for (const fd of fds.splice(0)) closeSync(fd)
      },
    },
    { passthrough: 'off', interruptGrace: 10 },
    kernel,
  )
  const open = async (flags: number): Promise<void> => {
    assert.equal((await on.kernel.request('open', { nodeid: 2, flags })).error, 0)
  }
  const close = () => on.kernel.request('release', { nodeid: 2, fh: 1 })
  // Takes every number that has become free.
  const takeNumbers = () => {
    const taken = Array.from({ length: 8 }, () => openSync(victim, 'r+'))
    cleanup(t, () => closeAll(...taken))
  }
  const read = (path: string) => readFileSync(path, 'utf8')
  return { ...on, open, close, takeNumbers, real: () => read(real), victim: () => read(victim), path: real }
}

/** Descriptors of this process that lead to `path`. */
const descriptorsOf = (path: string): number => openFiles().filter((link) => link === path).length

describe('a write of the library', { timeout: 60_000 }, () => {
  // More than a thread writes by itself.
  const data = 'WROTE'.repeat(100_000)
  const write = { nodeid: 2, fh: 1, offset: 0, data: Buffer.from(data), pid: 4_000_000 }

  for (const [what, flags] of [
    ['in the same mode', O_RDWR],
    ['in another mode', O_WRONLY],
  ] as const) {
    it(`goes to its file, opened again ${what} meanwhile`, async (t) => {
      const on = await bed(t)
      await on.open(O_RDWR)
      const goOn = busyPool(t)
      const written = on.kernel.request('write', write)
      await on.open(flags)
      on.takeNumbers()
      await goOn()
      assert.equal((await written)['value'], data.length)
      assert.deepEqual([on.real(), on.victim()], [data, 'victim'])
      await on.close()
      await on.close()
      assert.equal(descriptorsOf(on.path), 0)
    })
  }

  it('goes to its file, whose writer was killed and closed it', async (t) => {
    const on = await bed(t)
    await on.open(O_RDWR)
    const goOn = busyPool(t)
    const { unique, promise } = on.kernel.post('write', write)
    on.kernel.tell('interrupt', { interrupted: unique })
    assert.equal((await promise).error, EINTR)
    await on.close()
    on.takeNumbers()
    await goOn()
    await settled(() => descriptorsOf(on.path) === 0)
    assert.deepEqual([on.real(), on.victim()], [data, 'victim'])
  })
})

describe('a read of the library', { timeout: 60_000 }, () => {
  it('comes from its file, opened again in another mode meanwhile', async (t) => {
    let goOn = (): void => undefined
    const on = await bed(t, new SlowReads(new Promise((done) => (goOn = done))))
    await on.open(O_RDONLY)
    const got = on.kernel.request('read', { nodeid: 2, fh: 1, offset: 0, size: 10 })
    await on.open(O_RDWR)
    on.takeNumbers()
    goOn()
    assert.equal(String((await got)['data']), 'real')
    await on.close()
    await on.close()
    await settled(() => descriptorsOf(on.path) === 0)
  })
})

describe('an open that ends while its handler still closes the file', () => {
  it('is nothing that the next one would have to join, on another real file', async (t) => {
    const folder = temporary(t)
    const fds = ['lower', 'upper'].map((name) => {
      writeFileSync(join(folder, name), name)
      return openSync(join(folder, name), 'r')
    })
    cleanup(t, () => closeAll(...fds))
    let opened = 0
    let goOn = (): void => undefined
    const { kernel, session } = await serve({
      open: () => ({ fh: opened, passthrough: fds[opened++] }),
      release: () => new Promise<void>((done) => (goOn = done)),
    })
    await kernel.request('open', { nodeid: 2, flags: O_RDONLY })
    const released = kernel.request('release', { nodeid: 2, fh: 0 })
    await kernel.request('open', { nodeid: 2, flags: O_RDONLY })
    const { opens, backingIds, fallbacks } = session.stats().passthrough
    assert.deepEqual({ opens, backingIds, fallbacks }, { opens: 2, backingIds: 1, fallbacks: {} })
    goOn()
    assert.equal((await released).error, 0)
    assert.equal(session.stats().passthrough.backingIds, 1)
  })
})
