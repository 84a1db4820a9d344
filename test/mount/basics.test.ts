// A real mount of small filesystems: sync and async handlers, errors, names, big data, and how a session ends.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { join } from 'node:path'
import { mount, openMount, unmount, ENOENT, EISDIR } from 'devfuse'
import { fsFrom, mountFs } from 'devfuse/fs'
import { memoryFilesystem, mountMemory } from 'devfuse/memory'
import { mountMirror } from 'devfuse/mirror'
import { pipe, trace } from 'devfuse/wrappers'
import { closedBy } from '#dist/session/closed.js'
import type { Attr, Entry, Filesystem, Request } from 'devfuse'
import { cleanup, mounted, run, sh, skip, takeDown, temporary } from '../support/mounting.js'

const S_IFDIR = 0o040000
const S_IFREG = 0o100000

function attr(ino: number, mode: number, size = 0): Attr {
  return { ino, mode, size, blocks: 0, nlink: 1, uid: 0, gid: 0, atime: 1, mtime: 2, ctime: 3 }
}

/** Files in one directory, by name. */
export function flat(files: Record<string, string | Uint8Array>): Filesystem & { reads: number } {
  const names = Object.keys(files)
  const content = (nodeid: number): Uint8Array => Buffer.from(files[names[nodeid - 2]] as string)
  const attributes = (nodeid: number): Attr =>
    nodeid === 1 ? attr(1, S_IFDIR | 0o755) : attr(nodeid, S_IFREG | 0o644, content(nodeid).byteLength)
  return {
    reads: 0,
    lookup({ nodeid, name }): Entry | typeof ENOENT {
      const index = names.indexOf(name)
      return nodeid !== 1 || index < 0 ? ENOENT : { nodeid: index + 2, attr: attributes(index + 2) }
    },
    getattr: ({ nodeid }) => ({ attr: attributes(nodeid) }),
    readdir: ({ offset }) => names.map((name, index) => ({ name, ino: index + 2, type: 8 })).slice(offset),
    read({ nodeid, offset, size }) {
      this.reads++
      return content(nodeid).subarray(offset, offset + size)
    },
  }
}

/** The same filesystem with every answer delayed by a turn of the event loop. */
function later<T extends object>(filesystem: T): T {
  return Object.fromEntries(
    Object.entries(filesystem).map(([name, value]) => [
      name,
      typeof value === 'function'
        ? async (request: unknown) => {
            await new Promise((done) => setImmediate(done))
            return (value as (request: unknown) => unknown).call(filesystem, request)
          }
        : value,
    ]),
  ) as T
}

describe('a mounted filesystem', { skip, timeout: 60_000 }, () => {
  for (const [kind, wrap] of [
    ['sync', <T extends object>(filesystem: T): T => filesystem],
    ['async', later],
  ] as const) {
    it(`lists and reads, ${kind} handlers`, async (t) => {
      const big = 'x'.repeat(3_000_000)
      const { mnt, session } = await mounted(t, wrap(flat({ hello: 'Hello!\n', big, 'é ü': 'accents' })))
      assert.equal(await sh(`cat ${mnt}/hello`), 'Hello!\n')
      assert.equal(await sh(`ls ${mnt} | sort`), 'big\nhello\né ü\n')
      assert.equal(await sh(`cat '${mnt}/é ü'`), 'accents')
      assert.equal(
        await sh(`md5sum < ${mnt}/big`),
        await sh(`head -c 3000000 /dev/zero | tr '\\0' x | md5sum`),
      )
      assert.match((await run('cat', [`${mnt}/absent`])).stderr, /No such file/)
      assert.match((await run('sh', ['-c', `echo no > ${mnt}/new`])).stderr, /not permitted|not implemented/i)
      const { operations } = session.stats()
      assert.ok((operations['LOOKUP']?.count ?? 0) > 0)
      assert.ok((operations['READ']?.bytesOut ?? 0) >= 3_000_000)
    })
  }

  it('lists a directory too large for one reply', async (t) => {
    const files = Object.fromEntries(
      Array.from({ length: 20_000 }, (_, i) => [`file-with-a-long-name-${i}`, '']),
    )
    const { mnt } = await mounted(t, flat(files))
    assert.equal((await sh(`ls -f ${mnt} | grep -c file-`)).trim(), '20000')
  })

  it('takes directory entries from an async generator', async (t) => {
    const base = flat({})
    const { mnt } = await mounted(t, {
      ...base,
      async *readdir({ offset }) {
        for (let i = offset; i < 5000; i++) {
          if (i % 1000 === 0) await new Promise((done) => setImmediate(done))
          yield { name: `entry${i}`, ino: i + 10, type: 8, off: i + 1 }
        }
      },
    })
    assert.equal((await sh(`ls -f ${mnt} | sort -u | wc -l`)).trim(), '5000')
  })

  it('gives back the lookups of entries that did not fit', async (t) => {
    const lookups = new Map<number, number>()
    const count = (nodeid: number, by: number): void =>
      void lookups.set(nodeid, (lookups.get(nodeid) ?? 0) + by)
    const { mnt } = await mounted(t, {
      lookup: () => ENOENT,
      getattr: ({ nodeid }) => ({ attr: attr(nodeid, nodeid === 1 ? S_IFDIR | 0o755 : S_IFREG | 0o644) }),
      readdirplus: ({ offset }) =>
        Array.from({ length: 3000 - offset }, (_, index) => {
          const nodeid = offset + index + 2
          count(nodeid, 1)
          return { name: `entry${nodeid}`, nodeid, attr: attr(nodeid, S_IFREG | 0o644) }
        }),
      forget: ({ nodeid, nlookup }) => count(nodeid, -nlookup),
    })
    assert.equal((await sh(`ls -l ${mnt} | grep -c entry`)).trim(), '3000')
    // What the kernel still holds is one lookup each; everything above that was given back.
    for (const [nodeid, held] of lookups)
      assert.ok(held === 0 || held === 1, `nodeid ${nodeid} holds ${held}`)
  })

  it('answers what handlers throw', async (t) => {
    const base = flat({ a: '', b: '', c: '' })
    const { mnt, warnings } = await mounted(t, {
      ...base,
      read({ nodeid }) {
        if (nodeid === 2) throw Object.assign(new Error('quota'), { code: 'EDQUOT' })
        if (nodeid === 3) return Promise.reject(Object.assign(new Error('dir'), { errno: -21 }))
        throw new Error('a bug')
      },
      open: () => ({ openFlags: 1 }),
    })
    assert.match((await run('cat', [`${mnt}/a`])).stderr, /quota exceeded/i)
    assert.match((await run('cat', [`${mnt}/b`])).stderr, /Is a directory/)
    assert.match((await run('cat', [`${mnt}/c`])).stderr, /Input\/output error/)
    assert.equal(warnings.length, 1)
    assert.match(warnings[0] ?? '', /a bug/)
  })

  it('takes the encoding of names from the filesystem where the options have none', async (t) => {
    const memory = memoryFilesystem()
    assert.equal(memory.mountOptions.encoding, 'latin1')
    const { mnt } = await mounted(t, pipe<Filesystem>(memory, trace))
    const name = 'h\u00e9-\u65e5\u672c'
    await sh(`cd ${mnt}; echo text > '${name}'; ln -s '${name}' link; cat link; stat -c %s link > size`)
    assert.equal(await sh(`cat ${mnt}/size`), `${Buffer.byteLength(name)}\n`)
    const fs = fsFrom(memory)
    t.after(() => fs.close())
    assert.deepEqual(await fs.readdir('/'), [name, 'link', 'size'])
  })

  it('refuses names that are not UTF-8, and keeps them exact with other encodings', async (t) => {
    const weird = String.raw`$(printf 'a\377b')`
    const plain = await mounted(t, flat({ x: '' }))
    assert.match(
      (await run('bash', ['-c', `cat "${plain.mnt}/${weird}"`])).stderr,
      /Invalid or incomplete multibyte/,
    )
    const seen: string[] = []
    const exact = await mounted(
      t,
      { ...flat({}), lookup: ({ name }) => (seen.push(name), ENOENT) },
      { encoding: 'latin1' },
    )
    await run('bash', ['-c', `cat "${exact.mnt}/${weird}"`])
    assert.ok(seen.includes('a\u00ffb'))
    const bytes: Buffer[] = []
    const buffers = await mounted(
      t,
      {
        getattr: () => ({ attr: attr(1, S_IFDIR | 0o755) }),
        lookup: ({ name }) => (bytes.push(name), ENOENT),
      },
      { encoding: 'buffer' },
    )
    await run('bash', ['-c', `cat "${buffers.mnt}/${weird}"`])
    assert.ok(bytes.some((name) => name.equals(Buffer.from([0x61, 0xff, 0x62]))))
  })

  it('tells the supplementary groups of a caller, and that one who is gone cannot be seen', async (t) => {
    const files = flat({ f: 'x' })
    const seen: (number[] | undefined)[] = []
    let last: Request | undefined
    const { mnt } = await mounted(t, {
      ...files,
      read(request) {
        last = Object.assign(Object.create(request) as Request, { context: request.context })
        seen.push(request.groups)
        return Buffer.from('x')
      },
    })
    await sh(`setpriv --groups 7,4242 cat ${mnt}/f; setpriv --clear-groups cat ${mnt}/f`)
    assert.deepEqual([seen.at(0), seen.at(-1)], [[7, 4242], []])
    assert.equal(last?.groups, undefined)
  })

  it('aborts the signal of an interrupted request', async (t) => {
    let aborted = 0
    const { mnt, session } = await mounted(t, {
      ...flat({ slow: 'x' }),
      open: () => ({ openFlags: 1 }),
      read: ({ signal }) =>
        new Promise((_, fail) => {
          signal.addEventListener('abort', () => {
            aborted++
            fail(signal.reason as Error)
          })
        }),
    })
    const { code } = await run('timeout', ['-s', 'KILL', '1', 'cat', `${mnt}/slow`])
    assert.notEqual(code, 0)
    for (let i = 0; i < 100 && aborted === 0; i++) await new Promise((done) => setTimeout(done, 20))
    assert.equal(aborted, 1)
    assert.equal(session.stats().inFlight, 0)
  })
})

describe('the end of a session', { skip, timeout: 60_000 }, () => {
  it('unmounts and settles closed', async (t) => {
    const { session, mnt } = await mounted(t, flat({ a: '1' }))
    await session.unmount()
    assert.deepEqual(await session.closed, { reason: 'unmount', errno: 0 })
    assert.equal(session.fd, -1)
    await assert.doesNotReject(session.unmount())
    assert.equal(await sh(`ls ${mnt}`), '')
  })

  it('says EBUSY while the mount is in use, and goes on serving', async (t) => {
    const { session, mnt } = await mounted(t, flat({ a: '1' }))
    const busy = spawn('sh', ['-c', `cd ${mnt} && echo in && cat`], { stdio: ['pipe', 'pipe', 'inherit'] })
    cleanup(t, () => busy.kill('SIGKILL'))
    await once(busy.stdout, 'data')
    await assert.rejects(session.unmount(), { code: 'EBUSY', syscall: 'umount2' })
    assert.equal(await sh(`cat ${mnt}/a`), '1')
    busy.stdin.end()
    await once(busy, 'close')
    await session.unmount()
  })

  it('says EBUSY, too, once it is detached, and lets its last file be', async (t) => {
    const { session, mnt } = await mounted(t, flat({ a: '1' }))
    const busy = spawn('sh', ['-c', `exec 3< ${mnt}/a && echo in && read line; cat <&3`])
    cleanup(t, () => busy.kill('SIGKILL'))
    await once(busy.stdout, 'data')
    await session.unmount({ lazy: true })
    await assert.rejects(session.unmount(), { code: 'EBUSY', message: /detached before/ })
    busy.stdin.end('\n')
    assert.equal(String((await once(busy.stdout, 'data'))[0]), '1')
    assert.deepEqual(await session.closed, { reason: 'unmount', errno: 0 })
  })

  it('tells a connection that the kernel ended from one that was unmounted', async (t) => {
    const { session } = await mounted(t, flat({}))
    const ENODEV = -19
    assert.equal(closedBy(ENODEV, session.mounted).reason, 'aborted')
    await session.unmount()
    assert.equal(closedBy(ENODEV, session.mounted).reason, 'outside')
  })

  it('notices an unmount from outside', async (t) => {
    const { session, mnt, warnings } = await mounted(t, flat({ a: '1' }))
    await sh(`umount ${mnt}`)
    assert.equal((await session.closed).reason, 'outside')
    assert.match(warnings.join(), /from outside/)
  })

  it('unmounts at the end of an `await using` block', async (t) => {
    const mnt = temporary(t)
    {
      await using session = await mount(mnt, flat({ a: '1' }))
      assert.equal(await sh(`cat ${mnt}/a`), '1')
      assert.equal(session.mountPoint, mnt)
    }
    assert.equal(await sh(`ls ${mnt}`), '')
  })

  it('lets a second session of the same process go on', async (t) => {
    const first = await mounted(t, flat({ a: '1' }))
    const second = await mounted(t, flat({ a: '2' }))
    await takeDown(first.session)
    assert.equal(await sh(`cat ${second.mnt}/a`), '2')
  })
})

describe('mount()', { skip, timeout: 60_000 }, () => {
  it('names an unknown option and an impossible wish', async (t) => {
    const mnt = temporary(t)
    await assert.rejects(mount(mnt, {}, { colour: 'blue' } as never), /unknown option `colour`/)
    await assert.rejects(mount(mnt, {}, { maxWrite: 5 }), /`maxWrite` must be an integer from 4096/)
    await assert.rejects(
      mount(mnt, {}, { want: ['FUSE_NO_SUCH' as never] }),
      /unknown INIT flag "FUSE_NO_SUCH"/,
    )
    await assert.rejects(
      mount(mnt, {}, { want: ['FUSE_WRITEBACK_CACHE'], passthrough: 'on' }),
      /FUSE_WRITEBACK_CACHE excludes FUSE_PASSTHROUGH/,
    )
    await assert.rejects(mount(mnt, {}, { want: ['FUSE_ALLOW_IDMAP'] }), /defaultPermissions/)
    assert.equal(await sh(`mount | grep -c ${mnt} || true`), '0\n')
  })

  it('says what is wrong with a mount point', async (t) => {
    const mnt = temporary(t)
    await assert.rejects(mount(join(mnt, 'absent'), {}), { code: 'ENOENT', syscall: 'stat' })
  })

  it('takes `..` in a mount point as the kernel does, and an empty path for none', async (t) => {
    const folder = temporary(t)
    mkdirSync(join(folder, 'real/deep'), { recursive: true })
    mkdirSync(join(folder, 'real/mnt'))
    mkdirSync(join(folder, 'mnt'))
    symlinkSync('real/deep', join(folder, 'link'))
    const session = await mount(`${folder}/link/../mnt`, flat({}))
    cleanup(t, () => takeDown(session))
    assert.equal(session.mountPoint, join(realpathSync(folder), 'real/mnt'))
    await unmount(`${folder}/link/../mnt`)
    assert.equal((await session.closed).reason, 'outside')
    for (const empty of [mount('', flat({})), openMount('')])
      await assert.rejects(empty, { code: 'ENOENT', message: /empty path/ })
    await assert.rejects(unmount(''), { code: 'EINVAL' })
  })

  it('takes no file as the mount point of a filesystem whose root is a directory', async (t) => {
    const folder = temporary(t)
    const file = join(folder, 'file')
    writeFileSync(file, 'below')
    const refused = { code: 'ENOTDIR', message: /is no directory/ }
    await assert.rejects(mountMemory(file), refused)
    await assert.rejects(mountMirror(folder, file), refused)
    await assert.rejects(mountFs({ readdir: () => [] }, file), refused)
    assert.equal(readFileSync(file, 'utf8'), 'below')
  })

  it('tells wanted, offered and agreed apart', async (t) => {
    const { session } = await mounted(t, flat({}), { passthrough: 'off', want: ['FUSE_WRITEBACK_CACHE'] })
    const { wanted, offered, agreed, passthroughUnavailable } = session.negotiation
    assert.ok(wanted.has('FUSE_WRITEBACK_CACHE') && agreed.has('FUSE_WRITEBACK_CACHE'))
    assert.ok(offered.has('FUSE_POSIX_ACL') && !wanted.has('FUSE_POSIX_ACL') && !agreed.has('FUSE_POSIX_ACL'))
    assert.match(passthroughUnavailable ?? '', /turned off/)
  })

  it('mounts on a file', async (t) => {
    const dir = temporary(t)
    await sh(`touch ${dir}/file`)
    const session = await mount(join(dir, 'file'), {
      getattr: () => ({ attr: attr(1, S_IFREG | 0o444, 3) }),
      read: () => Buffer.from('abc'),
      readdir: () => EISDIR,
    })
    cleanup(t, () => takeDown(session))
    assert.equal(await sh(`cat ${dir}/file`), 'abc')
  })
})
