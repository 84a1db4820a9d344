// Character devices served from TypeScript (CUSE) against a kernel that has them: made, used by other processes, removed.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { EBUSY, ENOTTY, OptionError, cuse } from 'devfuse'
import type { CuseDevice, CuseOptions, CuseSession } from 'devfuse'
import { built } from '../examples/example.js'
import { cleanup, compiled, run, sh, skip as unmountable } from '../support/mounting.js'

const skip = unmountable || (!existsSync('/dev/cuse') && 'this kernel has no /dev/cuse (CONFIG_CUSE)')

const client = async (...args: (string | number)[]): Promise<string> =>
  (await run(compiled('test/mount/cuse.c'), args.map(String))).stdout.trim()

async function made(
  t: TestContext,
  device: CuseDevice,
  options: CuseOptions = {},
): Promise<{ device: CuseSession; warnings: string[] }> {
  const warnings: string[] = []
  const name = `devfuse-test-${process.pid}`
  const session = await cuse(name, device, { onWarning: ({ message }) => warnings.push(message), ...options })
  cleanup(t, () => session.close())
  return { device: session, warnings }
}

describe('cuse', () => {
  it('refuses names and options that cannot be, before anything is opened', async () => {
    for (const name of ['', '.', '..', 'a/b', 'a b', 'a\0b'])
      await assert.rejects(cuse(name, {}), { message: /cannot be the name of a device/ })
    await assert.rejects(cuse('a', {}, { majr: 1 } as never), /unknown option `majr`/)
    await assert.rejects(cuse('a', {}, { major: -1 }), OptionError)
    await assert.rejects(cuse('a', {}, { unrestrictedIoctl: 'yes' as never }), OptionError)
    for (const wrong of [{ interruptGrace: -1 }, { busyPoll: 0.5 }, { onWarning: 'print' as never }])
      await assert.rejects(cuse('a', {}, wrong), OptionError)
  })

  it(
    'says what is missing where the kernel has no CUSE',
    { skip: skip ? false : 'this one has' },
    async () => {
      await assert.rejects(cuse('a', {}), {
        syscall: 'open',
        message: /opening \/dev\/cuse says .*CONFIG_CUSE/,
      })
    },
  )
})

describe('a character device', { skip, timeout: 120_000 }, () => {
  it('is made, opened, read, written and released, and is gone when it is closed', async (t) => {
    const seen: string[] = []
    let content = Buffer.from('hello\n')
    const { device } = await made(t, {
      open: ({ nodeid, flags }) => (seen.push(`open ${nodeid} ${flags & 3}`), { fh: 5 }),
      read: ({ fh, offset, size }) => (seen.push(`read ${fh}`), content.subarray(offset, offset + size)),
      write: ({ data }) => ((content = Buffer.from(data)), data.length),
      release: ({ fh }) => void seen.push(`release ${fh}`),
      destroy: () => void seen.push('destroy'),
    })
    assert.equal(await sh(`test -c ${device.path} && head -c 6 ${device.path}`), 'hello\n')
    await sh(`echo again > ${device.path}`)
    assert.equal(await sh(`dd if=${device.path} bs=100 count=1 status=none`), 'again\n')
    assert.deepEqual(seen.slice(0, 2), ['open 0 0', 'read 5'])
    await device.close()
    assert.deepEqual([seen.at(-2), seen.at(-1)], ['release 5', 'destroy'])
    assert.equal(existsSync(device.path), false)
    assert.equal(device.fd, -1)
  })

  it('has the number it asked for, and says when a name or number is taken', async (t) => {
    const { device } = await made(t, {}, { major: 240, minor: 7 })
    assert.equal(await sh(`stat -c %t,%T ${device.path}`), 'f0,7\n')
    await assert.rejects(cuse('devfuse-other', {}, { major: 240, minor: 7 }), {
      code: 'EEXIST',
      message: /did not make \/dev\/devfuse-other/,
    })
    await assert.rejects(cuse(device.path.slice('/dev/'.length), {}), { code: 'EEXIST' })
  })

  it('answers errors, and what handlers throw', async (t) => {
    const { device, warnings } = await made(t, {
      open: () => EBUSY,
      ioctl: () => ENOTTY,
    })
    assert.equal(await client(device.path, 'poll', 0), 'open: EBUSY')
    assert.deepEqual(warnings, [])
  })

  it('interrupts a caller that is killed', async (t) => {
    let aborted = false
    const { device } = await made(t, {
      read: ({ signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => ((aborted = true), reject(signal.reason as Error)))
          child.kill('SIGKILL')
        }),
    })
    const child = spawn('cat', [device.path], { stdio: 'ignore' })
    await once(child, 'exit')
    assert.ok(aborted)
  })

  it('refuses a retry of a restricted ioctl, by name', async (t) => {
    const { device, warnings } = await made(t, {
      ioctl: ({ arg }) => ({ retry: { in: [{ base: arg, len: 8 }] } }),
    })
    assert.match(await client(device.path, 'other', 0), /^result=-1 errno=EIO/)
    assert.match(warnings.join(), /only an unrestricted ioctl of a character device has/)
  })
})

describe('examples/cuse', { skip, timeout: 60_000 }, () => {
  it('moves data by ioctl(2) through pointers, wakes pollers, and ends with Ctrl-C', async (t) => {
    const name = `devfuse-example-${process.pid}`
    const path = `/dev/${name}`
    const child = spawn(process.execPath, [built('cuse'), name], { stdio: ['ignore', 'pipe', 'inherit'] })
    cleanup(t, () => child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    const waiter = client(path, 'poll', 30_000)
    assert.equal(await client(path, 'write', 3, 'pointers'), 'result=8 errno=0 done=0')
    assert.equal(await waiter, 'result=1 errno=0 done=1')
    assert.equal(await client(path, 'read', 3, 100), 'result=8 errno=0 done=8 pointers')
    assert.equal(await client(path, 'read', 5, 3), 'result=3 errno=0 done=3 int')
    assert.equal(await client(path, 'wild', 64), 'result=-1 errno=EFAULT done=0')
    assert.equal(await client(path, 'other', 0), 'result=-1 errno=ENOTTY done=0')
    assert.equal(
      await sh(`dd if=${path} bs=100 count=1 status=none | od -An -c | tr -d ' \\n'`),
      '\\0\\0\\0pointers',
    )
    child.kill('SIGINT')
    const [code] = (await once(child, 'exit')) as [number]
    assert.equal(code, 0)
    assert.equal(existsSync(path), false)
  })
})
