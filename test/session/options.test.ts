// Options of a session that are refused before anything is tried, whatever was passed.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { OptionError, connect, cuse, fromFd, mount, openMount, serve } from 'devfuse'
import type { ConnectOptions, SessionOptions } from 'devfuse'
import { FakeKernel } from '#dist/device/fake-kernel.js'

describe('options of a session', () => {
  const nothing: unknown = Object.create(null)
  for (const [key, value] of [
    ['timeGran', '1000'],
    ['timeGran', [10]],
    ['timeGran', 10n],
    ['timeGran', nothing],
    ['maxWrite', -1],
    ['maxWrite', nothing],
    ['minor', Number.NaN],
    ['minor', '45'],
    ['onNotify', 5],
    ['offer', 'FUSE_POSIX_LOCKS'],
  ] as const) {
    it(`refuse ${typeof value} for ${key}`, async () => {
      const options: ConnectOptions = Object.fromEntries([[key, value]])
      await assert.rejects(connect({}, options), (error: unknown) => {
        assert.ok(error instanceof OptionError)
        assert.match(error.message, new RegExp(`option \`${key}\``))
        return true
      })
    })
  }

  it('are an object, whoever gets them', async () => {
    const url = new URL('data:text/javascript,export default {}')
    for (const none of [null, 5, []] as never[]) {
      for (const begin of [
        () => mount('/mnt', {}, none),
        () => mount('/mnt', url, none),
        () => openMount('/mnt', none),
        () => fromFd(0, {}, none),
        () => serve({}, new FakeKernel(), none),
        () => connect({}, none),
        () => cuse('x', {}, none),
      ])
        await assert.rejects(begin, {
          code: 'ERR_DEVFUSE_OPTION',
          message: /options are an object of keys and values, not/,
        })
    }
  })

  it('that contradict each other are named', async () => {
    for (const [options, message] of [
      [{ strictatime: true, noatime: true }, /`noatime` and `strictatime`/],
      [{ access: 'all', allowOther: false }, /access: 'all' is `allowOther`, which is false/],
    ] as [SessionOptions, RegExp][])
      await assert.rejects(mount('/mnt', {}, options), { code: 'ERR_DEVFUSE_OPTION', message })
  })

  it('are not all: a descriptor is a number, too', async () => {
    for (const fd of [NaN, -1, 1.5, 2 ** 31, '3' as never])
      await assert.rejects(fromFd(fd, {}), {
        code: 'ERR_DEVFUSE_OPTION',
        message: /fromFd\(\) takes a descriptor/,
      })
    await using connection = await connect({})
    for (const fd of [NaN, -1])
      assert.throws(() => connection.session.openBacking(fd), {
        name: 'TypeError',
        code: 'EBADF',
        errno: -9,
        syscall: 'ioctl',
      })
    assert.throws(() => connection.session.wrapBacking(NaN), { name: 'TypeError', code: 'EINVAL' })
  })

  it('say what an init that rejects said', async () => {
    const warnings: string[] = []
    const init = async (): Promise<void> => {
      throw new Error('no luck')
    }
    const connection = await connect({ init }, { onWarning: ({ message }) => warnings.push(message) })
    await connection.close()
    assert.match(warnings.join(), /init failed.*no luck/)
  })
})
