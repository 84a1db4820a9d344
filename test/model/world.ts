// One directory that a sequence of operations is applied to: its open files, its caller, and what there is to see of it.
import * as fs from 'node:fs'
import { join } from 'node:path'
import { StatxBuffer, makeSyscalls } from 'devfuse/syscalls'
import * as sys from 'devfuse/syscalls'

/** System calls as the operations need them: a result, or a negative errno. */
export const calls = makeSyscalls('latin1')

/** Open files that a sequence can have at a time. */
export const SLOTS = 3
/** An ordinary user, for what root may do and others may not. */
export const USER = 1000
/** Times below were set by an operation; what is above is the present, which differs. */
const LONG_AGO = 1_000_000_000
const CLOSED = -1
const XATTR_ROOM = 4096

/** What an operation answered: the same everywhere, or there is a difference. */
export type Outcome = number | string | readonly string[]

export class World {
  readonly root: string
  readonly files: number[] = Array.from({ length: SLOTS }, () => CLOSED)
  readonly #stat = new StatxBuffer()
  readonly #list = Buffer.alloc(XATTR_ROOM)

  constructor(root: string) {
    this.root = root
    fs.mkdirSync(root)
    fs.chmodSync(root, 0o777)
  }

  path(name: string): string {
    return join(this.root, name)
  }

  /** Puts a descriptor, or an error, into a slot. */
  keep(slot: number, fd: number): number {
    if (fd < 0) return fd
    this.close(slot)
    this.files[slot] = fd
    return 0
  }

  close(slot: number): number {
    const fd = this.files[slot]
    if (fd === CLOSED) return 0
    this.files[slot] = CLOSED
    return calls.close(fd)
  }

  /** stat(2) of a name, without what differs from one filesystem to the next. */
  stat(name: string): Outcome {
    const flags = sys.AT_SYMLINK_NOFOLLOW
    const result = calls.statx(sys.AT_FDCWD, this.path(name), flags, sys.STATX_BASIC_STATS, this.#stat)
    return result < 0 ? result : this.#shown()
  }

  /** The same of an open file, which may have no name. */
  fstat(slot: number): Outcome {
    const result = calls.fstatx(this.files[slot], sys.STATX_BASIC_STATS, this.#stat)
    return result < 0 ? result : this.#shown()
  }

  isDirectory(slot: number): boolean {
    const result = calls.fstatx(this.files[slot], sys.STATX_BASIC_STATS, this.#stat)
    return result === 0 && (this.#stat.mode & sys.S_IFMT) === sys.S_IFDIR
  }

  /** Names and values of extended attributes, access lists among them. */
  xattrs(name: string): string[] {
    const length = calls.llistxattr(this.path(name), this.#list)
    if (length < 0) return [`error ${length}`]
    const names = this.#list.toString('latin1', 0, length).split('\0').slice(0, -1)
    const shown = names
      .filter((one) => one.startsWith('user.') || one.startsWith('system.posix_acl_'))
      .toSorted()
    return shown.map((one) => `${one}=${String(this.getxattr(name, one))}`)
  }

  getxattr(name: string, xattr: string): number | string {
    const length = calls.lgetxattr(this.path(name), xattr, this.#list)
    return length < 0 ? length : this.#list.toString('hex', 0, length)
  }

  readdir(name: string): Outcome {
    try {
      const entries = fs.readdirSync(this.path(name), { withFileTypes: true, encoding: 'latin1' })
      return entries.map((one) => `${one.name} ${typeOf(one)}`).toSorted()
    } catch (error) {
      return errnoOf(error)
    }
  }

  /** Everything below the root: attributes, links, targets, attributes and content. */
  all(): string[] {
    const seen: string[] = []
    const inodes = new Map<number | bigint, string>()
    const visit = (name: string): void => {
      const shown = this.stat(name)
      const first = inodes.get(this.#stat.ino) ?? name
      inodes.set(this.#stat.ino, first)
      const type = this.#stat.mode & sys.S_IFMT
      seen.push([name, shown, `same as ${first}`, this.xattrs(name), this.#held(name, type)].join(' | '))
      if (type !== sys.S_IFDIR) return
      for (const child of fs.readdirSync(this.path(name), 'latin1').toSorted()) visit(join(name, child))
    }
    visit('.')
    return seen
  }

  /** Closes and removes everything. */
  remove(): void {
    for (let slot = 0; slot < SLOTS; slot++) this.close(slot)
    fs.rmSync(this.root, { recursive: true })
  }

  #held(name: string, type: number): string {
    if (type === sys.S_IFREG) return fs.readFileSync(this.path(name)).toString('base64')
    if (type === sys.S_IFLNK) return fs.readlinkSync(this.path(name), 'latin1')
    return ''
  }

  #shown(): string {
    const { mode, nlink, uid, gid, size, rdevMajor, rdevMinor, mtimeSec, mtimeNsec } = this.#stat
    const type = mode & sys.S_IFMT
    const isDirectory = type === sys.S_IFDIR
    // Kernel: data that goes through a FIFO moves its times natively, and no filesystem in user space hears of it.
    const told = type !== sys.S_IFIFO
    const mtime = !told ? '-' : mtimeSec < LONG_AGO ? `${mtimeSec}.${mtimeNsec}` : 'now'
    const bytes = isDirectory ? '-' : size
    return `0${mode.toString(8)} nlink ${nlink} owner ${uid}:${gid} size ${bytes} dev ${rdevMajor}:${rdevMinor} mtime ${mtime}`
  }
}

/** The negative errno of what node:fs throws. */
export function errnoOf(error: unknown): number {
  const errno = (error as NodeJS.ErrnoException).errno
  if (errno === undefined) throw error
  return errno
}

/** The result of a call of node:fs, or its negative errno. */
export function attempted<T>(call: () => T): T | number {
  try {
    return call()
  } catch (error) {
    return errnoOf(error)
  }
}

function typeOf(entry: fs.Dirent): string {
  if (entry.isDirectory()) return 'directory'
  if (entry.isSymbolicLink()) return 'symlink'
  if (entry.isFile()) return 'file'
  return entry.isFIFO() ? 'fifo' : 'device'
}
