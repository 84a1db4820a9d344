// Namespaces: an ordinary user who mounts in a user namespace of his own, and idmapped mounts, where files seem to belong to
// others and only requests that create something carry ids.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { FUSE_INVALID_UIDGID } from 'devfuse'
import type { Filesystem } from 'devfuse'
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  MOUNT_ATTR_IDMAP,
  MOVE_MOUNT_F_EMPTY_PATH,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
  syscalls,
} from 'devfuse/syscalls'
import { mounted, run, skip, skipUsers } from '../support/mounting.js'
import { as, attrOf, mountAt, place, root, serverSource, until } from '../support/server.js'
import { userNamespace } from '../support/user-namespace.js'

const user = 65534

/** A mount of the server's own namespace, used from inside, described, and taken down. */
const inside = (mnt: string, options: string): string => `
  import { execFile } from 'node:child_process'
  import { promisify } from 'node:util'
  import { readFileSync } from 'node:fs'
  ${serverSource(`mount(${JSON.stringify(mnt)}, filesystem, ${options})`)}
  const { stdout } = await promisify(execFile)('cat', [${JSON.stringify(`${mnt}/file`)}], { timeout: 5000 })
  const line = readFileSync('/proc/self/mountinfo', 'utf8').split('\\n').find((one) => one.includes(${JSON.stringify(mnt)}))
  console.log(JSON.stringify({ euid: process.geteuid(), text: stdout, line, why: session.negotiation.passthroughUnavailable }))
  await session.unmount()
  console.log('after', readFileSync('/proc/self/mountinfo', 'utf8').includes(${JSON.stringify(mnt)}))
`

describe('user and mount namespaces', { skip: skipUsers, timeout: 60_000 }, () => {
  for (const [how, prefix] of [
    ['unshare -Urm (root there)', ['unshare', '-Urm']],
    [
      'unshare -Um with CAP_SYS_ADMIN, but another user id',
      ['unshare', '-Um', '--map-current-user', '--keep-caps'],
    ],
  ] as const) {
    it(`mounts as an ordinary user in ${how}, unseen outside`, async (t) => {
      const mnt = place(t)
      const options = "{ fsName: 'in,side', subtype: 'ns', autoUnmount: true, onWarning: () => undefined }"
      const { code, stdout, stderr } = await run(
        'setpriv',
        [
          ...as(user).slice(1),
          ...prefix,
          process.execPath,
          '--input-type=module',
          '-e',
          inside(mnt, options),
        ],
        { cwd: root, timeout: 20_000 },
      )
      if (/unshare failed: Operation not permitted/.test(stderr))
        return t.skip('no user namespaces for users here')
      assert.equal(code, 0, stderr)
      const [ready, report, after] = stdout.trim().split('\n') as [string, string, string]
      assert.equal(ready, 'ready')
      const { euid, text, line, why } = JSON.parse(report) as Record<string, string>
      assert.equal(text, 'hello\n')
      assert.match(line, new RegExp(`fuse\\.ns in,side .*user_id=${euid},`))
      assert.equal(after, 'after false')
      assert.match(why, /CAP_SYS_ADMIN/)
      assert.equal(mountAt(mnt), undefined)
      t.diagnostic(
        `uid ${user}, there ${euid}: mounted without fusermount3, used, unmounted; passthrough: ${why}`,
      )
    })
  }

  it('mounts in a user namespace even where fusermount3 is not at hand', async (t) => {
    const mnt = place(t)
    const { code, stderr } = await run(
      'setpriv',
      [
        ...as(user).slice(1),
        'unshare',
        '-Urm',
        process.execPath,
        '--input-type=module',
        '-e',
        inside(mnt, '{}'),
      ],
      { cwd: root, timeout: 20_000, env: { PATH: '/bin' } },
    )
    if (/unshare failed/.test(stderr)) return t.skip('no user namespaces for users here')
    assert.equal(code, 0, stderr)
  })
})

interface Seen {
  name: string
  uid: number
  gid: number
}

/** One directory that keeps what is created in it, and notes the ids of every request. */
function noting(seen: Seen[]): Filesystem {
  const files = new Map<string, { nodeid: number; uid: number; gid: number }>()
  const attr = (nodeid: number) => {
    const file = [...files.values()].find((one) => one.nodeid === nodeid)
    return attrOf(
      nodeid,
      file === undefined ? { mode: 0o040777 } : { uid: file.uid, gid: file.gid, mode: 0o100644, size: 0 },
    )
  }
  const note = (name: string, { uid, gid }: { uid: number; gid: number }): void =>
    void seen.push({ name, uid, gid })
  return {
    lookup(request) {
      note('lookup', request)
      const file = files.get(request.name)
      return file === undefined ? -2 : { nodeid: file.nodeid, attr: attr(file.nodeid) }
    },
    getattr(request) {
      note('getattr', request)
      return { attr: attr(request.nodeid) }
    },
    setattr(request) {
      note('setattr', request)
      const file = [...files.values()].find(({ nodeid }) => nodeid === request.nodeid)
      if (file !== undefined && request.valid & 1) file.uid = request.newUid
      return { attr: attr(request.nodeid) }
    },
    create(request) {
      note('create', request)
      const file = { nodeid: 10 + files.size, uid: request.uid, gid: request.gid }
      files.set(request.name, file)
      return { nodeid: file.nodeid, attr: attr(file.nodeid), fh: 0 }
    },
    mkdir(request) {
      note('mkdir', request)
      return -1
    },
    unlink: () => undefined,
  }
}

describe('idmapped mounts', { skip, timeout: 60_000 }, () => {
  it('show mapped owners; creations carry the owner to give, all else nobody', async (t) => {
    const seen: Seen[] = []
    const { mnt, session } = await mounted(t, noting(seen), {
      allowOther: true,
      defaultPermissions: true,
      want: ['FUSE_ALLOW_IDMAP'],
    })
    assert.ok(session.negotiation.agreed.has('FUSE_ALLOW_IDMAP'))
    const mapped = place(t)
    const usernsFd = await userNamespace(t, 10_000, 1000)
    const tree = syscalls.openTree(AT_FDCWD, mnt, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)
    assert.ok(tree >= 0, String(tree))
    assert.equal(syscalls.mountSetattr(tree, '', AT_EMPTY_PATH, { attrSet: MOUNT_ATTR_IDMAP, usernsFd }), 0)
    assert.equal(syscalls.moveMount(tree, '', AT_FDCWD, mapped, MOVE_MOUNT_F_EMPTY_PATH), 0)
    syscalls.close(tree)
    assert.ok(mountAt(mapped)?.options.includes('idmapped'))

    const touch = await run('setpriv', [...as(10_005).slice(1), 'touch', join(mapped, 'made')], {
      timeout: 5000,
    })
    assert.equal(touch.code, 0, touch.stderr)
    assert.deepEqual(
      seen.filter(({ name }) => name === 'create'),
      [{ name: 'create', uid: 5, gid: 5 }],
    )
    assert.equal((await run('stat', ['-c', '%u %g', join(mapped, 'made')])).stdout, '10005 10005\n')
    assert.equal((await run('stat', ['-c', '%u %g', join(mnt, 'made')])).stdout, '5 5\n')
    const others = seen.filter(({ name }) => name !== 'create')
    assert.ok(others.length > 0)
    assert.ok(
      others.every(({ uid, gid }) => uid === FUSE_INVALID_UIDGID && gid === FUSE_INVALID_UIDGID),
      JSON.stringify(others),
    )
    const unmapped = await run('setpriv', [...as(5).slice(1), 'touch', join(mapped, 'unmapped')], {
      timeout: 5000,
    })
    assert.match(unmapped.stderr, /too large|Permission denied/, 'an id that the map does not have')

    await run('umount', [mapped])
    assert.ok(await until(() => mountAt(mapped) === undefined))
    t.diagnostic(
      'uid 10005 on the idmapped mount: create carried uid 5, stat there shows 10005 and on the plain mount 5; ' +
        `${others.length} other requests carried FUSE_INVALID_UIDGID; uid 5, which is not mapped, could create nothing`,
    )
  })

  it('are refused by the kernel without FUSE_ALLOW_IDMAP', async (t) => {
    const { mnt } = await mounted(t, noting([]), { allowOther: true, defaultPermissions: true })
    const usernsFd = await userNamespace(t, 10_000, 1000)
    const tree = syscalls.openTree(AT_FDCWD, mnt, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)
    const result = syscalls.mountSetattr(tree, '', AT_EMPTY_PATH, { attrSet: MOUNT_ATTR_IDMAP, usernsFd })
    syscalls.close(tree)
    assert.equal(result, -22)
  })
})
