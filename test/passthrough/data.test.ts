// What the kernel passes on to the backing file and what still reaches the server, on every kind of filesystem that backing
// files lie on: a mirror with passthrough, against the rules of Documentation/filesystems/fuse-passthrough.rst.
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import * as sys from 'devfuse/syscalls'
import { syscalls } from 'devfuse/syscalls'
import { Mirrored } from '../mirror/mounted.js'
import { act, client, skip } from '../support/mounting.js'
import { as } from '../support/server.js'
import { backing, filesystems } from './filesystems.js'
import type { Backing } from './filesystems.js'

const big = { bigint: true } as const
const BLOCK = 4096
/** Clocks of filesystems tick every 4 ms (10 at CONFIG_HZ=100). */
const TICK = 20

for (const name of filesystems) {
  describe(`backing files on ${name}`, { skip, timeout: 120_000 }, () => {
    let backed: Backing
    let mirrored: Mirrored
    let src: string
    let mnt: string
    let files = 0

    before(async () => {
      backed = await backing(name)
      if (backed.missing !== '') return
      src = join(backed.path, 'src')
      mirrored = await Mirrored.start({ passthrough: 'on' }, { src })
      mnt = mirrored.mnt
    })
    after(async () => {
      await mirrored?.stop()
      await backed.remove()
    })

    /** A test with a file of its own, `content` on the source, and the requests that came while it ran. */
    const rule = (what: string, content: string, test: (file: File) => unknown) =>
      void it(what, async (t) => {
        if (backed.missing !== '') return t.skip(backed.missing)
        const file = `file-${files++}`
        fs.writeFileSync(join(src, file), content)
        const start = (await mirrored.known()).operations
        const requests = async (...operations: string[]) => {
          const { operations: now } = await mirrored.known()
          return operations.map((one) => (now[one]?.count ?? 0) - (start[one]?.count ?? 0))
        }
        await test({ path: join(mnt, file), real: join(src, file), requests })
        assert.deepEqual((await mirrored.known()).warnings, [])
        assert.deepEqual((await mirrored.known()).passthrough.fallbacks, {})
      })

    rule('read, write, positioned or not, never reach the server', 'x'.repeat(3 * BLOCK), async (file) => {
      const fd = fs.openSync(file.path, 'r+')
      fs.writeSync(fd, 'begin')
      fs.writeSync(fd, 'middle', 2 * BLOCK)
      fs.writevSync(fd, [Buffer.from('one'), Buffer.from('two')], 3 * BLOCK)
      const bytes = Buffer.alloc(6)
      fs.readSync(fd, bytes, 0, 6, 2 * BLOCK)
      fs.readvSync(fd, [bytes.subarray(0, 3), bytes.subarray(3)], 3 * BLOCK)
      assert.equal(bytes.toString(), 'onetwo')
      fs.closeSync(fd)
      assert.deepEqual(fs.readFileSync(file.path), fs.readFileSync(file.real))
      assert.deepEqual(await file.requests('READ', 'WRITE'), [0, 0])
    })

    rule('splice, sendfile and mappings neither', 'y'.repeat(64 * 1024), async (file) => {
      await act('splice', file.path)
      await act('mmap', file.path)
      assert.equal(fs.readFileSync(file.real, 'latin1').slice(0, BLOCK), 'M'.repeat(BLOCK))
      assert.deepEqual(await file.requests('READ', 'WRITE'), [0, 0])
    })

    rule('everything else does, and is done to the backing file', 'z'.repeat(4 * BLOCK), async (file) => {
      const fd = fs.openSync(file.path, 'r+')
      fs.fsyncSync(fd)
      fs.fdatasyncSync(fd)
      fs.ftruncateSync(fd, 3 * BLOCK)
      fs.fchmodSync(fd, 0o640)
      fs.futimesSync(fd, 1, 2)
      assert.equal(syscalls.fallocate(fd, 0, 0, 5 * BLOCK), 0)
      const PUNCH_HOLE = 3
      assert.equal(syscalls.fallocate(fd, PUNCH_HOLE, BLOCK, BLOCK), 0)
      assert.equal(syscalls.lseek(fd, 0, sys.SEEK_HOLE), BLOCK)
      assert.equal(syscalls.copyFileRange(fd, 0, fd, 4 * BLOCK, BLOCK), BLOCK)
      assert.equal(syscalls.setxattr(file.path, 'trusted.devfuse', Buffer.from('value')), 0)
      assert.equal(syscalls.flock(fd, 2), 0)
      fs.closeSync(fd)
      const [fsync, setattr, fallocate, lseek, copy, setxattr] = await file.requests(
        'FSYNC',
        'SETATTR',
        'FALLOCATE',
        'LSEEK',
        'COPY_FILE_RANGE_64',
        'SETXATTR',
      )
      assert.deepEqual([fsync, fallocate, lseek, setxattr], [2, 2, 1, 1])
      assert.ok((setattr ?? 0) >= 3)
      // An older kernel has the other one.
      if (copy === 0) assert.deepEqual(await file.requests('COPY_FILE_RANGE'), [1])
      const stat = fs.statSync(file.real)
      assert.deepEqual([stat.size, stat.mode & 0o777], [5 * BLOCK, 0o640])
      const content = fs.readFileSync(file.real)
      assert.ok(content.subarray(BLOCK, 2 * BLOCK).every((byte) => byte === 0))
      assert.equal(content.toString('latin1', 4 * BLOCK), 'z'.repeat(BLOCK))
      assert.equal(syscalls.getxattr(file.real, 'trusted.devfuse', null), 5)
    })

    rule('size and times follow writes, reads and mapped writes at once', 'x'.repeat(BLOCK), async (file) => {
      const fd = fs.openSync(file.path, 'r+')
      const stats = () => [fs.fstatSync(fd, big), fs.statSync(file.real, big)] as const
      const same = (what: string) => {
        const [seen, real] = stats()
        for (const field of ['size', 'mtimeNs', 'ctimeNs', 'blocks'] as const)
          assert.equal(seen[field], real[field], `${what}: ${field}`)
        return seen
      }
      const first = same('opened')
      await sleep(TICK)
      fs.writeSync(fd, 'y'.repeat(10), 2 * BLOCK)
      const written = same('written')
      assert.equal(written.size, BigInt(2 * BLOCK + 10))
      assert.ok(written.mtimeNs > first.mtimeNs)
      await sleep(TICK)
      await act('map-write', file.path, 'z')
      const mapped = same('mapped')
      assert.ok(mapped.mtimeNs > written.mtimeNs)
      fs.closeSync(fd)
      // A read invalidates the access time alone; with relatime the first one after a change moves it.
      fs.utimesSync(file.real, 1, 2)
      const { atimeNs } = fs.statSync(file.real, big)
      fs.readFileSync(file.path)
      const real = fs.statSync(file.real, big).atimeNs
      assert.equal(fs.statSync(file.path, big).atimeNs, real)
      assert.ok(real > atimeNs)
    })

    rule('O_APPEND: two writers, through the mount and beside it, lose nothing', '', async (file) => {
      const count = 500
      await Promise.all([
        act('append', file.path, count, 'through\n'),
        act('append', file.path, count, 'again\n'),
        act('append', file.real, count, 'beside\n'),
      ])
      const lines = fs.readFileSync(file.path, 'latin1').split('\n')
      for (const line of ['through', 'again', 'beside'])
        assert.equal(lines.filter((one) => one === line).length, count)
      const fd = fs.openSync(file.path, 'a')
      fs.writeSync(fd, 'end', 0)
      fs.closeSync(fd)
      assert.match(fs.readFileSync(file.real, 'latin1'), /end$/)
      assert.deepEqual(await file.requests('WRITE'), [0])
    })

    rule('O_TRUNC empties the file before the first write', 'old content', async (file) => {
      const reader = fs.openSync(file.path, 'r')
      const fd = fs.openSync(file.path, 'w')
      assert.equal(fs.fstatSync(reader).size, 0)
      fs.writeSync(fd, 'new')
      assert.equal(fs.readFileSync(reader, 'latin1'), 'new')
      for (const one of [reader, fd]) fs.closeSync(one)
      assert.equal(fs.readFileSync(file.real, 'latin1'), 'new')
      // Kernel: O_RDONLY | O_TRUNC truncates, too.
      fs.closeSync(fs.openSync(file.path, fs.constants.O_RDONLY | fs.constants.O_TRUNC))
      assert.equal(fs.statSync(file.real).size, 0)
    })

    rule('O_DIRECT and O_SYNC go through to the backing file', '', async (file) => {
      await act('write-direct', file.path, 8)
      await act('check-direct', file.path, 8)
      await act('check', file.real, 8)
      // What the backing filesystem says to a misaligned one is what the caller hears.
      const misaligned = (path: string) => {
        const fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_DIRECT)
        const result = syscalls.pwrite64(fd, Buffer.alloc(8192).subarray(1, 100), 1)
        fs.closeSync(fd)
        return result
      }
      assert.equal(misaligned(file.path), misaligned(file.real))
      const fd = fs.openSync(file.path, fs.constants.O_WRONLY | fs.constants.O_SYNC)
      fs.writeSync(fd, 'synchronous', 0)
      fs.closeSync(fd)
      assert.equal(fs.readFileSync(file.real, 'latin1').slice(0, 11), 'synchronous')
      assert.deepEqual(await file.requests('READ', 'WRITE'), [0, 0])
    })

    rule(
      'truncation under a mapping: zeros behind the end, SIGBUS beyond it, zeros when it grows again',
      'x'.repeat(2 * BLOCK),
      (file) => act('truncate-mapped', file.path),
    )

    rule('truncation while others have it open, and files without a name', 'x'.repeat(100), async (file) => {
      await act('truncate', file.path)
      await act('unlink', file.path)
      assert.equal(fs.existsSync(file.real), false)
      fs.writeFileSync(file.path, 'made again')
      fs.writeFileSync(`${file.path}-other`, 'other')
      await act('rename-over', file.path, `${file.path}-other`)
      assert.equal(fs.readFileSync(file.real, 'latin1'), 'other')
    })

    rule('set-id bits go with a write by somebody else, and stay with one by root', 'text', (file) => {
      fs.chmodSync(file.path, 0o6777)
      fs.writeFileSync(file.path, 'by root', { flag: 'r+' })
      assert.equal(fs.statSync(file.real).mode & 0o7777, 0o6777)
      // The kernel asks the server to clear them, because HANDLE_KILLPRIV_V2 is agreed on; the write itself is passed.
      const [command, ...args] = [...as(1000), 'sh', '-c', `printf x 1<> ${file.path}`]
      assert.equal(spawnSync(command, args, { timeout: 20_000 }).status, 0)
      assert.equal(fs.statSync(file.real).mode & 0o7777, 0o777)
      assert.equal(fs.statSync(file.path).mode & 0o7777, 0o777)
    })

    rule('security.capability goes with a write', 'text', (file) => {
      const set = spawnSync('setcap', ['cap_net_raw+ep', file.path], { encoding: 'utf8', timeout: 20_000 })
      if (set.error !== undefined) return
      assert.equal(set.status, 0, set.stderr)
      assert.ok(syscalls.getxattr(file.real, 'security.capability', null) > 0)
      fs.appendFileSync(file.path, 'x')
      const ENODATA = -61
      assert.equal(syscalls.getxattr(file.real, 'security.capability', null), ENODATA)
      assert.equal(syscalls.getxattr(file.path, 'security.capability', null), ENODATA)
    })

    rule('a program can be run from the mount, and is then busy for writers', '', async (file) => {
      fs.copyFileSync('/bin/sleep', file.path)
      fs.chmodSync(file.path, 0o755)
      const child = spawn(file.path, ['30'])
      await once(child, 'spawn')
      assert.throws(() => fs.openSync(file.path, 'r+'), { code: 'ETXTBSY' })
      child.kill('SIGKILL')
      await once(child, 'close')
    })

    rule(
      'many opens at once and one after the other: always passed through',
      '0'.repeat(100),
      async (file) => {
        const { passthrough } = await mirrored.known()
        await act('open-many', file.path, 40)
        await act('reopen', file.path, 1000)
        assert.equal((await mirrored.known()).passthrough.opens - passthrough.opens, 1040)
        assert.deepEqual(await file.requests('READ', 'WRITE'), [0, 0])
      },
    )

    it('an unmount while files are open: busy, then detached; the files live on', async (t) => {
      if (backed.missing !== '') return t.skip(backed.missing)
      const other = await Mirrored.start({ passthrough: 'on' }, { src: join(backed.path, 'unmounted') })
      const path = join(other.mnt, 'file')
      fs.writeFileSync(path, 'x'.repeat(BLOCK))
      const fd = fs.openSync(path, 'r+')
      const holder = spawn(client(), ['map-hold', path])
      await once(holder.stdout, 'data')
      const EBUSY = -16
      assert.equal(syscalls.umount2(other.mnt, 0), EBUSY)
      assert.equal(syscalls.umount2(other.mnt, sys.MNT_DETACH), 0)
      fs.writeSync(fd, 'still', 0)
      assert.equal(fs.fstatSync(fd).size, BLOCK)
      fs.closeSync(fd)
      assert.equal(fs.readFileSync(join(other.src, 'file'), 'latin1').slice(0, 5), 'still')
      // Kernel: the mapping holds the backing file and not ours, so the connection ends before it does.
      holder.stdin.end()
      const [code] = (await once(holder, 'close')) as [number]
      assert.equal(code, 0)
      await other.stop()
    })
  })
}

interface File {
  /** Through the mount. */
  path: string
  /** On the source. */
  real: string
  /** How many requests of each kind came since the test began. */
  requests(...operations: string[]): Promise<number[]>
}
