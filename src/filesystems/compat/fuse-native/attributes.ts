// Attributes on their way from a handler to the kernel: the defaults of fuse-native, and what the options override.
import { S_IFMT, S_IFDIR } from '../../../syscalls/index.js'
import type { Attr, Statfs as KernelStatfs } from '../../../index.js'
import type { Settings } from './options.js'
import type { Statfs, Stats } from './types.js'

const BLOCK = 512

/** The root of a filesystem without `getattr`. */
export const EMPTY_ROOT: Stats = { mode: S_IFDIR | 0o755, size: 4096, atime: 0, mtime: 0, ctime: 0 }

/** What the kernel is told, but for the inode number. Throws a TypeError for what no file can have. */
export function attrOf(stats: Stats | null | undefined, settings: Settings): Attr {
  const { mode = 0, size, uid, gid, nlink, rdev, blksize, blocks, atime, mtime, ctime } = stats ?? {}
  if ((mode & S_IFMT) === 0)
    throw new TypeError(
      `getattr answered the mode 0${mode.toString(8)}, which says no type of file (fs.constants.S_IFREG)`,
    )
  const bytes = whole('size', size)
  const [accessed, modified, changed] = [
    timeOf('atime', atime),
    timeOf('mtime', mtime),
    timeOf('ctime', ctime),
  ]
  const { permissions } = settings
  return {
    ino: 0,
    mode: permissions === undefined ? mode : (mode & S_IFMT) | permissions,
    size: bytes,
    blocks: blocks === undefined ? Math.ceil(bytes / BLOCK) : whole('blocks', blocks),
    uid: settings.uid ?? word(uid),
    gid: settings.gid ?? word(gid),
    nlink: word(nlink) || 1,
    rdev: word(rdev),
    blksize: word(blksize),
    atime: accessed.seconds,
    atimensec: accessed.nanoseconds,
    mtime: modified.seconds,
    mtimensec: modified.nanoseconds,
    ctime: changed.seconds,
    ctimensec: changed.nanoseconds,
  }
}

/** Milliseconds since 1970 of a time that a handler gave. */
export function millisecondsOf(field: string, time: Date | number | undefined | null): number {
  const milliseconds = typeof time === 'number' ? time : time ? time.getTime() : Date.now()
  if (Number.isFinite(milliseconds)) return milliseconds
  throw new TypeError(`getattr answered a ${field} that is no valid Date`)
}

/** The figures of statfs(2). */
export function statfsOf(figures: Statfs | null | undefined): KernelStatfs {
  const { bsize, frsize, blocks, bfree, bavail, files, ffree, namemax } = figures ?? {}
  return {
    bsize: word(bsize),
    frsize: word(frsize),
    blocks: whole('blocks', blocks),
    bfree: whole('bfree', bfree),
    bavail: whole('bavail', bavail),
    files: whole('files', files),
    ffree: whole('ffree', ffree),
    namelen: word(namemax),
  }
}

function timeOf(field: string, time: Date | number | undefined): { seconds: number; nanoseconds: number } {
  const milliseconds = millisecondsOf(field, time)
  const seconds = Math.floor(milliseconds / 1000)
  // Milliseconds with fractions are a double: what is left below a microsecond is noise.
  const nanoseconds = Math.min(999_999_000, Math.round((milliseconds - seconds * 1000) * 1000) * 1000)
  return { seconds, nanoseconds }
}

function whole(field: string, value: number | undefined | null): number {
  const number = Math.floor(value ?? 0)
  if (Number.isSafeInteger(number) && number >= 0) return number
  throw new TypeError(`a handler answered the ${field} ${String(value)}; it must be a number of 0 or more`)
}

/** 32 bits, as the kernel has them: -1 is 0xffffffff. */
function word(value: number | undefined | null): number {
  return (value ?? 0) >>> 0
}
