// Attributes: what an object says of a file, whatever its form, as the struct that the kernel gets.
import type { Attr } from '../../index.js'
import { describe } from './failure.js'
import type { FileType, StatsLike, Time } from './path-filesystem.js'
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from '../../syscalls/index.js'
import { attributesSeen } from './page-cache.js'
import type { PathNode } from './path-node.js'

const BLOCK = 512

const TYPES: Record<FileType, number> = {
  file: S_IFREG,
  directory: S_IFDIR,
  symlink: S_IFLNK,
  fifo: S_IFIFO,
  socket: S_IFSOCK,
  block: S_IFBLK,
  character: S_IFCHR,
}

const NAMES = new Map(Object.entries(TYPES).map(([name, type]) => [type, name]))

const PREDICATES = [
  ['isDirectory', S_IFDIR],
  ['isFile', S_IFREG],
  ['isSymbolicLink', S_IFLNK],
  ['isFIFO', S_IFIFO],
  ['isSocket', S_IFSOCK],
  ['isBlockDevice', S_IFBLK],
  ['isCharacterDevice', S_IFCHR],
] as const

/** What stands in for attributes that an object does not tell. */
export interface Defaults {
  uid: number
  gid: number
  /** Permission bits. */
  fileMode: number
  directoryMode: number
  /** Seconds since 1970. */
  time: number
}

/** S_IFMT bits of whatever tells a type, 0 where nothing does. */
export function typeOf(stats: Pick<StatsLike, 'mode' | 'type' | (typeof PREDICATES)[number][0]>): number {
  if (stats.mode !== undefined && typeof stats.mode !== 'string') {
    const type = Number(stats.mode) & S_IFMT
    if (type !== 0) return type
  }
  if (typeof stats.type === 'string' && stats.type in TYPES) return TYPES[stats.type]
  for (const [name, type] of PREDICATES) {
    const is = stats[name]
    if (typeof is === 'function' ? is.call(stats) : is === true) return type
  }
  return 0
}

const FIELDS = [
  'mode',
  'type',
  'blksize',
  'dev',
  'ino',
  'nlink',
  'uid',
  'gid',
  'rdev',
  'atime',
  'mtime',
  'ctime',
  'atimeMs',
  'mtimeMs',
  'ctimeMs',
] as const

/** A plain copy of all but the size, which getters of classes do not outlive. */
export function copyOf(stats: StatsLike): StatsLike {
  const copy: Record<string, unknown> = { type: NAMES.get(typeOf(stats)) }
  for (const field of FIELDS) if (stats[field] !== undefined) copy[field] = stats[field]
  if (typeof stats.mtimeMs === 'number') return copy
  const { atimeNs, mtimeNs, ctimeNs } = stats
  return { ...copy, atimeNs, mtimeNs, ctimeNs }
}

/** Type and permission bits. */
export function modeOf(stats: StatsLike, defaults: Defaults): number {
  const mode = stats.mode ?? undefined
  if (typeof mode === 'number' && (mode & S_IFMT) !== 0 && (mode & S_IFMT) !== S_IFLNK) return mode
  const type = typeOf(stats) || S_IFREG
  // Permissions of symlinks are for show alone, and some objects tell none, or others.
  if (type === S_IFLNK) return type | 0o777
  if (mode !== undefined) return type | (whole('mode', typeof mode === 'string' ? NaN : mode) & 0o7777)
  return type | (type === S_IFDIR ? defaults.directoryMode : defaults.fileMode)
}

/** Milliseconds of a field, undefined where it is not told. Milliseconds as a number are what costs least to ask for. */
function milliseconds(ms: number | bigint | undefined, time: Time | undefined): number | undefined {
  const exact = ms === undefined || ms === null ? NaN : Number(ms)
  if (Number.isFinite(exact)) return exact
  if (time === undefined || time === null) return undefined
  const value = typeof time === 'object' ? time.getTime() : Number(time)
  return Number.isFinite(value) ? value : undefined
}

/** A number that an object told. What is none must not become another file's size, or root's files. */
function whole(field: string, value: number | bigint): number {
  const number = Number(value)
  if (Number.isSafeInteger(number) && number >= 0) return number
  throw new TypeError(`\`${field}\` of a file has to be a whole number from 0, not ${describe(value)}`)
}

/** The attributes of `node` as `stats` and what is remembered tell them. */
export function attrOf(node: PathNode, stats: StatsLike, defaults: Defaults): Attr {
  const mode = modeOf(stats, defaults)
  const told = stats.size ?? undefined
  node.sizeUnknown = told === undefined && (mode & S_IFMT) === S_IFREG
  const size = told === undefined ? node.sizeRead : whole('size', told)
  const attr: Attr = {
    ino: node.ino,
    size,
    blocks: whole('blocks', stats.blocks ?? Math.ceil(size / BLOCK)),
    atime: 0,
    mtime: 0,
    ctime: 0,
    atimensec: 0,
    mtimensec: 0,
    ctimensec: 0,
    mode,
    nlink: whole('nlink', stats.nlink ?? 1),
    uid: whole('uid', stats.uid ?? defaults.uid),
    gid: whole('gid', stats.gid ?? defaults.gid),
    rdev: Number(stats.rdev ?? 0) >>> 0,
    blksize: 0,
    flags: 0,
  }
  const mtime = milliseconds(stats.mtimeMs, stats.mtime)
  node.timed = mtime !== undefined
  const fallback = mtime ?? defaults.time * 1000
  setMtime(attr, fallback)
  setAtime(attr, milliseconds(stats.atimeMs, stats.atime) ?? fallback)
  const ctime = milliseconds(stats.ctimeMs, stats.ctime)
  setCtime(attr, ctime ?? fallback)
  if (typeof stats.mtimeMs !== 'number') setNanoseconds(attr, stats)
  if (node.remembered !== undefined) overlay(attr, node.remembered, mtime)
  node.mode = attr.mode
  node.gid = attr.gid
  attributesSeen(node, attr, mtime !== undefined && ctime !== undefined)
  node.attr = attr
  return attr
}

/** Lays what is remembered over what the object told, with `told` as its mtime. */
export function overlay(
  attr: Attr,
  remembered: NonNullable<PathNode['remembered']>,
  told: number | undefined,
): void {
  const { mode, uid, gid, atime, mtime, ctime, mtimeThen } = remembered
  if (mode !== undefined) attr.mode = (attr.mode & S_IFMT) | mode
  if (uid !== undefined) attr.uid = uid
  if (gid !== undefined) attr.gid = gid
  if (atime !== undefined) setAtime(attr, atime * 1000)
  if (mtime !== undefined && told === mtimeThen) setMtime(attr, mtime * 1000)
  if (ctime !== undefined) setCtime(attr, ctime * 1000)
}

/** The `mtime` that an object tells, to be compared later. */
export function mtimeTold(stats: StatsLike): number | undefined {
  return milliseconds(stats.mtimeMs, stats.mtime)
}

/** The number that an object has for a file, undefined where it tells none. */
export function inoTold({ ino }: StatsLike): number | undefined {
  return ino === undefined ? undefined : Number(ino) || undefined
}

/** Sets the size, and the blocks that it takes. */
export function setSize(attr: Attr, size: number): void {
  attr.size = size
  attr.blocks = Math.ceil(size / BLOCK)
}

// Milliseconds with fractions are a double: what is left below a microsecond is noise.
function nanoseconds(ms: number, seconds: number): number {
  return Math.max(0, Math.min(999_999_000, Math.round((ms - seconds * 1000) * 1000) * 1000))
}

export function setMtime(attr: Attr, ms: number): void {
  attr.mtime = Math.floor(ms / 1000)
  attr.mtimensec = nanoseconds(ms, attr.mtime)
}

function setAtime(attr: Attr, ms: number): void {
  attr.atime = Math.floor(ms / 1000)
  attr.atimensec = nanoseconds(ms, attr.atime)
}

function setCtime(attr: Attr, ms: number): void {
  attr.ctime = Math.floor(ms / 1000)
  attr.ctimensec = nanoseconds(ms, attr.ctime)
}

/** What bigint stats tell exactly. Elsewhere these may be getters that fail. */
function setNanoseconds(attr: Attr, { atimeNs, mtimeNs, ctimeNs }: StatsLike): void {
  if (mtimeNs !== undefined) [attr.mtime, attr.mtimensec] = split(mtimeNs)
  if (atimeNs !== undefined) [attr.atime, attr.atimensec] = split(atimeNs)
  if (ctimeNs !== undefined) [attr.ctime, attr.ctimensec] = split(ctimeNs)
}

function split(ns: bigint): [number, number] {
  const seconds = ns >= 0n ? ns / 1_000_000_000n : -((-ns + 999_999_999n) / 1_000_000_000n)
  return [Number(seconds), Number(ns - seconds * 1_000_000_000n)]
}
