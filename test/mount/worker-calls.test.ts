// Worker threads that end while an asynchronous system call of theirs waits for a filesystem: no signal ends such a wait, and the
// kernel goes on with the memory of the call afterwards.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { hangingFile } from '../support/hanging-file.js'
import { mounted, run, skip, temporary } from '../support/mounting.js'
import { isMounted, moduleUrl, places, result, start } from '../support/program.js'

/** A program whose worker runs `before`, then reads the hanging file of `mnt`, and is terminated once `reached` is there. */
const terminating = (mnt: string, reached: string, before = ''): string => `
  import { Worker } from 'node:worker_threads'
  const worker = new Worker(\`(async () => {
    ${before}
    const { syscalls } = await import('devfuse/syscalls')
    globalThis.file = await (await import('node:fs/promises')).open(${JSON.stringify(join(mnt, 'f'))})
    void syscalls.preadAllAsync(file.fd, new Uint8Array(65536), 0)
  })()\`, { eval: true })
  worker.on('error', (error) => print(String(error)))
  while (!fs.existsSync(${JSON.stringify(reached)})) await delay(10)
  let found = 'waits'
  const ended = worker.terminate().then(() => (found = 'ended'))
`

describe('a worker with a call that waits for a filesystem', { skip, timeout: 60_000 }, () => {
  it('ends when the answer has come, not before', async (t) => {
    let answer!: () => void
    const answered = new Promise<void>((resolve) => (answer = resolve))
    const reached = join(temporary(t), 'reached')
    const { mnt } = await mounted(t, hangingFile(reached, answered))
    const program = start(
      t,
      `${terminating(mnt, reached)}
      // Longer than what the addon gives to a thread that it can leave behind.
      await delay(3000)
      print(found)
      await ended
      print(found)`,
    )
    await program.prints('"')
    answer()
    const { stdout, stderr } = await program.ended
    assert.deepEqual({ stdout, stderr }, { stdout: '"waits"\n"ended"\n', stderr: '' })
  })

  it('ends although the answer would have been its own', async (t) => {
    const { mnt, source } = places(t)
    const reached = join(source, 'reached')
    const serve = `
      const { mount } = await import('devfuse')
      const { hangingFile } = await import(${JSON.stringify(moduleUrl('support/hanging-file.js'))})
      await mount(${JSON.stringify(mnt)}, hangingFile(${JSON.stringify(reached)}, new Promise(() => {})))`
    const found = await result(t, `${terminating(mnt, reached, serve)}\nawait ended\nprint(found)`)
    assert.equal(found, 'ended')
    assert.equal(isMounted(mnt), false)
  })
})

describe(
  'a process whose main thread has a call that waits for a filesystem',
  { skip, timeout: 60_000 },
  () => {
    it('ends without the answer', async (t) => {
      const reached = join(temporary(t), 'reached')
      const { mnt } = await mounted(t, hangingFile(reached, new Promise(() => undefined)))
      const found = await result(
        t,
        `const { syscalls } = await import('devfuse/syscalls')
      const fd = fs.openSync(${JSON.stringify(join(mnt, 'f'))})
      void syscalls.preadAllAsync(fd, new Uint8Array(65536), 0)
      while (!fs.existsSync(${JSON.stringify(reached)})) await delay(10)
      print('waits')
      process.exit(0)`,
      )
      assert.equal(found, 'waits')
    })

    it('ends, too, where it mounted on a mount whose server hangs', async (t) => {
      const times = { atime: 0, mtime: 0, ctime: 0 }
      const attr = { ino: 1, mode: 0o040755, size: 0, blocks: 0, nlink: 2, uid: 0, gid: 0, ...times }
      const { mnt } = await mounted(t, {
        getattr: () => ({ attr, attrValid: 1000 }),
        statfs: () => new Promise<never>(() => undefined),
      })
      await run('stat', [mnt])
      const found = await result(
        t,
        `const session = await mount(${JSON.stringify(mnt)}, { getattr: () => -2 })
        await session.unmount({ lazy: true })
        print('done')
        process.exit(0)`,
      )
      assert.equal(found, 'done')
    })
  },
)
