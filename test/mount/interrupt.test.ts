// Callers that are interrupted or killed while a handler does not answer: none stays behind, and what a late answer would
// have given out is taken back.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { ENOENT } from 'devfuse'
import type { Attr, Direntplus, Filesystem } from 'devfuse'
import { cleanup, mounted, sh, skip } from '../support/mounting.js'

const DIRECT_IO = 1
const FILE_SIZE = 1 << 20

function attr(nodeid: number): Attr {
  const mode = nodeid === 1 ? 0o040755 : 0o100644
  const size = nodeid === 1 ? 0 : FILE_SIZE
  return { ino: nodeid, mode, size, nlink: 1, uid: 0, gid: 0, blocks: 0, atime: 0, mtime: 0, ctime: 0 }
}

/** Any name is a file, until a handler of `more` says otherwise. */
function anything(more: Filesystem): Filesystem {
  return {
    lookup: ({ name }) => (name.startsWith('f') ? { nodeid: 2, attr: attr(2) } : ENOENT),
    getattr: ({ nodeid }) => ({ attr: attr(nodeid) }),
    ...more,
  }
}

function start(
  t: TestContext,
  file: string,
  ...args: string[]
): { child: ChildProcess; gone: Promise<number> } {
  const child = spawn(file, args, { stdio: 'ignore' })
  cleanup(t, () => child.kill('SIGKILL'))
  // What is left of a process that waits for a mount cannot be awaited: that is the failure this test looks for.
  child.unref()
  return { child, gone: once(child, 'exit').then(() => performance.now()) }
}

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let i = 0; i < 250; i++) {
    if (condition()) return
    await delay(20)
  }
  assert.fail(`${what}: not within 5 s`)
}

/** Milliseconds from the kill to the end of the process. */
async function killed(caller: { child: ChildProcess; gone: Promise<number> }): Promise<number> {
  const from = performance.now()
  caller.child.kill('SIGKILL')
  const end = await Promise.race([caller.gone, delay(5000, Infinity)])
  return end - from
}

describe('killed callers', { skip, timeout: 120_000 }, () => {
  it('200 of them, blocked in reads that are never answered, are gone within 2 seconds', async (t) => {
    const CALLERS = 200
    let reading = 0
    const { mnt, session } = await mounted(
      t,
      anything({
        open: () => ({ openFlags: DIRECT_IO }),
        read: ({ offset, nodeid }) => {
          reading++
          return nodeid === 2 ? new Promise(() => undefined) : Buffer.from(offset === 0 ? 'fine' : '')
        },
        lookup: ({ name }) => ({ nodeid: name === 'well' ? 3 : 2, attr: attr(name === 'well' ? 3 : 2) }),
      }),
    )
    const round = async (): Promise<number> => {
      reading = 0
      const callers = Array.from({ length: CALLERS }, () => start(t, 'cat', `${mnt}/file`))
      await until('all blocked', () => reading >= CALLERS)
      assert.equal(session.stats().inFlight, CALLERS)
      const took = await Promise.all(callers.map(killed))
      assert.equal(session.stats().inFlight, 0)
      assert.equal(await sh(`cat ${mnt}/well`), 'fine')
      return Math.max(...took)
    }
    for (let i = 1; i <= 3; i++) {
      const slowest = await round()
      t.diagnostic(
        `round ${i}: the last of ${CALLERS} callers was gone ${Math.round(slowest)} ms after its SIGKILL`,
      )
      assert.ok(slowest < 2000, `${slowest} ms`)
    }
    // Each interrupted request was answered once, by the session.
    assert.equal(session.stats().operations['READ']?.errors, 3 * CALLERS)
  })

  it('a handler that listens to its signal settles before the session does', async (t) => {
    let errors = 0
    const { mnt, session } = await mounted(
      t,
      anything({
        open: () => ({ openFlags: DIRECT_IO }),
        read: ({ signal }) =>
          new Promise((_, fail) =>
            signal.addEventListener('abort', () => (errors++, fail(signal.reason as Error))),
          ),
      }),
      { interruptGrace: 60_000 },
    )
    const caller = start(t, 'cat', `${mnt}/file`)
    await until('blocked', () => session.stats().inFlight === 1)
    assert.ok((await killed(caller)) < 500)
    assert.equal(errors, 1)
  })

  it('a caller that lives on waits for its answer, however long that takes', async (t) => {
    const { mnt, session } = await mounted(
      t,
      anything({
        open: () => ({ openFlags: DIRECT_IO }),
        read: ({ offset }) => delay(1500, Buffer.from(offset === 0 ? 'late' : '')),
      }),
      { interruptGrace: 100 },
    )
    const perl = String.raw`$SIG{USR1} = sub { print "caught " }; open(my $f, "<", "${mnt}/file"); sysread($f, my $got, 4); print "got $got\n"`
    const child = spawn('perl', ['-e', perl], { stdio: ['ignore', 'pipe', 'inherit'] })
    cleanup(t, () => child.kill('SIGKILL'))
    await until('blocked', () => session.stats().inFlight === 1)
    child.kill('SIGUSR1')
    const [said] = (await once(child.stdout, 'data')) as [Buffer]
    assert.equal(said.toString(), 'caught got late\n')
    // The signal was told, though; and a kill that comes after it still counts.
    assert.equal(session.stats().operations['INTERRUPT']?.count, 1)
    const again = start(t, 'cat', `${mnt}/file`)
    await until('blocked', () => session.stats().inFlight === 1)
    again.child.kill('SIGSTOP')
    again.child.kill('SIGCONT')
    await delay(300)
    assert.ok((await killed(again)) < 1000)
  })

  it('what a late answer gives out is taken back', async (t) => {
    const given: string[] = []
    const back: string[] = []
    let settle: () => void = () => undefined
    const stuck = <T>(value: T): Promise<T> => new Promise((done) => (settle = () => done(value)))
    const { mnt, session, warnings } = await mounted(
      t,
      anything({
        lookup: ({ name }) =>
          name === 'file'
            ? { nodeid: 2, attr: attr(2) }
            : name === 'dir'
              ? { nodeid: 9, attr: { ...attr(9), mode: 0o040755 } }
              : name === 'stuck'
                ? (given.push('lookup'), stuck({ nodeid: 5, attr: attr(5) }))
                : ENOENT,
        getattr: ({ nodeid }) => ({
          attr: nodeid === 9 ? { ...attr(9), mode: 0o040755 } : attr(nodeid),
        }),
        open: ({ nodeid }) => (given.push(`open ${nodeid}`), stuck({ fh: 41 })),
        create: () => (given.push('create'), stuck({ nodeid: 6, attr: attr(6), fh: 42 })),
        mkdir: () => (given.push('mkdir'), stuck({ nodeid: 7, attr: { ...attr(7), mode: 0o040755 } })),
        opendir: ({ nodeid }) => (nodeid === 1 ? { fh: 1 } : (given.push('opendir'), stuck({ fh: 43 }))),
        readdirplus: () => (
          given.push('readdirplus'),
          stuck<Direntplus[]>([{ name: 'x', nodeid: 8, attr: attr(8) }])
        ),
        release: ({ nodeid, fh }) => void back.push(`release ${nodeid} ${fh}`),
        releasedir: ({ nodeid, fh }) => void (nodeid !== 1 && back.push(`releasedir ${nodeid} ${fh}`)),
        forget: ({ nodeid }) => void (nodeid !== 2 && nodeid !== 9 && back.push(`forget ${nodeid}`)),
      }),
      { interruptGrace: 50 },
    )
    const cases: [string[], string, string[]][] = [
      [['stat', `${mnt}/stuck`], 'lookup', ['forget 5']],
      [['cat', `${mnt}/file`], 'open 2', ['release 2 41']],
      [['sh', '-c', `exec 3> ${mnt}/new`], 'create', ['release 6 42', 'forget 6']],
      [['mkdir', `${mnt}/made`], 'mkdir', ['forget 7']],
      [['ls', `${mnt}/dir`], 'opendir', ['releasedir 9 43']],
      [['ls', '-f', mnt], 'readdirplus', ['forget 8']],
    ]
    for (const [[file = '', ...args], operation, expected] of cases) {
      given.length = back.length = 0
      const caller = start(t, file, ...args)
      await until(`${operation} asked`, () => given.includes(operation))
      assert.ok((await killed(caller)) < 2000, operation)
      assert.equal(session.stats().inFlight, 0, operation)
      assert.deepEqual(back, [], operation)
      settle()
      await until(`${operation} taken back`, () => back.length >= expected.length)
      assert.deepEqual(back, expected, operation)
    }
    assert.deepEqual(warnings, [])
  })

  it('a lock that is granted late is given back', async (t) => {
    const back: string[] = []
    let grant: () => void = () => undefined
    let asked = 0
    const { mnt, session } = await mounted(
      t,
      anything({
        setlk: ({ lk, flock }) => void back.push(`setlk ${lk.type} ${flock ? 'flock' : 'posix'}`),
        setlkw: () => new Promise<void>((done) => (asked++, (grant = done))),
      }),
      { interruptGrace: 50 },
    )
    const caller = start(t, 'flock', `${mnt}/file`, 'true')
    await until('asked', () => asked === 1)
    assert.ok((await killed(caller)) < 2000)
    grant()
    await until('given back', () => back.length > 0)
    assert.deepEqual(back, ['setlk 2 flock'])
    assert.equal(session.stats().inFlight, 0)
  })

  it('an async listing that never goes on lets its caller go', async (t) => {
    let waits = 0
    const { mnt, session } = await mounted(
      t,
      anything({
        async *readdir() {
          yield { name: 'f1', ino: 2, type: 8 }
          waits++
          await new Promise(() => undefined)
        },
      }),
      { interruptGrace: 50 },
    )
    const caller = start(t, 'ls', mnt)
    await until('waits', () => waits === 1)
    assert.equal(session.stats().inFlight, 1)
    assert.ok((await killed(caller)) < 2000)
    assert.equal(session.stats().inFlight, 0)
  })
})
