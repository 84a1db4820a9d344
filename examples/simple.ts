// A filesystem that lasts: files, directories and links survive a remount. Arguments: MNT and the directory to keep them in.
import { closeSync, fsyncSync, openSync, truncateSync, writeSync } from 'node:fs'
import { EEXIST, EINVAL, ENOENT, mount } from 'devfuse'
import { FATTR_ATIME, FATTR_GID, FATTR_MODE, FATTR_MTIME, FATTR_SIZE, FATTR_UID } from 'devfuse'
import type { Entry, Filesystem, Request } from 'devfuse'
import { Store } from './simple-store.js'
import type { Inode } from './simple-store.js'

const [S_IFDIR, S_IFLNK, S_IFMT, RENAME_NOREPLACE] = [0o040000, 0o120000, 0o170000, 1]
const store = new Store(process.argv[3] ?? '/var/tmp/devfuse-simple')

function entry(ino: number): Entry {
  store.known(ino, 1)
  return { nodeid: ino, attr: store.get(ino), entryValid: 1, attrValid: 1 }
}

function create({ nodeid, uid, gid }: Request, name: string, fields: Partial<Inode> & { mode: number }) {
  const entries = store.entries(nodeid)
  if (entries.has(name)) return EEXIST
  const { ino } = store.make({ uid, gid, ...fields })
  if ((fields.mode & S_IFMT) !== S_IFDIR) closeSync(openSync(store.data(ino), 'w'))
  entries.set(name, ino)
  store.touch(nodeid)
  return entry(ino)
}

const filesystem: Filesystem = {
  lookup({ nodeid, name }) {
    const ino = store.entries(nodeid).get(name)
    return ino === undefined ? ENOENT : entry(ino)
  },
  forget: ({ nodeid, nlookup }) => store.known(nodeid, -nlookup),
  getattr: ({ nodeid }) => ({ attr: store.get(nodeid), attrValid: 1 }),

  setattr({ nodeid, valid, mode, newUid, newGid, size, atime, mtime }) {
    const inode = (valid & FATTR_SIZE) === 0 ? store.get(nodeid) : store.touch(nodeid)
    if ((valid & FATTR_SIZE) !== 0) truncateSync(store.data(nodeid), (inode.size = size))
    if ((valid & FATTR_MODE) !== 0) inode.mode = mode
    if ((valid & FATTR_UID) !== 0) inode.uid = newUid
    if ((valid & FATTR_GID) !== 0) inode.gid = newGid
    if ((valid & FATTR_ATIME) !== 0) inode.atime = atime
    if ((valid & FATTR_MTIME) !== 0) inode.mtime = mtime
    return { attr: inode, attrValid: 1 }
  },

  mknod: (request) => create(request, request.name, { mode: request.mode, rdev: request.rdev }),
  mkdir: (request) => create(request, request.name, { mode: request.mode | S_IFDIR, entries: new Map() }),
  symlink: (request) => create(request, request.name, { mode: S_IFLNK | 0o777, target: request.target }),
  readlink: ({ nodeid }) => store.get(nodeid).target ?? EINVAL,

  link({ nodeid, oldnodeid, newname }) {
    if (store.entries(nodeid).has(newname)) return EEXIST
    store.entries(nodeid).set(newname, oldnodeid)
    store.get(oldnodeid).nlink++
    return entry(oldnodeid)
  },
  unlink: ({ nodeid, name }) => store.remove(nodeid, name),
  rmdir: ({ nodeid, name }) => store.remove(nodeid, name),

  rename({ nodeid, name, newdir, newname, flags }) {
    const ino = store.entries(nodeid).get(name)
    if (ino === undefined) return ENOENT
    if ((flags & ~RENAME_NOREPLACE) !== 0) return EINVAL
    if (store.entries(newdir).get(newname) === ino) return undefined // two names of one file
    if (store.entries(newdir).has(newname)) {
      const refused = flags === RENAME_NOREPLACE ? EEXIST : store.remove(newdir, newname)
      if (refused !== undefined) return refused
    }
    store.entries(nodeid).delete(name)
    store.entries(newdir).set(newname, ino)
    store.touch(nodeid)
    store.touch(newdir)
    return undefined
  },

  open: ({ nodeid }) => ({ fh: openSync(store.data(nodeid), 'r+') }),
  release: ({ fh }) => closeSync(fh),
  read: ({ fh, offset, size }) => ({ fd: fh, offset, size }),
  write({ nodeid, fh, offset, data }) {
    const written = writeSync(fh, data, 0, data.length, offset)
    store.touch(nodeid).size = Math.max(store.get(nodeid).size, offset + written)
    return written
  },
  fsync: ({ fh }) => (fsyncSync(fh), store.save()),
  readdir: ({ nodeid, offset }) =>
    [...store.entries(nodeid)]
      .map(([name, ino]) => ({ name, ino, type: store.get(ino).mode >> 12 }))
      .slice(offset),
  destroy: () => store.save(),
}

await using session = await mount(process.argv[2] ?? '/mnt', filesystem, { defaultPermissions: true })
console.log(`mounted; what you put into ${session.mountPoint} will be there again next time`)
await session.closed
