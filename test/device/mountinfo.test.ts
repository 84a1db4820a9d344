// Checks the reading of mountinfo: escapes, byte-exact names, stacked and hidden mounts, symbolic links on the way.
import assert from 'node:assert/strict'
import { mkdtempSync, mkdirSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { containingMount, findMount, isFuse, parseMountInfo, readMountInfo } from '#dist/device/mountinfo.js'
import type { MountInfo } from '#dist/device/mountinfo.js'

const lines = [
  '22 27 0:21 / /proc rw,relatime - proc proc rw',
  '27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard',
  '40 27 0:50 / /mnt/with\\040space\\134and\\011tab rw,nosuid,nodev - fuse.devfuse my\\040source rw,user_id=0,allow_other',
  '41 27 0:51 / /mnt/caf\\351 rw - fuse fuse rw',
  '42 27 0:52 /sub /mnt/ünï rw - fuseblk.ntfs /dev/sdb1 rw',
  '43 27 0:53 / /sys/fs/fuse/connections rw - fusectl fusectl rw',
  '44 27 0:54 / /mnt/no-source rw -  fuse rw',
]
const parse = (text: string[]) =>
  parseMountInfo(Buffer.from(text.join('\n') + '\n', 'utf8').toString('latin1'))

describe('parseMountInfo', () => {
  const mounts = parse(lines)

  it('takes the fields apart, optional ones included', () => {
    assert.deepEqual(mounts[1], {
      id: 27,
      parentId: 1,
      major: 254,
      minor: 0,
      root: '/',
      mountPoint: '/',
      mountPointBytes: '/',
      options: ['rw', 'relatime'],
      fsType: 'ext4',
      source: '/dev/vda',
      superOptions: ['rw', 'discard'],
    })
  })

  it('undoes the octal escapes', () => {
    assert.equal(mounts[2].mountPoint, '/mnt/with space\\and\ttab')
    assert.equal(mounts[2].source, 'my source')
    assert.deepEqual(mounts[2].superOptions, ['rw', 'user_id=0', 'allow_other'])
    assert.equal(mounts[2].minor, 50)
  })

  it('keeps names that are not UTF-8 byte for byte', () => {
    assert.equal(mounts[3].mountPointBytes, '/mnt/caf\xe9')
    assert.equal(mounts[3].mountPoint, '/mnt/caf\ufffd')
    assert.equal(mounts[4].mountPoint, '/mnt/ünï')
    assert.equal(mounts[4].root, '/sub')
  })

  it('tells FUSE from the rest', () => {
    assert.deepEqual(
      mounts.filter(isFuse).map(({ id }) => id),
      [40, 41, 42],
    )
  })

  it('leaves out malformed lines', () => {
    assert.deepEqual(parse(['', 'nonsense', '1 2 3:4 / /x rw']), [])
  })

  it('reads the table of this process', () => {
    assert.ok(readMountInfo().some(({ mountPoint, fsType }) => mountPoint === '/proc' && fsType === 'proc'))
  })
})

describe('findMount', () => {
  it('finds the mount at a path and nothing at a path inside one', () => {
    const mounts = parse(lines)
    assert.equal(findMount('/', mounts)?.id, 27)
    assert.equal(findMount('/proc', mounts)?.id, 22)
    assert.equal(findMount('/proc/', mounts)?.id, 22)
    assert.equal(findMount('/mnt/../proc/.', mounts)?.id, 22)
    assert.equal(findMount('/proc/1', mounts), undefined)
    assert.equal(findMount('/mnt/ünï', mounts)?.id, 42)
    assert.equal(containingMount('/proc/1', mounts)?.id, 22)
    assert.equal(containingMount('/mnt', mounts)?.id, 27)
    assert.equal(containingMount('/mnt/ünï/a/b', mounts)?.id, 42)
    assert.equal(findMount('/mnt/with space\\and\ttab', mounts)?.id, 40)
  })

  it('takes the topmost of a stack, whatever the order of the lines', () => {
    const mounts = parse([
      '52 51 0:62 / /a rw - fuse three rw',
      '27 1 254:0 / / rw - ext4 /dev/vda rw',
      '50 27 0:60 / /a rw - fuse one rw',
      '51 50 0:61 / /a rw - fuse two rw',
    ])
    assert.equal(findMount('/a', mounts)?.source, 'three')
  })

  it('does not find what a later mount hides', () => {
    const mounts = parse([
      '27 1 254:0 / / rw - ext4 /dev/vda rw',
      '50 27 0:60 / /a/b rw - fuse hidden rw',
      '51 27 0:61 / /a rw - fuse cover rw',
    ])
    assert.equal(findMount('/a/b', mounts), undefined)
    assert.equal(findMount('/a', mounts)?.source, 'cover')
  })

  it('falls back to the last line where the chain of parents is cut off', () => {
    const mounts = parse(['50 27 0:60 / /a rw - fuse one rw', '51 50 0:61 / /a rw - fuse two rw'])
    assert.equal(findMount('/a', mounts)?.source, 'two')
  })

  it('follows symbolic links on the way, absolute, relative and looping', () => {
    const dir = realpathSync(mkdtempSync(join(tmpdir(), 'devfuse-mountinfo-')))
    try {
      mkdirSync(join(dir, 'real/mnt'), { recursive: true })
      symlinkSync(join(dir, 'real'), join(dir, 'absolute'))
      symlinkSync('real/../real/mnt', join(dir, 'relative'))
      symlinkSync('loop', join(dir, 'loop'))
      const mounts: MountInfo[] = [
        ...parse(['27 1 254:0 / / rw - ext4 /dev/vda rw']),
        ...parse([`60 27 0:70 / ${dir}/real/mnt rw - fuse here rw`]),
      ]
      assert.equal(findMount(join(dir, 'absolute/mnt'), mounts)?.id, 60)
      assert.equal(findMount(join(dir, 'relative'), mounts)?.id, 60)
      assert.equal(findMount(join(dir, 'loop/x'), mounts), undefined)
      assert.equal(findMount(join(dir, 'absolute'), mounts), undefined)
      // Out of where the link leads to: not by text, which would make it the folder that the link is in.
      symlinkSync('real/mnt', join(dir, 'deep'))
      assert.equal(findMount(`${dir}/deep/../mnt`, mounts)?.id, 60)
      assert.equal(findMount(`${dir}/deep/..`, mounts), undefined)
      assert.equal(findMount('', mounts), undefined)
    } finally {
      rmSync(dir, { recursive: true })
    }
  })
})
