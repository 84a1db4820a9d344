// Owns the gathering of facts about a machine: reads files only, judges nothing. Checks work on the result.
import { accessSync, closeSync, constants, openSync, readFileSync, statSync } from 'node:fs'
import { release } from 'node:os'
import { delimiter, join } from 'node:path'

/** What was seen of a machine. `undefined` means that the file is not there. */
export interface Facts {
  platform: string
  /** `uname -r`. */
  kernel: string
  node: string
  uid: number
  /** The effective capabilities, one bit each. */
  capabilities: bigint
  /** True when user id 0 here is user id 0 of the machine. */
  initialUserNamespace: boolean
  /** `ok`, `not a device`, or the error code of opening /dev/fuse for reading and writing. */
  deviceFuse: string
  fusermount: { path: string; setuidRoot: boolean } | undefined
  /** Text of /etc/fuse.conf. */
  fuseConf: string | undefined
  /** `/sys/module/fuse/parameters/enable_uring`: `Y` or `N`. */
  enableUring: string | undefined
  /** sysctl `kernel.io_uring_disabled`: 0, 1 or 2. */
  ioUringDisabled: string | undefined
  /** sysctl `fs.fuse.max_pages_limit`, in pages. */
  maxPagesLimit: string | undefined
  /** Signs that this is a container: `docker`, `podman`, `kubernetes`, `gvisor`, ... */
  container: string[]
  /** Line `Seccomp` of /proc/self/status; 2 means that a filter is in force. */
  seccomp: string | undefined
  /** The AppArmor profile this process runs under. */
  apparmor: string | undefined
}

/** Where facts come from; tests point `root` at a made-up tree. */
export interface Place {
  root: string
  env: NodeJS.ProcessEnv
}

// Kernel: the initial user namespace maps every id to itself.
const WHOLE_MACHINE = /^\s*0\s+0\s+4294967295\s*$/

function read(place: Place, path: string): string | undefined {
  try {
    return readFileSync(join(place.root, path), 'utf8').trim()
  } catch {
    return undefined
  }
}

function exists(place: Place, path: string): boolean {
  try {
    accessSync(join(place.root, path))
    return true
  } catch {
    return false
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}

function deviceFuse({ root }: Place): string {
  const path = join(root, '/dev/fuse')
  try {
    if (!statSync(path).isCharacterDevice()) return 'not a device'
    closeSync(openSync(path, constants.O_RDWR))
    return 'ok'
  } catch (error) {
    return codeOf(error)
  }
}

function fusermount({ root, env }: Place): Facts['fusermount'] {
  for (const folder of (env.PATH ?? '').split(delimiter).filter((one) => one.startsWith('/'))) {
    const path = join(folder, 'fusermount3')
    try {
      const { mode, uid } = statSync(join(root, path))
      return { path, setuidRoot: (mode & 0o4000) !== 0 && uid === 0 }
    } catch {
      // Not in this folder.
    }
  }
  return undefined
}

function container(place: Place): string[] {
  const cgroup = read(place, '/proc/1/cgroup') ?? ''
  const signs: [string, boolean][] = [
    ['docker', exists(place, '/.dockerenv') || /docker/.test(cgroup)],
    ['podman', exists(place, '/run/.containerenv')],
    ['kubernetes', place.env.KUBERNETES_SERVICE_HOST !== undefined || /kubepods/.test(cgroup)],
    ['lxc', /lxc/.test(cgroup)],
    ['gvisor', /gvisor/i.test(read(place, '/proc/version') ?? '')],
    ['wsl', /microsoft/i.test(read(place, '/proc/version') ?? '')],
  ]
  return signs.filter(([, seen]) => seen).map(([name]) => name)
}

/** Reads the facts of this machine. */
export function gatherFacts(place: Place = { root: '/', env: process.env }): Facts {
  const status = read(place, '/proc/self/status') ?? ''
  const line = (name: string): string | undefined => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1]
  const apparmor = read(place, '/proc/self/attr/current')
  return {
    platform: process.platform,
    kernel: read(place, '/proc/sys/kernel/osrelease') ?? release(),
    node: process.versions.node,
    uid: process.geteuid?.() ?? -1,
    capabilities: BigInt(`0x${line('CapEff') ?? '0'}`),
    initialUserNamespace: WHOLE_MACHINE.test(read(place, '/proc/self/uid_map') ?? ''),
    deviceFuse: deviceFuse(place),
    fusermount: fusermount(place),
    fuseConf: read(place, '/etc/fuse.conf'),
    enableUring: read(place, '/sys/module/fuse/parameters/enable_uring'),
    ioUringDisabled: read(place, '/proc/sys/kernel/io_uring_disabled'),
    maxPagesLimit: read(place, '/proc/sys/fs/fuse/max_pages_limit'),
    container: container(place),
    seccomp: line('Seccomp'),
    apparmor: apparmor === undefined || apparmor.startsWith('unconfined') ? undefined : apparmor,
  }
}
