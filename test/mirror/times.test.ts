// Times and inode flags that the kernel changes without asking the mirror: access times as the mount says, mapped writes,
// chattr.
import { strict as assert } from 'node:assert'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { MirrorOptions } from 'devfuse/mirror'
import { act } from '../support/mounting.js'
import { Mirrored } from './mounted.js'

const big = { bigint: true } as const
const passthroughs = ['on', 'off'] as const

async function start(t: TestContext, options: MirrorOptions): Promise<Mirrored> {
  const mirrored = await Mirrored.start(options)
  t.after(() => mirrored.stop())
  return mirrored
}

/** Whether reading the file again moves its access time though nothing was written: natively it does with strictatime only. */
async function movesAgain(mirrored: Mirrored, name: string): Promise<boolean[]> {
  const [onSource, onMount] = [join(mirrored.src, name), join(mirrored.mnt, name)]
  const moved = []
  for (let i = 0; i < 2; i++) {
    const before = fs.statSync(onSource, big).atimeNs
    // Coarse clocks of filesystems tick every 4 ms.
    await sleep(20)
    if (fs.statSync(onMount).isDirectory()) fs.readdirSync(onMount)
    else fs.readFileSync(onMount)
    const after = fs.statSync(onSource, big).atimeNs
    assert.equal(fs.statSync(onMount, big).atimeNs, after)
    moved.push(after !== before)
  }
  return moved
}

test('what a mapping may change is kept for a tenth of a second once nothing is open for reading and writing', async (t) => {
  const mirrored = await start(t, { passthrough: 'on', cache: { entryValid: 3600, attrValid: 3600 } })
  const path = join(mirrored.mnt, 'file')
  const asked = async () => {
    const { operations } = await mirrored.known()
    return (operations['GETATTR']?.count ?? 0) + (operations['STATX']?.count ?? 0)
  }
  const lookAgain = async (): Promise<number> => {
    const before = await asked()
    for (let i = 0; i < 50; i++) fs.statSync(path)
    return (await asked()) - before
  }
  // Made so, and opened so.
  for (const flags of ['w+', 'r+']) {
    const fd = fs.openSync(path, flags)
    assert.ok((await lookAgain()) >= 50)
    fs.closeSync(fd)
    await sleep(50)
    assert.ok((await lookAgain()) < 50)
    // A write to the source stands for one through a mapping that is left.
    fs.writeFileSync(join(mirrored.src, 'file'), flags.repeat(10))
    await sleep(150)
    assert.equal(fs.statSync(path).size, 20)
    fs.writeFileSync(join(mirrored.src, 'file'), '')
    const reader = fs.openSync(path, 'r+')
    assert.equal(fs.statSync(path).size, 0)
    fs.closeSync(reader)
  }
})

for (const passthrough of passthroughs) {
  for (const [options, file, directory] of [
    [{ relatime: true }, [true, false], [true, false]],
    [{ strictatime: true }, [true, true], [true, true]],
    [{ noatime: true }, [false, false], [false, false]],
    [{ options: ['noatime'] }, [false, false], [false, false]],
    [{ relatime: true, nodiratime: true }, [true, false], [false, false]],
    [{ readOnly: true }, [false, false], [false, false]],
  ] as const) {
    test(`passthrough ${passthrough}: access times with ${JSON.stringify(options)}`, async (t) => {
      const mirrored = await start(t, { passthrough, cache: 'none', ...options })
      fs.writeFileSync(join(mirrored.src, 'file'), 'text')
      fs.mkdirSync(join(mirrored.src, 'dir'))
      // With relatime the first access after a change counts.
      for (const name of ['file', 'dir']) fs.utimesSync(join(mirrored.src, name), 1, 2)
      assert.deepEqual(await movesAgain(mirrored, 'file'), file)
      assert.deepEqual(await movesAgain(mirrored, 'dir'), directory)
    })
  }

  test(`passthrough ${passthrough}: a write through a mapping shows in the times at once`, async (t) => {
    const { src, mnt } = await start(t, { passthrough })
    for (const name of ['first', 'again']) {
      const path = join(mnt, 'mapped')
      if (name === 'first') fs.writeFileSync(path, 'x'.repeat(4096))
      const before = fs.statSync(path, big)
      await sleep(20)
      // The attributes are cached for another second, and nothing is open when they are asked for again.
      await act('map-write', path, 'y')
      const after = fs.statSync(path, big)
      assert.ok(after.mtimeNs > before.mtimeNs, name)
      assert.ok(after.ctimeNs > before.ctimeNs, name)
      assert.equal(after.mtimeNs, fs.statSync(join(src, 'mapped'), big).mtimeNs)
    }
    assert.equal(fs.readFileSync(join(src, 'mapped'), 'latin1')[0], 'y')
  })

  test(`passthrough ${passthrough}: chattr moves the change time, and append-only files can be appended to`, async (t) => {
    const { src, mnt } = await start(t, { passthrough })
    const path = join(mnt, 'log')
    fs.writeFileSync(path, 'one\n')
    const before = fs.statSync(path, big).ctimeNs
    await sleep(20)
    const { status, stderr } = spawnSync('chattr', ['+a', path], { encoding: 'utf8', timeout: 10_000 })
    if (status !== 0) return t.skip(`no append-only files on the filesystem of the source: ${stderr.trim()}`)
    try {
      assert.ok(fs.statSync(path, big).ctimeNs > before)
      fs.appendFileSync(path, 'two\n')
      const fd = fs.openSync(path, 'a+')
      fs.writeSync(fd, 'three\n')
      assert.equal(fs.readFileSync(fd, 'latin1'), '')
      assert.throws(() => fs.ftruncateSync(fd, 0), { code: 'EPERM' })
      fs.closeSync(fd)
      for (const flags of ['r+', 'w']) assert.throws(() => fs.openSync(path, flags), { code: 'EPERM' })
      assert.throws(() => fs.unlinkSync(path), { code: 'EPERM' })
      assert.equal(fs.readFileSync(join(src, 'log'), 'latin1'), 'one\ntwo\nthree\n')
      spawnSync('chattr', ['-a', '+i', path])
      assert.throws(() => fs.appendFileSync(path, 'four'), { code: 'EPERM' })
    } finally {
      spawnSync('chattr', ['-ai', join(src, 'log')])
    }
    fs.writeFileSync(path, 'free again')
  })
}
