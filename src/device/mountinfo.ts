// Owns the reading of /proc/self/mountinfo: which FUSE file systems are mounted, and what is mounted at a path.
// No stop of a request. Nothing here ever touches a FUSE mount, because a dead or busy server would block the caller.
import { readFileSync, readlinkSync } from 'node:fs'
import { resolve } from 'node:path'

/** One line of proc(5) `/proc/[pid]/mountinfo`. */
export interface MountInfo {
  /** Unique id of the mount; may be used again after it is unmounted. */
  id: number
  /** Id of the mount that this one is mounted on. */
  parentId: number
  /** Major device number shown by stat(2) for files of the mount; 0 for every FUSE mount but fuseblk. */
  major: number
  /** Minor device number; for FUSE also the name of the connection's folder in `/sys/fs/fuse/connections`. */
  minor: number
  /** Path in the mounted file system that forms the root of this mount. */
  root: string
  /** Where it is mounted, relative to the process's root; bytes that are no UTF-8 show as U+FFFD. */
  mountPoint: string
  /** The same path byte for byte, one character per byte (latin1). */
  mountPointBytes: string
  /** Options of this mount: `rw`, `nosuid`, `nodev`, ... */
  options: string[]
  /** File system type, with the subtype: `fuse.devfuse`. */
  fsType: string
  /** The "device" that was mounted; for FUSE any text the server chose. */
  source: string
  /** Options of the file system itself: `user_id=0`, `allow_other`, ... */
  superOptions: string[]
}

// Kernel: space, tab, newline and backslash (and `#` in the first field) are written as three octal digits.
function unescape(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}

function utf8(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8')
}

/** The mounts in `text`, which holds the file's bytes one per character (latin1); malformed lines are left out. */
export function parseMountInfo(text: string): MountInfo[] {
  const mounts: MountInfo[] = []
  for (const line of text.split('\n')) {
    const fields = line.split(' ')
    // Kernel: the optional fields (`shared:1`, `master:2`) end with a single hyphen.
    const hyphen = fields.indexOf('-', 6)
    if (hyphen < 0 || fields.length < hyphen + 3) continue
    const [major, minor] = fields[2].split(':')
    const mountPointBytes = unescape(fields[4])
    mounts.push({
      id: Number(fields[0]),
      parentId: Number(fields[1]),
      major: Number(major),
      minor: Number(minor),
      root: utf8(unescape(fields[3])),
      mountPoint: utf8(mountPointBytes),
      mountPointBytes,
      options: fields[5].split(','),
      fsType: utf8(unescape(fields[hyphen + 1])),
      source: utf8(unescape(fields[hyphen + 2])),
      superOptions: utf8(unescape(fields[hyphen + 3] ?? '')).split(','),
    })
  }
  return mounts
}

/** Every mount of this process's mount namespace, in the kernel's order. */
export function readMountInfo(): MountInfo[] {
  return parseMountInfo(readFileSync('/proc/self/mountinfo', 'latin1'))
}

/** Whether the mount is served by a FUSE server (`fuse`, `fuseblk` or one with a subtype); fusectl is not. */
export function isFuse(mount: MountInfo): boolean {
  return /^fuse(blk)?(\.|$)/.test(mount.fsType)
}

/** The FUSE mounts of this process's mount namespace, hidden ones included. */
export function listFuseMounts(): MountInfo[] {
  return readMountInfo().filter(isFuse)
}

/**
 * The topmost mount whose root is what `path` names, or undefined when nothing is mounted exactly there. Relative paths
 * start at the working directory. Symbolic links are followed like the kernel follows them, up to the first FUSE mount
 * on the way; from there the rest of the path is taken literally, so that no FUSE server is ever asked.
 */
export function findMount(path: string, mounts: MountInfo[] = readMountInfo()): MountInfo | undefined {
  // Kernel: an empty path names nothing, not the working directory.
  if (path === '') return undefined
  const { mount, at } = new Walk(mounts).to(absolute(path))
  return mount?.mountPointBytes === at ? mount : undefined
}

/** The mount that `path` lies in, found without asking any FUSE server; undefined where the table is cut off. */
export function containingMount(path: string, mounts: MountInfo[] = readMountInfo()): MountInfo | undefined {
  return new Walk(mounts).to(absolute(path)).mount
}

/** With `..` in it, which leads out of where a symbolic link leads to, and not back to where the link is. */
function absolute(path: string): string {
  return Buffer.from(path.startsWith('/') ? path : `${process.cwd()}/${path}`, 'utf8').toString('latin1')
}

const MAX_SYMLINKS = 40

class Walk {
  readonly #mounts: MountInfo[]
  #links = 0

  constructor(mounts: MountInfo[]) {
    this.#mounts = mounts
  }

  to(path: string): { mount: MountInfo | undefined; at: string } {
    const ids = new Set(this.#mounts.map(({ id }) => id))
    const bottom = this.#mounts.find(
      ({ mountPointBytes, id, parentId }) =>
        mountPointBytes === '/' && (id === parentId || !ids.has(parentId)),
    )
    // A chroot below a mount has no line for '/'; without the chain of parents the last line is the best answer.
    if (bottom === undefined) {
      const at = resolve(path)
      return { mount: this.#mounts.findLast(({ mountPointBytes }) => mountPointBytes === at), at }
    }
    const root = this.#top(bottom, '/')
    let mount = root
    let at = ''
    const rest = path.split('/').filter((name) => name !== '')
    for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
      if (name === '.') continue
      if (name === '..') {
        // Start over: the parent may lie in a mount further down.
        rest.unshift(...at.split('/').slice(1, -1))
        mount = root
        at = ''
        continue
      }
      const next = `${at}/${name}`
      const mounted = this.#top(mount, next)
      if (mounted === mount && !isFuse(mount)) {
        const target = this.#readlink(next)
        if (target !== undefined) {
          const names = target.split('/').filter((part) => part !== '')
          if (target.startsWith('/')) rest.unshift(...names)
          else rest.unshift(...at.split('/').slice(1), ...names)
          mount = root
          at = ''
          continue
        }
      }
      mount = mounted
      at = next
    }
    return { mount, at: at === '' ? '/' : at }
  }

  // Mounts are stacked by mounting on the root of the mount below: climb while there is one.
  #top(mount: MountInfo, at: string): MountInfo {
    for (let current = mount; ;) {
      const above = this.#mounts.find(
        ({ parentId, mountPointBytes, id }) =>
          parentId === current.id && mountPointBytes === at && id !== current.id,
      )
      if (above === undefined) return current
      current = above
    }
  }

  #readlink(path: string): string | undefined {
    if (this.#links >= MAX_SYMLINKS) return undefined
    try {
      const target = readlinkSync(Buffer.from(path, 'latin1'), 'latin1')
      this.#links++
      return target
    } catch {
      return undefined // EINVAL: no link; everything else: nothing can be mounted there
    }
  }
}
