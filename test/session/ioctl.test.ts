// The retry of an unrestricted ioctl, to the byte, and what is no answer to one; on the fake kernel.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EIO, FUSE_IOCTL_RETRY, FUSE_IOCTL_UNRESTRICTED } from 'devfuse'
import type { IoctlIovec, IoctlReply } from 'devfuse'
import { serve } from '../support/fake-session.js'

const HIGH = 0xffff_8000_1234_5678n

async function ask(answer: IoctlReply, flags: number) {
  const { kernel, warnings } = await serve({ ioctl: () => answer })
  const reply = await kernel.request('ioctl', {
    fh: 1,
    flags,
    cmd: 7,
    arg: HIGH,
    data: Buffer.alloc(0),
    outSize: 0,
  })
  return { reply, warnings }
}

describe('the retry of an ioctl', () => {
  it('names pieces of the memory of the caller, whole addresses included', async () => {
    const retry = {
      in: [{ base: HIGH, len: 32 }],
      out: [
        { base: 4096, len: 8n },
        { base: HIGH + 32n, len: 1 },
      ],
    }
    const { reply, warnings } = await ask({ retry }, FUSE_IOCTL_UNRESTRICTED)
    const { error, result, flags, inIovs, outIovs, data } = reply
    assert.deepEqual([error, result, flags, inIovs, outIovs], [0, 0, FUSE_IOCTL_RETRY, 1, 2])
    const words = new BigUint64Array(new Uint8Array(data as Buffer).buffer)
    assert.deepEqual([...words], [HIGH, 32n, 4096n, 8n, HIGH + 32n, 1n])
    assert.deepEqual(warnings, [])
  })

  it('is refused where the kernel would not take it', async () => {
    const restricted = await ask({ retry: { in: [{ base: 0, len: 1 }] } }, 0)
    assert.equal(restricted.reply.error, EIO)
    assert.match(restricted.warnings.join(), /unrestricted ioctl of a character device/)
    const many = Array.from({ length: 257 }, (): IoctlIovec => ({ base: 0, len: 1 }))
    const crowd = await ask({ retry: { out: many } }, FUSE_IOCTL_UNRESTRICTED)
    assert.equal(crowd.reply.error, EIO)
    assert.match(crowd.warnings.join(), /257 pieces; 256 are the most/)
  })
})
