// cache: 'strong': the kernel asks nothing twice, and every change on the source is seen all the same.
import { strict as assert } from 'node:assert'
import { execFileSync, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { mirror } from 'devfuse/mirror'
import * as sys from 'devfuse/syscalls'
import { syscalls } from 'devfuse/syscalls'
import type { FilesystemStatistics } from 'devfuse/syscalls'
import { Watch } from '#dist/filesystems/mirror/watch.js'
import type { ChangeListener } from '#dist/filesystems/mirror/watch.js'
import { cleanup } from '../support/mounting.js'
import { Mirrored, temporary } from './mounted.js'
import { skipStrong } from './strong-support.js'

/** Far more than it takes, so that a busy machine is no failure; test/mirror/strong-storm.test.ts measures. */
const PATIENCE = 5000

/** Waits until `see` gives what is wanted. */
async function becomes<T>(see: () => T, wanted: T, what: string): Promise<void> {
  const end = Date.now() + PATIENCE
  for (;;) {
    let seen: T | string
    try {
      seen = see()
    } catch (error) {
      seen = (error as NodeJS.ErrnoException).code ?? String(error)
    }
    try {
      assert.deepEqual(seen, wanted)
      return
    } catch {
      if (Date.now() > end) assert.deepEqual(seen, wanted, what)
    }
    await sleep(2)
  }
}

const requests = ({
  operations,
}: {
  operations: Record<string, { count: number }>
}): Record<string, number> =>
  Object.fromEntries(Object.entries(operations).map(([name, { count }]) => [name, count]))

for (const passthrough of ['auto', 'off'] as const) {
  describe(`with passthrough ${passthrough}`, { skip: skipStrong }, () => {
    let mirrored: Mirrored
    let src: string
    let mnt: string
    before(async () => {
      mirrored = await Mirrored.start({ cache: 'strong', passthrough })
      ;({ src, mnt } = mirrored)
    })
    after(() => mirrored.stop())

    test('nothing is asked twice: names, none, attributes, targets, listings', async () => {
      fs.mkdirSync(join(src, 'tree/sub'), { recursive: true })
      for (let i = 0; i < 100; i++) fs.writeFileSync(join(src, `tree/sub/${i}`), String(i))
      fs.symlinkSync('target', join(src, 'tree/link'))
      const look = () => {
        assert.equal(fs.readdirSync(join(mnt, 'tree/sub')).length, 100)
        for (let i = 0; i < 100; i++) assert.ok(fs.lstatSync(join(mnt, `tree/sub/${i}`)).size > 0)
        assert.equal(fs.readlinkSync(join(mnt, 'tree/link')), 'target')
        assert.throws(() => fs.statSync(join(mnt, 'tree/none')), { code: 'ENOENT' })
        fs.statSync(join(mnt, 'tree/sub'))
      }
      look()
      // What is heard of the files that were just made takes back what the first look left in the kernel.
      await sleep(1000)
      look()
      await sleep(1500)
      const asked = requests(await mirrored.known())
      for (let i = 0; i < 3; i++) look()
      assert.deepEqual(requests(await mirrored.known()), asked)
    })

    test('what a listing names is there at once, in a large directory, too', () => {
      const large = (root: string, name = '') => join(root, 'large', name)
      fs.mkdirSync(large(src))
      for (let i = 0; i < 3000; i++) fs.writeFileSync(large(src, String(i)), '')
      for (let round = 0; round < 10; round++) {
        const fresh = Array.from({ length: 30 }, (_, i) => `fresh ${round} ${i}`)
        for (const name of fresh) assert.throws(() => fs.statSync(large(mnt, name)), { code: 'ENOENT' })
        for (const name of fresh) fs.writeFileSync(large(src, name), '')
        const listed = fs.readdirSync(large(mnt)).filter((name) => name.startsWith(`fresh ${round} `))
        const gone = listed.filter((name) => !fs.existsSync(large(mnt, name)))
        assert.deepEqual(gone, [])
      }
      fs.rmSync(large(src), { recursive: true })
    })

    const file = 'f'
    const path = () => join(mnt, file)
    /** [what, how to prepare, what to do on the source, what is seen afterwards] */
    const changes: [string, () => void, () => void, () => unknown, unknown][] = [
      [
        'a file appears',
        () => undefined,
        () => fs.writeFileSync(join(src, file), 'x'),
        () => fs.readFileSync(path(), 'latin1'),
        'x',
      ],
      [
        'a file goes',
        () => fs.writeFileSync(join(src, file), 'x'),
        () => fs.unlinkSync(join(src, file)),
        () => fs.existsSync(path()),
        false,
      ],
      [
        'a file is replaced by a rename',
        () => fs.writeFileSync(join(src, file), 'old'),
        () => {
          fs.writeFileSync(join(src, 'new'), 'newer')
          fs.renameSync(join(src, 'new'), join(src, file))
        },
        () => [fs.statSync(path()).size, fs.readFileSync(path(), 'latin1'), fs.existsSync(join(mnt, 'new'))],
        [5, 'newer', false],
      ],
      [
        'a file is renamed',
        () => fs.writeFileSync(join(src, file), 'x'),
        () => fs.renameSync(join(src, file), join(src, 'other')),
        () => [fs.existsSync(path()), fs.readFileSync(join(mnt, 'other'), 'latin1')],
        [false, 'x'],
      ],
      [
        'a file is overwritten',
        () => fs.writeFileSync(join(src, file), 'aaaa'),
        () => fs.writeFileSync(join(src, file), 'bbbb'),
        () => fs.readFileSync(path(), 'latin1'),
        'bbbb',
      ],
      [
        'a file grows',
        () => fs.writeFileSync(join(src, file), 'aaaa'),
        () => fs.appendFileSync(join(src, file), 'cc'),
        () => [fs.statSync(path()).size, fs.readFileSync(path(), 'latin1')],
        [6, 'aaaacc'],
      ],
      [
        'a file is truncated',
        () => fs.writeFileSync(join(src, file), 'aaaa'),
        () => fs.truncateSync(join(src, file), 1),
        () => [fs.statSync(path()).size, fs.readFileSync(path(), 'latin1')],
        [1, 'a'],
      ],
      [
        'chmod',
        () => fs.writeFileSync(join(src, file), ''),
        () => fs.chmodSync(join(src, file), 0o640),
        () => fs.statSync(path()).mode & 0o777,
        0o640,
      ],
      [
        'chown',
        () => fs.writeFileSync(join(src, file), ''),
        () => fs.chownSync(join(src, file), 7, 8),
        () => [fs.statSync(path()).uid, fs.statSync(path()).gid],
        [7, 8],
      ],
      [
        'utimes',
        () => fs.writeFileSync(join(src, file), ''),
        () => fs.utimesSync(join(src, file), 1, 2),
        () => fs.statSync(path()).mtimeMs,
        2000,
      ],
      [
        'an access ACL',
        () => fs.writeFileSync(join(src, file), '', { mode: 0o600 }),
        () => fs.chmodSync(join(src, file), 0o604),
        () =>
          spawnSync('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', 'cat', path()]).status,
        0,
      ],
      [
        'an extended attribute',
        () => fs.writeFileSync(join(src, file), ''),
        () => void syscalls.setxattr(join(src, file), 'user.a', Buffer.from('1'), 0),
        () => syscalls.getxattr(path(), 'user.a', null),
        1,
      ],
      [
        'a symlink gets another target',
        () => fs.symlinkSync('one', join(src, file)),
        () => {
          fs.unlinkSync(join(src, file))
          fs.symlinkSync('three', join(src, file))
        },
        () => [fs.readlinkSync(path()), fs.lstatSync(path()).size],
        ['three', 5],
      ],
      [
        'a hard link appears',
        () => fs.writeFileSync(join(src, file), ''),
        () => fs.linkSync(join(src, file), join(src, 'other')),
        () => [fs.statSync(path()).nlink, fs.statSync(join(mnt, 'other')).nlink],
        [2, 2],
      ],
      [
        'a file with two names changes by the other one',
        () => {
          fs.writeFileSync(join(src, file), 'a')
          fs.linkSync(join(src, file), join(src, 'other'))
        },
        () => fs.appendFileSync(join(src, 'other'), 'b'),
        () => [fs.statSync(path()).size, fs.statSync(join(mnt, 'other')).size],
        [2, 2],
      ],
      [
        'one of two names goes',
        () => {
          fs.writeFileSync(join(src, file), 'a')
          fs.linkSync(join(src, file), join(src, 'other'))
        },
        () => fs.unlinkSync(join(src, 'other')),
        () => [fs.statSync(path()).nlink, fs.existsSync(join(mnt, 'other'))],
        [1, false],
      ],
      [
        'a directory appears',
        () => undefined,
        () => fs.mkdirSync(join(src, file)),
        () => fs.readdirSync(path()),
        [],
      ],
      [
        'a directory becomes a file',
        () => fs.mkdirSync(join(src, file)),
        () => {
          fs.rmdirSync(join(src, file))
          fs.writeFileSync(join(src, file), 'x')
        },
        () => fs.readFileSync(path(), 'latin1'),
        'x',
      ],
      [
        'a directory is moved away with all that is below',
        () => fs.mkdirSync(join(src, file, 'a/b'), { recursive: true }),
        () => fs.renameSync(join(src, file), join(src, 'other')),
        () => [
          fs.existsSync(join(path(), 'a/b')),
          fs.readdirSync(join(mnt, 'other/a')),
          fs.readdirSync(mnt).includes(file),
        ],
        [false, ['b'], false],
      ],
      [
        'two files are exchanged',
        () => {
          fs.writeFileSync(join(src, file), '1')
          fs.writeFileSync(join(src, 'other'), '22')
        },
        () =>
          void syscalls.renameat2(
            sys.AT_FDCWD,
            join(src, file),
            sys.AT_FDCWD,
            join(src, 'other'),
            sys.RENAME_EXCHANGE,
          ),
        () => [fs.statSync(path()).size, fs.statSync(join(mnt, 'other')).size],
        [2, 1],
      ],
      [
        'a listing grows',
        () => fs.mkdirSync(join(src, file)),
        () => fs.writeFileSync(join(src, file, 'x'), ''),
        () => [fs.readdirSync(path()), fs.statSync(path()).mtimeMs === fs.statSync(join(src, file)).mtimeMs],
        [['x'], true],
      ],
    ]
    for (const [what, prepare, change, see, wanted] of changes) {
      test(`${what}: seen on the mount`, async () => {
        for (const name of [file, 'other', 'new'])
          fs.rmSync(join(src, name), { recursive: true, force: true })
        prepare()
        // Let the mount see and cache what was there before, until it is right.
        await sleep(20)
        for (let i = 0; i < 2; i++) {
          fs.readdirSync(mnt)
          for (const name of [file, 'other', 'new']) {
            const stat = fs.lstatSync(join(mnt, name), { throwIfNoEntry: false })
            if (stat?.isFile() && stat.mode & 0o400) fs.readFileSync(join(mnt, name))
            if (stat?.isSymbolicLink()) fs.readlinkSync(join(mnt, name))
            if (stat?.isDirectory()) spawnSync('find', [join(mnt, name)], { timeout: 30_000 })
          }
        }
        change()
        await becomes(see, wanted, what)
      })
    }

    test('an open file sees what happens to it by its descriptor', async () => {
      fs.writeFileSync(join(src, 'held'), 'abc')
      const fd = fs.openSync(join(mnt, 'held'), 'r')
      assert.equal(fs.fstatSync(fd).size, 3)
      fs.appendFileSync(join(src, 'held'), 'def')
      await becomes(
        () => [fs.fstatSync(fd).size, fs.readFileSync(join(mnt, 'held'), 'latin1')],
        [6, 'abcdef'],
        'size',
      )
      fs.unlinkSync(join(src, 'held'))
      await becomes(() => fs.fstatSync(fd).nlink, 0, 'links')
      fs.closeSync(fd)
    })

    test('changes through the mount cost hardly a notification, and are seen at once', async () => {
      const counted = async () => {
        await sleep(50)
        const { names, inodes } = (await mirrored.known()).watching!
        return { names, inodes }
      }
      fs.mkdirSync(join(mnt, 'own'))
      // What has changed before may still be told once more.
      await sleep(1000)
      const counts = await counted()
      fs.mkdirSync(join(mnt, 'own/d'))
      fs.writeFileSync(join(mnt, 'own/f'), 'x')
      fs.appendFileSync(join(mnt, 'own/f'), 'y')
      fs.chmodSync(join(mnt, 'own/f'), 0o600)
      fs.utimesSync(join(mnt, 'own/f'), 1, 2)
      fs.symlinkSync('f', join(mnt, 'own/l'))
      fs.rmdirSync(join(mnt, 'own/d'))
      assert.deepEqual(fs.readdirSync(join(mnt, 'own')).toSorted(), ['f', 'l'])
      // One that is heard of late may be told of: more than that would be a notification for every change.
      const { names, inodes } = await counted()
      assert.ok(
        names - counts.names <= 2 && inodes - counts.inodes <= 2,
        `${names}, ${inodes}; before: ${JSON.stringify(counts)}`,
      )
      // What another process does to the same names meanwhile is no change of ours.
      fs.writeFileSync(join(mnt, 'own/g'), 'x')
      fs.unlinkSync(join(src, 'own/g'))
      await becomes(() => fs.existsSync(join(mnt, 'own/g')), false, 'removed at once')
      fs.chmodSync(join(mnt, 'own/f'), 0o640)
      fs.chmodSync(join(src, 'own/f'), 0o604)
      await becomes(() => fs.statSync(join(mnt, 'own/f')).mode & 0o777, 0o604, 'changed at once')
    })

    test('the working directory of a process keeps its path while others work beside it', () => {
      fs.mkdirSync(join(mnt, 'cwd'))
      const script = 'cd "$0/cwd"; touch "$1/cwd/a" "$1/b"; sleep 0.1; ls .. >&2; pwd -P'
      assert.equal(
        execFileSync('sh', ['-c', script, mnt, src], {
          stdio: ['ignore', 'pipe', 'ignore'],
          encoding: 'utf8',
        }).trim(),
        join(mnt, 'cwd'),
      )
    })

    test('what the serving process itself does to the source is seen', async () => {
      fs.writeFileSync(join(src, 'server'), 'a')
      assert.equal(fs.readFileSync(join(mnt, 'server'), 'latin1'), 'a')
      assert.equal(fs.existsSync(join(mnt, 'server-new')), false)
      mirrored.write(join(src, 'server'), 'bcd')
      mirrored.write(join(src, 'server-new'), 'e')
      await becomes(
        () => [fs.statSync(join(mnt, 'server')).size, fs.readFileSync(join(mnt, 'server-new'), 'latin1')],
        [3, 'e'],
        'server',
      )
    })

    test('a listing goes on where it stopped while entries come and go', () => {
      const dir = join(src, 'listing')
      fs.mkdirSync(dir)
      for (let i = 0; i < 3000; i++) fs.writeFileSync(join(dir, `entry-${i}`), '')
      const open = fs.opendirSync(join(mnt, 'listing'), { bufferSize: 8 })
      const seen: string[] = []
      for (let i = 0; i < 40; i++) seen.push(open.readSync()!.name)
      // Others begin anew, and entries go that have been seen.
      for (let i = 0; i < 3; i++) assert.equal(fs.readdirSync(join(mnt, 'listing')).length, 3000)
      for (const name of seen.slice(0, 30)) fs.unlinkSync(join(dir, name))
      fs.readdirSync(join(mnt, 'listing'))
      for (let entry = open.readSync(); entry !== null; entry = open.readSync()) seen.push(entry.name)
      open.closeSync()
      assert.equal(new Set(seen).size, 3000)
      assert.equal(seen.length, 3000)
    })

    test('directories answer ioctls and fsync without having been opened', () => {
      fs.mkdirSync(join(mnt, 'flags'))
      const fd = fs.openSync(join(mnt, 'flags'), 'r')
      fs.fsyncSync(fd)
      fs.closeSync(fd)
      const { status, stdout } = spawnSync('lsattr', ['-d', join(mnt, 'flags')], { encoding: 'utf8' })
      assert.equal(status, 0)
      assert.match(stdout, /flags/)
    })
  })
}

const nothing = () => undefined
const SILENT: ChangeListener<string> = {
  entry: nothing,
  inode: nothing,
  overflow: nothing,
  ended: nothing,
  told: nothing,
}

describe('other filesystems', { skip: skipStrong }, () => {
  test('one that is mounted below the source is watched, too', async () => {
    const dir = temporary()
    const src = join(dir, 'src')
    fs.mkdirSync(join(src, 'below'), { recursive: true })
    execFileSync('mount', ['-t', 'tmpfs', 'devfuse-test', join(src, 'below')])
    const mirrored = await Mirrored.start({ cache: 'strong' }, { src, mnt: join(dir, 'mnt') })
    try {
      fs.writeFileSync(join(src, 'below/a'), '1')
      assert.equal(fs.existsSync(join(mirrored.mnt, 'below/b')), false)
      assert.equal(fs.readFileSync(join(mirrored.mnt, 'below/a'), 'latin1'), '1')
      fs.statSync(join(mirrored.mnt, 'below/a'))
      const look = () => fs.statSync(join(mirrored.mnt, 'below/a')).size
      look()
      await sleep(1500)
      const asked = requests(await mirrored.known())
      look()
      assert.deepEqual(requests(await mirrored.known()), asked)
      fs.writeFileSync(join(src, 'below/a'), '22')
      fs.writeFileSync(join(src, 'below/b'), '')
      await becomes(look, 2, 'size')
      await becomes(() => fs.existsSync(join(mirrored.mnt, 'below/b')), true, 'name')
      assert.deepEqual((await mirrored.known()).warnings, [])
    } finally {
      await mirrored.stop()
      execFileSync('umount', [join(src, 'below')])
      fs.rmSync(dir, { recursive: true })
    }
  })

  test('one that cannot be watched is cached as in normal, and said', async () => {
    const dir = temporary()
    const src = join(dir, 'src')
    fs.mkdirSync(join(src, 'below'), { recursive: true })
    execFileSync('mount', ['-t', 'ramfs', 'devfuse-test', join(src, 'below')])
    const mirrored = await Mirrored.start({ cache: 'strong' }, { src, mnt: join(dir, 'mnt') })
    try {
      fs.writeFileSync(join(src, 'below/a'), '1')
      const look = () => fs.statSync(join(mirrored.mnt, 'below/a')).size
      assert.equal(look(), 1)
      fs.writeFileSync(join(src, 'below/a'), '22')
      await becomes(look, 2, 'size')
      const { warnings } = await mirrored.known()
      assert.equal(warnings.length, 1)
      assert.match(
        warnings[0],
        /below.*cached as in 'normal': its filesystem is none of ext4, xfs, btrfs and tmpfs/,
      )
    } finally {
      await mirrored.stop()
      execFileSync('umount', [join(src, 'below')])
      fs.rmSync(dir, { recursive: true })
    }
  })

  test('one whose fsid another one has is not watched, because events name nothing else', (t) => {
    const watch = Watch.open<string>(syscalls, SILENT)
    assert.ok(typeof watch === 'object')
    const dir = temporary()
    const fd = fs.openSync(dir, 'r')
    cleanup(t, () => {
      watch.close()
      fs.closeSync(fd)
      fs.rmdirSync(dir)
    })
    const statistics = syscalls.fstatfs(fd) as FilesystemStatistics
    assert.equal(watch.add('first', fd, '', statistics, false), undefined)
    assert.match(watch.add('copy', fd, '', statistics, false) ?? '', /its fsid is that of another.*UUID/)
    assert.equal(watch.add('first', fd, '', statistics, false), undefined)
  })

  test('a source that cannot be watched is refused with the reason', () => {
    assert.throws(() => mirror('/proc', { cache: 'strong' }), {
      code: 'ERR_DEVFUSE_OPTION',
      message: /`cache: 'strong'` is impossible here: its filesystem is none of ext4, xfs, btrfs and tmpfs/,
    })
  })

  test('an ordinary user is refused with the reason', () => {
    const script =
      "import('devfuse/mirror').then(({ mirror }) => mirror('/tmp', { cache: 'strong' })).catch((e) => console.log(e.message))"
    const { stdout } = spawnSync(process.execPath, ['-e', script], {
      uid: 65534,
      gid: 65534,
      encoding: 'utf8',
      cwd: import.meta.dirname,
    })
    assert.match(stdout, /fanotify.* failed: it takes root \(CAP_SYS_ADMIN\)/)
  })
})
