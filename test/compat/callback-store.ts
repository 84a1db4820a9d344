// A filesystem in memory, written the way fuse-native's users do: by path, with callbacks, `fd` of its own.
import Fuse from 'devfuse/compat/fuse-native'
import type { Handlers, Stats } from 'devfuse/compat/fuse-native'

interface Item {
  mode: number
  uid: number
  gid: number
  atime: Date
  mtime: Date
  ctime: Date
  nlink: number
  data: Buffer
  target: string
  rdev: number
  xattrs: Map<string, Buffer>
}

const S_IFMT = 0o170000
const S_IFDIR = 0o040000
const S_IFREG = 0o100000
const S_IFLNK = 0o120000

export class CallbackStore implements Handlers {
  readonly items = new Map<string, Item>()
  /** What is open, by the number that the kernel never sees. */
  readonly opens = new Map<number, { item: Item; path: string }>()
  /** Every call: the handler and its first arguments, as `read /f 7`. */
  readonly log: string[] = []
  #next = 7

  constructor() {
    this.items.set('/', this.#make(S_IFDIR | 0o755))
  }

  #make(mode: number): Item {
    const now = new Date()
    return {
      ...{ mode, uid: 0, gid: 0, atime: now, mtime: now, ctime: now, nlink: 1, rdev: 0 },
      ...{ data: Buffer.alloc(0), target: '', xattrs: new Map() },
    }
  }

  #add(path: string, item: Item, cb: (result: number) => void): void {
    this.items.set(path, item)
    process.nextTick(cb, 0)
  }

  #with(path: string, cb: (result: number) => void, change: (item: Item) => number | void): void {
    const item = this.items.get(path)
    cb(item === undefined ? Fuse.ENOENT : (change(item) ?? 0))
  }

  #names(path: string): string[] {
    const prefix = path === '/' ? '/' : `${path}/`
    return [...this.items.keys()]
      .filter((name) => name.startsWith(prefix) && name !== '/' && !name.slice(prefix.length).includes('/'))
      .map((name) => name.slice(prefix.length))
  }

  getattr(path: string, cb: (result: number, stats?: Stats) => void): void {
    this.log.push(`getattr ${path}`)
    const item = this.items.get(path)
    if (item === undefined) process.nextTick(cb, Fuse.ENOENT)
    else process.nextTick(cb, 0, { ...item, size: item.data.length || item.target.length })
  }

  readdir(path: string, cb: (result: number, names?: string[], stats?: Stats[]) => void): void {
    this.log.push(`readdir ${path}`)
    const names = this.#names(path)
    const stats = names.map((name) => this.items.get(path === '/' ? `/${name}` : `${path}/${name}`) as Item)
    process.nextTick(cb, 0, names, stats)
  }

  open(path: string, flags: number, cb: (result: number, fd?: number) => void): void {
    const item = this.items.get(path)
    if (item === undefined) return cb(Fuse.ENOENT)
    const fd = this.#next++
    this.log.push(`open ${path} ${flags & 3} = ${fd}`)
    this.opens.set(fd, { item, path })
    cb(0, fd)
  }

  create(path: string, mode: number, cb: (result: number, fd?: number) => void): void {
    const fd = this.#next++
    this.log.push(`create ${path} = ${fd}`)
    const item = this.#make(mode)
    this.opens.set(fd, { item, path })
    this.items.set(path, item)
    process.nextTick(cb, 0, fd)
  }

  read(
    path: string,
    fd: number,
    buffer: Buffer,
    length: number,
    position: number,
    cb: (n: number) => void,
  ): void {
    this.log.push(`read ${path} ${fd}`)
    const { item } = this.opens.get(fd) as { item: Item }
    process.nextTick(cb, item.data.copy(buffer, 0, position, position + length))
  }

  write(
    path: string,
    fd: number,
    buffer: Buffer,
    length: number,
    position: number,
    cb: (n: number) => void,
  ): void {
    this.log.push(`write ${path} ${fd}`)
    const { item } = this.opens.get(fd) as { item: Item }
    const size = Math.max(item.data.length, position + length)
    item.data = Buffer.concat([item.data, Buffer.alloc(size - item.data.length)])
    buffer.copy(item.data, position)
    item.mtime = new Date()
    process.nextTick(cb, length)
  }

  flush(path: string, fd: number, cb: (result: number) => void): void {
    this.log.push(`flush ${path} ${fd}`)
    cb(0)
  }

  fsync(path: string, datasync: number, fd: number, cb: (result: number) => void): void {
    this.log.push(`fsync ${path} ${datasync} ${fd}`)
    cb(0)
  }

  release(path: string, fd: number, cb: (result: number) => void): void {
    this.log.push(`release ${path} ${fd}`)
    this.opens.delete(fd)
    cb(0)
  }

  opendir(path: string, flags: number, cb: (result: number, fd?: number) => void): void {
    const fd = this.#next++
    this.log.push(`opendir ${path} ${flags & 0o200000 ? 'O_DIRECTORY' : flags} = ${fd}`)
    cb(0, fd)
  }

  releasedir(path: string, fd: number, cb: (result: number) => void): void {
    this.log.push(`releasedir ${path} ${fd}`)
    cb(0)
  }

  fsyncdir(path: string, datasync: number, fd: number, cb: (result: number) => void): void {
    this.log.push(`fsyncdir ${path} ${datasync} ${fd}`)
    cb(0)
  }

  truncate(path: string, size: number, cb: (result: number) => void): void {
    this.log.push(`truncate ${path} ${size}`)
    this.#with(path, cb, (item) => {
      item.data = Buffer.concat([
        item.data.subarray(0, size),
        Buffer.alloc(Math.max(0, size - item.data.length)),
      ])
    })
  }

  ftruncate(path: string, fd: number, size: number, cb: (result: number) => void): void {
    this.log.push(`ftruncate ${path} ${fd} ${size}`)
    this.truncate(path, size, cb)
  }

  chmod(path: string, mode: number, cb: (result: number) => void): void {
    this.#with(path, cb, (item) => void (item.mode = (item.mode & S_IFMT) | (mode & ~S_IFMT)))
  }

  chown(path: string, uid: number, gid: number, cb: (result: number) => void): void {
    this.log.push(`chown ${path} ${uid} ${gid}`)
    this.#with(path, cb, (item) => {
      if (uid !== 0xffffffff) item.uid = uid
      if (gid !== 0xffffffff) item.gid = gid
    })
  }

  utimens(path: string, atime: number, mtime: number, cb: (result: number) => void): void {
    this.#with(path, cb, (item) => {
      item.atime = new Date(atime)
      item.mtime = new Date(mtime)
    })
  }

  mkdir(path: string, mode: number, cb: (result: number) => void): void {
    this.#add(path, this.#make(S_IFDIR | mode), cb)
  }

  mknod(path: string, mode: number, dev: number, cb: (result: number) => void): void {
    this.log.push(`mknod ${path} ${mode.toString(8)} ${dev}`)
    this.#add(path, { ...this.#make(mode), rdev: dev }, cb)
  }

  symlink(target: string, path: string, cb: (result: number) => void): void {
    this.#add(path, { ...this.#make(S_IFLNK | 0o777), target }, cb)
  }

  readlink(path: string, cb: (result: number, target?: string) => void): void {
    cb(0, this.items.get(path)?.target)
  }

  link(src: string, dest: string, cb: (result: number) => void): void {
    const item = this.items.get(src) as Item
    item.nlink++
    this.#add(dest, item, cb)
  }

  unlink(path: string, cb: (result: number) => void): void {
    this.log.push(`unlink ${path}`)
    this.#with(path, cb, (item) => {
      item.nlink--
      this.items.delete(path)
    })
  }

  rmdir(path: string, cb: (result: number) => void): void {
    if (this.#names(path).length > 0) return cb(Fuse.ENOTEMPTY)
    this.items.delete(path)
    cb(0)
  }

  rename(src: string, dest: string, cb: (result: number) => void): void {
    this.log.push(`rename ${src} ${dest}`)
    this.items.delete(dest)
    for (const [path, item] of [...this.items]) {
      if (path !== src && !path.startsWith(`${src}/`)) continue
      this.items.delete(path)
      this.items.set(dest + path.slice(src.length), item)
    }
    cb(0)
  }

  setxattr(
    path: string,
    name: string,
    value: Buffer,
    _: number,
    flags: number,
    cb: (result: number) => void,
  ): void {
    this.#with(path, cb, ({ xattrs }) => {
      if (flags === 1 && xattrs.has(name)) return Fuse.EEXIST
      xattrs.set(name, value)
      return 0
    })
  }

  getxattr(path: string, name: string, _: number, cb: (result: number, value?: Buffer | null) => void): void {
    cb(0, this.items.get(path)?.xattrs.get(name) ?? null)
  }

  listxattr(path: string, cb: (result: number, names?: string[]) => void): void {
    cb(0, [...(this.items.get(path)?.xattrs.keys() ?? [])])
  }

  removexattr(path: string, name: string, cb: (result: number) => void): void {
    this.#with(path, cb, ({ xattrs }) => (xattrs.delete(name) ? 0 : Fuse.ENODATA))
  }

  statfs(path: string, cb: (result: number, figures?: object) => void): void {
    this.log.push(`statfs ${path}`)
    cb(0, {
      bsize: 4096,
      frsize: 4096,
      blocks: 1000,
      bfree: 600,
      bavail: 500,
      files: 50,
      ffree: 40,
      namemax: 99,
    })
  }

  /** What was logged since the last look, in one piece. */
  seen(): string {
    return this.log.splice(0).join('\n')
  }
}

/** Type and permission bits of a regular file and a directory. */
export const FILE: number = S_IFREG | 0o644
export const DIRECTORY: number = S_IFDIR | 0o755
