// The memory filesystem through a mount, used with plain system calls: what only the kernel and it together show.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { EFBIG, ENOSPC, EPERM } from 'devfuse'
import * as sys from 'devfuse/syscalls'
import { StatxBuffer, syscalls } from 'devfuse/syscalls'
import { skip } from '../support/mounting.js'
import { MountedMemory } from './mounted.js'

const big = { bigint: true } as const
const MIB = 2 ** 20

describe('a memory filesystem that is mounted', { skip }, () => {
  let mounted: MountedMemory
  let mnt: string

  before(async () => {
    mounted = await MountedMemory.start({}, '--size', '64M')
    mnt = mounted.mnt
  })
  after(() => mounted.stop())

  const shell = (script: string, ...options: string[]) => {
    const { status, stdout, stderr } = spawnSync('sh', ['-c', script, ...options], {
      cwd: mnt,
      timeout: 20_000,
      encoding: 'utf8',
    })
    return { status, stdout, stderr }
  }

  it('keeps a sparse file of 10 TiB, and finds its data', () => {
    const fd = fs.openSync(join(mnt, 'sparse'), 'w+')
    fs.ftruncateSync(fd, 10 * 2 ** 40)
    fs.writeSync(fd, 'data', 5 * 2 ** 40)
    assert.equal(syscalls.lseek(fd, 0, sys.SEEK_DATA), 5 * 2 ** 40)
    assert.equal(syscalls.lseek(fd, 5 * 2 ** 40, sys.SEEK_HOLE), 5 * 2 ** 40 + 4096)
    assert.equal(fs.fstatSync(fd).blocks, 8)
    fs.closeSync(fd)
    fs.unlinkSync(join(mnt, 'sparse'))
  })

  it('lets a chown to nobody clear set-id bits for the owner, and not for a stranger', () => {
    const path = join(mnt, 'chown-nobody')
    fs.writeFileSync(path, '')
    fs.chmodSync(path, 0o6755)
    const chown = (id: number) =>
      spawnSync(
        'setpriv',
        [
          `--reuid=${id}`,
          `--regid=${id}`,
          '--clear-groups',
          process.execPath,
          '-e',
          `fs.chownSync('${path}', -1, -1)`,
        ],
        { timeout: 20_000, encoding: 'utf8' },
      )
    assert.match(chown(1000).stderr, /EPERM/)
    assert.equal(fs.statSync(path).mode & 0o7777, 0o6755)
    assert.equal(chown(0).status, 0)
    assert.equal(fs.statSync(path).mode & 0o7777, 0o755)
    fs.unlinkSync(path)
  })

  it('says ENOSPC when it is full, and has the room again that a removed file took', () => {
    const fill = () => {
      const fd = fs.openSync(join(mnt, 'filler'), 'w')
      let written = 0
      try {
        for (;;) written += fs.writeSync(fd, Buffer.alloc(MIB))
      } catch (error) {
        assert.equal((error as NodeJS.ErrnoException).errno, ENOSPC)
      }
      assert.equal(syscalls.fallocate(fd, 0, 0, 65 * MIB), ENOSPC)
      fs.closeSync(fd)
      fs.unlinkSync(join(mnt, 'filler'))
      return written
    }
    assert.equal(fill(), 64 * MIB)
    // Kernel: RELEASE and FORGET, which free the room, come after close(2) and unlink(2) have returned.
    const isFree = () => {
      const { bfree, blocks } = fs.statfsSync(mnt)
      return bfree === blocks
    }
    for (const end = Date.now() + 10_000; !isFree() && Date.now() < end;)
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
    assert.ok(isFree())
    assert.equal(fill(), 64 * MIB)
  })

  it('leaves RLIMIT_FSIZE to the kernel', () => {
    const { stdout } = shell('trap "" XFSZ; ulimit -f 8; dd if=/dev/zero of=limited bs=1k count=100 2>&1')
    assert.match(stdout, /File too large/)
    assert.equal(fs.statSync(join(mnt, 'limited')).size, 8 * 512)
    assert.equal(EFBIG, -27)
  })

  it('shows when a file was made, to the nanosecond, and keeps it when the file changes', () => {
    fs.writeFileSync(join(mnt, 'born'), '')
    const { birthtimeNs, mtimeNs } = fs.statSync(join(mnt, 'born'), big)
    assert.equal(birthtimeNs, mtimeNs)
    fs.appendFileSync(join(mnt, 'born'), 'more')
    const later = fs.statSync(join(mnt, 'born'), big)
    assert.equal(later.birthtimeNs, birthtimeNs)
    assert.ok(later.mtimeNs > mtimeNs)
    assert.ok(later.mtimeNs <= BigInt(Date.now() + 1) * 1_000_000n)
  })

  it('moves access times as relatime does, though the kernel caches what is read', () => {
    const file = join(mnt, 'read')
    const atime = () => fs.statSync(file, big).atimeNs
    fs.writeFileSync(file, 'content')
    const written = atime()
    fs.readFileSync(file)
    const first = atime()
    assert.ok(first > written)
    fs.readFileSync(file)
    assert.equal(atime(), first)
    fs.utimesSync(file, 1000, 2000)
    fs.readFileSync(file)
    assert.ok(atime() > first)
  })

  it('reads what was just written with O_DIRECT, though the page cache knew something else', () => {
    const file = join(mnt, 'direct')
    fs.writeFileSync(file, Buffer.alloc(8192, 1))
    assert.equal(fs.readFileSync(file)[5000], 1)
    const { status, stderr } = shell(
      `head -c 4096 /dev/zero | tr '\\0' '\\2' | dd of=direct bs=4096 seek=1 oflag=direct conv=notrunc iflag=fullblock`,
    )
    assert.equal(status, 0, stderr)
    assert.equal(fs.readFileSync(file)[5000], 2)
  })

  it('lists a directory of 5000 names completely while it shrinks, and ends while it grows', () => {
    const directory = join(mnt, 'many')
    fs.mkdirSync(directory)
    for (let i = 0; i < 5000; i++) fs.writeFileSync(join(directory, `${i}`), '')
    const open = fs.opendirSync(directory, { bufferSize: 50 })
    const seen = new Set<string>()
    for (let entry = open.readSync(); entry !== null; entry = open.readSync()) {
      assert.ok(!seen.has(entry.name), entry.name)
      seen.add(entry.name)
      fs.unlinkSync(join(directory, entry.name))
      fs.writeFileSync(join(directory, `new-${entry.name}`), '')
    }
    open.closeSync()
    for (let i = 0; i < 5000; i++) assert.ok(seen.has(`${i}`))
    assert.equal(fs.readdirSync(directory).length, 5000)
  })

  it('gives new files the default access list of their directory instead of the umask', () => {
    const script =
      'umask 077; mkdir acl; setfacl -d -m u:1000:rwx,g::r-x,o::--- acl; touch acl/file; mkdir acl/dir'
    const { status, stderr } = shell(script)
    if (/setfacl: not found/.test(stderr)) return
    assert.equal(status, 0, stderr)
    assert.equal(fs.statSync(join(mnt, 'acl/file')).mode & 0o7777, 0o660)
    const { stdout } = shell('getfacl -cp acl/file acl/dir')
    assert.match(stdout, /user:(1000|\w+):rwx\s+#effective:rw-/)
    assert.match(stdout, /default:user:(1000|\w+):rwx/)
    fs.chmodSync(join(mnt, 'acl/file'), 0o640)
    assert.match(shell('getfacl -cp acl/file').stdout, /mask::r--/)
  })

  it('opens a file by its handle', () => {
    fs.writeFileSync(join(mnt, 'handle'), 'by handle')
    const handle = syscalls.nameToHandleAt(sys.AT_FDCWD, join(mnt, 'handle'), 0)
    assert.ok(typeof handle === 'object')
    const root = fs.openSync(mnt, 'r')
    const fd = syscalls.openByHandleAt(root, handle, sys.O_RDONLY)
    assert.ok(fd >= 0, `${fd}`)
    assert.equal(fs.readFileSync(fd, 'latin1'), 'by handle')
    fs.closeSync(fd)
    fs.closeSync(root)
  })

  it('forbids what immutable and append-only files forbid', () => {
    if (shell('command -v chattr').status !== 0) return
    fs.writeFileSync(join(mnt, 'frozen'), 'x')
    fs.writeFileSync(join(mnt, 'log'), 'x')
    assert.equal(
      shell('chattr +i frozen; chattr +a log; lsattr frozen log').stdout.replaceAll('-', ''),
      'i frozen\na log\n',
    )
    const at = sys.AT_FDCWD
    const open = (name: string, flags: number) => syscalls.openat(at, join(mnt, name), flags)
    assert.equal(open('frozen', sys.O_WRONLY), EPERM)
    assert.equal(open('log', sys.O_WRONLY), EPERM)
    const log = open('log', sys.O_WRONLY | sys.O_APPEND)
    assert.ok(log >= 0)
    syscalls.close(log)
    for (const name of ['frozen', 'log']) {
      assert.equal(syscalls.unlinkat(at, join(mnt, name)), EPERM)
      assert.equal(syscalls.renameat2(at, join(mnt, name), at, join(mnt, 'other'), 0), EPERM)
      assert.equal(syscalls.linkat(at, join(mnt, name), at, join(mnt, 'other'), 0), EPERM)
      assert.equal(syscalls.truncate(join(mnt, name), 0), EPERM)
      assert.equal(syscalls.fchmodat(at, join(mnt, name), 0o600), EPERM)
      assert.equal(syscalls.setxattr(join(mnt, name), 'user.a', Buffer.from('b')), EPERM)
    }
    // A touch of both times is like writing; one of them alone is a time of the caller's choice.
    for (const [command, status] of [
      ['touch log', 0],
      ['touch -a log', 1],
      ['touch -m log', 1],
      ['touch -d @5 log', 1],
      ['touch frozen', 1],
    ] as const) {
      assert.equal(shell(command).status, status, command)
    }
    assert.equal(shell('chattr -i frozen; chattr -a log; rm frozen log').status, 0)
  })

  it('keeps a removed file while it is open, and gives an unnamed one a name', () => {
    const fd = fs.openSync(join(mnt, 'open'), 'w+')
    fs.unlinkSync(join(mnt, 'open'))
    fs.writeSync(fd, 'still here')
    assert.equal(fs.fstatSync(fd).nlink, 0)
    fs.closeSync(fd)
    const unnamed = fs.openSync(mnt, sys.O_TMPFILE | sys.O_RDWR, 0o640)
    const at = sys.AT_FDCWD
    const proc = `/proc/self/fd/${unnamed}`
    assert.equal(syscalls.linkat(at, proc, at, join(mnt, 'named'), sys.AT_SYMLINK_FOLLOW), 0)
    const stat = new StatxBuffer()
    assert.equal(syscalls.fstatx(unnamed, sys.STATX_BASIC_STATS, stat), 0)
    assert.equal(stat.nlink, 1)
    fs.closeSync(unnamed)
  })
})
