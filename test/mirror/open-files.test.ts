// Open files of the mirror, its handlers called directly: how long their descriptors stay, and what is found without a name.
import { strict as assert } from 'node:assert'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { FATTR_FH, FATTR_SIZE, FOPEN_DIRECT_IO } from 'devfuse/protocol'
import { EPERM, ESTALE } from 'devfuse'
import { mirror } from 'devfuse/mirror'
import type { MirrorFilesystem } from 'devfuse/mirror'
import * as sys from 'devfuse/syscalls'
import { Crew } from '#dist/filesystems/mirror/crew.js'
import { assemble } from '#dist/filesystems/mirror/index.js'
import { accessOf, resolveMirrorOptions } from '#dist/filesystems/mirror/options.js'
import { shareMemory } from '#dist/filesystems/mirror/shared.js'
import { closeSource, openSource } from '#dist/filesystems/mirror/source.js'
import { Tree } from '#dist/filesystems/mirror/tree.js'
import { eachMirrored, handlersOf } from './asked.js'
import type { Answer, Fields } from './asked.js'
import { run, temporary } from '../support/mounting.js'

let dir: string
let filesystem: MirrorFilesystem
const { ask, get, mirrorAgain } = eachMirrored((one) => ({ dir, filesystem } = one))

const BIG = 64 << 20
const NOBODY = 65534
const notRoot = process.geteuid?.() === 0 ? false : 'serving as another user takes root'
/** More than a thread writes by itself. */
const data = Buffer.alloc(1 << 20, 'x')

/** Whether a descriptor of this process can write to `name`. */
const leadsTo = (name: string, fd: number): boolean => {
  const flags = sys.syscalls.fcntl(fd, sys.F_GETFL)
  if (flags < 0 || (flags & sys.O_RDWR) === 0) return false
  return fs.fstatSync(fd).ino === fs.statSync(join(dir, name)).ino
}

const jobs: [string, Fields][] = [
  ['write', { data, offset: 0, writeFlags: 0 }],
  ['fsync', { fdatasync: false }],
  ['fallocate', { offset: 0, length: BIG, mode: 0 }],
  ['setattr', { valid: FATTR_SIZE | FATTR_FH, size: 0 }],
]

// A killed caller is answered before its job has run, and the kernel releases its file.
test('a descriptor stays open until the last job on it has run, and not longer', async () => {
  for (const [name, fields] of jobs) {
    const { nodeid, fh, passthrough } = get('create', { name, flags: sys.O_RDWR, mode: 0o644 })
    if (name === 'setattr') fs.writeFileSync(join(dir, name), Buffer.alloc(BIG))
    const fd = passthrough as number
    const job = ask(name, { nodeid, fh, ...fields }) as Promise<unknown>
    ask('release', { nodeid, fh })
    assert.ok(leadsTo(name, fd), name)
    await job
    assert.ok(!leadsTo(name, fd), name)
  }
})

test('a copy keeps the descriptors of both files', async () => {
  const [from, to] = ['from', 'to'].map((name) => get('create', { name, flags: sys.O_RDWR, mode: 0o644 }))
  fs.writeFileSync(join(dir, 'from'), 'text')
  const range = { fhIn: from.fh, offIn: 0, fhOut: to.fh, offOut: 0, len: 4 }
  const job = ask('copyFileRange', { nodeid: from.nodeid, ...range }) as Promise<number>
  for (const { nodeid, fh } of [from, to]) ask('release', { nodeid, fh })
  const open = () => [
    leadsTo('from', from['passthrough'] as number),
    leadsTo('to', to['passthrough'] as number),
  ]
  assert.deepEqual(open(), [true, true])
  assert.equal(await job, 4)
  assert.deepEqual(open(), [false, false])
})

test('a session that ends leaves a descriptor to the job that is under way', async () => {
  const { nodeid, fh, passthrough } = get('create', { name: 'a', flags: sys.O_RDWR, mode: 0o644 })
  const job = ask('write', { nodeid, fh, ...jobs[0][1] }) as Promise<number>
  filesystem.dispose()
  assert.ok(leadsTo('a', passthrough as number))
  assert.equal(await job, data.length)
  assert.ok(!leadsTo('a', passthrough as number))
})

/** Two threads that serve one mirror; undefined where files are not found by their numbers. */
function threads(t: TestContext): ReturnType<typeof handlersOf>[] | undefined {
  const options = { ...resolveMirrorOptions({}), passthrough: 'off' as const }
  const alone = openSource(dir, accessOf(options.session))
  t.after(() => closeSource(alone))
  // Threads have descriptors of their own, of one mount.
  const dup = (fd: number): number => sys.syscalls.fcntl(fd, sys.F_DUPFD_CLOEXEC)
  if (!new Tree(alone, options).numbered)
    return t.skip('files are not found by their numbers here') as undefined
  const memory = shareMemory()
  const joined = new SharedArrayBuffer(4)
  return [0, 1].map(() => {
    const source = { ...alone, fd: dup(alone.fd), mountFd: dup(alone.mountFd) }
    const crew = new Crew({ key: dir, memory, threads: 2, joined })
    const one = assemble(dir, source, options, () => closeSource(source), crew)
    t.after(() => one.dispose())
    return handlersOf(() => one)
  })
}

test('with several threads, a file that one of them releases stays open for the job of another one', async (t) => {
  const [one, two] = threads(t) ?? []
  if (one === undefined) return
  for (const [name, fields] of jobs) {
    // There a handle is a descriptor.
    const { nodeid, fh } = one.get('create', { name, flags: sys.O_RDWR, mode: 0o644 })
    if (name === 'setattr') fs.writeFileSync(join(dir, name), Buffer.alloc(BIG))
    const job = one.ask(name, { nodeid, fh, ...fields }) as Promise<unknown>
    two.ask('release', { nodeid, fh })
    assert.ok(leadsTo(name, fh), name)
    await job
    assert.ok(!leadsTo(name, fh), name)
  }
})

// The kernel may still hold it by an O_PATH.
test('a file without a name is found after its last close, until it is forgotten', () => {
  const unlinked = get('create', { name: 'a', flags: sys.O_RDWR, mode: 0o644 })
  fs.writeFileSync(join(dir, 'a'), 'text')
  ask('unlink', { name: 'a' })
  const replaced = get('create', { name: 'b', flags: sys.O_RDWR, mode: 0o644 })
  const other = get('create', { name: 'c', flags: sys.O_RDWR, mode: 0o644 })
  ask('rename', { name: 'c', newdir: 1, newname: 'b' })
  const nameless = get('tmpfile', { flags: sys.O_RDWR, mode: 0o600 })
  for (const { nodeid, fh } of [unlinked, replaced, nameless]) {
    ask('release', { nodeid, fh })
    assert.equal(get('getattr', { nodeid }).attr['nlink'], 0)
    const again = get('open', { nodeid, flags: sys.O_RDONLY })
    ask('release', { nodeid, fh: again.fh })
    assert.equal(get('getattr', { nodeid }).attr['nlink'], 0)
  }
  const { pathDescriptors } = filesystem.known
  ask('release', { nodeid: other.nodeid, fh: other.fh })
  assert.equal(filesystem.known.pathDescriptors, pathDescriptors)
  get('link', { oldnodeid: nameless.nodeid, newname: 'named' })
  assert.ok(fs.existsSync(join(dir, 'named')))
  for (const { nodeid } of [unlinked, replaced]) {
    ask('forget', { nodeid, nlookup: 1 })
    assert.equal(ask('getattr', { nodeid }), ESTALE)
  }
  assert.equal(filesystem.known.pathDescriptors, pathDescriptors - 2)
})

test('a file without a name stays when path descriptors are few', () => {
  mirrorAgain({ maxPathDescriptors: 16 })
  const { nodeid, fh } = get('tmpfile', { flags: sys.O_RDWR, mode: 0o600 })
  ask('release', { nodeid, fh })
  for (let i = 0; i < 40; i++) {
    fs.mkdirSync(join(dir, `${i}/sub`), { recursive: true })
    get('lookup', { nodeid: get('lookup', { name: String(i) }).nodeid, name: 'sub' })
  }
  assert.equal(get('getattr', { nodeid }).attr['nlink'], 0)
})

// Kernel: after ESTALE the thread tries once more, and an open by name has then looked the name up again.
test('an open file that was moved on the source is opened again at the second try', () => {
  fs.writeFileSync(join(dir, 'a'), 'text')
  fs.writeFileSync(join(dir, 'b'), 'other')
  const { nodeid } = get('lookup', { name: 'a' })
  const b = get('lookup', { name: 'b' })
  const { fh } = get('open', { nodeid, flags: sys.O_RDONLY })
  fs.renameSync(join(dir, 'a'), join(dir, 'moved'))
  let thread = 1
  for (const place of ['empty', 'taken']) {
    for (const flags of [sys.O_RDONLY, sys.O_RDWR]) {
      const open = (pid: number) => ask('open', { nodeid, flags, pid })
      const [one, two] = [thread++, thread++]
      assert.equal(open(one), ESTALE, place)
      assert.equal(open(two), ESTALE, place)
      const again = open(one) as Answer
      assert.equal(fs.fstatSync(again['passthrough'] as number).ino, fs.statSync(join(dir, 'moved')).ino)
      ask('release', { nodeid, fh: again.fh })
      // The second thread had a name, and got to what it leads to.
      ask('release', { nodeid: b.nodeid, fh: get('open', { nodeid: b.nodeid, flags, pid: two }).fh })
      for (const pid of [one, two, 0, 0]) assert.equal(open(pid), ESTALE, place)
    }
    fs.writeFileSync(join(dir, 'a'), 'new')
  }
  ask('release', { nodeid, fh })
})

const FS_IOC_GETFLAGS = 0x80086601
const FS_IOC_SETFLAGS = 0x40086602

/** Sets inode flags as chattr(1) does; false where the filesystem has none. */
function chattr(name: string, flags: number): boolean {
  const fd = fs.openSync(join(dir, name), 'r')
  try {
    const bytes = Buffer.alloc(8)
    if (sys.syscalls.ioctl(fd, FS_IOC_GETFLAGS, bytes) < 0) return false
    bytes.writeUInt32LE(((bytes.readUInt32LE(0) & ~(APPEND | IMMUTABLE)) | flags) >>> 0)
    return sys.syscalls.ioctl(fd, FS_IOC_SETFLAGS, bytes) === 0
  } finally {
    fs.closeSync(fd)
  }
}

const APPEND = 0x20
const IMMUTABLE = 0x10

test('a file that has become append-only or immutable cannot be opened any more because others have it open', (t) => {
  const { nodeid, fh } = get('create', { name: 'a', flags: sys.O_WRONLY, mode: 0o644 })
  const nameless = get('create', { name: 'b', flags: sys.O_WRONLY, mode: 0o644 })
  ask('link', { oldnodeid: nameless.nodeid, newdir: 1, newname: 'a2' })
  const open = (flags: number) => ask('open', { nodeid, flags, pid: 2 })
  const reader = get('open', { nodeid, flags: sys.O_RDONLY, pid: 2 })
  try {
    if (!chattr('a', IMMUTABLE)) return t.skip('the filesystem of the temporary directory has no inode flags')
    assert.equal(open(sys.O_WRONLY), EPERM)
    assert.equal(open(sys.O_WRONLY | sys.O_APPEND), EPERM)
    ask('release', { nodeid, fh: get('open', { nodeid, flags: sys.O_RDONLY, pid: 2 }).fh })
    chattr('a', APPEND)
    assert.equal(open(sys.O_WRONLY), EPERM)
    const opens = [0, 1].map(() => open(sys.O_WRONLY | sys.O_APPEND) as Answer)
    for (const { passthrough } of opens)
      assert.ok(sys.syscalls.fcntl(passthrough as number, sys.F_GETFL) & sys.O_APPEND)
    for (const one of opens) ask('release', { nodeid, fh: one.fh })
  } finally {
    chattr('a', 0)
  }
  const again = open(sys.O_WRONLY) as Answer
  for (const one of [fh, reader.fh, again.fh]) ask('release', { nodeid, fh: one })
})

test('whoever serves may say who may use it', { skip: notRoot }, async (t) => {
  const script = `
    import { OptionError, mount } from 'devfuse'
    import { memoryFilesystem } from 'devfuse/memory'
    import { mirror } from 'devfuse/mirror'
    for (const served of [mirror(process.argv[1], { access: 'all' }), memoryFilesystem({ access: 'all' })]) {
      const error = await mount(process.argv[1] + '/none', served, served.mountOptions).catch((reason) => reason)
      console.log(error instanceof OptionError ? error.message : error.code)
    }
    process.exit()`
  const place = temporary(t)
  fs.chmodSync(place, 0o755)
  const words = ['--input-type=module', '-e', script, place]
  const { stdout, stderr } = await run(process.execPath, words, { uid: NOBODY, gid: NOBODY })
  assert.deepEqual([stdout, stderr], ['ENOENT\nENOENT\n', ''])
})

/** A mirror of another directory than that of the test. */
function mirrorOf(t: TestContext, place: string): ReturnType<typeof handlersOf> {
  const other = mirror(place)
  t.after(() => other.dispose())
  return handlersOf(() => other)
}

test('files whose content is made up while it is read are read to their end, whatever their size', (t) => {
  const proc = mirrorOf(t, '/proc/sys/kernel')
  const { nodeid, attr } = proc.get('lookup', { name: 'ostype' })
  assert.equal(attr['size'], 0)
  const { fh, openFlags, passthrough } = proc.get('open', { nodeid, flags: sys.O_RDONLY })
  assert.equal((openFlags as number) & FOPEN_DIRECT_IO, FOPEN_DIRECT_IO)
  assert.equal(passthrough, undefined)
  proc.ask('release', { nodeid, fh })
})

// Source: truncate(3p). Kernel: tmpfs does as it says, ext4 marks the file in any case.
test('truncate(2) to the size that a file has leaves its times, ftruncate(2) does not', (t) => {
  const place = fs.mkdtempSync('/dev/shm/devfuse-mirror-')
  t.after(() => fs.rmSync(place, { recursive: true }))
  const shm = mirrorOf(t, place)
  const { nodeid, fh } = shm.get('create', { name: 'a', flags: sys.O_RDWR, mode: 0o644 })
  fs.utimesSync(join(place, 'a'), 1, 1)
  const setattr = (valid: number) => shm.get('setattr', { nodeid, fh, valid, size: 0 }).attr['mtime']
  assert.equal(setattr(FATTR_SIZE), 1)
  assert.notEqual(setattr(FATTR_SIZE | FATTR_FH), 1)
  shm.ask('release', { nodeid, fh })
})

test('with several threads, any of them finds a file without a name after its last close', (t) => {
  const [one, two] = threads(t) ?? []
  if (one === undefined) return
  const nameless = one.get('tmpfile', { flags: sys.O_RDWR, mode: 0o600 })
  const unlinked = one.get('create', { name: 'a', flags: sys.O_RDWR, mode: 0o644 })
  two.ask('unlink', { name: 'a' })
  for (const { nodeid, fh } of [nameless, unlinked]) {
    two.ask('release', { nodeid, fh })
    for (const thread of [one, two]) assert.equal(thread.get('getattr', { nodeid }).attr['nlink'], 0)
    one.ask('forget', { nodeid, nlookup: 1 })
    assert.equal(one.ask('getattr', { nodeid }), ESTALE)
  }
})

test(
  'whoever serves the mirror may list a directory that he must not search',
  { skip: notRoot },
  async (t) => {
    const place = temporary(t)
    fs.mkdirSync(join(place, 'listed/in'), { recursive: true })
    for (const name of ['', 'listed', 'listed/in']) fs.chownSync(join(place, name), NOBODY, NOBODY)
    fs.chmodSync(join(place, 'listed'), 0o444)
    const script = `
    import { mirror } from 'devfuse/mirror'
    const ask = (fields) => ({ unique: 2, nodeid: 1, uid: ${NOBODY}, gid: ${NOBODY}, pid: 1, flags: 0, ...fields })
    const served = mirror(process.argv[1])
    const { nodeid } = served.lookup(ask({ name: 'listed' }))
    const { fh } = served.opendir(ask({ nodeid }))
    const names = [...served.readdir(ask({ nodeid, fh, offset: 0, size: 4096 }))].map(({ name }) => name)
    console.log(names.toSorted().join())
    served.dispose()`
    const words = ['--input-type=module', '-e', script, place]
    const { stdout, stderr } = await run(process.execPath, words, { uid: NOBODY, gid: NOBODY })
    assert.deepEqual([stdout, stderr], ['.,..,in\n', ''])
  },
)
