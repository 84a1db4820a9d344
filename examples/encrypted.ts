// A directory whose files, names and links are stored encrypted in another one. Arguments: MNT and the directory to store them in; the
// passphrase comes in the environment variable PASSPHRASE. What stays visible: how many files there are, their sizes, times and owners.
import * as fs from 'node:fs'
import { join } from 'node:path'
import { mountFs } from 'devfuse/fs'
import type { HandleLike, PathFilesystem, StatsLike } from 'devfuse/fs'
import { EncryptedFile, fail, plainSize } from './encrypted-file.js'
import { Keys } from './encrypted-keys.js'

const { O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC } = fs.constants
const O_ACCMODE = 3
const store = process.argv[3] ?? 'encrypted'
const passphrase = process.env['PASSPHRASE']
if (!passphrase) throw new Error('set the environment variable PASSPHRASE')
fs.mkdirSync(store, { recursive: true, mode: 0o700 })
const keys = new Keys(join(store, 'devfuse-encrypted.json'), passphrase)

/** Where a path is stored. */
const real = (path: string): string =>
  join(
    store,
    ...path
      .split('/')
      .filter(Boolean)
      .map((name) => keys.sealName(name)),
  )
const readLink = (stored: string): string => keys.open(fs.readlinkSync(stored)) ?? fail('EIO')

function seen(stats: fs.Stats, target?: string): StatsLike {
  const size = stats.isFile()
    ? plainSize(stats.size)
    : target === undefined
      ? stats.size
      : Buffer.byteLength(target)
  const { mode, nlink, uid, gid, ino, dev, atimeMs, mtimeMs, ctimeMs } = stats
  return { mode, nlink, uid, gid, ino, dev, atimeMs, mtimeMs, ctimeMs, size }
}

function open(path: string, flags: number, mode: number): EncryptedFile {
  // A block that is changed in part has to be read before.
  const writable = (flags & O_ACCMODE) !== O_RDONLY
  const how = (writable ? O_RDWR : O_RDONLY) | (flags & (O_CREAT | O_EXCL | O_TRUNC))
  return new EncryptedFile(fs.openSync(real(path), how, mode), keys.content, writable)
}

function handle(file: EncryptedFile): HandleLike {
  const { fd } = file
  return {
    read: (...args) => file.read(...args),
    write: (...args) => file.write(...args),
    truncate: (size) => file.truncate(size),
    stat: () => seen(fs.fstatSync(fd)),
    chmod: (mode) => fs.fchmodSync(fd, mode),
    chown: (uid, gid) => fs.fchownSync(fd, uid, gid),
    utimes: (atime, mtime) => fs.futimesSync(fd, atime, mtime),
    sync: () => fs.fsyncSync(fd),
    close: () => fs.closeSync(fd),
  }
}

const filesystem: PathFilesystem = {
  stableHandles: true,
  cheapStat: true,
  lstat(path) {
    const stats = fs.lstatSync(real(path), { throwIfNoEntry: false })
    return stats && seen(stats, stats.isSymbolicLink() ? readLink(real(path)) : undefined)
  },
  readdir: (path) => fs.readdirSync(real(path)).flatMap((name) => keys.open(name) ?? []),
  readlink: (path) => readLink(real(path)),
  open: (path, flags, mode) => handle(open(path, flags, mode)),
  truncate(path, size) {
    const file = open(path, O_RDWR, 0)
    try {
      file.truncate(size)
    } finally {
      fs.closeSync(file.fd)
    }
  },
  mkdir: (path, { mode }) => fs.mkdirSync(real(path), mode),
  rmdir: (path) => fs.rmdirSync(real(path)),
  unlink: (path) => fs.unlinkSync(real(path)),
  rename: (from, to) => fs.renameSync(real(from), real(to)),
  link: (existing, path) => fs.linkSync(real(existing), real(path)),
  symlink: (target, path) => fs.symlinkSync(keys.seal(target), real(path)),
  chmod: (path, mode) => fs.chmodSync(real(path), mode),
  lchown: (path, uid, gid) => fs.lchownSync(real(path), uid, gid),
  lutimes: (path, atime, mtime) => fs.lutimesSync(real(path), atime, mtime),
  statfs: () => fs.statfsSync(store),
}

process.umask(0)
const session = await mountFs(filesystem, process.argv[2] ?? '/mnt')
console.log(`mounted on ${session.mountPoint}`)
await session.closed
