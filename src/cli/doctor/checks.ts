// Owns the judgement: turns facts and the result of the probe into one line per requirement. Pure.
import type { Facts } from './facts.js'
import type { Probe } from './probe.js'

/** One requirement: `fail` means that no mount works, `warn` that something is slower or missing. */
export interface Check {
  id: string
  status: 'ok' | 'warn' | 'fail'
  /** What was seen. */
  seen: string
  /** What to do; absent when there is nothing to do. */
  fix?: string
}

const CAP_SYS_ADMIN = 1n << 21n
const PAGE_SIZE = 4096

function atLeast(version: string, major: number, minor: number): boolean {
  const [a = 0, b = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  return a > major || (a === major && b >= minor)
}

function privileged(facts: Facts): boolean {
  return (facts.capabilities & CAP_SYS_ADMIN) !== 0n
}

function kernel({ platform, kernel: version }: Facts): Check {
  if (platform !== 'linux') {
    return { id: 'kernel', status: 'fail', seen: `this is ${platform}`, fix: 'devfuse runs on Linux only' }
  }
  if (!atLeast(version, 5, 4)) {
    return { id: 'kernel', status: 'fail', seen: `Linux ${version}`, fix: 'devfuse needs Linux 5.4 or newer' }
  }
  return { id: 'kernel', status: 'ok', seen: `Linux ${version}` }
}

function node({ node: version }: Facts): Check {
  if (atLeast(version, 20, 19)) return { id: 'node', status: 'ok', seen: `Node ${version}` }
  return { id: 'node', status: 'fail', seen: `Node ${version}`, fix: 'devfuse needs Node 20.19 or newer' }
}

function addon({ addon: loaded }: Probe): Check {
  if (loaded.ok) return { id: 'addon', status: 'ok', seen: 'the native addon loads' }
  return { id: 'addon', status: 'fail', seen: loaded.said, fix: 'in a checkout: npm run build:native' }
}

function device({ deviceFuse, container }: Facts): Check {
  const inside = container.length > 0
  const fixes: Record<string, string> = {
    ENOENT: inside
      ? 'give the container the device: docker run --device /dev/fuse'
      : 'load the kernel module: modprobe fuse',
    EACCES: 'make it usable for everybody, which is safe: chmod 666 /dev/fuse',
    EPERM: 'the device rules of the control group forbid it: docker run --device /dev/fuse',
    ENODEV: 'load the kernel module: modprobe fuse',
    ENXIO: 'load the kernel module: modprobe fuse',
    'not a device': 'remove the file and make the device: mknod -m 666 /dev/fuse c 10 229',
  }
  if (deviceFuse === 'ok') return { id: '/dev/fuse', status: 'ok', seen: 'opens for reading and writing' }
  return {
    id: '/dev/fuse',
    status: 'fail',
    seen: deviceFuse === 'not a device' ? deviceFuse : `opening it says ${deviceFuse}`,
    fix: fixes[deviceFuse] ?? 'see open(2)',
  }
}

function permissions(facts: Facts): Check {
  const id = 'permissions'
  const { uid, initialUserNamespace, fusermount, container } = facts
  const where = initialUserNamespace ? '' : ' of a user namespace'
  if (privileged(facts))
    return { id, status: 'ok', seen: `user ${uid} with CAP_SYS_ADMIN${where}: mounts by itself` }
  if (uid === 0) {
    return {
      id,
      status: fusermount?.setuidRoot === true && initialUserNamespace ? 'warn' : 'fail',
      seen: 'root without CAP_SYS_ADMIN',
      fix:
        container.length > 0
          ? 'docker run --cap-add SYS_ADMIN --device /dev/fuse --security-opt apparmor=unconfined'
          : 'give the process CAP_SYS_ADMIN',
    }
  }
  if (fusermount?.setuidRoot === true) {
    return { id, status: 'ok', seen: `user ${uid} without CAP_SYS_ADMIN: mounts through fusermount3` }
  }
  return {
    id,
    status: 'fail',
    seen: `user ${uid} without CAP_SYS_ADMIN, and fusermount3 cannot help`,
    fix: 'run as root, or install the package fuse3',
  }
}

function helper(facts: Facts): Check {
  const id = 'fusermount3'
  const { fusermount } = facts
  const status = privileged(facts) ? 'ok' : 'fail'
  const note = privileged(facts) ? '; not needed with CAP_SYS_ADMIN' : ''
  if (fusermount === undefined) {
    return { id, status, seen: `not installed${note}`, fix: 'for ordinary users: apt-get install fuse3' }
  }
  if (fusermount.setuidRoot) return { id, status: 'ok', seen: `${fusermount.path}, setuid root` }
  return {
    id,
    status,
    seen: `${fusermount.path} is not setuid root${note}`,
    fix: `chown root ${fusermount.path} && chmod u+s ${fusermount.path}`,
  }
}

function allowOther(facts: Facts): Check {
  const id = 'user_allow_other'
  if (privileged(facts)) return { id, status: 'ok', seen: 'not needed with CAP_SYS_ADMIN' }
  const set = /^\s*user_allow_other\s*$/m.test(facts.fuseConf ?? '')
  if (set) return { id, status: 'ok', seen: 'set in /etc/fuse.conf' }
  return {
    id,
    status: 'warn',
    seen: facts.fuseConf === undefined ? 'there is no readable /etc/fuse.conf' : 'not set in /etc/fuse.conf',
    fix: 'only for --allow-other: add the line user_allow_other to /etc/fuse.conf',
  }
}

function mounting(facts: Facts, { mount }: Probe): Check {
  const id = 'mount'
  if (mount === undefined)
    return { id, status: 'fail', seen: 'not tried without the addon', fix: 'see addon' }
  if (mount.ok) {
    return { id, status: 'ok', seen: `a throw-away filesystem was up in ${mount.milliseconds.toFixed(1)} ms` }
  }
  return { id, status: 'fail', seen: mount.said, fix: hintFor(facts, mount.said) }
}

function hintFor({ container, seccomp, apparmor }: Facts, said: string): string {
  if (container.includes('gvisor')) return 'gVisor has no FUSE mounts for its guests: use another runtime'
  if (!/EPERM|EACCES|not permitted|denied/i.test(said)) return 'see the failing lines of this report'
  if (apparmor !== undefined) {
    return `the AppArmor profile ${apparmor} may forbid it: --security-opt apparmor=unconfined`
  }
  if (container.length > 0) {
    return 'docker run --cap-add SYS_ADMIN --device /dev/fuse --security-opt apparmor=unconfined'
  }
  if (seccomp === '2') return 'a seccomp filter is in force and may forbid mount(2)'
  return 'see the failing lines of this report'
}

function protocol({ minor, maxWrite }: Probe, { maxPagesLimit, kernel: version }: Facts): Check {
  const id = 'protocol'
  if (minor === undefined) {
    return { id, status: 'warn', seen: `Linux ${version} was not asked, because nothing could be mounted` }
  }
  const limit = maxPagesLimit === undefined ? '' : `; fs.fuse.max_pages_limit ${maxPagesLimit}`
  const size = maxWrite === undefined ? '' : `, requests of up to ${maxWrite / 1024} KiB${limit}`
  const small = maxPagesLimit !== undefined && Number(maxPagesLimit) * PAGE_SIZE < 1 << 20
  return {
    id,
    status: small ? 'warn' : 'ok',
    seen: `FUSE 7.${minor}${size}`,
    ...(small ? { fix: 'sysctl fs.fuse.max_pages_limit=256 lets requests carry 1 MiB' } : {}),
  }
}

function passthrough(facts: Facts, { passthrough: tried, offered }: Probe): Check {
  const id = 'passthrough'
  const slower = 'devfuse serves the data itself, which is slower'
  if (tried?.ok === true) return { id, status: 'ok', seen: 'the kernel took a backing file' }
  if (!atLeast(facts.kernel, 6, 9)) {
    return {
      id,
      status: 'warn',
      seen: `Linux ${facts.kernel} has none; ${slower}`,
      fix: 'Linux 6.9 or newer has it',
    }
  }
  if (offered?.includes('FUSE_PASSTHROUGH') === false) {
    const fix = 'it takes a kernel built with CONFIG_FUSE_PASSTHROUGH=y'
    return { id, status: 'warn', seen: `this kernel does not offer it; ${slower}`, fix }
  }
  if (!privileged(facts) || !facts.initialUserNamespace) {
    const seen = privileged(facts)
      ? 'root of a user namespace may not name backing files'
      : 'the process lacks CAP_SYS_ADMIN'
    const fix = 'run as root of the machine itself (CAP_SYS_ADMIN in the initial user namespace)'
    return { id, status: 'warn', seen: `${seen}; ${slower}`, fix }
  }
  if (tried === undefined)
    return { id, status: 'warn', seen: 'not tried, because nothing could be mounted', fix: 'see mount' }
  return {
    id,
    status: 'warn',
    seen: `${tried.said}; ${slower}`,
    fix: 'a backing file must lie on an ordinary filesystem',
  }
}

function ioUring({ enableUring, ioUringDisabled, kernel: version }: Facts): Check {
  const id = 'io_uring'
  if (enableUring === undefined) {
    return {
      id,
      status: 'ok',
      seen: `Linux ${version} has no FUSE over io_uring (transport: 'ring'); not needed`,
    }
  }
  const blocked = ioUringDisabled !== undefined && ioUringDisabled !== '0'
  const seen = `enable_uring=${enableUring}, kernel.io_uring_disabled=${ioUringDisabled ?? 'unknown'}; only for transport: 'ring'`
  if (enableUring === 'Y' && !blocked) return { id, status: 'ok', seen }
  const fix = blocked
    ? 'to allow it: sysctl kernel.io_uring_disabled=0'
    : 'to turn it on: echo Y > /sys/module/fuse/parameters/enable_uring'
  return { id, status: 'ok', seen, fix }
}

function surroundings({ container, seccomp, apparmor }: Facts): Check {
  const words = [
    container.length > 0 ? `container (${container.join(', ')})` : 'no container seen',
    ...(seccomp === '2' ? ['a seccomp filter is in force'] : []),
    ...(apparmor === undefined ? [] : [`AppArmor profile ${apparmor}`]),
  ]
  return { id: 'surroundings', status: 'ok', seen: words.join(', ') }
}

/** One check per requirement, in the order in which to repair them. */
export function judge(facts: Facts, probe: Probe): Check[] {
  const first = kernel(facts)
  if (facts.platform !== 'linux') return [first, node(facts)]
  return [
    first,
    node(facts),
    addon(probe),
    device(facts),
    permissions(facts),
    helper(facts),
    mounting(facts, probe),
    protocol(probe, facts),
    passthrough(facts, probe),
    allowOther(facts),
    ioUring(facts),
    surroundings(facts),
  ]
}
