// A filesystem in memory that has every handler and writes down what it is asked: the other end of the kernel checks.
import { EEXIST, EINVAL, ENODATA, ENOENT, ENOTEMPTY, ENOTTY, ENXIO } from 'devfuse'
import type { Attr, Entry, Extensions, Filesystem, Statx } from 'devfuse'
import { Inode, InodeTable, LockTable } from 'devfuse/inodes'

const S_IFMT = 0o170000
const S_IFDIR = 0o040000
const S_IFREG = 0o100000
const S_IFLNK = 0o120000
const RENAME_NOREPLACE = 1
const RENAME_EXCHANGE = 2
const SEEK_DATA = 3
const XATTR_CREATE = 1
const KEEP_SIZE = 1
const PUNCH_HOLE = 2
const ZERO_RANGE = 16
const O_TRUNC = 0o1000
const BTIME = 987654321

export class Node extends Inode {
  mode: number
  uid = 0
  gid = 0
  nlink = 1
  rdev = 0
  mtime = 1000
  mtimensec = 0
  /** fuse_attr.flags. */
  flags = 0
  data: Buffer = Buffer.alloc(0)
  target = ''
  parent: Node | undefined
  readonly children = new Map<string, Node>()
  readonly xattrs = new Map<string, Buffer>()

  constructor(mode: number) {
    super()
    this.mode = mode
  }
}

type Handlers = Required<Omit<Filesystem, 'init' | 'destroy' | 'shareable' | 'stats'>>
type RequestOf<Name extends keyof Handlers> = Parameters<Handlers[Name]>[0]

/** Every handler, the tree behind them, and what they were asked. */
export class Memory {
  readonly inodes = new InodeTable(new Node(S_IFDIR | 0o755))
  readonly locks = new LockTable()
  /** Seconds that entries and attributes may be cached. */
  valid = 0
  /** Answered by open and opendir. */
  openFlags = 0
  /** Wakes the pollers of files, as the kernel handles they gave. */
  readonly pollers: bigint[] = []
  readable = false
  readonly asked: { name: string; request: object }[] = []
  #fh = 0

  /** The requests that came to one handler, oldest first. */
  seen<Name extends keyof Handlers>(name: Name): RequestOf<Name>[] {
    return this.asked.filter((one) => one.name === name).map(({ request }) => request as RequestOf<Name>)
  }

  /** The newest request that came to a handler. */
  last<Name extends keyof Handlers>(name: Name): RequestOf<Name> {
    const request = this.seen(name).at(-1)
    if (request === undefined) throw new Error(`${name} was never asked`)
    return request
  }

  /** Puts a file or directory into the tree, as if it had always been there. */
  put(path: string, data: string | Buffer = '', mode = S_IFREG | 0o644): Node {
    const names = path.split('/')
    const name = names.pop() ?? ''
    let parent = this.inodes.root
    for (const step of names) {
      parent = parent.children.get(step) ?? this.#make(parent, step, S_IFDIR | 0o755, 0, 0)
    }
    const node = this.#make(parent, name, mode, 0, 0)
    node.data = Buffer.from(data)
    return node
  }

  /** The handlers, with `more` instead of or besides the own ones; each call is written down. */
  filesystem(more: Filesystem = {}): Filesystem {
    const all: Record<string, unknown> = { ...this.#handlers(), ...more }
    for (const [name, handler] of Object.entries(all)) {
      if (typeof handler !== 'function' || name === 'init') continue
      all[name] = (request: object) => {
        this.asked.push({ name, request: kept(request) })
        return (handler as (request: object) => unknown).call(all, request)
      }
    }
    return all
  }

  /** The same without some of the handlers. */
  without(...names: (keyof Handlers)[]): Filesystem {
    return Object.fromEntries(
      Object.entries(this.filesystem()).filter(([name]) => !names.includes(name as keyof Handlers)),
    )
  }

  #node(nodeid: number): Node {
    const node = this.inodes.get(nodeid)
    if (node === undefined) throw Object.assign(new Error('forgotten'), { code: 'ESTALE' })
    return node
  }

  #child(nodeid: number, name: string): Node {
    const node = this.#node(nodeid).children.get(name)
    if (node === undefined) throw Object.assign(new Error(name), { code: 'ENOENT' })
    return node
  }

  #make(parent: Node, name: string, mode: number, uid: number, gid: number): Node {
    const node = this.inodes.add(new Node(mode))
    Object.assign(node, { uid, gid, parent })
    if (name !== '') parent.children.set(name, node)
    return node
  }

  attr(node: Node): Attr {
    const { nodeid, mode, uid, gid, nlink, rdev, mtime, mtimensec, flags } = node
    const size = (mode & S_IFMT) === S_IFLNK ? node.target.length : node.data.byteLength
    const times = { atime: mtime, mtime, ctime: mtime, mtimensec }
    return { ino: nodeid, size, blocks: Math.ceil(size / 512), mode, uid, gid, nlink, rdev, flags, ...times }
  }

  #entry(node: Node): Entry {
    this.inodes.remember(node)
    return { nodeid: node.nodeid, entryValid: this.valid, attrValid: this.valid, attr: this.attr(node) }
  }

  #list(nodeid: number): [string, Node][] {
    return [...this.#node(nodeid).children]
  }

  #handlers(): Handlers {
    const { locks } = this
    const reply = (nodeid: number): { attrValid: number; attr: Attr } => ({
      attrValid: this.valid,
      attr: this.attr(this.#node(nodeid)),
    })
    const opened = (): { fh: number; openFlags: number } => ({ fh: ++this.#fh, openFlags: this.openFlags })
    return {
      lookup: ({ nodeid, name }) => {
        // FUSE_EXPORT_SUPPORT: found by number, and from below.
        if (name === '.') return this.#entry(this.#node(nodeid))
        if (name === '..') return this.#entry(this.#node(nodeid).parent ?? this.inodes.root)
        return this.#entry(this.#child(nodeid, name))
      },
      forget: () => undefined,
      getattr: ({ nodeid }) => reply(nodeid),
      setattr: (request) => {
        const node = this.#node(request.nodeid)
        if (request.valid & 1) node.mode = (node.mode & S_IFMT) | (request.mode & 0o7777)
        if (request.valid & 2) node.uid = request.newUid
        if (request.valid & 4) node.gid = request.newGid
        if (request.valid & 8) node.data = resized(node.data, request.size)
        if (request.valid & 32) Object.assign(node, { mtime: request.mtime, mtimensec: request.mtimensec })
        return reply(request.nodeid)
      },
      readlink: ({ nodeid }) => this.#node(nodeid).target,
      symlink: ({ nodeid, name, target, uid, gid }) => {
        const node = this.#make(this.#node(nodeid), name, S_IFLNK | 0o777, uid, gid)
        node.target = target
        return this.#entry(node)
      },
      mknod: ({ nodeid, name, mode, rdev, uid, gid }) => {
        const node = this.#make(this.#node(nodeid), name, mode, uid, gid)
        node.rdev = rdev
        return this.#entry(node)
      },
      mkdir: ({ nodeid, name, mode, uid, gid }) =>
        this.#entry(this.#make(this.#node(nodeid), name, S_IFDIR | (mode & 0o7777), uid, gid)),
      unlink: ({ nodeid, name }) => {
        this.#child(nodeid, name).nlink--
        this.#node(nodeid).children.delete(name)
      },
      rmdir: ({ nodeid, name }) => {
        if (this.#child(nodeid, name).children.size > 0) return ENOTEMPTY
        this.#node(nodeid).children.delete(name)
        return undefined
      },
      rename: ({ nodeid, name, newdir, newname, flags }) => {
        const [from, to, node] = [this.#node(nodeid), this.#node(newdir), this.#child(nodeid, name)]
        const other = to.children.get(newname)
        if (flags & RENAME_NOREPLACE && other) return EEXIST
        if (flags & RENAME_EXCHANGE && !other) return ENOENT
        from.children.delete(name)
        to.children.set(newname, node)
        node.parent = to
        if (flags & RENAME_EXCHANGE && other) from.children.set(name, other)
        return undefined
      },
      link: ({ oldnodeid, nodeid, newname }) => {
        const node = this.#node(oldnodeid)
        node.nlink++
        this.#node(nodeid).children.set(newname, node)
        return this.#entry(node)
      },
      open: ({ nodeid, flags }) => {
        const node = this.#node(nodeid)
        if (flags & O_TRUNC) node.data = Buffer.alloc(0)
        return opened()
      },
      read: ({ nodeid, offset, size }) => this.#node(nodeid).data.subarray(offset, offset + size),
      write: ({ nodeid, offset, data }) => {
        const node = this.#node(nodeid)
        node.data = resized(node.data, Math.max(node.data.byteLength, offset + data.byteLength))
        node.data.set(data, offset)
        return data.byteLength
      },
      statfs: () => ({ blocks: 1000, bfree: 600, bavail: 500, files: 70, ffree: 60, namelen: 200 }),
      release: (request) => locks.release(request),
      fsync: () => undefined,
      setxattr: ({ nodeid, name, value, flags }) => {
        const { xattrs } = this.#node(nodeid)
        if (flags === XATTR_CREATE && xattrs.has(name)) return EEXIST
        xattrs.set(name, Buffer.from(value))
        return undefined
      },
      getxattr: ({ nodeid, name }) => this.#node(nodeid).xattrs.get(name) ?? ENODATA,
      listxattr: ({ nodeid }) => [...this.#node(nodeid).xattrs.keys()],
      removexattr: ({ nodeid, name }) => (this.#node(nodeid).xattrs.delete(name) ? undefined : ENODATA),
      flush: (request) => locks.flush(request),
      opendir: opened,
      readdir: ({ nodeid, offset }) =>
        this.#list(nodeid)
          .map(([name, node]) => ({ name, ino: node.nodeid, type: (node.mode & S_IFMT) >>> 12 }))
          .slice(offset),
      releasedir: () => undefined,
      fsyncdir: () => undefined,
      getlk: (request) => locks.getlk(request),
      setlk: (request) => locks.setlk(request),
      setlkw: (request) => locks.setlkw(request),
      access: ({ nodeid, mask }) =>
        (mask & 2 && this.#node(nodeid).mode & 0o222) || !(mask & 2) ? undefined : -13,
      create: ({ nodeid, name, mode, uid, gid }) => {
        const node =
          this.#node(nodeid).children.get(name) ?? this.#make(this.#node(nodeid), name, mode, uid, gid)
        return { ...this.#entry(node), ...opened() }
      },
      bmap: ({ block }) => block + 1000,
      ioctl: ({ data, cmd, outSize }) =>
        (cmd & 0xff00) === 0x6400
          ? { result: 7, data: Buffer.from(data).reverse().subarray(0, outSize) }
          : ENOTTY,
      poll: ({ kh, scheduleNotify, events }) => {
        if (scheduleNotify) this.pollers.push(kh)
        return this.readable ? events & 1 : 0
      },
      fallocate: ({ nodeid, mode, offset, length }) => {
        const node = this.#node(nodeid)
        if ((mode & KEEP_SIZE) === 0) {
          node.data = resized(node.data, Math.max(node.data.byteLength, offset + length))
        }
        if (mode & (PUNCH_HOLE | ZERO_RANGE)) node.data.fill(0, offset, offset + length)
        return undefined
      },
      readdirplus: ({ nodeid, offset }) =>
        this.#list(nodeid)
          .map(([name, node]) => ({ name, ...this.#entry(node) }))
          .slice(offset),
      lseek: ({ nodeid, offset, whence }) => {
        const { data } = this.#node(nodeid)
        const found = data.findIndex((byte, at) => at >= offset && (byte !== 0) === (whence === SEEK_DATA))
        return found >= 0 ? found : whence === SEEK_DATA ? ENXIO : data.byteLength
      },
      copyFileRange: ({ nodeid, offIn, nodeidOut, offOut, len }) => {
        const [from, to] = [this.#node(nodeid).data.subarray(offIn, offIn + len), this.#node(nodeidOut)]
        if (from.byteLength === 0) return EINVAL
        to.data = resized(to.data, Math.max(to.data.byteLength, offOut + from.byteLength))
        to.data.set(from, offOut)
        return from.byteLength
      },
      syncfs: () => undefined,
      tmpfile: ({ nodeid, mode, uid, gid }) => {
        const node = this.#make(this.#node(nodeid), '', mode, uid, gid)
        node.nlink = 0
        return { ...this.#entry(node), ...opened() }
      },
      statx: ({ nodeid }) => ({ attrValid: this.valid, stat: this.#statx(this.#node(nodeid)) }),
    }
  }

  #statx(node: Node): Statx {
    const { ino, size, blocks, mode, uid, gid, nlink, mtime } = this.attr(node)
    const at = { tvSec: mtime, tvNsec: 0 }
    const times = { atime: at, ctime: at, mtime: at, btime: { tvSec: BTIME, tvNsec: 5 } }
    return { mask: 0xfff, blksize: 4096, ino, size, blocks, mode, uid, gid, nlink, ...times }
  }
}

/** Extensions of a request that makes an inode. */
export function extensionsOf(request: { extensions?: Extensions }): Extensions | undefined {
  return request.extensions
}

function resized(data: Buffer, size: number): Buffer {
  const copy = Buffer.alloc(size)
  data.copy(copy)
  return copy
}

/** A request as it was: payloads are views of memory that is used again. */
function kept(request: object): object {
  if (typeof request !== 'object' || request === null) return {}
  const copies = Object.entries(request)
    .filter(([, value]) => value instanceof Uint8Array)
    .map(([key, value]) => [key, Buffer.from(value as Uint8Array)])
  return Object.assign(Object.create(request) as object, Object.fromEntries(copies))
}
