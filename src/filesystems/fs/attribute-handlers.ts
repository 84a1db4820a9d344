// GETATTR, SETATTR, READLINK, STATFS and ACCESS.
import { EACCES, ENOENT, EROFS, ESTALE } from '../../index.js'
import {
  FATTR_ATIME,
  FATTR_ATIME_NOW,
  FATTR_GID,
  FATTR_MODE,
  FATTR_MTIME,
  FATTR_MTIME_NOW,
  FATTR_SIZE,
  FATTR_UID,
} from '../../index.js'
import type { AttrReply, Errno, Filesystem, SetattrRequest, Statfs } from '../../index.js'
import type { HandleTable } from '../../inodes/index.js'
import { isPromise, run, then, wait } from './awaitable.js'
import type { Steps } from './awaitable.js'
import type { OpenFile } from './open-file.js'
import type { Awaitable, Caller, StatsFsLike, StatsLike } from './path-filesystem.js'
import { S_IFDIR, S_IFMT, S_IFREG } from '../../syscalls/index.js'
import type { PathNode } from './path-node.js'
import type { Setters } from './setters.js'
import type { Tree } from './tree.js'

const X_OK = 1

type Handlers = Pick<Filesystem, 'getattr' | 'setattr' | 'readlink' | 'statfs' | 'access'>

export function attributeHandlers(tree: Tree, setters: Setters, files: HandleTable<OpenFile>): Handlers {
  const { fs, options } = tree

  const reply = (node: PathNode, stats: StatsLike | undefined): AttrReply | Errno => {
    if (stats === undefined) {
      if (node !== tree.root) return ENOENT
      stats = { mode: S_IFDIR | options.directoryMode }
    }
    const attr = tree.attr(node, stats)
    if (node.hiddenPath !== undefined) attr.nlink = 0
    return { attrValid: options.attrValid, attr }
  }

  const getattr = (node: PathNode, caller: Caller): Awaitable<AttrReply | Errno> => {
    const asked = tree.stats(node, caller)
    if (asked === undefined) {
      const attr = tree.lastAttr(node)
      return typeof attr === 'number' ? attr : { attrValid: 0, attr }
    }
    return isPromise(asked) ? asked.then((stats) => reply(node, stats)) : reply(node, asked)
  }

  function* setattr(node: PathNode, request: SetattrRequest): Steps<AttrReply | Errno> {
    const { valid, newUid, newGid } = request
    const file = request.hasFh ? files.get(request.fh) : undefined
    const handle = file?.handle
    if ((valid & FATTR_SIZE) !== 0) yield* setters.truncate(node, request.size, file, request)
    if ((valid & (FATTR_UID | FATTR_GID)) !== 0) {
      const attr =
        (valid & FATTR_UID) !== 0 && (valid & FATTR_GID) !== 0 ? undefined : yield* present(node, request)
      const uid = (valid & FATTR_UID) === 0 ? attr!.uid : newUid
      const gid = (valid & FATTR_GID) === 0 ? attr!.gid : newGid
      yield* setters.chown(node, uid, gid, handle, request)
    }
    if ((valid & FATTR_MODE) !== 0) yield* setters.chmod(node, request.mode, handle, request)
    if ((valid & (FATTR_ATIME | FATTR_MTIME)) !== 0) {
      const both = (valid & FATTR_ATIME) !== 0 && (valid & FATTR_MTIME) !== 0
      const attr = both ? undefined : yield* present(node, request)
      const now = Date.now() / 1000
      const time = (set: number, setNow: number, seconds: number, nanoseconds: number): number | undefined =>
        (valid & setNow) !== 0 ? now : (valid & set) !== 0 ? seconds + nanoseconds / 1e9 : undefined
      const atime = time(FATTR_ATIME, FATTR_ATIME_NOW, request.atime, request.atimensec)
      const mtime = time(FATTR_MTIME, FATTR_MTIME_NOW, request.mtime, request.mtimensec)
      yield* setters.utimes(
        node,
        atime ?? attr!.atime + (attr!.atimensec ?? 0) / 1e9,
        mtime ?? attr!.mtime + (attr!.mtimensec ?? 0) / 1e9,
        handle,
        request,
      )
    }
    return yield* wait(getattr(node, request))
  }

  function* present(node: PathNode, caller: Caller): Steps<AttrReply['attr']> {
    const now = yield* wait(getattr(node, caller))
    if (typeof now === 'number') throw Object.assign(new Error('the file is gone'), { errno: now })
    return now.attr
  }

  return {
    getattr(request) {
      const node = tree.inodes.get(request.nodeid)
      return node === undefined ? ESTALE : (getattr(node, request) as AttrReply | Promise<AttrReply | Errno>)
    },
    setattr(request) {
      const node = tree.inodes.get(request.nodeid)
      if (node === undefined) return ESTALE
      return options.readOnly ? EROFS : run(setattr(node, request))
    },
    readlink(request) {
      const node = tree.inodes.get(request.nodeid)
      if (node === undefined) return ESTALE
      const remembered = node.remembered?.symlink
      if (remembered !== undefined) return remembered
      if (fs.readlink === undefined) return ENOENT
      return fs.readlink(node.path, request) as string | Uint8Array
    },
    ...(fs.statfs && {
      statfs(request) {
        const figures = fs.statfs!(tree.inodes.get(request.nodeid)?.path ?? '/', request)
        return then(figures, statfsOf) as Statfs
      },
    }),
    access(request) {
      const node = tree.inodes.get(request.nodeid)
      if (node === undefined) return ESTALE
      if (fs.access !== undefined)
        return then(fs.access(node.path, request.mask, request), () => undefined) as undefined
      return then(getattr(node, request), (answer) => rootMay(request.mask, answer)) as undefined
    },
  }
}

/** Without the kernel's own check only root asks (see mountFs): all but to execute what nobody may. */
function rootMay(mask: number, answer: AttrReply | Errno): Errno | undefined {
  if (typeof answer === 'number') return answer
  const { mode } = answer.attr
  return (mask & X_OK) !== 0 && (mode & S_IFMT) === S_IFREG && (mode & 0o111) === 0 ? EACCES : undefined
}

function statfsOf(figures: StatsFsLike): Statfs {
  const { blocks, bfree, bavail, files, ffree, bsize, namelen } = figures
  return {
    blocks: Number(blocks ?? 0),
    bfree: Number(bfree ?? 0),
    bavail: Number(bavail ?? bfree ?? 0),
    files: Number(files ?? 0),
    ffree: Number(ffree ?? 0),
    bsize: Number(bsize ?? 4096),
    frsize: Number(bsize ?? 4096),
    namelen: Number(namelen ?? 255),
  }
}
