// A mirror written once for the API of fuse-native, so that fuse-native and devfuse/compat/fuse-native serve the same code:
//   node by-path.js devfuse|DIRECTORY-OF-FUSE-NATIVE SOURCE MOUNTPOINT
import fs from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type FuseNative from 'devfuse/compat/fuse-native'

const [, , where, source, mountPoint] = process.argv
const load = createRequire(import.meta.url)
const Fuse = load(where === 'devfuse' ? 'devfuse/compat/fuse-native' : where) as typeof FuseNative

type Transfer = (
  path: string,
  fd: number,
  buffer: Buffer,
  length: number,
  position: number,
  done: (count: number) => void,
) => void
type Done<T = void> = (code: number, value?: T) => void
const at = (path: string) => join(source, path)

/** A callback of node:fs that answers its result, or the negative errno of its error. */
const answer =
  <T>(done: Done<T>) =>
  (error: NodeJS.ErrnoException | null, value?: T) =>
    error === null ? done(0, value) : done(error.errno ?? -5)
const counted = (done: (count: number) => void) => (error: NodeJS.ErrnoException | null, count: number) =>
  done(error === null ? count : (error.errno ?? -5))

const handlers = {
  statfs: (path: string, done: Done<object>) =>
    fs.statfs(at(path), (error, all) => {
      if (error !== null) return done(error.errno ?? -5)
      const { bsize, blocks, bfree, bavail, files, ffree } = all
      done(0, { bsize, frsize: bsize, blocks, bfree, bavail, files, ffree, favail: ffree, namemax: 255 })
    }),
  getattr: (path: string, done: Done<fs.Stats>) => fs.lstat(at(path), answer(done)),
  fgetattr: (_path: string, fd: number, done: Done<fs.Stats>) => fs.fstat(fd, answer(done)),
  readdir: (path: string, done: Done<string[]>) => fs.readdir(at(path), answer(done)),
  readlink: (path: string, done: Done<string>) => fs.readlink(at(path), answer(done)),
  open: (path: string, flags: number, done: Done<number>) =>
    fs.open(at(path), flags & ~fs.constants.O_DIRECT, answer(done)),
  create: (path: string, mode: number, done: Done<number>) =>
    fs.open(at(path), fs.constants.O_CREAT | fs.constants.O_EXCL | fs.constants.O_RDWR, mode, answer(done)),
  read: ((_path, fd, buffer, length, position, done) =>
    fs.read(fd, buffer, 0, length, position, counted(done))) satisfies Transfer,
  write: ((_path, fd, buffer, length, position, done) =>
    fs.write(fd, buffer, 0, length, position, counted(done))) satisfies Transfer,
  fsync: (_path: string, _datasync: number, fd: number, done: Done) => fs.fsync(fd, answer(done)),
  release: (_path: string, fd: number, done: Done) => fs.close(fd, answer(done)),
  truncate: (path: string, size: number, done: Done) => fs.truncate(at(path), size, answer(done)),
  ftruncate: (_path: string, fd: number, size: number, done: Done) => fs.ftruncate(fd, size, answer(done)),
  utimens: (path: string, atime: number, mtime: number, done: Done) =>
    fs.lutimes(at(path), atime / 1000, mtime / 1000, answer(done)),
  chmod: (path: string, mode: number, done: Done) => fs.chmod(at(path), mode & 0o7777, answer(done)),
  chown: (path: string, uid: number, gid: number, done: Done) => fs.lchown(at(path), uid, gid, answer(done)),
  unlink: (path: string, done: Done) => fs.unlink(at(path), answer(done)),
  mkdir: (path: string, mode: number, done: Done) => fs.mkdir(at(path), mode, answer(done)),
  rmdir: (path: string, done: Done) => fs.rmdir(at(path), answer(done)),
  rename: (from: string, to: string, done: Done) => fs.rename(at(from), at(to), answer(done)),
  link: (from: string, to: string, done: Done) => fs.link(at(from), at(to), answer(done)),
  symlink: (target: string, path: string, done: Done) => fs.symlink(target, at(path), answer(done)),
}

const fuse = new Fuse(mountPoint, handlers)
fuse.mount((error) => {
  if (!error) return
  console.error(error.message)
  process.exit(1)
})
