// Random calls with random paths, links and dots in them, on a view and on a real directory: the same results and errors.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import type { Stats } from 'node:fs'
import * as native from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fsFrom } from 'devfuse/fs'
import type { FsCalls } from 'devfuse/fs'
import { memoryFilesystem } from 'devfuse/memory'
import { mirror } from 'devfuse/mirror'
import { skip, temporary } from '../support/mounting.js'
import { codeOf } from './compared.js'

const CALLS = 1500
const NAMES = ['a', 'b', 'c', 'd', 'e']
const FLAGS = ['r', 'r+', 'w', 'wx', 'a', 'ax', 'w+', 'a+']

type At = (path: string) => string
interface Call {
  text: string
  run: (fs: FsCalls, at: At) => Promise<unknown>
}

function dice(seed: number): (sides: number) => number {
  let state = seed
  return (sides) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % sides
  }
}

/** Whether a path, links aside, stays below the top: what is above it differs. */
function staysBelow(path: string): boolean {
  let depth = 0
  for (const name of path.split('/')) {
    if (name === '..') depth--
    else if (name !== '' && name !== '.') depth++
    if (depth < 0) return false
  }
  return depth > 0
}

const shape = ({ mode, size, nlink }: Stats): unknown => [
  mode,
  (mode & 0o170000) === 0o040000 ? 0 : size,
  nlink,
]

function randomCall(roll: (sides: number) => number): Call {
  const randomPath = (): string => {
    for (;;) {
      let path = ''
      for (let i = 0; i <= roll(3); i++) path += `/${roll(12) === 0 ? ['..', '.'][roll(2)] : NAMES[roll(5)]}`
      if (staysBelow(path)) return roll(12) === 0 ? `${path}/` : path
    }
  }
  const [p, q] = [randomPath(), randomPath()]
  const [size, offset, flag] = [roll(9000), roll(5000), FLAGS[roll(8)]]
  const calls: Record<string, Call['run']> = {
    mkdir: (fs, at) => fs.mkdir(at(p)),
    mkdirAgain: (fs, at) => fs.mkdir(at(p)),
    rmdir: (fs, at) => fs.rmdir(at(p)),
    writeFile: (fs, at) => fs.writeFile(at(p), 'x'.repeat(size)),
    appendFile: (fs, at) => fs.appendFile(at(p), 'y'.repeat(size)),
    unlink: (fs, at) => fs.unlink(at(p)),
    rename: (fs, at) => fs.rename(at(p), at(q)),
    link: (fs, at) => fs.link(at(p), at(q)),
    symlink: (fs, at) => fs.symlink(p.slice(1), at(q)),
    readlink: (fs, at) => fs.readlink(at(p)),
    stat: async (fs, at) => shape(await fs.stat(at(p))),
    lstat: async (fs, at) => shape(await fs.lstat(at(p))),
    realpath: async (fs, at) => (await fs.realpath(at(p))).slice(at('').length),
    readFile: (fs, at) => fs.readFile(at(p), 'latin1'),
    readdir: async (fs, at) => (await fs.readdir(at(p))).toSorted(),
    open: async (fs, at) => {
      await using handle = await fs.open(at(p), flag)
      return [
        await handle.write('hello', offset).then(({ bytesWritten }) => bytesWritten, codeOf),
        await handle
          .read(Buffer.alloc(100), 0, 100, offset >> 1)
          .then(({ buffer }) => String(buffer), codeOf),
        await handle.truncate(offset).catch(codeOf),
        shape(await handle.stat()),
      ]
    },
  }
  const names = Object.keys(calls)
  const name = names[roll(names.length)]
  return { text: `${name} ${p} ${q} ${flag} ${size} ${offset}`, run: calls[name] }
}

async function outcome({ run }: Call, fs: FsCalls, at: At): Promise<unknown> {
  try {
    return { value: await run(fs, at) }
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException
    return { code, syscall }
  }
}

describe('random calls', { skip, timeout: 120_000 }, () => {
  for (const seed of [1, 2, 3]) {
    it(`with seed ${seed} do what they do on a real directory`, async (t) => {
      const folder = temporary(t)
      const real = join(folder, 'real')
      const mirrored = join(folder, 'mirrored')
      mkdirSync(real)
      mkdirSync(mirrored)
      const views = [
        fsFrom(mirror(mirrored), { umask: process.umask() }),
        fsFrom(memoryFilesystem(), { umask: process.umask() }),
      ]
      const roll = dice(seed)
      let succeeded = 0
      for (let i = 0; i < CALLS; i++) {
        const call = randomCall(roll)
        const expected = await outcome(call, native, (path) => real + path)
        if (!('code' in (expected as object))) succeeded++
        for (const fs of views)
          assert.deepEqual(await outcome(call, fs, (path) => path), expected, `call ${i}: ${call.text}`)
      }
      assert.ok(succeeded > CALLS / 10, `${succeeded} succeeded`)
      for (const fs of views) assert.deepEqual(await fs.close(), { open: [], inodes: [] })
    })
  }
})
