// What stat, statfs and readdir({ withFileTypes }) return, in the shapes of node:fs.
import {
  S_IFMT,
  S_IFDIR,
  S_IFREG,
  S_IFLNK,
  S_IFCHR,
  S_IFBLK,
  S_IFIFO,
  S_IFSOCK,
} from '../../syscalls/index.js'
import type { BigIntStats, BigIntStatsFs, Dirent, Stats, StatsFs } from 'node:fs'
import type { Attr, Statfs } from '../../index.js'
import type { Status } from './attributes.js'

/** The questions that Stats and Dirent answer alike. */
class Typed {
  readonly #type: number

  constructor(type: number) {
    this.#type = type
  }

  isFile(): boolean {
    return this.#type === S_IFREG
  }

  isDirectory(): boolean {
    return this.#type === S_IFDIR
  }

  isSymbolicLink(): boolean {
    return this.#type === S_IFLNK
  }

  isBlockDevice(): boolean {
    return this.#type === S_IFBLK
  }

  isCharacterDevice(): boolean {
    return this.#type === S_IFCHR
  }

  isFIFO(): boolean {
    return this.#type === S_IFIFO
  }

  isSocket(): boolean {
    return this.#type === S_IFSOCK
  }
}

class FsStats extends Typed {}
class FsDirent extends Typed {}

/** Stats of node:fs; with `bigint` every number is one, and times have nanoseconds. */
export function statsOf(
  { attr, btime }: Status,
  dev: number,
  bigint: boolean | undefined,
): Stats | BigIntStats {
  const times: [name: string, seconds: number, nanoseconds: number | undefined][] = [
    ['atime', attr.atime, attr.atimensec],
    ['mtime', attr.mtime, attr.mtimensec],
    ['ctime', attr.ctime, attr.ctimensec],
    // Where no birth is known the last change of the inode stands in for it, as node:fs has it on other filesystems.
    ['birthtime', btime?.tvSec ?? attr.ctime, btime ? btime.tvNsec : attr.ctimensec],
  ]
  const fields: Record<string, unknown> = bigint ? wholeNumbers(attr, dev) : numbers(attr, dev)
  for (const [name, seconds, nanoseconds = 0] of times) {
    const ms = seconds * 1000 + nanoseconds / 1e6
    fields[`${name}Ms`] = bigint ? BigInt(seconds) * 1000n + BigInt(Math.floor(nanoseconds / 1e6)) : ms
    if (bigint) fields[`${name}Ns`] = BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds)
  }
  for (const [name, seconds, nanoseconds = 0] of times)
    fields[name] = new Date(Math.round(seconds * 1000 + nanoseconds / 1e6))
  return Object.assign(new FsStats(attr.mode & S_IFMT), fields) as unknown as Stats
}

function numbers(attr: Attr, dev: number): Record<string, unknown> {
  const { mode, nlink, uid, gid, rdev = 0, blksize = 0, ino, size, blocks } = attr
  return { dev, mode, nlink, uid, gid, rdev, blksize: blksize || 4096, ino: Number(ino), size, blocks }
}

function wholeNumbers(attr: Attr, dev: number): Record<string, unknown> {
  const entries = Object.entries({ ...numbers(attr, dev), ino: attr.ino })
  return Object.fromEntries(entries.map(([name, value]) => [name, BigInt(value as number)]))
}

/** StatsFs of node:fs. */
export function statsFsOf(st: Statfs, bigint: boolean | undefined): StatsFs | BigIntStatsFs {
  const { bsize = 4096, blocks = 0, bfree = 0, bavail = 0, files = 0, ffree = 0 } = st
  const fields: [string, number][] = Object.entries({
    type: FUSE_SUPER_MAGIC,
    bsize,
    blocks,
    bfree,
    bavail,
    files,
    ffree,
  })
  return Object.fromEntries(
    fields.map(([name, value]) => [name, bigint ? BigInt(value) : value]),
  ) as unknown as StatsFs
}

const FUSE_SUPER_MAGIC = 0x65735546

/** Dirent of node:fs; `type` is S_IFMT. */
export function direntOf(name: string | Buffer, parentPath: string, type: number): Dirent {
  return Object.assign(new FsDirent(type), { name, parentPath, path: parentPath }) as unknown as Dirent
}
