// The mirror on an idmapped mount: owners are mapped both ways, and set-id bits go as they do natively though nobody says who
// writes.
import { strict as assert } from 'node:assert'
import { spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import * as sys from 'devfuse/syscalls'
import { syscalls } from 'devfuse/syscalls'
import { cleanup } from '../support/mounting.js'
import { as } from '../support/server.js'
import { userNamespace } from '../support/user-namespace.js'
import { Mirrored, temporary } from './mounted.js'

test('files made on an idmapped mount belong to the mapped user, and so do attributes and ACLs', async (t) => {
  const mirrored = await Mirrored.start()
  cleanup(t, () => mirrored.stop())
  const { src, mnt } = mirrored
  const mapped = temporary()
  cleanup(t, () => {
    syscalls.umount2(mapped, sys.MNT_DETACH)
    fs.rmdirSync(mapped)
  })
  fs.chmodSync(src, 0o777)
  const usernsFd = await userNamespace(t, 10_000, 2000)
  const tree = syscalls.openTree(sys.AT_FDCWD, mnt, sys.OPEN_TREE_CLONE | sys.OPEN_TREE_CLOEXEC)
  const attributes = { attrSet: sys.MOUNT_ATTR_IDMAP, usernsFd }
  assert.equal(syscalls.mountSetattr(tree, '', sys.AT_EMPTY_PATH, attributes), 0)
  assert.equal(syscalls.moveMount(tree, '', sys.AT_FDCWD, mapped, sys.MOVE_MOUNT_F_EMPTY_PATH), 0)
  syscalls.close(tree)

  const script = `
    cd ${mapped}; umask 022
    echo text > file; mkdir dir; ln -s file link; mkfifo fifo
    chmod 6777 file; setfacl -m u:10500:r file 2>/dev/null || true`
  const made = spawnSync('setpriv', [...as(11_000).slice(1), 'sh', '-ec', script], {
    encoding: 'utf8',
    timeout: 20_000,
  })
  assert.equal(made.status, 0, made.stderr)
  for (const name of ['file', 'dir', 'link', 'fifo']) {
    assert.deepEqual([name, fs.lstatSync(join(src, name)).uid], [name, 1000])
    assert.deepEqual([name, fs.lstatSync(join(mapped, name)).uid], [name, 11_000])
  }
  // Another user of the map may write to it, and takes the bits away.
  assert.equal(fs.statSync(join(src, 'file')).mode & 0o6000, 0o6000)
  const other = spawnSync('setpriv', [...as(11_500).slice(1), 'sh', '-ec', `echo more >> ${mapped}/file`], {
    timeout: 20_000,
  })
  assert.equal(other.status, 0)
  assert.equal(fs.statSync(join(src, 'file')).mode & 0o6000, 0)
  // Who is not in the map can be shown, as nobody, but can make nothing.
  const stranger = spawnSync('setpriv', [...as(5).slice(1), 'touch', join(mapped, 'no')], { timeout: 20_000 })
  assert.notEqual(stranger.status, 0)
  assert.equal(fs.existsSync(join(src, 'no')), false)
})

test('an access list excludes idmapped mounts, and the mirror gives way', async (t) => {
  const mirrored = await Mirrored.start({ allowRoot: true, allowOther: false })
  cleanup(t, () => mirrored.stop())
  fs.writeFileSync(join(mirrored.src, 'file'), 'text')
  assert.equal(fs.readFileSync(join(mirrored.mnt, 'file'), 'latin1'), 'text')
})
