// The options of a memory filesystem: its own, checked here, and those of the session, handed on to mount().
import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'
import { OptionError, sessionOptionNames } from '../../index.js'
import type { SessionOptions } from '../../index.js'
import { PAGE } from './pages.js'

/** Options of `memoryFilesystem` and `mountMemory`: those below, and every option of a session but `encoding` and `passthrough`. */
export interface MemoryOptions extends Omit<SessionOptions, 'encoding' | 'passthrough'> {
  /**
   * Most bytes that data (in pages of 4096), targets of symlinks and extended attributes (name, value and 1 KiB each) may take
   * together; then writes fail with ENOSPC. Not counted: inodes and names, which `inodes` limits. Default: half of the memory.
   */
  size?: number
  /**
   * Most inodes, and names of files beyond the first one (hard links); then making one fails with ENOSPC. They lie in V8's heap,
   * where each takes up to 2 KiB, and of which the default is half: raise `--max-old-space-size` with it. Default: `size` / 4096, or
   * fewer where the heap is too small for as many.
   */
  inodes?: number
  /** Permission bits of the root directory. Default: 0o1777, as /tmp has, when root mounts, else 0o755. */
  mode?: number
  /** Owner of the root directory. Default: who mounts. */
  uid?: number
  /** Group of the root directory. Default: that of who mounts. */
  gid?: number
  /**
   * Lets the kernel collect writes (FUSE_WRITEBACK_CACHE) instead of sending each: many small ones get faster, and a full
   * filesystem is reported by fsync(2) or not at all. SEEK_HOLE finds no holes then. Default: false.
   */
  writebackCache?: boolean
}

/** Memory options with the defaults filled in. */
export interface ResolvedMemoryOptions {
  size: number
  inodes: number
  /** Most extended attributes. */
  attributes: number
  mode: number
  uid: number
  gid: number
  writebackCache: boolean
  atime: 'never' | 'relative' | 'always'
  session: Omit<SessionOptions, 'encoding' | 'passthrough'>
}

const OWN = ['size', 'inodes', 'mode', 'uid', 'gid', 'writebackCache']
const FIXED: Record<string, string> = {
  encoding: 'names are kept byte-exact (latin1) in any case',
  passthrough: 'no real files stand behind these',
}
const MODE_BITS = 0o7777
const STICKY_FOR_ALL = 0o1777
const OWNER_ONLY = 0o755
const MAX_ID = 0xffff_fffe

/** Bytes of V8's heap that an inode with a long name takes, and an extended attribute: measured, and some more. */
const INODE_HEAP = 2048
const ATTRIBUTE_HEAP = 1024
/** Parts of the heap for inodes and for attributes; the rest is for what requests need, and for tables of pages. */
const FOR_INODES = 1 / 2
const FOR_ATTRIBUTES = 1 / 4

/** Checks the options. Throws an {@link OptionError} that names the key and the fix. */
export function resolveMemoryOptions(options: MemoryOptions): ResolvedMemoryOptions {
  const session: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(options)) {
    if (Object.hasOwn(FIXED, key)) throw new OptionError(`option \`${key}\`: ${FIXED[key]}; leave it out`)
    if (OWN.includes(key)) continue
    if (!sessionOptionNames.includes(key)) {
      const known = [...OWN, ...sessionOptionNames].filter((name) => !Object.hasOwn(FIXED, name)).toSorted()
      throw new OptionError(
        `unknown option \`${key}\` of a memory filesystem; the options are ${known.join(', ')}`,
      )
    }
    if (value !== undefined) session[key] = value
  }
  const { noatime, strictatime, writebackCache = false } = options
  const [ownUid, ownGid] = [process.geteuid?.() ?? 0, process.getegid?.() ?? 0]
  // A full filesystem is an error of one caller; a full heap would end the process, and the filesystem with it.
  const heap = getHeapStatistics().heap_size_limit
  const size = integer('size', options.size, Math.floor(totalmem() / 2), PAGE, Number.MAX_SAFE_INTEGER)
  const mode = ownUid === 0 ? STICKY_FOR_ALL : OWNER_ONLY
  if (typeof writebackCache !== 'boolean') {
    throw new OptionError(`option \`writebackCache\` must be true or false, not ${String(writebackCache)}`)
  }
  return {
    size,
    inodes: integer(
      'inodes',
      options.inodes,
      Math.floor(Math.min(size / PAGE, (heap * FOR_INODES) / INODE_HEAP)),
      1,
      Number.MAX_SAFE_INTEGER,
    ),
    attributes: Math.floor((heap * FOR_ATTRIBUTES) / ATTRIBUTE_HEAP),
    mode: integer('mode', options.mode, mode, 0, MODE_BITS),
    uid: integer('uid', options.uid, ownUid, 0, MAX_ID),
    gid: integer('gid', options.gid, ownGid, 0, MAX_ID),
    writebackCache,
    atime: noatime ? 'never' : strictatime ? 'always' : 'relative',
    session,
  }
}

function integer(
  name: string,
  value: number | undefined,
  fallback: number,
  least: number,
  most: number,
): number {
  if (value === undefined) return fallback
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw new OptionError(
    `option \`${name}\` must be an integer from ${least} to ${most}, not ${JSON.stringify(value)}`,
  )
}
