// Locks on a mount whose handlers are a LockTable: two processes play the same scenes on it and on the filesystem of the
// temporary directory, and must get the same answers. The test prints both, side by side.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { ENOENT } from 'devfuse'
import type { Attr, Filesystem } from 'devfuse'
import { LockTable } from 'devfuse/inodes'
import { cleanup, compiled, mounted, run, sh, skip, temporary } from '../support/mounting.js'

const ROOT_MODE = 0o040755
const FILE_MODE = 0o100644

/** One file, `f`, whose locks are kept by a LockTable. */
function lockable(): Filesystem & { locks: LockTable } {
  const locks = new LockTable()
  const attr = (nodeid: number): Attr => ({
    ino: nodeid,
    mode: nodeid === 1 ? ROOT_MODE : FILE_MODE,
    nlink: 1,
    uid: 0,
    gid: 0,
    size: 0,
    blocks: 0,
    atime: 0,
    mtime: 0,
    ctime: 0,
  })
  let opens = 0
  return {
    locks,
    lookup: ({ name }) =>
      name === 'f' || name === 'g' ? { nodeid: name === 'f' ? 2 : 3, attr: attr(2) } : ENOENT,
    getattr: ({ nodeid }) => ({ attr: attr(nodeid) }),
    open: () => ({ fh: ++opens }),
    getlk: (request) => locks.getlk(request),
    setlk: (request) => locks.setlk(request),
    setlkw: (request) => locks.setlkw(request),
    flush: (request) => locks.flush(request),
    release: (request) => locks.release(request),
  }
}

/** A process that locks what it is told to. */
class Locker {
  readonly process: ChildProcessWithoutNullStreams
  readonly #lines: AsyncIterator<string>
  #waiting: Promise<string> | undefined

  constructor(t: TestContext) {
    this.process = spawn(compiled('test/mount/locks.c'), [])
    cleanup(t, () => this.process.kill('SIGKILL'))
    this.#lines = createInterface(this.process.stdout)[Symbol.asyncIterator]()
  }

  /** The answer to a command, or `waits` where none comes; {@link later} has it then. */
  async tell(command: string): Promise<string> {
    this.process.stdin.write(`${command}\n`)
    this.#waiting = this.#lines.next().then(({ value, done }) => (done ? 'died' : value))
    return await Promise.race([this.#waiting, delay(250, 'waits')])
  }

  /** The answer to the command that waited. */
  async later(): Promise<string> {
    return await Promise.race([this.#waiting ?? 'nothing', delay(5000, 'still waits')])
  }

  async kill(): Promise<string> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return 'gone'
    const gone = new Promise<string>((done) => this.process.once('exit', () => done('gone')))
    this.process.kill('SIGKILL')
    return await Promise.race([gone, delay(5000, 'unkillable')])
  }
}

// `a` and `b` are two processes, each with the file open as descriptor 1; `a later` is the answer to what waited.
const scenes: Record<string, string[]> = {
  'POSIX: conflicts by range': [
    'a set 1 w 0 10',
    'b set 1 w 10 10',
    'b set 1 w 5 10',
    'b get 1 w 5 10',
    'b get 1 r 0 0',
    'a get 1 w 0 0',
    'a set 1 u 0 5',
    'b set 1 r 0 5',
    'b set 1 r 4 2',
    'b get 1 w 0 0',
  ],
  'POSIX: split, merged and changed': [
    'a set 1 w 0 30',
    'a set 1 u 10 10',
    'b set 1 w 10 10',
    'b get 1 w 0 0',
    'b get 1 w 20 0',
    'b set 1 u 0 0',
    'a set 1 w 10 10',
    'b get 1 w 15 1',
    'a set 1 r 5 10',
    'b set 1 r 5 10',
    'b get 1 r 0 0',
    'b get 1 r 15 0',
    'a set 1 w 5 1',
  ],
  'POSIX: to the end of the file and beyond': [
    'a set 1 w 100 0',
    'b get 1 w 0 0',
    'b set 1 w 0 100',
    'b set 1 w 0 101',
    'a set 1 u 200 0',
    'b set 1 w 200 9223372036854775608',
    'a get 1 w 150 0',
  ],
  'POSIX: a waiter gets the lock when it is free': [
    'a set 1 w 0 10',
    'b wait 1 w 5 10',
    'a set 1 u 0 10',
    'b later',
    'a set 1 r 5 1',
  ],
  'POSIX: gone with any descriptor of the process': [
    'a set 1 w 0 10',
    'a open 2 FILE',
    'a close 2',
    'b set 1 w 0 10',
  ],
  'POSIX: gone with a killed holder, whose waiter gets it': [
    'a set 1 w 0 10',
    'b wait 1 w 0 10',
    'a kill',
    'b later',
  ],
  'POSIX: a killed waiter leaves nothing behind': [
    'a set 1 w 0 10',
    'b wait 1 w 0 10',
    'b kill',
    'a set 1 u 0 10',
    'a set 1 w 0 10',
  ],
  'POSIX: a signal ends the wait': [
    'a set 1 w 0 10',
    'b alarm 1',
    'b wait 1 w 0 10',
    'b later',
    'a get 1 w 0 10',
  ],
  'POSIX: a circle of waiters': [
    'a set 1 w 0 1',
    'b set 1 w 1 1',
    'a wait 1 w 1 1',
    'b wait 1 w 0 1',
    'b set 1 u 1 1',
    'a later',
  ],
  'POSIX: two files': ['a open 3 OTHER', 'a set 3 w 0 0', 'b set 1 w 0 0', 'b open 3 OTHER', 'b set 3 w 0 0'],
  'OFD: two descriptions of one process conflict': [
    'a open 2 FILE',
    'a ofdset 1 w 0 10',
    'a ofdset 2 w 0 10',
    'a ofdget 2 w 5 1',
    'b ofdset 1 w 0 10',
    'b set 1 w 0 10',
    'a ofdset 1 r 0 10',
    'a ofdset 2 r 0 10',
    'b set 1 r 0 10',
    'b set 1 w 0 10',
  ],
  'OFD: gone with the last duplicate, not before': [
    'a ofdset 1 w 0 10',
    'a dup 1 2',
    'a close 1',
    'b ofdset 1 w 0 10',
    'a close 2',
    'SETTLE',
    'b ofdset 1 w 0 10',
  ],
  'OFD: a waiter and a killed holder': ['a ofdset 1 w 0 10', 'b ofdwait 1 w 0 10', 'a kill', 'b later'],
  'OFD: a killed waiter': ['a ofdset 1 w 0 10', 'b ofdwait 1 w 0 10', 'b kill', 'a ofdset 1 u 0 10'],
  'flock: shared and exclusive': [
    'a flock 1 s',
    'b flock 1 sn',
    'b flock 1 xn',
    'a flock 1 u',
    'b flock 1 xn',
    'a flock 1 sn',
    'b flock 1 s',
    'a flock 1 sn',
  ],
  'flock: a failed change of kind loses the lock': [
    'a flock 1 s',
    'b flock 1 s',
    'a flock 1 xn',
    'b flock 1 xn',
    'a flock 1 sn',
  ],
  'flock: apart from POSIX locks': ['a flock 1 x', 'b set 1 w 0 0', 'b flock 1 xn', 'b get 1 w 0 0'],
  'flock: by open file, not by process': [
    'a open 2 FILE',
    'a flock 1 x',
    'a flock 2 xn',
    'a close 2',
    'b flock 1 xn',
    'a dup 1 2',
    'a close 1',
    'b flock 1 xn',
    'a flock 2 u',
    'b flock 1 xn',
  ],
  'flock: a waiter, and the last close': ['a flock 1 x', 'b flock 1 x', 'a close 1', 'b later'],
  'flock: a killed holder': ['a flock 1 x', 'b flock 1 x', 'a kill', 'b later'],
  'flock: a killed waiter': ['a flock 1 x', 'b flock 1 x', 'b kill', 'a flock 1 u', 'a flock 1 xn'],
  'flock: a signal ends the wait': ['a flock 1 x', 'b alarm 1', 'b flock 1 x', 'b later', 'a flock 1 xn'],
}

async function play(t: TestContext, directory: string, steps: string[]): Promise<string[]> {
  const players: Record<string, Locker> = { a: new Locker(t), b: new Locker(t) }
  for (const player of Object.values(players)) await player.tell(`open 1 ${directory}/f`)
  const answers: string[] = []
  for (const step of steps) {
    if (step === 'SETTLE') {
      // Kernel: close(2) does not wait for RELEASE.
      await delay(100)
      answers.push('')
      continue
    }
    const player = players[step[0]]
    const command = step.slice(2).replace('FILE', `${directory}/f`).replace('OTHER', `${directory}/g`)
    if (command === 'later') answers.push(await player.later())
    else if (command === 'kill') answers.push(await player.kill())
    else answers.push(await player.tell(command))
  }
  for (const player of Object.values(players)) await player.kill()
  return answers
}

describe('locks', { skip, timeout: 120_000 }, () => {
  for (const [title, steps] of Object.entries(scenes)) {
    it(title, async (t) => {
      const real = temporary(t)
      await sh(`touch ${real}/f ${real}/g`)
      const type = (await sh(`stat -f -c %T ${real}`)).trim()
      const filesystem = lockable()
      const { mnt, session } = await mounted(t, filesystem)
      const [theirs, ours] = await Promise.all([play(t, real, steps), play(t, mnt, steps)])
      const rows = steps.map((step, i) => `${step.padEnd(36)} ${(theirs[i] ?? '').padEnd(14)} ${ours[i]}`)
      t.diagnostic(`${title}\n${`step`.padEnd(36)} ${type.padEnd(14)} devfuse\n${rows.join('\n')}`)
      assert.deepEqual(ours, theirs)
      for (let i = 0; i < 100 && filesystem.locks.size > 0; i++) await delay(20)
      assert.equal(filesystem.locks.size, 0, 'locks are left after the last close')
      assert.equal(session.stats().inFlight, 0)
    })
  }

  it('waiters never starve other requests', async (t) => {
    const { mnt, session } = await mounted(t, lockable())
    const holder = new Locker(t)
    await holder.tell(`open 1 ${mnt}/f`)
    assert.equal(await holder.tell('flock 1 x'), 'ok')
    const waiters = Array.from({ length: 150 }, () => new Locker(t))
    // On a busy machine an open takes its time, and its answer must not be taken for that of the lock.
    const opens = waiters.map(async (waiter) => {
      if ((await waiter.tell(`open 1 ${mnt}/f`)) === 'waits') await waiter.later()
    })
    await Promise.all(opens)
    const asked = waiters.map((waiter) => waiter.tell('flock 1 x'))
    assert.ok((await Promise.all(asked)).every((said) => said === 'waits'))
    for (let i = 0; i < 100 && session.stats().inFlight < 150; i++) await delay(20)
    assert.equal(session.stats().inFlight, 150)
    const before = performance.now()
    for (let i = 0; i < 20; i++) assert.equal((await run('stat', [`${mnt}/f`])).code, 0)
    const each = (performance.now() - before) / 20
    t.diagnostic(`150 waiters, a stat(1) takes ${each.toFixed(1)} ms`)
    assert.ok(each < 500)
    await holder.kill()
    const said = await Promise.race(waiters.map((waiter) => waiter.later()))
    assert.equal(said, 'ok')
    await Promise.all(waiters.map((waiter) => waiter.kill()))
    for (let i = 0; i < 100 && session.stats().inFlight > 0; i++) await delay(20)
    assert.equal(session.stats().inFlight, 0)
  })
})
