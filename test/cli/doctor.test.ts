// Checks the doctor: what it reads of a made-up machine, how it judges, and its report about this one.
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { judge } from '#dist/cli/doctor/checks.js'
import type { Check } from '#dist/cli/doctor/checks.js'
import { gatherFacts } from '#dist/cli/doctor/facts.js'
import type { Facts } from '#dist/cli/doctor/facts.js'
import type { Probe } from '#dist/cli/doctor/probe.js'
import { attempt } from '../programs/command.js'
import { devfuse } from '../programs/mounted.js'

const root: Facts = {
  platform: 'linux',
  kernel: '6.18.1-generic',
  node: '22.1.0',
  uid: 0,
  capabilities: 0x1ffffffffffn,
  initialUserNamespace: true,
  deviceFuse: 'ok',
  fusermount: { path: '/usr/bin/fusermount3', setuidRoot: true },
  fuseConf: '#user_allow_other\n',
  enableUring: 'N',
  ioUringDisabled: '0',
  maxPagesLimit: '256',
  container: [],
  seccomp: '0',
  apparmor: undefined,
}
const user: Facts = { ...root, uid: 1000, capabilities: 0n }
const works: Probe = {
  addon: { ok: true },
  mount: { ok: true, milliseconds: 2 },
  minor: 45,
  offered: ['FUSE_PASSTHROUGH'],
  maxWrite: 1 << 20,
  passthrough: { ok: true },
}
const broken: Probe = { addon: { ok: true }, mount: { ok: false, said: 'mount says EPERM' } }

const find = (checks: Check[], id: string): Check => {
  const found = checks.find((check) => check.id === id)
  assert.ok(found, `no check ${id}`)
  return found
}
const failing = (checks: Check[]): string[] =>
  checks.filter(({ status }) => status === 'fail').map(({ id }) => id)

describe('judge', () => {
  it('is content with root on a new kernel', () => {
    const checks = judge(root, works)
    assert.deepEqual(
      checks.filter(({ status }) => status !== 'ok').map(({ id }) => id),
      [],
    )
    assert.match(find(checks, 'protocol').seen, /FUSE 7\.45, requests of up to 1024 KiB/)
    assert.match(find(checks, 'io_uring').fix ?? '', /enable_uring/)
  })

  it('tells an ordinary user what is missing', () => {
    const without: Probe = { ...works, passthrough: { ok: false, said: 'EPERM' } }
    const checks = judge(user, without)
    assert.deepEqual(failing(checks), [])
    assert.equal(find(checks, 'user_allow_other').status, 'warn')
    assert.match(find(checks, 'passthrough').seen, /lacks CAP_SYS_ADMIN/)
    const alone = judge({ ...user, fusermount: undefined }, broken)
    assert.deepEqual(failing(alone), ['permissions', 'fusermount3', 'mount'])
    assert.match(find(alone, 'fusermount3').fix ?? '', /apt-get install fuse3/)
    const harmless = judge(
      { ...user, fusermount: { path: '/usr/bin/fusermount3', setuidRoot: false } },
      broken,
    )
    assert.match(find(harmless, 'fusermount3').fix ?? '', /chmod u\+s \/usr\/bin\/fusermount3/)
    assert.equal(
      find(judge({ ...user, fuseConf: 'user_allow_other' }, works), 'user_allow_other').status,
      'ok',
    )
  })

  it('knows why /dev/fuse cannot be used', () => {
    const fix = (deviceFuse: string, container: string[] = []) =>
      find(judge({ ...root, deviceFuse, container }, broken), '/dev/fuse').fix ?? ''
    assert.match(fix('ENOENT'), /modprobe fuse/)
    assert.match(fix('ENOENT', ['docker']), /--device \/dev\/fuse/)
    assert.match(fix('EPERM', ['docker']), /control group/)
    assert.match(fix('EACCES'), /chmod 666/)
    assert.match(fix('not a device'), /mknod/)
  })

  it('knows what containers forbid', () => {
    const caged = {
      ...root,
      capabilities: 0xa80425fbn,
      container: ['docker'],
      seccomp: '2',
      apparmor: 'docker-default',
    }
    const checks = judge(caged, broken)
    assert.match(find(checks, 'permissions').fix ?? '', /--cap-add SYS_ADMIN/)
    assert.match(find(checks, 'mount').fix ?? '', /docker-default/)
    assert.match(find(checks, 'surroundings').seen, /container \(docker\), a seccomp filter.*AppArmor/)
  })

  it('knows why passthrough is impossible', () => {
    const refused = (facts: Facts, offered: string[]) =>
      find(judge(facts, { ...works, offered, passthrough: { ok: false, said: 'ELOOP' } }), 'passthrough').seen
    assert.match(refused({ ...root, kernel: '6.8.0' }, []), /Linux 6\.8\.0 has none/)
    assert.match(refused(root, []), /does not offer it/)
    assert.match(refused({ ...root, initialUserNamespace: false }, ['FUSE_PASSTHROUGH']), /user namespace/)
    assert.match(refused(root, ['FUSE_PASSTHROUGH']), /ELOOP/)
  })

  it('refuses what is too old and what is not Linux', () => {
    assert.deepEqual(failing(judge({ ...root, kernel: '5.3.9' }, works)), ['kernel'])
    assert.deepEqual(failing(judge({ ...root, node: '20.18.0' }, works)), ['node'])
    assert.deepEqual(failing(judge({ ...root, platform: 'darwin' }, works)), ['kernel'])
    assert.deepEqual(failing(judge(root, { addon: { ok: false, said: 'wrong ELF class' } })), [
      'addon',
      'mount',
    ])
  })
})

describe('gatherFacts', () => {
  it('reads a made-up machine', () => {
    const place = mkdtempSync(join(tmpdir(), 'devfuse-facts-'))
    const put = (path: string, text: string): void => {
      mkdirSync(join(place, dirname(path)), { recursive: true })
      writeFileSync(join(place, path), text)
    }
    try {
      put('/proc/self/status', 'Name:\tnode\nCapEff:\t0000000000200000\nSeccomp:\t2\n')
      put('/proc/self/uid_map', '         0     100000      65536\n')
      put('/proc/self/attr/current', 'docker-default (enforce)\n')
      put('/proc/sys/kernel/osrelease', '6.9.0\n')
      put('/proc/sys/fs/fuse/max_pages_limit', '256\n')
      put('/proc/1/cgroup', '0::/kubepods/besteffort/pod1\n')
      put('/.dockerenv', '')
      put('/dev/fuse', 'a plain file')
      put('/opt/bin/fusermount3', '')
      chmodSync(join(place, '/opt/bin/fusermount3'), 0o755)
      const facts = gatherFacts({ root: place, env: { PATH: '/none:/opt/bin' } })
      assert.equal(facts.kernel, '6.9.0')
      assert.equal(facts.capabilities, 1n << 21n)
      assert.equal(facts.initialUserNamespace, false)
      assert.equal(facts.deviceFuse, 'not a device')
      assert.deepEqual(facts.fusermount, { path: '/opt/bin/fusermount3', setuidRoot: false })
      assert.deepEqual(facts.container, ['docker', 'kubernetes'])
      assert.equal(facts.seccomp, '2')
      assert.match(facts.apparmor ?? '', /docker-default/)
      assert.equal(facts.enableUring, undefined)
    } finally {
      rmSync(place, { recursive: true })
    }
  })

  it('finds nothing on an empty machine without failing', () => {
    const facts = gatherFacts({ root: '/nonexistent', env: {} })
    assert.equal(facts.deviceFuse, 'ENOENT')
    assert.equal(facts.fusermount, undefined)
    assert.equal(facts.capabilities, 0n)
  })
})

describe('devfuse doctor', () => {
  it('proves with a throw-away mount that this machine is fit, and leaves nothing behind', async () => {
    const before = readdirSync(tmpdir()).filter((name) => name.startsWith('devfuse-doctor-'))
    const { status, stdout, stderr } = await attempt([...devfuse, 'doctor', '--json'], { timeout: 30_000 })
    assert.equal(status, 0, stdout + stderr)
    const report = JSON.parse(stdout) as { ok: boolean; checks: Check[]; probe: Probe }
    assert.equal(report.ok, true)
    assert.equal(report.probe.mount?.ok, true)
    assert.deepEqual(failing(report.checks), [])
    assert.deepEqual(
      readdirSync(tmpdir()).filter((name) => name.startsWith('devfuse-doctor-')),
      before,
    )
  })

  it('prints one line per requirement', async () => {
    const { status, stdout } = await attempt([...devfuse, 'doctor'], { timeout: 30_000 })
    assert.equal(status, 0, stdout)
    const [report, verdict] = stdout.split('\n\n')
    for (const line of report.split('\n')) assert.match(line, /^(ok|warn|fail) +\S+ +\S/)
    assert.equal(verdict, 'A mount works here.\n')
  })

  it('reports, too, where there is no folder to mount on', async () => {
    const { stdout, status } = await attempt(['env', 'TMPDIR=/nope', ...devfuse, 'doctor'], {
      timeout: 30_000,
    })
    assert.equal(status, 1)
    assert.match(stdout, /^fail +mount .*ENOENT.*set TMPDIR/m)
  })

  it('says as an ordinary user without fusermount3 what is missing, with status 1', async () => {
    const script = `
      import { spawnSync } from 'node:child_process'
      const { status, stdout } = spawnSync(${JSON.stringify(devfuse[0])}, ${JSON.stringify([...devfuse.slice(1), 'doctor'])},
        { uid: 65534, gid: 65534, encoding: 'utf8', env: { PATH: '/nonexistent', TMPDIR: ${JSON.stringify(tmpdir())} } })
      console.log(JSON.stringify({ status, stdout }))`
    const run = await attempt([process.execPath, '--input-type=module', '-e', script], { timeout: 30_000 })
    const { stdout } = JSON.parse(run.stdout) as { status: number; stdout: string }
    assert.match(stdout, /^(ok|fail) +permissions +user 65534 without CAP_SYS_ADMIN/m)
  })
})
