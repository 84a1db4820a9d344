// FUSE over io_uring: the same answers as over the device, byte for byte; waiters that never starve the others; every end.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { ENOENT, mount } from 'devfuse'
import type { Filesystem, SessionOptions } from 'devfuse'
import { DeviceTransport } from '#dist/device/device.js'
import { findMount } from '#dist/device/mountinfo.js'
import { RingTransport } from '#dist/device/ring.js'
import { whyNoRing } from '#dist/device/ring-support.js'
import { Memory } from '../kernel/memory.js'
import {
  abortMount,
  cleanup,
  compiled,
  mounted,
  run,
  sh,
  temporary,
  mountWithSingleFiles,
} from '../support/mounting.js'
import { easy, settled, source } from '../support/one-file.js'
import { noRing, turnRingOn } from '../support/ring.js'
import { attrOf, mountAt, oneFile, place, serve, serverSource, until } from '../support/server.js'

const ring = { transport: 'ring' } as const

/** Mounts over io_uring for the duration of a test. */
async function ringed(t: TestContext, filesystem: Filesystem, options: SessionOptions = {}) {
  await turnRingOn(t)
  return await mounted<SessionOptions>(t, filesystem, { ...options, ...ring })
}

/** Everything that a client can do, one call after the other. */
async function everything(mnt: string): Promise<string> {
  const provoke = compiled('test/kernel/provoke.c')
  const big = 'x'.repeat(70_000)
  return await sh(
    `cd ${mnt}
    stat -f -c %T . ; stat -c '%s %a' file; cat file; cat missing || true
    echo one > new; echo two >> new; cat new; head -c 300000 /dev/zero > large; md5sum < large
    mkdir dir; mv new dir/moved; mv dir/moved dir/again; ln dir/again hard; ln -s dir/again soft; readlink soft
    ls -a . dir; chmod 600 hard; chown 12:34 hard; touch -d @1000000000 hard; stat -c '%a %u %g %Y %h' hard
    mknod pipe p; truncate -s 5 hard; cat hard; rmdir dir || true; rm hard soft pipe large; rm -r dir
    ${provoke} statx file; ${provoke} fallocate file 0 0 9000; ${provoke} seek-hole file 0; ${provoke} fsync file
    ${provoke} rename file other 1; ${provoke} rename other file 1; ${provoke} tmpfile . || true
    ${provoke} setxattr file user.short value 0 || true; ${provoke} ioctl file || true; ${provoke} access file 4 || true
    ${provoke} direct file || true
    printf '%s' '${big}' > text; md5sum < text`,
    { timeout: 30_000 },
  )
}

const VARIES = /^(unique|pid|context|extensions|lk)$|[oO]wner|^arg(Low|High)$|^[acm]time/

/** What came to the handlers and what went back, by operation. */
async function recorded(t: TestContext, transport: 'device' | 'ring'): Promise<Record<string, string[]>> {
  const memory = new Memory()
  memory.put('file', 'content')
  const log: Record<string, string[]> = {}
  const seen = new Map<number, string>()
  const handlers = Object.entries(memory.filesystem()) as [string, (request: { unique: number }) => unknown][]
  const filesystem = Object.fromEntries(
    handlers.map(([name, handler]) => [
      name,
      (request: { unique: number }) => {
        if (typeof request.unique === 'number') {
          const fields = Object.entries({ ...request }).filter(([key]) => !VARIES.test(key))
          const text = JSON.stringify(fields, (_, value: unknown) =>
            value instanceof Uint8Array
              ? Buffer.from(value).toString('hex')
              : typeof value === 'bigint'
                ? `${value}`
                : value,
          )
          seen.set(request.unique, `${name} ${text}`)
        }
        return handler(request)
      },
    ]),
  )
  const target = transport === 'ring' ? RingTransport.prototype : DeviceTransport.prototype
  // oxlint-disable-next-line typescript/unbound-method -- called with `this` below
  const { reply } = target
  target.reply = function (unique, resent, error, bytes, offset, length, headroom) {
    const request = seen.get(unique)
    if (request !== undefined) {
      const body = Buffer.from(bytes.subarray(offset, offset + length)).toString('hex')
      ;(log[request.split(' ', 1)[0]] ??= []).push(`${request} -> ${error} ${body}`)
    }
    return reply.call(this, unique, resent, error, bytes, offset, length, headroom)
  }
  try {
    const { mnt, session } = await mounted(t, filesystem, { transport, passthrough: 'off' })
    log['printed'] = [await everything(mnt)]
    assert.equal(session.stats().transport, transport)
    await session.unmount()
  } finally {
    target.reply = reply
  }
  return log
}

describe('io_uring', { skip: noRing, timeout: 170_000 }, () => {
  it('brings the same requests and takes the same answers as the device, byte for byte', async (t) => {
    await turnRingOn(t)
    mountWithSingleFiles(t)
    const device = await recorded(t, 'device')
    const over = await recorded(t, 'ring')
    assert.deepEqual(Object.keys(over).sort(), Object.keys(device).sort())
    for (const [name, calls] of Object.entries(device)) assert.deepEqual(over[name], calls, name)
    const answers = Object.values(over).flat().length
    assert.ok(answers > 100, `${answers} answers`)
    t.diagnostic(`${answers} answers of ${Object.keys(over).length - 1} operations`)
  })

  it('lets a reader through while 100 callers of one CPU wait', async (t) => {
    let waiting = 0
    const { mnt, session } = await ringed(
      t,
      {
        ...oneFile,
        open: () => ({}),
        setlkw: () => (waiting++, new Promise(() => undefined)),
        setlk: () => undefined,
      },
      { ringDepth: 4 },
    )
    const script = `for i in $(seq 100); do flock -x ${mnt}/file true & done; wait`
    const callers = spawn('taskset', ['-c', '0', 'sh', '-c', script], { stdio: 'ignore', detached: true })
    // Who still waits for the lock outlives the shell.
    const kill = (): boolean => process.kill(-(callers.pid as number), 'SIGKILL')
    cleanup(t, () => session.stats().inFlight === 0 || kill())
    assert.ok(await until(() => waiting === 100, 60_000), `${waiting} of 100 came`)
    for (const cpu of ['0', '1']) {
      const { stdout, code } = await run('taskset', ['-c', cpu, 'cat', `${mnt}/file`], { timeout: 5000 })
      if (code === 0) assert.equal(stdout, 'hello\n')
      else assert.equal(cpu, '1', 'the reader starved')
    }
    const { device } = session.stats()
    t.diagnostic(`${device['ringEntries']} entries, ${device['ringKicks']} kicks`)
    kill()
    assert.ok(await until(() => session.stats().inFlight === 0, 20_000))
  })

  it('keeps the payload of a killed caller until its handler has settled', async (t) => {
    let settle: (() => void) | undefined
    let kept: Uint8Array | undefined
    const { mnt, session } = await ringed(
      t,
      {
        ...oneFile,
        open: () => ({ openFlags: 1 }),
        lookup: ({ name }) => ({ nodeid: name === 'file' ? 2 : 3, attr: attrOf(name === 'file' ? 2 : 3) }),
        setattr: ({ nodeid }) => ({ attr: attrOf(nodeid) }),
        write: ({ data }) => {
          if (kept !== undefined) return data.byteLength
          kept = data
          return new Promise((done) => (settle = () => done(data.byteLength)))
        },
      },
      { ringDepth: 1, interruptGrace: 20 },
    )
    const writer = spawn('sh', ['-c', `printf first > ${mnt}/file`])
    assert.ok(await until(() => kept !== undefined))
    writer.kill('SIGKILL')
    await new Promise((done) => setTimeout(done, 200))
    await sh(`printf other > ${mnt}/other`)
    assert.equal(Buffer.from(kept as Uint8Array).toString(), 'first')
    settle?.()
    assert.ok(await until(() => session.stats().inFlight === 0))
  })

  it('reads from descriptors straight into the entry, and hands files to the kernel', async (t) => {
    await turnRingOn(t)
    const path = source(t, 'behind it'.repeat(1000))
    const { mnt, session } = await easy(t, path, ring)
    assert.equal(await sh(`cat ${mnt}/f`), 'behind it'.repeat(1000))
    const passed = session.stats().passthrough.opens
    if (session.negotiation.passthroughUnavailable === undefined) assert.equal(passed, 1)
    const fd = openSync(path, 'r')
    const served = await ringed(t, {
      ...oneFile,
      getattr: ({ nodeid }) => ({ attr: attrOf(nodeid, { size: 9000 }) }),
      lookup: () => ({ nodeid: 2, attr: attrOf(2, { size: 9000 }) }),
      read: ({ offset, size }) => ({ fd, offset, size }),
    })
    assert.equal(await sh(`cat ${served.mnt}/file`), 'behind it'.repeat(1000))
    const { readsInPlace = 0, readsByPool = 0 } = served.session.stats().device
    assert.ok(readsInPlace + readsByPool > 0)
  })

  it('answers EIO for a descriptor, offset and size that cannot be', async (t) => {
    const fd = openSync(source(t, 'content'), 'r')
    const { mnt, warnings } = await ringed(t, {
      ...oneFile,
      read: () => ({ fd, size: 10 }) as never,
    })
    const { stderr } = await run('cat', [`${mnt}/file`], { timeout: 10_000 })
    assert.match(stderr, /Input\/output error/)
    assert.match(warnings.join(), /^read failed/)
    closeSync(fd)
  })

  it('ends with an abort, and its memory with it', async (t) => {
    const { mnt, session } = await ringed(t, { ...oneFile, read: () => new Promise(() => undefined) })
    const cat = run('cat', [`${mnt}/file`])
    await settled(() => session.stats().inFlight === 1)
    abortMount(mnt)
    assert.equal((await session.closed).reason, 'aborted')
    assert.notEqual((await cat).code, 0)
  })

  it('can be mounted again and again', async (t) => {
    await turnRingOn(t)
    const mnt = temporary(t)
    const before = process.memoryUsage().rss
    for (let i = 0; i < 30; i++) {
      await using session = await mount(mnt, oneFile, ring)
      assert.equal(await sh(`cat ${session.mountPoint}/file`), 'hello\n')
    }
    const grown = (process.memoryUsage().rss - before) / 2 ** 20
    t.diagnostic(`resident memory grew by ${grown.toFixed(1)} MiB in 30 mounts`)
    assert.ok(grown < 100)
  })

  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    it(`is gone with its process after ${signal}`, async (t) => {
      await turnRingOn(t)
      const mnt = place(t)
      const server = await serve(
        t,
        serverSource(`mount(${JSON.stringify(mnt)}, filesystem, { transport: 'ring' })`),
      )
      assert.equal((await run('cat', [`${mnt}/file`])).stdout, 'hello\n')
      server.child.kill(signal)
      await server.ended
      if (signal === 'SIGTERM') assert.equal(findMount(mnt), undefined)
      else assert.notEqual((await run('cat', [`${mnt}/file`], { timeout: 5000 })).code, 0)
    })
  }

  it('is refused with the fix where the kernel has it turned off, and `auto` does without', async (t) => {
    await turnRingOn(t)
    const parameter = '/sys/module/fuse/parameters/enable_uring'
    const mnt = temporary(t)
    const before = readFileSync(parameter, 'latin1')
    writeFileSync(parameter, 'N')
    try {
      assert.match(whyNoRing() ?? '', /echo Y/)
      await assert.rejects(mount(mnt, oneFile, ring), /'ring' is impossible: .*echo Y > \/sys\/module\/fuse/)
      assert.equal(mountAt(mnt), undefined)
      await using session = await mount(mnt, oneFile, { transport: 'auto' })
      assert.equal(session.stats().transport, 'device')
      assert.match(session.stats().transportReason, /echo Y/)
    } finally {
      writeFileSync(parameter, before)
    }
  })

  it('is what `auto` takes only where the deadlock guard has nothing to watch', async (t) => {
    await turnRingOn(t)
    const guarded = await mounted(t, oneFile, { transport: 'auto' })
    assert.equal(guarded.session.stats().transport, 'device')
    assert.match(guarded.session.stats().transportReason, /deadlock guard/)
    const free = await mounted(t, oneFile, { transport: 'auto', deadlockGuard: false })
    assert.equal(free.session.stats().transport, 'ring')
    assert.equal(await sh(`cat ${free.mnt}/file`), 'hello\n')
  })

  it('refuses what it excludes', async (t) => {
    await turnRingOn(t)
    const mnt = temporary(t)
    await assert.rejects(mount(mnt, {}, { ...ring, want: ['FUSE_HAS_RESEND'] }), /excludes transport: 'ring'/)
    await assert.rejects(
      mount(mnt, {}, { ...ring, refuse: ['FUSE_OVER_IO_URING'] }),
      /needs FUSE_OVER_IO_URING/,
    )
    await assert.rejects(mount(mnt, {}, { want: ['FUSE_OVER_IO_URING'] }), /option transport: 'ring'/)
    await assert.rejects(mount(mnt, {}, { ...ring, ringDepth: 0 }), /`ringDepth` must be an integer from 1/)
    const { session } = await ringed(t, { ...oneFile, shareable: true }, { passthrough: 'off' })
    assert.throws(() => session.clone(), /mount with transport: 'device'/)
    await assert.rejects(session.notify.resend(), /transport: 'device'/)
    // A small limit of ours must not become one of the kernel's: what does not fit into an entry is a BUG there.
    const small = await ringed(
      t,
      { ...oneFile, setxattr: ({ value }) => (value.byteLength === 60_000 ? undefined : -5) },
      { maxWrite: 4096 },
    )
    assert.equal(small.session.negotiation.maxPages, 32)
    const value = 'x'.repeat(60_000)
    const set = [`${small.mnt}/file`, 'user.long', value, '0']
    assert.equal((await run(compiled('test/kernel/provoke.c'), ['setxattr', ...set])).stdout, '0\n')
    assert.equal((await run('cat', [`${small.mnt}/file`])).stdout, 'hello\n')
  })
})

describe('a FORGET that somebody waits for', { skip: noRing, timeout: 30_000 }, () => {
  for (const transport of ['ring', 'device'] as const)
    it(`ends over the ${transport}`, async (t) => {
      await turnRingOn(t)
      const directory = (ino: number) => attrOf(ino, { mode: 0o040755, nlink: 2, size: 0 })
      const forgotten: number[] = []
      // Kernel: a directory cannot lie in itself, so what READDIRPLUS has looked up is given back by whoever lists.
      const { mnt } = await mounted<SessionOptions>(
        t,
        {
          lookup: ({ name }) => (name === 'd' ? { nodeid: 2, attr: directory(2) } : ENOENT),
          getattr: ({ nodeid }) => ({ attr: directory(nodeid) }),
          readdirplus: ({ nodeid, offset }) =>
            nodeid === 2 && offset === 0 ? [{ name: 'loop', nodeid: 2, attr: directory(2) }] : [],
          forget: ({ nodeid }) => void forgotten.push(nodeid),
        },
        { transport },
      )
      const { code, stdout } = await run('ls', ['-a', `${mnt}/d`], { timeout: 10_000 })
      assert.deepEqual([code, stdout, forgotten], [0, 'loop\n', [2]])
    })
})
