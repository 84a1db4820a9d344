// ioctl(2) against the real kernel: what goes in and what comes back for every direction and size, on files and
// directories, with results, errors, and answers that do not fit.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EIO, ENOENT, ENOSYS, FUSE_IOCTL_DIR } from 'devfuse'
import type { Attr, Filesystem, IoctlReply, IoctlRequest, Reply } from 'devfuse'
import { IOC, command, ioctl, ioctlNumber } from '../support/device-client.js'
import { mounted, run, skip } from '../support/mounting.js'

const shared = { blocks: 0, nlink: 1, size: 0, uid: 0, gid: 0, atime: 0, mtime: 0, ctime: 0 }
const attr = (nodeid: number): Attr => ({ ...shared, ino: nodeid, mode: nodeid === 1 ? 0o040755 : 0o100644 })

type Seen = Pick<IoctlRequest, 'nodeid' | 'fh' | 'flags' | 'cmd' | 'inSize' | 'outSize'> & {
  data: string
  arg: bigint
}

/** A directory with one file `f`, and what its ioctl handler was asked. */
function device(answer: (request: IoctlRequest) => Reply<number | IoctlReply>): {
  filesystem: Filesystem
  seen: Seen[]
} {
  const seen: Seen[] = []
  const filesystem: Filesystem = {
    lookup: ({ name }) => (name === 'f' ? { nodeid: 2, attr: attr(2) } : ENOENT),
    getattr: ({ nodeid }) => ({ attr: attr(nodeid) }),
    open: () => ({ fh: 7 }),
    opendir: () => ({ fh: 8 }),
    ioctl(request) {
      const { nodeid, fh, flags, cmd, inSize, outSize, data, arg } = request
      seen.push({ nodeid, fh, flags, cmd, inSize, outSize, data: data.toString('hex'), arg })
      return answer(request)
    },
  }
  return { filesystem, seen }
}

const reversed = ({ data, outSize }: IoctlRequest): IoctlReply => ({
  data: Buffer.concat([Buffer.from(data).reverse(), Buffer.alloc(outSize)]).subarray(0, outSize),
})

describe('ioctl', { skip, timeout: 60_000 }, () => {
  it('brings data in with _IOW, out with _IOR, both ways with _IOWR', async (t) => {
    const { filesystem, seen } = device((request) =>
      request.inSize === 0 ? { data: Buffer.alloc(request.outSize, 0xab) } : reversed(request),
    )
    const { mnt } = await mounted(t, filesystem)
    assert.equal(await ioctl(`${mnt}/f`, IOC.write, 1, 4, '01020304'), 'result=0 errno=0 data=01020304')
    assert.equal(await ioctl(`${mnt}/f`, IOC.read, 2, 8), `result=0 errno=0 data=${'ab'.repeat(8)}`)
    assert.equal(await ioctl(`${mnt}/f`, IOC.both, 3, 4, '01020304'), 'result=0 errno=0 data=04030201')
    const asked = seen.map(({ cmd, inSize, outSize, data, fh, nodeid }) => ({
      ...{ cmd, inSize, outSize, data, fh, nodeid },
    }))
    const each = { fh: 7, nodeid: 2 }
    assert.deepEqual(asked, [
      { ...each, cmd: command(IOC.write, 1, 4), inSize: 4, outSize: 0, data: '01020304' },
      { ...each, cmd: command(IOC.read, 2, 8), inSize: 0, outSize: 8, data: '' },
      { ...each, cmd: command(IOC.both, 3, 4), inSize: 4, outSize: 4, data: '01020304' },
    ])
  })

  it('carries the largest argument that a command can name, 16383 bytes', async (t) => {
    const { filesystem } = device(reversed)
    const { mnt } = await mounted(t, filesystem)
    const out = await ioctl(`${mnt}/f`, IOC.both, 4, 16383, 'c0ffee')
    assert.equal(out, `result=0 errno=0 data=${'00'.repeat(16380)}eeffc0`)
  })

  it('passes a bare number, and gives results and errors back', async (t) => {
    const { filesystem, seen } = device(({ arg }) => {
      if (arg === 1n) return 42
      if (arg === 2n) return EIO
      if (arg === 3n) return Promise.resolve(7)
      if (arg === 4n) throw Object.assign(new Error('busy'), { code: 'EBUSY' })
      if (arg === 5n) return ENOSYS
      return 0
    })
    const { mnt } = await mounted(t, filesystem)
    assert.equal(await ioctlNumber(`${mnt}/f`, 9, 1), 'result=42 errno=0')
    assert.equal(await ioctlNumber(`${mnt}/f`, 9, 2), 'result=-1 errno=EIO')
    assert.equal(await ioctlNumber(`${mnt}/f`, 9, 3), 'result=7 errno=0')
    assert.equal(await ioctlNumber(`${mnt}/f`, 9, 4), 'result=-1 errno=EBUSY')
    // Kernel: for ioctl(2) "not implemented" is spelled ENOTTY.
    assert.equal(await ioctlNumber(`${mnt}/f`, 9, 5), 'result=-1 errno=ENOTTY')
    assert.equal(await ioctlNumber(`${mnt}/f`, 9, 0x1_0000_0001), 'result=0 errno=0')
    assert.equal(seen.at(-1)?.arg, 0x1_0000_0001n)
  })

  it('gives data back beside a result, and beside an error', async (t) => {
    const { filesystem } = device(({ cmd }) => ({
      result: cmd === command(IOC.read, 1, 2) ? 5 : -13,
      data: Buffer.from('beef', 'hex'),
    }))
    const { mnt } = await mounted(t, filesystem)
    assert.equal(await ioctl(`${mnt}/f`, IOC.read, 1, 2), 'result=5 errno=0 data=beef')
    assert.equal(await ioctl(`${mnt}/f`, IOC.read, 2, 2), 'result=-1 errno=EACCES data=beef')
  })

  it('leaves the rest of the caller’s memory alone where the answer is short', async (t) => {
    const { filesystem } = device(() => ({ data: Buffer.from('beef', 'hex') }))
    const { mnt } = await mounted(t, filesystem)
    assert.equal(await ioctl(`${mnt}/f`, IOC.both, 1, 4, '01020304'), 'result=0 errno=0 data=beef0304')
  })

  it('reaches directories', async (t) => {
    const { filesystem, seen } = device(reversed)
    const { mnt, session } = await mounted(t, filesystem)
    assert.ok(session.negotiation.agreed.has('FUSE_HAS_IOCTL_DIR'))
    assert.equal(await ioctl(mnt, IOC.both, 1, 2, '0102'), 'result=0 errno=0 data=0201')
    assert.deepEqual(
      seen.map(({ nodeid, fh, flags }) => ({ nodeid, fh, dir: (flags & FUSE_IOCTL_DIR) !== 0 })),
      [{ nodeid: 1, fh: 8, dir: true }],
    )
  })

  it('answers ENOTTY without a handler', async (t) => {
    const { filesystem } = device(() => 0)
    const { ioctl: _, ...without } = filesystem
    const { mnt } = await mounted(t, without)
    assert.equal(await ioctlNumber(`${mnt}/f`, 1, 1), 'result=-1 errno=ENOTTY')
  })

  it('reports answers that do not fit, and the caller gets EIO', async (t) => {
    const answers: unknown[] = [
      { data: Buffer.alloc(5) },
      'text',
      { result: 1.5 },
      { result: 2 ** 31 },
      2 ** 40,
    ]
    const { filesystem } = device(() => answers.shift() as IoctlReply)
    const { mnt, warnings } = await mounted(t, filesystem)
    while (answers.length > 0) assert.match(await ioctl(`${mnt}/f`, IOC.read, 1, 4), /errno=EIO/)
    assert.equal(warnings.length, 5)
    assert.match(warnings[0] ?? '', /returned 5 bytes of data where the caller has room for 4/)
    assert.match(warnings[1] ?? '', /an integer or \{ result, data \}/)
  })

  it('hears of FS_IOC_GETFLAGS and its family, as lsattr sends them', async (t) => {
    const FS_IOC_GETFLAGS = 0x8008_6601
    const immutable = Buffer.from([0x10, 0, 0, 0])
    const { filesystem, seen } = device(() => ({ data: immutable }))
    const { mnt } = await mounted(t, filesystem)
    const { code, stdout } = await run('lsattr', [`${mnt}/f`])
    if (code !== 0) return t.skip('lsattr is not here')
    assert.match(stdout, /^----i-/)
    assert.equal(seen[0]?.cmd, FS_IOC_GETFLAGS)
  })
})
