// Descriptors over sockets, and umount2(2) from a child that holds none.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  rmdirSync,
  statSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { special } from '#dist/native.js'
import { EBADF, EINVAL, ENOENT, ENOMSG, EPIPE, NR, closeAll, messagePair, native, openFds } from './calls.js'

const root = dirname(fileURLToPath(import.meta.resolve('devfuse/package.json')))

describe('sending descriptors', () => {
  it('gives the receiver the same open file, close-on-exec', async () => {
    const [a, b] = messagePair()
    const file = openSync('/etc/passwd', 'r')
    assert.equal(native.syscallUtf8(special.sendFd, a, file), 0)
    assert.equal(await native.syscallAsyncUtf8(special.sendFd, a, file), 0)
    for (const got of [
      native.syscallUtf8(special.recvFd, b),
      await native.syscallAsyncUtf8(special.recvFd, b),
    ]) {
      assert.ok(got >= 0 && got !== file)
      assert.equal(fstatSync(got).ino, fstatSync(file).ino)
      const flags = Number.parseInt(
        /flags:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${got}`, 'latin1'))![1],
        8,
      )
      assert.ok(flags & 0o2000000)
      closeAll(got)
    }
    closeAll(a, b, file)
  })

  it('says what is wrong', () => {
    const [a, b] = messagePair()
    native.syscallUtf8(NR.write, a, Buffer.from('x'), 1)
    assert.equal(native.syscallUtf8(special.recvFd, b), ENOMSG)
    assert.equal(native.syscallUtf8(special.sendFd, a, -1), EBADF)
    closeAll(a)
    assert.equal(native.syscallUtf8(special.recvFd, b), EPIPE)
    assert.equal(native.syscallUtf8(special.sendFd, b, 1), EPIPE)
    assert.equal(native.syscallUtf8(special.recvFd, -1), EBADF)
    closeAll(b)
  })

  it('takes one of a message, and drops the others', () => {
    const [a, b] = messagePair()
    const folder = mkdtempSync(join(tmpdir(), 'devfuse-send-'))
    const sender = join(folder, 'send-two')
    execFileSync('cc', ['-o', sender, join(root, 'test/native/send-two.c')])
    execFileSync(sender, { stdio: ['ignore', 'ignore', 'inherit', a] })
    rmSync(folder, { recursive: true })
    const before = openFds()
    const got = native.syscallUtf8(special.recvFd, b)
    assert.ok(got >= 0)
    closeAll(got)
    assert.equal(openFds(), before)
    closeAll(a, b)
  })
})

/** The processes that any thread of this one has made, zombies included. */
function children(): string[] {
  return readdirSync('/proc/self/task').flatMap((tid) =>
    readFileSync(`/proc/self/task/${tid}/children`, 'latin1').split(' ').filter(Boolean),
  )
}

describe('umount in a child', () => {
  const MNT_DETACH = 2

  it('answers the errno', async () => {
    assert.equal(native.syscallUtf8(special.umount, '/nowhere', 0), ENOENT)
    assert.equal(await native.syscallAsyncUtf8(special.umount, '/nowhere', 0, 1000), ENOENT)
    assert.equal(native.syscallUtf8(special.umount, '/etc', 0), process.getuid?.() === 0 ? EINVAL : -1)
  })

  it(
    'unmounts, leaves no child, no descriptor and no SIGCHLD',
    { skip: process.getuid?.() !== 0 },
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'devfuse-umount-'))
      const device = statSync(folder).dev
      let signals = 0
      const count = (): void => void signals++
      process.on('SIGCHLD', count)
      const before = openFds()
      for (const timeout of [0, 2000]) {
        for (const call of [native.syscallUtf8, native.syscallAsyncUtf8]) {
          assert.equal(native.syscallUtf8(NR.mount, 'none', folder, 'tmpfs', 0, 0), 0)
          assert.notEqual(statSync(folder).dev, device)
          assert.equal(await call(special.umount, folder, MNT_DETACH, timeout), 0)
          assert.equal(statSync(folder).dev, device)
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 10))
      process.off('SIGCHLD', count)
      assert.equal(signals, 0)
      assert.ok(openFds() - before <= 1, 'the bell of the pool at the most')
      assert.deepEqual(children(), [])
      rmdirSync(folder)
    },
  )
})
