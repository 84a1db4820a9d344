// The mirror's handlers called directly, without a mount: identity, lookup counts, names that are refused, what may wait.
import { strict as assert } from 'node:assert'
import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { EINVAL, ENOENT, ERANGE, ESTALE, OptionError } from 'devfuse'
import { mirror } from 'devfuse/mirror'
import type { MirrorFilesystem, MirrorOptions } from 'devfuse/mirror'
import * as sys from 'devfuse/syscalls'
import { eachMirrored } from './asked.js'
import type { Answer, Fields } from './asked.js'

let dir: string
let filesystem: MirrorFilesystem
const { ask, get, mirrorAgain } = eachMirrored((one) => ({ dir, filesystem } = one))
const file = (name: string, text = ''): void => fs.writeFileSync(join(dir, name), text)

test('a lookup answers nodeid, attributes and times to live; one file has one nodeid', () => {
  file('a', 'abc')
  fs.linkSync(join(dir, 'a'), join(dir, 'b'))
  const a = get('lookup', { name: 'a' })
  assert.equal(a.attr['size'], 3)
  assert.deepEqual([a['entryValid'], a['attrValid']], [1, 1])
  assert.equal(get('lookup', { name: 'b' }).nodeid, a.nodeid)
  assert.equal(ask('lookup', { name: 'none' }), ENOENT)
  assert.equal(ask('lookup', { nodeid: 999, name: 'a' }), ESTALE)
})

test('a file is forgotten when its lookups are given back; nodeid and generation never stand for another', () => {
  file('a')
  const { nodeid, generation } = get('lookup', { name: 'a' })
  get('lookup', { name: 'a' })
  assert.equal(filesystem.known.inodes, 2)
  ask('forget', { nodeid, nlookup: 1 })
  assert.equal(get('getattr', { nodeid }).attr['size'], 0)
  ask('forget', { nodeid, nlookup: 1 })
  assert.equal(ask('getattr', { nodeid }), ESTALE)
  // A filesystem gives the number of a deleted file to a new one as soon as it can.
  for (let i = 0; i < 20; i++) {
    fs.unlinkSync(join(dir, 'a'))
    file('a')
    const again = get('lookup', { name: 'a' })
    assert.notDeepEqual([again.nodeid, again['generation']], [nodeid, generation])
    ask('forget', { nodeid: again.nodeid, nlookup: 1 })
  }
})

test('a nodeid that still waits for a RELEASE is not given to a new file', () => {
  file('a')
  const { nodeid } = get('lookup', { name: 'a' })
  const { fh } = get('open', { nodeid, flags: sys.O_RDONLY })
  ask('forget', { nodeid, nlookup: 1 })
  const again = get('lookup', { name: 'a' })
  assert.notEqual(again.nodeid, nodeid)
  ask('forget', { nodeid: again.nodeid, nlookup: 1 })
  ask('release', { nodeid, fh })
})

test('names that are no single component are refused', () => {
  fs.mkdirSync(join(dir, 'd'))
  const { nodeid } = get('lookup', { name: 'd' })
  for (const name of ['', '../etc', 'a/b', '/', '/etc/passwd']) {
    assert.equal(ask('lookup', { nodeid, name }), EINVAL, name)
  }
  for (const name of ['', '.', '..', 'a/b']) {
    assert.equal(ask('mkdir', { nodeid, name, mode: 0o755 }), EINVAL, name)
    assert.equal(ask('unlink', { nodeid, name }), EINVAL, name)
    assert.equal(ask('rmdir', { nodeid, name }), EINVAL, name)
    assert.equal(ask('create', { nodeid, name, mode: 0o644 }), EINVAL, name)
    assert.equal(ask('rename', { nodeid, name: 'x', newdir: 1, newname: name }), EINVAL, name)
    assert.equal(ask('link', { nodeid: 1, oldnodeid: nodeid, newname: name }), EINVAL, name)
  }
})

test('`..` of the root is the root, however deep the source lies', () => {
  assert.equal(get('lookup', { name: '..' }).nodeid, 1)
  assert.equal(get('lookup', { name: '.' }).nodeid, 1)
  fs.mkdirSync(join(dir, 'd/e'), { recursive: true })
  const d = get('lookup', { name: 'd' })
  const e = get('lookup', { nodeid: d.nodeid, name: 'e' })
  assert.equal(get('lookup', { nodeid: e.nodeid, name: '..' }).nodeid, d.nodeid)
})

test('a file replaced behind the mirror is another file: ESTALE for the old, a new nodeid for the new', () => {
  file('a', 'old')
  const old = get('lookup', { name: 'a' })
  file('b', 'newer')
  fs.renameSync(join(dir, 'b'), join(dir, 'a'))
  assert.equal(ask('open', { nodeid: old.nodeid, flags: sys.O_RDONLY }), ESTALE)
  assert.equal(ask('getattr', { nodeid: old.nodeid }), ESTALE)
  const now = get('lookup', { name: 'a' })
  assert.notEqual(now.nodeid, old.nodeid)
  assert.equal(now.attr['size'], 5)
})

test('a name that became a FIFO or a symlink does not make an open wait or leave', () => {
  file('a')
  file('b')
  const a = get('lookup', { name: 'a' })
  const b = get('lookup', { name: 'b' })
  for (const name of ['a', 'b']) fs.unlinkSync(join(dir, name))
  assert.equal(sys.syscalls.mknodat(sys.AT_FDCWD, join(dir, 'a'), sys.S_IFIFO | 0o600, 0), 0)
  fs.symlinkSync('/etc/passwd', join(dir, 'b'))
  for (const { nodeid } of [a, b]) {
    for (const flags of [sys.O_RDONLY, sys.O_WRONLY]) assert.equal(ask('open', { nodeid, flags }), ESTALE)
  }
})

test('opens of one inode share a descriptor, which the last release closes', () => {
  file('a', 'text')
  const { nodeid } = get('lookup', { name: 'a' })
  const one = get('open', { nodeid, flags: sys.O_RDWR })
  const two = get('open', { nodeid, flags: sys.O_RDWR | sys.O_APPEND })
  assert.notEqual(one.fh, two.fh)
  assert.equal(one['passthrough'], two['passthrough'])
  const fd = one['passthrough'] as number
  assert.deepEqual(get('read', { nodeid, fh: two.fh, offset: 1, size: 9 }), { fd, offset: 1, size: 9 })
  assert.equal(get('getattr', { nodeid })['attrValid'], 0)
  ask('release', { nodeid, fh: one.fh })
  assert.equal(fs.fstatSync(fd).size, 4)
  ask('release', { nodeid, fh: two.fh })
  assert.throws(() => fs.fstatSync(fd), { code: 'EBADF' })
  // A mapping may outlive the descriptor, and writes through it tell nobody.
  assert.equal(get('getattr', { nodeid })['attrValid'], 0.1)
  const again = get('open', { nodeid, flags: sys.O_RDWR })
  assert.equal(get('getattr', { nodeid })['attrValid'], 0)
  ask('release', { nodeid, fh: again.fh })
  file('b')
  const b = get('lookup', { name: 'b' }).nodeid
  const three = get('open', { nodeid: b, flags: sys.O_WRONLY })
  assert.equal(get('getattr', { nodeid: b })['attrValid'], 1)
  ask('release', { nodeid: b, fh: three.fh })
})

test('what may wait for a disk is answered by a promise', async () => {
  const { nodeid, fh } = get('create', { name: 'a', flags: sys.O_RDWR, mode: 0o644 })
  const data = Buffer.concat([Buffer.from('hello'), Buffer.alloc(1 << 20)])
  const waits: [string, Fields, unknown][] = [
    ['write', { data, offset: 0, writeFlags: 0 }, data.length],
    ['fsync', { fdatasync: false }, undefined],
    ['fsync', { fdatasync: true }, undefined],
    ['fallocate', { offset: 0, length: 100, mode: 0 }, undefined],
    ['copyFileRange', { fhIn: fh, offIn: 0, fhOut: fh, offOut: 50, len: 5 }, 5],
    ['syncfs', {}, undefined],
  ]
  for (const [name, fields, expected] of waits) {
    const answer = ask(name, { nodeid, fh, ...fields })
    assert.ok(answer instanceof Promise, name)
    assert.equal(await answer, expected, name)
  }
  assert.equal(fs.readFileSync(join(dir, 'a'), 'latin1').slice(50, 55), 'hello')
  ask('release', { nodeid, fh })
})

const { type } = fs.statfsSync(tmpdir())
const notCached = !sys.isLocalFilesystem(type) && 'temporary files lie on a filesystem that is not local'

test(
  'a small write does not leave the thread, unless it is to be on the disk at its end, nor does close(2)',
  { skip: notCached },
  async () => {
    const write = { data: Buffer.from('hello'), offset: 0, writeFlags: 0 }
    for (const [flags, sync] of [
      [sys.O_RDWR, true],
      [sys.O_WRONLY | sys.O_DSYNC, false],
      [sys.O_WRONLY | sys.O_SYNC, false],
    ] as const) {
      const { nodeid, fh } = get('create', { name: `a${flags}`, flags, mode: 0o644 })
      const answer = ask('write', { nodeid, fh, ...write })
      assert.equal(typeof answer === 'number', sync)
      assert.equal(await answer, 5)
      assert.equal(fs.readFileSync(join(dir, `a${flags}`), 'latin1'), 'hello')
      assert.equal(ask('flush', { nodeid, fh }), undefined)
      ask('release', { nodeid, fh })
    }
  },
)

test('a big truncate leaves the thread, a small one does not', async () => {
  const { nodeid, fh } = get('create', { name: 'a', flags: sys.O_RDWR, mode: 0o644 })
  await (ask('fallocate', { nodeid, fh, offset: 0, length: 64 << 20, mode: 0 }) as Promise<void>)
  const size = { valid: 8, size: 0 }
  const slow = ask('setattr', { nodeid, ...size })
  assert.ok(slow instanceof Promise)
  assert.equal((await (slow as Promise<Answer>)).attr['size'], 0)
  assert.equal(get('setattr', { nodeid, ...size }).attr['size'], 0)
  ask('release', { nodeid, fh })
})

test('listings: every entry once, dots without a lookup, the window resumed anywhere', () => {
  for (let i = 0; i < 2000; i++) file(`${i}-${'n'.repeat(40)}`)
  const { fh } = get('opendir', {})
  const names: string[] = []
  const plus = ask('readdirplus', { fh, offset: 0, size: 1 << 20 }) as Iterable<
    Answer & { name: string; off: number }
  >
  for (const entry of plus) {
    assert.equal(entry.off, names.length + 1)
    assert.equal(entry.nodeid === 0, entry.name === '.' || entry.name === '..')
    names.push(entry.name)
  }
  assert.equal(new Set(names).size, 2002)
  assert.equal(filesystem.known.inodes, 2001)
  const resume = (offset: number) => {
    for (const { name } of ask('readdir', { fh, offset, size: 4096 }) as Iterable<{ name: string }>)
      return name
    return undefined
  }
  for (const offset of [1999, 3, 700, 701, 0, 2001, 1200])
    assert.equal(resume(offset), names[offset], String(offset))
  assert.equal(resume(2002), undefined)
  assert.equal(resume(5000), undefined)
  ask('releasedir', { fh })
})

/** Makes directories with 8 files and a directory each, and lists them as the kernel does. */
function listed(directories: number) {
  for (let i = 0; i < directories; i++) {
    fs.mkdirSync(join(dir, `${i}/sub`), { recursive: true })
    for (let k = 0; k < 8; k++) fs.writeFileSync(join(dir, `${i}/file${k}`), '')
  }
  /** Names with attributes of directory `i`, as thread `pid` is told; then `uses` files of it are looked up. */
  return (i: number, pid: number, uses: number): number => {
    const { nodeid } = get('lookup', { name: String(i), pid })
    const { fh } = get('opendir', { nodeid, pid })
    const reply = ask('readdirplus', { nodeid, fh, offset: 0, size: 1 << 16, pid })
    const entries = [...(reply as Iterable<Answer & { name: string }>)]
    const found = entries.filter((entry) => entry.nodeid !== 0)
    assert.ok(found.some(({ name }) => name === 'sub'))
    assert.equal(entries.length, 11)
    ask('releasedir', { fh })
    for (let k = 0; k < uses; k++) get('lookup', { nodeid, name: `file${k}`, pid: pid + 1000 })
    return found.length
  }
}

test('listings: what is looked up decides whether files come with their attributes, directories always do', () => {
  const DIRECTORIES = 140
  const list = listed(DIRECTORIES)
  // Two threads in turn.
  const told = Array.from({ length: DIRECTORIES }, (_, i) => [list(i, 1, 0), list(i, 2, 8)])
  assert.deepEqual(
    told.map(([unused]) => unused),
    [9, ...Array<number>(DIRECTORIES - 1).fill(1)],
  )
  // The sample after the first, and one in 65 from then on.
  assert.deepEqual(
    told.map(([, used]) => used === 1),
    Array.from({ length: DIRECTORIES }, (_, i) => i % 65 === 1),
  )
  // It comes to use them.
  assert.deepEqual([list(0, 1, 8), list(1, 1, 8)], [1, 9])
})

test('listings: looking directories up is no use of files, and directories without files tell nothing', () => {
  const list = listed(6)
  for (let i = 0; i < 40; i++) fs.mkdirSync(join(dir, `plain/${i}`), { recursive: true })
  const plain = () => {
    const { nodeid } = get('lookup', { name: 'plain', pid: 1 })
    const { fh } = get('opendir', { nodeid })
    assert.equal(
      [...(ask('readdirplus', { nodeid, fh, offset: 0, size: 1 << 16, pid: 1 }) as object[])].length,
      42,
    )
    ask('releasedir', { fh })
    for (let i = 0; i < 40; i++) get('lookup', { nodeid, name: String(i), pid: 1 })
  }
  for (let i = 0; i < 10; i++) plain()
  const [first, second] = [list(0, 1, 8), list(1, 1, 8)]
  assert.deepEqual(new Set([first, second]), new Set([1, 9]))
  assert.equal(list(2, 1, 0), 9)
})

test('listings: files of small directories come with their attributes where the kernel caches names for long', () => {
  for (const cache of [{ negativeValid: 1 }, { entryValid: 2 }]) {
    mirrorAgain({ cache })
    const list = listed(5)
    for (let i = 0; i < 5; i++) assert.equal(list(i, 1, 0), 9)
  }
  mirrorAgain({ cache: 'none' })
  assert.equal(listed(1)(0, 1, 0), 1)
})

for (const [what, cache] of [
  ['a large directory', {}],
  ['every large directory that the kernel keeps', { entryValid: 100, attrValid: 100 }],
] as const) {
  test(`listings: of ${what} only the first names come with attributes, and others once names are looked up`, () => {
    mirrorAgain({ cache })
    const large = (name: string): void => {
      fs.mkdirSync(join(dir, name))
      for (let i = 0; i < 4000; i++) fs.writeFileSync(join(dir, name, String(i)), '')
    }
    for (const directory of 'entryValid' in cache ? ['one', 'two'] : ['one']) {
      large(directory)
      const { nodeid } = get('lookup', { name: directory })
      // As without OPENDIR, where the kernel keeps listings.
      const { fh } = get('opendir', { nodeid })
      const names: string[] = []
      /** Lists on: how many of the next names have attributes, and how many there are. */
      const next = (): number[] => {
        const reply = ask('readdirplus', { nodeid, fh, offset: names.length, size: 65536, pid: 9 })
        const entries = [...(reply as Iterable<Answer & { name: string }>)]
        for (const { name } of entries) names.push(name)
        return [entries.filter((entry) => entry.nodeid !== 0).length, entries.length]
      }
      for (let before = 0; before < 1000; before = names.length) {
        const [found, all] = next()
        assert.equal(found, before === 0 ? all - 2 : all)
      }
      const [none, unused] = next()
      assert.equal(none, 0)
      for (const name of names.slice(-unused)) get('lookup', { nodeid, name, pid: 9 })
      const [found, all] = next()
      assert.equal(found, all)
      ask('releasedir', { fh })
    }
  })
}

test('listings: a small directory that the kernel keeps has all its attributes, whatever its thread lists in between', () => {
  mirrorAgain({ cache: { entryValid: 100, attrValid: 100 } })
  const open = (name: string, files: number) => {
    fs.mkdirSync(join(dir, name))
    for (let i = 0; i < files; i++) fs.writeFileSync(join(dir, name, String(i)), '')
    const { nodeid } = get('lookup', { name })
    const { fh } = get('opendir', { nodeid })
    let offset = 0
    /** Lists on: whether the next names have attributes; undefined at the end. */
    return (): boolean | undefined => {
      const reply = ask('readdirplus', { nodeid, fh, offset, size: 32768, pid: 9 })
      const entries = [...(reply as Iterable<Answer>)]
      const bare = entries.filter((entry) => entry.nodeid === 0).length - (offset === 0 ? 2 : 0)
      offset += entries.length
      return entries.length === 0 ? undefined : bare === 0
    }
  }
  const [small, large] = [open('small', 900), open('large', 4000)]
  assert.equal(small(), true)
  const told = Array.from({ length: 100 }, large)
  assert.deepEqual(new Set(told), new Set([true, false, undefined]))
  assert.equal(small(), true)
})

test('options: unknown keys and bad values are refused with the fix', () => {
  const bad = (options: unknown, message: RegExp) =>
    assert.throws(() => mirror(dir, options as MirrorOptions), { constructor: OptionError, message })
  bad({ cahce: 'none' }, /unknown option `cahce` of a mirror; the options are .*\bcache\b/)
  bad({ encoding: 'utf8' }, /byte-exact by itself/)
  bad({ cache: 'always' }, /`cache` must be 'normal', 'none', 'strong' or/)
  bad({ cache: { entryvalid: 1 } }, /unknown key `entryvalid` of option `cache`; the keys are entryValid/)
  bad({ cache: { entryValid: -1 } }, /`cache.entryValid` must be a number of seconds/)
  bad({ passthrough: true }, /`passthrough` must be 'auto', 'on' or 'off'/)
  bad({ maxPathDescriptors: 1 }, /`maxPathDescriptors` must be an integer from 16/)
})

test('mount options: exact names, the features relied on, and what the caller adds or refuses', () => {
  const { mountOptions } = filesystem
  assert.equal(mountOptions.encoding, 'latin1')
  assert.equal(mountOptions.defaultPermissions, true)
  assert.ok(mountOptions.prefer?.includes('FUSE_HANDLE_KILLPRIV_V2'))
  using other = mirror(dir, {
    refuse: ['FUSE_POSIX_ACL'],
    want: ['FUSE_READDIRPLUS_AUTO'],
    allowOther: false,
  })
  assert.ok(!other.mountOptions.prefer?.includes('FUSE_POSIX_ACL'))
  assert.ok(!other.mountOptions.refuse?.includes('FUSE_READDIRPLUS_AUTO'))
  assert.equal(other.mountOptions.allowOther, false)
})

test('nothing stays open after dispose', () => {
  const count = () => fs.readdirSync('/proc/self/fd').length
  const before = count()
  const other = mirror(dir)
  const answer = (other.opendir as (request: unknown) => { fh: number })({ nodeid: 1 })
  assert.ok(answer.fh > 0)
  assert.ok(count() > before)
  other.dispose()
  other.dispose()
  assert.equal(count(), before)
})

test('with long cache times, directories are opened as ever where the kernel has not agreed to open them by itself', () => {
  mirrorAgain({ cache: { entryValid: 100, attrValid: 100 } })
  file('a')
  const { fh } = get('opendir', {})
  assert.ok(fh > 0)
  const { bytes } = get('readdir', { fh, offset: 0, size: 4096 }) as unknown as { bytes: Uint8Array }
  assert.ok(Buffer.from(bytes).includes('a'))
  assert.equal(ask('releasedir', { fh }), undefined)
})

test('names of trusted attributes are for root alone, seen in /proc where the request hides who asks', (t) => {
  if (process.getuid?.() !== 0) return t.skip('trusted.* needs root')
  file('a')
  for (const name of ['trusted.secret', 'user.trusted.open', 'user.b'])
    assert.equal(sys.syscalls.setxattr(join(dir, 'a'), name, Buffer.from('1')), 0)
  const { nodeid } = get('lookup', { name: 'a' })
  const stranger = spawn('sleep', ['60'], { uid: 1000, gid: 1000 })
  try {
    const HIDDEN = 0xffff_ffff
    for (const [who, sees] of [
      [{ uid: 0, pid: stranger.pid }, true],
      [{ uid: 1000, pid: process.pid }, false],
      [{ uid: HIDDEN, pid: process.pid }, true],
      [{ uid: HIDDEN, pid: stranger.pid }, false],
      [{ uid: HIDDEN, pid: 0 }, false],
    ] as const) {
      const text = String(ask('listxattr', { nodeid, size: 1000, ...who }))
      const names = text.split('\0').slice(0, -1).toSorted()
      const expected = ['user.b', 'user.trusted.open']
      assert.deepEqual(names, sees ? ['trusted.secret', ...expected] : expected, JSON.stringify(who))
      assert.equal(ask('listxattr', { nodeid, size: 0, ...who }), text.length)
      assert.equal(ask('listxattr', { nodeid, size: text.length - 1, ...who }), ERANGE)
    }
  } finally {
    stranger.kill()
  }
})

test('attributes are never those of another file that has taken the name behind the mirror', () => {
  const attribute = (path: string, value: string): void =>
    assert.equal(sys.syscalls.setxattr(path, 'user.who', Buffer.from(value)), 0)
  fs.mkdirSync(join(dir, 'd'))
  attribute(join(dir, 'd'), 'old')
  const { nodeid } = get('lookup', { name: 'd' })
  const value = (size: number): unknown => {
    const answer = ask('getxattr', { nodeid, name: 'user.who', size })
    return answer instanceof Uint8Array ? String(answer) : answer
  }
  assert.deepEqual([value(0), value(100), value(2)], [3, 'old', ERANGE])
  fs.renameSync(join(dir, 'd'), join(dir, 'e'))
  assert.equal(value(100), ESTALE)
  fs.mkdirSync(join(dir, 'd'))
  assert.equal(value(100), ESTALE)
  attribute(join(dir, 'd'), 'other')
  assert.deepEqual([value(0), value(100)], [ESTALE, ESTALE])
  for (const size of [0, 100]) assert.equal(ask('listxattr', { nodeid, size }), ESTALE)
  // Where it was seen since is where it is found.
  assert.equal(get('lookup', { name: 'e' }).nodeid, nodeid)
  assert.deepEqual([value(0), value(100)], [3, 'old'])
})
