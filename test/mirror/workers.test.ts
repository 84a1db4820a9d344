// A mirror served by several threads: they agree about every inode while names come, move and go, over the device and io_uring.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import { mountMirror } from 'devfuse/mirror'
import type { MountMirrorOptions } from 'devfuse/mirror'
import * as sys from 'devfuse/syscalls'
import { Crew } from '#dist/filesystems/mirror/crew.js'
import { assemble } from '#dist/filesystems/mirror/index.js'
import { FIRST_OTHER } from '#dist/filesystems/mirror/inode-numbers.js'
import { accessOf, resolveMirrorOptions } from '#dist/filesystems/mirror/options.js'
import { SharedState, shareMemory } from '#dist/filesystems/mirror/shared.js'
import { closeSource, openSource } from '#dist/filesystems/mirror/source.js'
import { cleanup, compiled, run, sh, skip, takeDown, temporary } from '../support/mounting.js'
import { isMounted } from '../support/program.js'
import { noRing, turnRingOn } from '../support/ring.js'
import { askOf } from './asked.js'

const descriptors = (): number => readdirSync('/proc/self/fd').length

async function served(t: TestContext, options: MountMirrorOptions) {
  const source = temporary(t)
  const mnt = temporary(t)
  const warnings: string[] = []
  const session = await mountMirror(source, mnt, {
    workers: 2,
    transport: 'device',
    onWarning: ({ message }) => void warnings.push(message),
    ...options,
  })
  cleanup(t, () => takeDown(session))
  return { source, mnt, session, warnings }
}

async function hammered(t: TestContext, options: MountMirrorOptions): Promise<void> {
  const { source, mnt, session, warnings } = await served(t, options)
  const hammer = compiled('test/mirror/hammer.c')
  const { code, stderr } = await run(hammer, [mnt, '4', '120'], { timeout: 60_000 })
  assert.equal(code, 0, stderr)
  await sh(
    `diff -r ${source} ${mnt}; mkdir ${mnt}/left; echo text > ${mnt}/left/file; diff -r ${source} ${mnt}`,
  )
  assert.equal(session.stats().threads, 2)
  assert.deepEqual(warnings, [])
  await session.unmount()
  assert.equal(readFileSync(join(source, 'left/file'), 'utf8'), 'text\n')
}

/** Where the source's kind of filesystem is none that files can be found by number on. */
async function unfit(t: TestContext): Promise<string | undefined> {
  const { stdout } = await run('stat', ['-f', '-c', '%T', temporary(t)])
  return /ext|xfs|btrfs/.test(stdout) ? undefined : `temporary files lie on ${stdout.trim()}`
}

describe('a mirror with workers', { skip, timeout: 180_000 }, () => {
  it('stays one filesystem while its names are fought over', async (t) => {
    const reason = await unfit(t)
    if (reason !== undefined) return t.skip(reason)
    const before = descriptors()
    await hammered(t, {})
    // Threads and their loops have some of their own, which go with them.
    for (let i = 0; i < 100 && descriptors() > before + 4; i++) await new Promise((go) => setTimeout(go, 50))
    assert.ok(descriptors() <= before + 4, `${before} descriptors before, ${descriptors()} after`)
  })

  it('does so over io_uring, where each thread has its CPUs', { skip: noRing }, async (t) => {
    const reason = await unfit(t)
    if (reason !== undefined) return t.skip(reason)
    await turnRingOn(t)
    await hammered(t, { transport: 'ring' })
  })

  it('lists a directory whichever thread is asked to go on, while few descriptors are kept', async (t) => {
    const reason = await unfit(t)
    if (reason !== undefined) return t.skip(reason)
    const { source, mnt, session } = await served(t, { maxPathDescriptors: 16, maxWrite: 4096 })
    for (let i = 0; i < 2000; i++) writeFileSync(join(source, `a rather long name of a file ${i}`), '')
    const counts = await sh(
      `for i in 1 2 3 4 5 6; do ls -f ${mnt} | sort -u | wc -l & done; wait; ls -l ${mnt} | wc -l`,
    )
    assert.equal(counts, `${'2002\n'.repeat(6)}2001\n`)
    const gone = await sh(`rm -r ${mnt}/a*; ls ${mnt} | wc -l`)
    assert.equal(gone, '0\n')
    await session.unmount()
  })

  it('lets who made a set-id file write by that descriptor as another user, too', async (t) => {
    const reason = await unfit(t)
    if (reason !== undefined) return t.skip(reason)
    const { mnt } = await served(t, {})
    const program = `
      const { openSync, writeSync, fstatSync } = require('node:fs')
      const [mnt, create, tmpfile] = process.argv.slice(1)
      process.umask(0)
      for (const [path, how] of [[mnt + '/set-id', create], [mnt, tmpfile]]) {
        const fd = openSync(path, Number(how), 0o4755)
        process.setegid(1000)
        process.seteuid(1000)
        writeSync(fd, 'text')
        process.seteuid(0)
        process.setegid(0)
        console.log((fstatSync(fd).mode & 0o7777).toString(8))
      }`
    const how = [sys.O_RDWR | sys.O_CREAT, sys.O_RDWR | sys.O_TMPFILE].map(String)
    const { stdout, stderr } = await run(process.execPath, ['-e', program, mnt, ...how])
    assert.deepEqual([stdout, stderr], ['755\n755\n', ''])
  })

  it('is refused where its threads could not find files, with nothing mounted', async (t) => {
    const mnt = temporary(t)
    const refused = (source: string, options: MountMirrorOptions, message: RegExp): Promise<void> =>
      assert.rejects(mountMirror(source, mnt, { workers: 2, ...options }), {
        code: 'ERR_DEVFUSE_OPTION',
        message,
      })
    await refused('/proc', {}, /source on ext4, xfs or btrfs/)
    const reason = await unfit(t)
    if (reason === undefined) {
      const source = temporary(t)
      const before = descriptors()
      await refused(source, { workers: 0 }, /`workers` must be an integer from 1 to 256/)
      await refused(source, { workers: 'two' as 'auto' }, /`workers` must be/)
      await refused(source, { passthrough: 'on' }, /one thread only/)
      const below = join(source, 'below')
      mkdirSync(below)
      await sh(`mount -t tmpfs none ${below}`)
      cleanup(t, () => sh(`umount ${below}`))
      await refused(source, {}, new RegExp(`${below} is mounted below the source`))
      assert.ok(descriptors() <= before + 2, `${before} descriptors before, ${descriptors()} after`)
    }
    assert.equal(isMounted(mnt), false)
  })
})

describe('what the threads of a mirror share', { timeout: 60_000 }, () => {
  it('has no room for one more inode: what was made for it is closed', { skip }, async (t) => {
    const reason = await unfit(t)
    if (reason !== undefined) return t.skip(reason)
    const options = resolveMirrorOptions({ passthrough: 'off' })
    const path = temporary(t)
    const source = openSource(path, accessOf(options.session))
    const crew = new Crew({
      key: `test-${process.pid}`,
      memory: shareMemory(),
      threads: 1,
      joined: new SharedArrayBuffer(4),
    })
    const filesystem = assemble(path, source, options, () => closeSource(source), crew)
    cleanup(t, () => filesystem.dispose())
    t.mock.method(crew.state, 'remember', () => 0)
    const before = descriptors()
    assert.throws(() => askOf(filesystem, 'create', { name: 'file', mode: 0o644 }), { code: 'ENFILE' })
    assert.equal(descriptors(), before)
  })

  it('gives one nodeid to one file, and another to a later file with its number', () => {
    const state = new SharedState(shareMemory())
    assert.equal(state.remember(100, 1), 100)
    assert.equal(state.remember(100, 1), 100)
    const later = state.remember(100, 2)
    assert.ok(later >= FIRST_OTHER)
    assert.deepEqual(state.get(later), { ino: 100, generation: 2 })
    assert.equal(state.nodeidOf(100, 2), later)
    assert.equal(state.nodeidOf(100, 3), 0)
    assert.equal(state.forget(100, 1), false)
    assert.equal(state.forget(100, 1), true)
    assert.equal(state.get(100), undefined)
    assert.equal(state.is(later, 2), true)
    assert.equal(state.forget(later, 1), true)
    assert.equal(state.forget(later, 1), false)
    assert.equal(state.size, 0)
    state.opened(7, state.remember(5, 1), 3, true)
    assert.equal(state.written(5), true)
    assert.equal(
      state.closed(7, () => true),
      3,
    )
    assert.equal(
      state.closed(7, () => true),
      0,
    )
    assert.equal(state.written(5), false)
  })

  it('counts right while two threads remember and forget the same inodes', async () => {
    const memory = shareMemory()
    const program = `
      const { workerData } = require('node:worker_threads')
      import(workerData.url).then(({ SharedState }) => {
        const state = new SharedState(workerData.memory)
        for (let round = 0; round < 60000; round++) {
          const ino = 10 + (round * 7) % 50
          const nodeid = state.remember(ino, round % 2)
          if (state.get(nodeid)?.ino !== ino || state.get(nodeid).generation !== round % 2) throw new Error('another file')
          if (state.nodeidOf(ino, round % 2) !== nodeid) throw new Error('another nodeid')
          state.forget(nodeid, 1)
        }
      })`
    const url = new URL(import.meta.resolve('#dist/filesystems/mirror/shared.js')).href
    const ends = [1, 2].map(
      () =>
        new Promise((resolve, reject) => {
          const worker = new Worker(program, { eval: true, workerData: { memory, url } })
          worker.on('exit', resolve).on('error', reject)
        }),
    )
    assert.deepEqual(await Promise.all(ends), [0, 0])
    assert.equal(new SharedState(memory).size, 0)
  })
})
