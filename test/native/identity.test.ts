// syscallAs: files made for somebody else belong to them, and the thread is itself again afterwards.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { AS_KEEP_FSETID, AS_KEEP_MKNOD } from '#dist/native.js'
import { AT_FDCWD, EINVAL, ENOENT, NR, closeAll, native } from './calls.js'

const O_CREAT_EXCL_WRONLY = 0o301
const UID = 4321
const GID = 8765
const root = process.getuid?.() === 0
const folder = mkdtempSync(join(tmpdir(), 'devfuse-identity-'))
after(() => rmSync(folder, { recursive: true, force: true }))

function identity(): string {
  const status = readFileSync('/proc/thread-self/status', 'latin1')
  return status
    .split('\n')
    .filter((line) => /^(Uid|Gid|Groups|CapEff|CapPrm|CapInh|Umask):/.test(line))
    .join('\n')
}

/** What /proc says of this thread while it is somebody else: read by the call itself. */
function identityWithin(
  uid: number,
  gid: number,
  umask: number,
  flags: number,
  groups: Uint32Array | null,
): string {
  const fd = native.syscallUtf8(NR.openat, AT_FDCWD, '/proc/thread-self/status', 0)
  const text = Buffer.alloc(8192)
  const length = native.syscallAs(uid, gid, umask, flags, groups, NR.read, fd, text, text.length)
  closeAll(fd)
  return text.toString('latin1', 0, length)
}

function field(status: string, name: string): string {
  return new RegExp(`^${name}:[ \\t]*(.*?)[ \\t]*$`, 'm').exec(status)![1]
}

function caps(status: string): Set<number> {
  const effective = BigInt(`0x${field(status, 'CapEff')}`)
  return new Set(Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => (effective >> BigInt(bit)) & 1n))
}

const CAP = { CHOWN: 0, DAC_OVERRIDE: 1, DAC_READ_SEARCH: 2, FOWNER: 3, FSETID: 4, SETUID: 7, MKNOD: 27 }

describe('syscallAs', { skip: root ? false : 'needs root' }, () => {
  it('gives new files the owner, the group and the mask of the caller', () => {
    const before = identity()
    const path = join(folder, 'made')
    const fd = native.syscallAs(
      UID,
      GID,
      0o027,
      0,
      null,
      NR.openat,
      AT_FDCWD,
      path,
      O_CREAT_EXCL_WRONLY,
      0o666,
    )
    assert.ok(fd >= 0)
    closeAll(fd)
    const { uid, gid, mode } = statSync(path)
    assert.deepEqual({ uid, gid, mode: mode & 0o7777 }, { uid: UID, gid: GID, mode: 0o640 })
    assert.equal(identity(), before)
  })

  it('changes the thread meanwhile, and keeps three capabilities', () => {
    const within = identityWithin(UID, GID, 0o077, 0, new Uint32Array([7, 5, 6]))
    assert.equal(field(within, 'Uid'), `0\t0\t0\t${UID}`)
    assert.equal(field(within, 'Gid'), `0\t0\t0\t${GID}`)
    assert.equal(field(within, 'Groups'), '5 6 7')
    assert.equal(field(within, 'Umask'), '0077')
    const kept = caps(within)
    for (const cap of [CAP.DAC_OVERRIDE, CAP.DAC_READ_SEARCH, CAP.FOWNER, CAP.SETUID])
      assert.ok(kept.has(cap))
    for (const cap of [CAP.CHOWN, CAP.FSETID, CAP.MKNOD]) assert.ok(!kept.has(cap))
  })

  it('keeps CAP_FSETID and CAP_MKNOD when asked', () => {
    const kept = caps(identityWithin(UID, GID, -1, AS_KEEP_FSETID | AS_KEEP_MKNOD, null))
    assert.ok(kept.has(CAP.FSETID) && kept.has(CAP.MKNOD) && !kept.has(CAP.CHOWN))
  })

  it('leaves groups and umask alone when told so, and takes an empty list', () => {
    const before = identity()
    const within = identityWithin(UID, GID, -1, 0, null)
    assert.equal(field(within, 'Groups'), field(before, 'Groups'))
    assert.equal(field(within, 'Umask'), field(before, 'Umask'))
    assert.equal(field(identityWithin(UID, GID, -1, 0, new Uint32Array(0)), 'Groups'), '')
    assert.equal(identity(), before)
  })

  it('takes nothing from root', () => {
    assert.deepEqual(caps(identityWithin(0, 0, -1, 0, null)), caps(identity()))
  })

  it('puts everything back after success, failure and misuse', () => {
    const before = identity()
    const many = Uint32Array.from({ length: 1000 }, (_, i) => i * 3)
    for (const groups of [null, new Uint32Array(0), new Uint32Array([1, 2, 3]), many]) {
      assert.equal(native.syscallAs(UID, GID, 0o77, 0, groups, NR.getpid), process.pid)
      assert.equal(identity(), before)
      assert.equal(native.syscallAs(UID, GID, 0o77, 0, groups, NR.openat, AT_FDCWD, '/no/where', 0), ENOENT)
      assert.equal(identity(), before)
      assert.equal(native.syscallAs(UID, GID, 0o77, 0, groups, NR.openat, AT_FDCWD, 'a\0', 0), EINVAL)
      assert.equal(identity(), before)
    }
    const loose = native.syscallAs as (...args: unknown[]) => unknown
    assert.throws(() => loose(UID, GID, -1, 0, [1], NR.getpid), TypeError)
    assert.throws(() => loose(UID, GID, -1, 0, new Int8Array(4), NR.getpid), TypeError)
    assert.throws(() => loose(UID, GID, -1, 0, null), TypeError)
    assert.throws(() => loose(UID, GID, -1, 0, null, NR.openat, {}), TypeError)
    assert.equal(identity(), before)
  })

  it('leaves other threads and the dumpable flag alone', async () => {
    const PR_GET_DUMPABLE = 3
    const dumpable = native.syscallUtf8(NR.prctl, PR_GET_DUMPABLE)
    const path = join(folder, 'by-pool')
    const open = native.syscallAsyncUtf8(NR.openat, AT_FDCWD, path, O_CREAT_EXCL_WRONLY, 0o600)
    for (let i = 0; i < 200; i++) native.syscallAs(UID, GID, -1, 0, new Uint32Array([9]), NR.getpid)
    closeAll(await open)
    assert.equal(statSync(path).uid, 0)
    assert.equal(native.syscallUtf8(NR.prctl, PR_GET_DUMPABLE), dumpable)
  })

  it('drops setgid as the kernel would for the caller, and makes devices when allowed', () => {
    const path = join(folder, 'setgid')
    writeFileSync(path, '')
    chownSync(path, UID, GID + 1)
    const set = (flags: number, groups: Uint32Array): number => {
      chmodSync(path, 0o700)
      assert.equal(native.syscallAs(UID, GID, -1, flags, groups, NR.fchmodat, AT_FDCWD, path, 0o2755), 0)
      return statSync(path).mode & 0o7777
    }
    assert.equal(set(0, new Uint32Array(0)), 0o755)
    assert.equal(set(0, new Uint32Array([GID + 1])), 0o2755)
    assert.equal(set(AS_KEEP_FSETID, new Uint32Array(0)), 0o2755)

    const device = join(folder, 'null')
    const S_IFCHR = 0o020000
    const make = (flags: number): number =>
      native.syscallAs(UID, GID, 0, flags, null, NR.mknodat, AT_FDCWD, device, S_IFCHR | 0o600, 0x103)
    assert.equal(make(0), -1)
    assert.equal(make(AS_KEEP_MKNOD), 0)
    assert.equal(statSync(device).uid, UID)
  })

  it('just runs the call where there is no privilege', () => {
    const calls = new URL('./calls.js', import.meta.url).href
    const script = `
      import { native, NR } from ${JSON.stringify(calls)}
      import { readFileSync } from 'node:fs'
      process.setgroups([]); process.setgid(${GID}); process.setuid(${UID})
      const before = readFileSync('/proc/thread-self/status', 'latin1').match(/^(Uid|Gid|Groups|Cap...):.*/gm).join()
      const result = native.syscallAs(1, 1, -1, 0, new Uint32Array([5]), NR.getpid) === process.pid
      const after = readFileSync('/proc/thread-self/status', 'latin1').match(/^(Uid|Gid|Groups|Cap...):.*/gm).join()
      console.log(result, before === after)`
    const ran = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      timeout: 20_000,
    })
    assert.equal(ran.stdout, 'true true\n', ran.stderr)
  })
})
