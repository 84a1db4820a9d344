// One thread of the storm: a writer that changes the source and logs every state, or a reader that compares what the mount
// shows with the log. See strong-storm.test.ts.
import * as fs from 'node:fs'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { syscalls } from 'devfuse/syscalls'
import { random } from '../support/random.js'
import { DIRS, NAMES, NAME_WORDS, STATES, WORDS } from './strong-storm-layout.js'

export interface StormData {
  role: 'writer' | 'reader'
  seed: number
  src: string
  mnt: string
  changes: number
  /** Milliseconds that a state may still be seen after it has gone. */
  bound: number
  log: SharedArrayBuffer
}

const { role, seed, src, mnt, changes, bound, log } = workerData as StormData
const words = new BigInt64Array(log)
const FINISHED = words.length - 1
const now = (): bigint => process.hrtime.bigint()
const countAt = (name: number): number => name * NAME_WORDS
const changingAt = (name: number): number => countAt(name) + 1
const stateAt = (name: number, state: number): number => countAt(name) + 2 + (state % STATES) * WORDS
const NEVER = new Int32Array(new SharedArrayBuffer(4))

const below = random(seed)

const pathOf = (root: string, name: number): string =>
  join(root, `d${Math.floor(name / NAMES)}`, `n${name % NAMES}`)

const ESTALE = -116

/** What is seen of a name on the mount. A file that goes twice while the kernel looks for it is looked for again. */
function lookAt(path: string): bigint {
  for (;;) {
    try {
      return look(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).errno !== ESTALE) throw error
    }
  }
}

/** What is seen of a name: 0 for none, else type, permissions and size, which is another one for every version of a file. */
function look(path: string): bigint {
  const stat = fs.lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return 0n
  if (stat.isDirectory()) return 1n
  if (stat.isSymbolicLink()) return (BigInt(stat.size) << 16n) | 2n
  return (BigInt(stat.size) << 16n) | (BigInt(stat.mode & 0o777) << 4n) | 3n
}

function write(): void {
  let size = 10
  const change = (name: number, call: () => void): void => {
    Atomics.store(words, changingAt(name), 1n)
    call()
    const state = look(pathOf(src, name))
    const count = Number(words[countAt(name)])
    const at = stateAt(name, count)
    Atomics.store(words, at, state)
    Atomics.store(words, at + 1, 0n)
    Atomics.store(words, stateAt(name, count - 1) + 1, now())
    Atomics.store(words, countAt(name), BigInt(count + 1))
    Atomics.store(words, changingAt(name), 0n)
  }
  const other = join(src, 'spare')
  for (let done = 0; done < changes; done++) {
    // Bursts as fast as it goes, and pauses in between.
    if (done % 50 === 0) Atomics.wait(NEVER, 0, 0, below(30))
    const name = below(DIRS * NAMES)
    const path = pathOf(src, name)
    const state = look(path)
    const kind = below(4)
    size++
    if (state === 0n) {
      if (kind === 0) change(name, () => fs.mkdirSync(path))
      else if (kind === 1) change(name, () => fs.symlinkSync('x'.repeat(1 + (size % 200)), path))
      else if (kind === 2)
        change(name, () => {
          // Made elsewhere and moved here in one step.
          fs.writeFileSync(other, '')
          fs.truncateSync(other, size)
          fs.chmodSync(other, 0o644)
          fs.renameSync(other, path)
        })
      else change(name, () => void syscalls.mknodat(-100, path, 0o100600, 0))
    } else if (state === 1n) change(name, () => fs.rmdirSync(path))
    else if ((state & 15n) === 2n || kind === 0) change(name, () => fs.unlinkSync(path))
    else if (kind === 1) change(name, () => fs.truncateSync(path, size))
    else if (kind === 2) change(name, () => fs.chmodSync(path, 0o600 + below(64)))
    else {
      change(name, () => {
        fs.writeFileSync(other, '')
        fs.truncateSync(other, size)
        fs.renameSync(other, path)
      })
    }
  }
  Atomics.store(words, FINISHED, 1n)
  parentPort!.postMessage({ size })
}

interface Stale {
  path: string
  seen: string
  /** Milliseconds since it had gone; -1: it never was. */
  late: number
}

/** How long ago, when the look began, `seen` had gone for good: 0 while it may have been true, -1 where it never was. */
function staleness(name: number, began: bigint, seen: (state: bigint) => boolean): number {
  // A change may have been seen that is not logged yet.
  while (Atomics.load(words, changingAt(name)) !== 0n) Atomics.wait(NEVER, 0, 0, 0.1)
  const count = Number(Atomics.load(words, countAt(name)))
  for (let state = count - 1; state >= 0 && state > count - STATES; state--) {
    const at = stateAt(name, state)
    if (!seen(Atomics.load(words, at))) continue
    const end = Atomics.load(words, at + 1)
    return end === 0n || end > began ? 0 : Number(began - end) / 1e6
  }
  return -1
}

function read(): void {
  const stale: Stale[] = []
  let looks = 0
  let worst = 0
  const judge = (name: number, began: bigint, seen: (state: bigint) => boolean, what: string): void => {
    looks++
    const late = staleness(name, began, seen)
    if (late > worst) worst = late
    if (late > bound || late < 0) stale.push({ path: pathOf('', name), seen: what, late })
  }
  while (Atomics.load(words, FINISHED) === 0n && stale.length < 20) {
    Atomics.wait(NEVER, 0, 0, 0.2)
    const name = below(DIRS * NAMES)
    const began = now()
    if (below(8) > 0) {
      const seen = lookAt(pathOf(mnt, name))
      judge(name, began, (state) => state === seen, `state ${seen}`)
    } else {
      const dir = Math.floor(name / NAMES)
      const names = new Set(fs.readdirSync(join(mnt, `d${dir}`)))
      for (let i = 0; i < NAMES; i++) {
        const there = names.has(`n${i}`)
        judge(dir * NAMES + i, began, (state) => (state !== 0n) === there, there ? 'listed' : 'not listed')
      }
    }
  }
  parentPort!.postMessage({ looks, worst, stale })
}

if (role === 'writer') write()
else read()
