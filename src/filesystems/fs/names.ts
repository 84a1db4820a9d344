// LOOKUP and FORGET, and everything that makes, moves or removes a name.
import { EEXIST, EINVAL, ENAMETOOLONG, ENOENT, ENOTDIR, EPERM, EROFS, ESTALE } from '../../index.js'
import type { Entry, Errno, Filesystem } from '../../index.js'
import { isPromise, run, wait } from './awaitable.js'
import type { Steps } from './awaitable.js'
import type { Creation } from './creation.js'
import type { Moves } from './moves.js'
import { O_CREAT, O_EXCL, O_WRONLY } from '../../syscalls/index.js'
import type { Caller, StatsLike } from './path-filesystem.js'
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../../syscalls/index.js'
import type { PathNode } from './path-node.js'
import type { Removal } from './removal.js'
import type { Tree } from './tree.js'

type Handlers = Required<
  Pick<
    Filesystem,
    'lookup' | 'forget' | 'mknod' | 'mkdir' | 'symlink' | 'link' | 'unlink' | 'rmdir' | 'rename'
  >
>

const MAX_NAME = 255
/** UTF-8 takes three bytes at the most for each unit of a string. */
const SURELY_SHORT = MAX_NAME / 3

/** Why a name can't be one, undefined where it can. */
function refused(name: string): Errno | undefined {
  if (name === '' || name === '.' || name === '..' || name.includes('/')) return EINVAL
  if (name.length > SURELY_SHORT && Buffer.byteLength(name) > MAX_NAME) return ENAMETOOLONG
  return undefined
}

export function names(tree: Tree, creation: Creation, removal: Removal, moves: Moves): Handlers {
  const { fs, options } = tree
  const negative = { nodeid: 0 as const, entryValid: options.negativeValid }

  /** Runs a change of the directory `nodeid`. */
  function change<Result>(
    { nodeid }: { nodeid: number },
    name: string,
    steps: (parent: PathNode) => Steps<Result>,
  ): Result | Errno | Promise<Result | Errno> {
    const parent = tree.inodes.get(nodeid)
    if (parent === undefined) return ESTALE
    if (!parent.isDirectory) return ENOTDIR
    return options.readOnly ? EROFS : (refused(name) ?? run(steps(parent)))
  }

  function found(
    parent: PathNode,
    name: string,
    stats: StatsLike | undefined,
  ): Entry | typeof negative | Errno {
    if (stats !== undefined) return tree.entry(parent, name, stats)
    const known = parent.children?.get(name)
    if (known !== undefined) tree.detach(known, { parent, name })
    return options.negativeValid > 0 ? negative : ENOENT
  }

  function* mkdir(parent: PathNode, name: string, mode: number, caller: Caller): Steps<Entry | Errno> {
    if (fs.mkdir === undefined) {
      if (!options.remember) return EPERM
      if ((yield* wait(tree.find(parent, name, caller))) !== undefined) return EEXIST
      yield* wait(fs.checkPath?.(parent.pathOf(name), caller))
      tree.adopt(parent, name, { mode: S_IFDIR }).remember().directory = true
    } else {
      yield* wait(fs.mkdir(parent.pathOf(name), { mode: tree.modeForObject(mode, true) }, caller))
    }
    return yield* creation.created(parent, name, S_IFDIR | (mode & 0o7777), caller)
  }

  function* mknod(
    parent: PathNode,
    name: string,
    mode: number,
    rdev: number,
    caller: Caller,
  ): Steps<Entry | Errno> {
    const path = parent.pathOf(name)
    if ((mode & S_IFMT) !== S_IFREG) {
      if (fs.mknod === undefined) return EPERM
      yield* wait(fs.mknod(path, mode, rdev, caller))
    } else if (fs.open !== undefined) {
      const handle = yield* wait(
        fs.open(path, O_CREAT | O_EXCL | O_WRONLY, tree.modeForObject(mode, false), caller),
      )
      yield* wait(handle.close?.())
    } else if (fs.writeFile !== undefined) {
      yield* creation.writeEmpty(parent, name, mode, O_EXCL, caller)
    } else {
      return EPERM
    }
    return yield* creation.created(parent, name, mode, caller)
  }

  function* symlink(parent: PathNode, name: string, target: string, caller: Caller): Steps<Entry | Errno> {
    if (fs.symlink === undefined) {
      if (!options.remember) return EPERM
      if ((yield* wait(tree.find(parent, name, caller))) !== undefined) return EEXIST
      yield* wait(fs.checkPath?.(parent.pathOf(name), caller))
      tree.adopt(parent, name, { mode: S_IFLNK }).remember().symlink = target
    } else {
      yield* wait(fs.symlink(target, parent.pathOf(name), null, caller))
    }
    return yield* creation.created(parent, name, S_IFLNK | 0o777, caller)
  }

  function* link(parent: PathNode, name: string, node: PathNode, caller: Caller): Steps<Entry | Errno> {
    if (fs.link === undefined || node.remembered?.symlink !== undefined) return EPERM
    // Two names of a file can be told from two files only by what the object counts.
    const path = parent.pathOf(name)
    yield* wait(fs.link(node.path, path, caller))
    const stats = yield* wait(tree.lstat(path, caller))
    if (stats === undefined) return ENOENT
    tree.touched(parent)
    if (!parent.children?.has(name) && (stats.nlink ?? 1) > 1) tree.name(node, parent, name)
    return tree.entry(parent, name, stats)
  }

  return {
    lookup(request) {
      const { name } = request
      const parent = tree.inodes.get(request.nodeid)
      if (parent === undefined) return ESTALE
      const wrong = refused(name)
      if (wrong !== undefined) return wrong
      const stats = tree.find(parent, name, request)
      if (!isPromise(stats)) return found(parent, name, stats)
      return Promise.resolve(stats).then((value) => found(parent, name, value))
    },
    forget: ({ nodeid, nlookup }) => tree.forget(nodeid, nlookup),
    mkdir: (request) =>
      change(request, request.name, (parent) => mkdir(parent, request.name, request.mode, request)),
    mknod: (request) =>
      change(request, request.name, (parent) =>
        mknod(parent, request.name, request.mode, request.rdev, request),
      ),
    symlink: (request) =>
      change(request, request.name, (parent) => symlink(parent, request.name, request.target, request)),
    link(request) {
      const node = tree.inodes.get(request.oldnodeid)
      if (node === undefined) return ESTALE
      return change(request, request.newname, (parent) => link(parent, request.newname, node, request))
    },
    unlink: (request) =>
      change<Errno | undefined>(request, request.name, (parent) =>
        removal.unlink(parent, request.name, request),
      ),
    rmdir: (request) =>
      change<Errno | undefined>(request, request.name, (parent) =>
        removal.rmdir(parent, request.name, request),
      ),
    rename(request) {
      const parent = tree.inodes.get(request.newdir)
      if (parent === undefined) return ESTALE
      return change<Errno | undefined>(request, request.name, (from) =>
        moves.rename(
          { parent: from, name: request.name },
          { parent, name: request.newname },
          request.flags,
          request,
        ),
      )
    },
  }
}
