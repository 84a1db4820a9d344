// What the answer to an open becomes, and which file its data come from: the rules of passthrough against the fake kernel.
import assert from 'node:assert/strict'
import { constants, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { FOPEN_DIRECT_IO, FOPEN_PASSTHROUGH } from 'devfuse'
import type { BackingId, OpenReply, Session, SessionOptions } from 'devfuse'
import { closeAll } from '../native/calls.js'
import { serve } from '../support/fake-session.js'
import { cleanup, run, sh, temporary } from '../support/mounting.js'
import { as } from '../support/server.js'

const EBADF = -9
const { O_RDONLY, O_WRONLY, O_RDWR, O_NONBLOCK } = constants

/** A session whose opens are answered one after the other, by `answers`. */
async function bed(answers: (fh: number, session: Session) => OpenReply, options: SessionOptions = {}) {
  let next = 1
  const on = await serve({ open: () => answers(next++, on.session) }, options)
  const open = (flags: number) => on.kernel.request('open', { nodeid: 2, flags })
  const read = async (fh: number) => {
    const { error, data } = await on.kernel.request('read', { nodeid: 2, fh, offset: 0, size: 10 })
    return error === 0 ? String(data) : error
  }
  return { ...on, open, read }
}

/** Two real files. */
function files(t: TestContext): { x: number; y: number } {
  const folder = temporary(t)
  const [x, y] = ['x', 'y'].map((name) => {
    writeFileSync(join(folder, name), `in ${name}`)
    return openSync(join(folder, name), 'r+')
  })
  cleanup(t, () => closeAll(x, y))
  return { x, y }
}

describe('an open of the easy form beside an explicit one', () => {
  /** What the open of `fd` is answered while the inode is open with `backing`, which is made from `x`. */
  async function beside(t: TestContext, which: 'x' | 'y', form: 'opened' | 'wrapped' | 'bare') {
    const both = files(t)
    let backing: BackingId | undefined
    const on = await bed((fh, session) => {
      if (fh > 1) return { fh, passthrough: both[which] }
      backing = session.openBacking(both.x)
      if (form === 'opened') return { fh, backing }
      if (form === 'bare') return { fh, openFlags: FOPEN_PASSTHROUGH, backingId: backing.id }
      return { fh, backing: (backing = session.wrapBacking(backing.intoRaw())) }
    })
    assert.equal((await on.open(O_RDWR))['openFlags'], FOPEN_PASSTHROUGH)
    const { openFlags, backingId } = await on.open(O_RDWR)
    assert.equal(backingId, backing?.id)
    const data = await on.read(2)
    backing?.close()
    return { openFlags, data, fallbacks: Object.keys(on.session.stats().passthrough.fallbacks) }
  }

  it('joins it, where the same real file stands behind both', async (t) => {
    const { openFlags, fallbacks } = await beside(t, 'x', 'opened')
    assert.deepEqual([openFlags, fallbacks], [FOPEN_PASSTHROUGH, []])
  })

  it('is served from its own descriptor where another real file stands behind that one', async (t) => {
    const { openFlags, data, fallbacks } = await beside(t, 'y', 'opened')
    assert.deepEqual([openFlags, data], [FOPEN_PASSTHROUGH | FOPEN_DIRECT_IO, 'in y'])
    assert.match(fallbacks.join(), /another real file.*mmap/)
  })

  for (const form of ['wrapped', 'bare'] as const) {
    it(`is served from its own descriptor where nobody knows what stands behind a ${form} id`, async (t) => {
      const { openFlags, data, fallbacks } = await beside(t, 'y', form)
      assert.deepEqual([openFlags, data], [FOPEN_PASSTHROUGH | FOPEN_DIRECT_IO, 'in y'])
      assert.match(fallbacks.join(), /nobody knows which real file/)
    })
  }
})

describe('data that the library serves', { timeout: 60_000 }, () => {
  /** What a process of its own prints that serves `fd`, opened with `flags`, and then runs `script`. */
  async function elsewhere(flags: number, path: string, options: SessionOptions, script: string, user = 0) {
    const support = JSON.stringify(new URL('../support/fake-session.js', import.meta.url))
    const source = `
      import { openSync } from 'node:fs'
      import { serve } from ${support}
      const fd = openSync(${JSON.stringify(path)}, ${flags})
      const { kernel } = await serve({ open: () => ({ fh: 1, passthrough: fd }) }, ${JSON.stringify(options)})
      const ask = async (name, more) => (await kernel.request(name, { nodeid: 2, fh: 1, offset: 0, ...more })).error
      console.log(await ask('open', { flags: ${flags} }), ${script})`
    const [file, ...args] = [...as(user), process.execPath, '--input-type=module', '-e', source]
    const { stdout, stderr } = await run(file, args, { timeout: 20_000 })
    return stdout + stderr
  }

  it('of a FIFO is an error, and nothing waits for its other end', async (t) => {
    const fifo = join(temporary(t), 'fifo')
    await sh(`mkfifo ${fifo}`)
    // A thread that waits inside open(2) hears of no time limit.
    const read = "await ask('read', { size: 1 })"
    assert.equal(await elsewhere(O_RDONLY | O_NONBLOCK, fifo, {}, read), '0 -29\n', 'ESPIPE')
  })

  const writeback: SessionOptions = { passthrough: 'off', want: ['FUSE_WRITEBACK_CACHE'] }

  it('with writeback can be read through a handle that only writes, as the kernel does for a page', async (t) => {
    const { x } = files(t)
    for (const [options, expected] of [
      [writeback, 'in x'],
      [{ passthrough: 'off' }, EBADF],
    ] as const) {
      const on = await bed((fh) => ({ fh, passthrough: x }), options)
      await on.open(O_WRONLY)
      assert.equal(await on.read(1), expected)
    }
  })

  it('with writeback can be written all the same where the file may not be read', async (t) => {
    const folder = temporary(t)
    const path = join(folder, 'file')
    writeFileSync(path, 'text')
    await sh(`chmod 755 ${folder}; chmod 222 ${path}`)
    const both = "await ask('write', { data: Buffer.from('more') }), await ask('read', { size: 1 })"
    assert.equal(await elsewhere(O_WRONLY, path, writeback, both, 65534), `0 0 ${EBADF}\n`)
    assert.equal(readFileSync(path, 'utf8'), 'more')
  })
})
