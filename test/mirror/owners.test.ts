// Who owns what is made through the mirror, and when set-id bits go: as natively, for root and for others.
import { strict as assert } from 'node:assert'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import * as sys from 'devfuse/syscalls'
import { syscalls } from 'devfuse/syscalls'
import type { MirrorOptions } from 'devfuse/mirror'
import { Mirrored } from './mounted.js'

const modeOf = (path: string) => fs.lstatSync(path).mode & 0o7777

/** Runs a shell command as user and group 1000, with `groups` besides. */
function as(groups: string, command: string, cwd: string): void {
  const who = ['--reuid', '1000', '--regid', '1000', groups ? `--groups=${groups}` : '--clear-groups']
  const { status, stderr } = spawnSync('setpriv', [...who, 'sh', '-ec', command], {
    cwd,
    timeout: 20_000,
    encoding: 'utf8',
  })
  assert.equal(status, 0, `${command}: ${stderr}`)
}

for (const options of [{ passthrough: 'on' }, { passthrough: 'off' }] satisfies MirrorOptions[]) {
  const label = `passthrough ${options.passthrough}`
  let mirrored: Mirrored
  let src: string
  let mnt: string

  before(async () => {
    mirrored = await Mirrored.start(options)
    ;({ src, mnt } = mirrored)
    fs.mkdirSync(join(src, 'open'))
    fs.chmodSync(join(src, 'open'), 0o777)
  })
  after(() => mirrored.stop())

  test(`${label}: new files of every type belong to the caller`, () => {
    as(
      '',
      'umask 027; echo x > file; mkdir dir; ln -s nowhere link; mkfifo fifo; mkdir -m 1777 sticky',
      join(mnt, 'open'),
    )
    for (const name of ['file', 'dir', 'link', 'fifo', 'sticky']) {
      const { uid, gid } = fs.lstatSync(join(src, 'open', name))
      assert.deepEqual([name, uid, gid], [name, 1000, 1000])
    }
    assert.equal(modeOf(join(src, 'open/file')), 0o640)
    assert.equal(modeOf(join(src, 'open/dir')), 0o750)
    assert.equal(modeOf(join(src, 'open/fifo')), 0o640)
    assert.equal(modeOf(join(src, 'open/sticky')), 0o1777)
  })

  test(`${label}: in a set-gid directory the group comes from the directory, and set-gid only for its members`, () => {
    fs.mkdirSync(join(mnt, 'shared'))
    fs.chownSync(join(mnt, 'shared'), 1000, 2000)
    fs.chmodSync(join(mnt, 'shared'), 0o2775)
    const make = (name: string) =>
      `umask 0; mkdir ${name}; cp /bin/true ${name}-file; chmod 2775 ${name}-file`
    as('', make('stranger'), join(mnt, 'shared'))
    as('2000', make('member'), join(mnt, 'shared'))
    for (const [name, bits] of [
      ['stranger', 0o775],
      ['member', 0o2775],
    ] as const) {
      assert.equal(fs.statSync(join(src, 'shared', name)).gid, 2000)
      assert.equal(modeOf(join(src, 'shared', name)) & 0o2000, 0o2000)
      assert.equal(fs.statSync(join(src, 'shared', `${name}-file`)).gid, 2000)
      assert.equal(modeOf(join(src, 'shared', `${name}-file`)), bits)
    }
  })

  test(`${label}: a supplementary group may create where only the group may`, () => {
    fs.mkdirSync(join(mnt, 'group'))
    fs.chownSync(join(mnt, 'group'), 0, 3000)
    fs.chmodSync(join(mnt, 'group'), 0o770)
    as('3000', 'echo x > made; mkdir made-dir', join(mnt, 'group'))
    assert.deepEqual(
      [fs.statSync(join(src, 'group/made')).uid, fs.statSync(join(src, 'group/made')).gid],
      [1000, 1000],
    )
  })

  test(`${label}: a default ACL takes the place of the umask`, () => {
    fs.mkdirSync(join(mnt, 'acl'))
    fs.chmodSync(join(mnt, 'acl'), 0o777)
    // Version 2, then {tag, permissions, id}: user::rwx, user:1234:rwx, group::rwx, mask::rwx, other::---
    const entries = [
      [1, 7, -1],
      [2, 7, 1234],
      [4, 7, -1],
      [16, 7, -1],
      [32, 0, -1],
    ]
    const acl = Buffer.alloc(4 + entries.length * 8)
    acl.writeUInt32LE(2, 0)
    entries.forEach(([tag = 0, permissions = 0, id = 0], index) => {
      acl.writeUInt16LE(tag, 4 + index * 8)
      acl.writeUInt16LE(permissions, 6 + index * 8)
      acl.writeInt32LE(id, 8 + index * 8)
    })
    assert.equal(syscalls.setxattr(join(mnt, 'acl'), 'system.posix_acl_default', acl), 0)
    as('', 'umask 077; echo x > file', join(mnt, 'acl'))
    assert.equal(modeOf(join(src, 'acl/file')), 0o660)
    assert.equal(syscalls.getxattr(join(src, 'acl/file'), 'system.posix_acl_access', null), acl.length)
  })

  const changes: Record<string, string> = {
    'a write': 'printf y 1<> F',
    'a truncate': 'truncate -s 10 F',
    'an open with O_TRUNC': ': > F',
    'an append': 'echo more >> F',
    fallocate: 'fallocate -l 9000 F',
    'a hole': 'fallocate --punch-hole -o 0 -l 4096 F',
  }
  for (const [what, command] of Object.entries(changes)) {
    test(`${label}: ${what} by another user clears the set-id bits, by root it does not`, () => {
      const path = join(mnt, 'set-id')
      for (const mode of [0o6777, 0o6766, 0o6676, 0o6666]) {
        fs.writeFileSync(path, 'x'.repeat(10_000))
        fs.chmodSync(path, mode)
        const line = command.replaceAll('F', path)
        const { status, stderr } = spawnSync('sh', ['-ec', line], { timeout: 20_000, encoding: 'utf8' })
        assert.equal(status, 0, stderr)
        assert.equal(modeOf(path), mode, `root, ${mode.toString(8)}`)
        as('', line, mnt)
        for (const root of [src, mnt]) {
          assert.equal(modeOf(join(root, 'set-id')), mode & 0o777, `user, ${mode.toString(8)}`)
        }
        fs.unlinkSync(path)
      }
    })
  }

  test(`${label}: a chown to nobody clears set-id bits for the owner, and is EPERM for a stranger, as on the source`, () => {
    for (const mode of [0o6755, 0o4644, 0o2711, 0o755]) {
      const results = [src, mnt].map((root) => {
        const path = join(root, 'chown-nobody')
        fs.writeFileSync(path, '')
        fs.chmodSync(path, mode)
        const outcomes = [1000, 0].map((id) => {
          const { status } = spawnSync(
            'setpriv',
            [
              `--reuid=${id}`,
              `--regid=${id}`,
              '--clear-groups',
              process.execPath,
              '-e',
              `fs.chownSync('${path}', -1, -1)`,
            ],
            { timeout: 20_000 },
          )
          return [status, modeOf(path)]
        })
        fs.unlinkSync(path)
        return outcomes
      })
      assert.deepEqual(results[1], results[0], mode.toString(8))
    }
  })

  test(`${label}: a chown clears the set-id bits of an executable`, () => {
    fs.writeFileSync(join(mnt, 'chowned'), '')
    fs.chmodSync(join(mnt, 'chowned'), 0o6777)
    fs.chownSync(join(mnt, 'chowned'), 1000, 1000)
    assert.equal(modeOf(join(mnt, 'chowned')), 0o777)
  })

  test(`${label}: a chown treats set-id bits as it does on the source, for root, members and strangers`, () => {
    for (const mode of [0o6744, 0o6754, 0o2744, 0o4700]) {
      for (const groups of ['root', '2000,3000', '3000']) {
        const modes = [src, mnt].map((root) => {
          const path = join(root, 'owned')
          fs.writeFileSync(path, '')
          fs.chownSync(path, 1000, 2000)
          fs.chmodSync(path, mode)
          if (groups === 'root') fs.chownSync(path, 1001, 2000)
          else as(groups, 'chgrp 3000 owned', root)
          const changed = modeOf(path)
          fs.unlinkSync(path)
          return changed.toString(8)
        })
        assert.equal(modes[1], modes[0], `${mode.toString(8)} ${groups}`)
      }
    }
  })

  test(`${label}: others are kept from what the modes deny, and from trusted attributes`, () => {
    fs.writeFileSync(join(mnt, 'secret'), 'secret')
    fs.chmodSync(join(mnt, 'secret'), 0o600)
    assert.throws(() => as('', 'cat secret', mnt))
    assert.throws(() => as('', 'rm -f secret', mnt))
    fs.chmodSync(join(mnt, 'open/file'), 0o666)
    assert.throws(() => as('', 'chmod 777 ../secret', join(mnt, 'open')))
    const lists = [src, mnt].map((root) => {
      const path = join(root, 'open/file')
      assert.equal(syscalls.setxattr(path, 'trusted.secret', Buffer.from('1')), 0)
      const own = syscalls.listxattr(path, null)
      process.seteuid?.(1000)
      const shown = syscalls.listxattr(path, null)
      process.seteuid?.(0)
      return [own, shown]
    })
    assert.deepEqual(lists[1], lists[0])
    assert.notEqual(lists[1][0], lists[1][1])
  })

  test(`${label}: the whiteout that a rename leaves belongs to whoever renames`, () => {
    for (const root of [src, mnt]) {
      const directory = join(root, 'open')
      fs.writeFileSync(join(directory, 'hidden'), '')
      const at = sys.AT_FDCWD
      process.setegid?.(1000)
      process.seteuid?.(1000)
      const from = join(directory, 'hidden')
      const result = syscalls.renameat2(at, from, at, join(directory, 'shown'), sys.RENAME_WHITEOUT)
      process.seteuid?.(0)
      process.setegid?.(0)
      assert.equal(result, 0)
      const { uid, gid, rdev } = fs.lstatSync(from)
      assert.deepEqual([root, uid, gid, rdev], [root, 1000, 1000, 0])
      fs.unlinkSync(from)
    }
  })

  test(`${label}: chown(2) that changes nothing clears set-id bits of special files, too`, () => {
    for (const root of [src, mnt]) {
      const fifo = join(root, 'set-id-fifo')
      assert.equal(syscalls.mknodat(sys.AT_FDCWD, fifo, sys.S_IFIFO | 0o600, 0), 0)
      fs.chmodSync(fifo, 0o6755)
      fs.chownSync(fifo, -1, -1)
      assert.equal(modeOf(fifo), 0o755)
      fs.unlinkSync(fifo)
    }
  })

  test(`${label}: chown(2) that changes nothing moves ctime, whoever asks`, () => {
    for (const root of [src, mnt]) {
      const names = ['file', 'dir', 'link'].map((name) => join(root, `untouched-${name}`))
      const [file, dir, link] = names as [string, string, string]
      fs.writeFileSync(file, '')
      fs.mkdirSync(dir)
      fs.symlinkSync('nowhere', link)
      for (const user of [0, 1000]) {
        const times = (): bigint[] => names.map((path) => fs.lstatSync(path, { bigint: true }).ctimeNs)
        const old = times()
        // Longer than the clock of the source's times takes to go on.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
        process.seteuid?.(user)
        for (const path of names) fs.lchownSync(path, -1, -1)
        process.seteuid?.(0)
        const moved = times().map((time, index) => time > old[index])
        assert.deepEqual(moved, [true, true, true], `${root}, user ${user}`)
      }
      for (const path of names) fs.rmSync(path, { recursive: true })
    }
  })

  test(`${label}: O_TRUNC truncates with the access mode that allows neither reading nor writing`, () => {
    for (const root of [src, mnt]) {
      const file = join(root, 'fourth-mode')
      fs.writeFileSync(file, 'content')
      const fd = syscalls.openat(sys.AT_FDCWD, file, sys.O_WRONLY | sys.O_RDWR | sys.O_TRUNC)
      assert.ok(fd >= 0, `${root}: ${fd}`)
      syscalls.close(fd)
      assert.equal(fs.statSync(file).size, 0)
      fs.unlinkSync(file)
    }
  })
}
