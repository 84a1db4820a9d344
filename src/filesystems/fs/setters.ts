// Changing attributes: by the open handle, by path, and in memory where the object has no method for it.
import { isPromise, wait } from './awaitable.js'
import type { Steps } from './awaitable.js'
import { Content } from './content.js'
import { codeOf, unsupported } from './failure.js'
import { mtimeTold } from './attributes.js'
import { O_TRUNC, O_WRONLY } from '../../syscalls/index.js'
import type { OpenFile } from './open-file.js'
import type { Awaitable, Caller, HandleLike } from './path-filesystem.js'
import type { PathNode, Remembered } from './path-node.js'
import type { Tree } from './tree.js'

/** What an object throws for a method that it has and cannot do. */
const CANNOT = new Set(['ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'ERR_METHOD_NOT_IMPLEMENTED'])

export class Setters {
  readonly #tree: Tree

  constructor(tree: Tree) {
    this.#tree = tree
  }

  *chmod(node: PathNode, mode: number, handle: HandleLike | undefined, caller: Caller): Steps<void> {
    const { fs } = this.#tree
    const bits = mode & 0o7777
    const given = this.#tree.modeForObject(bits, node.isDirectory)
    const open = handleWith('chmod', node, handle)
    const call = open
      ? () => open.chmod!(given)
      : byPath(node) && fs.chmod && !node.isSymlink
        ? () => fs.chmod!(node.path, given, caller)
        : undefined
    if ((yield* this.#done(call, node)) && bits === given) this.#changed(node, { mode: undefined })
    else this.#remember(node, { mode: bits })
  }

  *chown(
    node: PathNode,
    uid: number,
    gid: number,
    handle: HandleLike | undefined,
    caller: Caller,
  ): Steps<void> {
    const { fs } = this.#tree
    const open = handleWith('chown', node, handle)
    const call = this.#tree.keepsAccess
      ? undefined
      : open
        ? () => open.chown!(uid, gid)
        : byPath(node) && fs.lchown
          ? () => fs.lchown!(node.path, uid, gid, caller)
          : byPath(node) && fs.chown && !node.isSymlink
            ? () => fs.chown!(node.path, uid, gid, caller)
            : undefined
    if (yield* this.#done(call, node)) this.#changed(node, { uid: undefined, gid: undefined })
    else this.#remember(node, { uid, gid })
  }

  /** Seconds since 1970. */
  *utimes(
    node: PathNode,
    atime: number,
    mtime: number,
    handle: HandleLike | undefined,
    caller: Caller,
  ): Steps<void> {
    const { fs } = this.#tree
    // Writing back later would be a change of its own.
    yield* wait(node.content?.save(caller))
    const open = handleWith('utimes', node, handle)
    const call = open
      ? () => open.utimes!(atime, mtime)
      : byPath(node) && fs.lutimes
        ? () => fs.lutimes!(node.path, atime, mtime, caller)
        : byPath(node) && fs.utimes && !node.isSymlink
          ? () => fs.utimes!(node.path, atime, mtime, caller)
          : undefined
    if (yield* this.#done(call, node)) {
      this.#changed(node, { atime: undefined, mtime: undefined })
      return
    }
    const stats = yield* wait(this.#tree.stats(node, caller))
    this.#remember(node, {
      atime,
      mtime,
      mtimeThen: stats === undefined ? undefined : mtimeTold(stats),
    })
  }

  *truncate(node: PathNode, size: number, file: OpenFile | undefined, caller: Caller): Steps<void> {
    yield* this.#truncate(node, size, file, caller)
    if (node.opens !== undefined) for (const open of node.opens) open.written = Math.min(open.written, size)
    if (node.sizeUnknown) node.sizeRead = size
    this.#tree.touched(node)
  }

  *#truncate(node: PathNode, size: number, file: OpenFile | undefined, caller: Caller): Steps<void> {
    const { fs } = this.#tree
    const handle = file?.handle?.truncate ? file.handle : writableHandle(node)
    if (handle !== undefined) {
      yield* wait(handle.truncate!(size))
    } else if (node.content !== undefined) {
      yield* this.#truncateContent(node.content, size, file === undefined, caller)
    } else if (fs.truncate !== undefined) {
      yield* wait(fs.truncate(node.path, size, caller))
    } else if (fs.open !== undefined) {
      const opened = yield* wait(fs.open(node.path, O_WRONLY | (size === 0 ? O_TRUNC : 0), 0, caller))
      try {
        if (size > 0 && opened.truncate === undefined) throw unsupported('truncating')
        if (size > 0) yield* wait(opened.truncate!(size))
      } finally {
        yield* wait(opened.close?.())
      }
    } else if (fs.writeFile !== undefined) {
      // Whoever opens it meanwhile has to see this change.
      const content = Content.join(this.#tree, node)
      try {
        if (size > 0) yield* wait(content.open(caller))
        else content.clear()
        yield* this.#truncateContent(content, size, true, caller)
      } finally {
        content.leave()
      }
    } else {
      throw unsupported('truncating')
    }
  }

  /** truncate(2) has no descriptor whose close would write the content back. */
  *#truncateContent(content: Content, size: number, save: boolean, caller: Caller): Steps<void> {
    yield* wait(content.truncate(size))
    if (save) yield* wait(content.save(caller))
  }

  /** Whether the object could do it. */
  *#done(call: (() => Awaitable<unknown>) | undefined, { isDirectory }: PathNode): Steps<boolean> {
    if (call === undefined) return false
    try {
      const result = call()
      if (isPromise(result)) yield* wait(result)
      return true
    } catch (error) {
      const code = String(codeOf(error))
      // Some open what they change, and a directory can't be opened for writing.
      if (CANNOT.has(code) || (isDirectory && code === 'EISDIR')) return false
      throw error
    }
  }

  #changed(node: PathNode, set: Partial<Remembered>): void {
    if (node.remembered === undefined) return
    Object.assign(node.remembered, set)
  }

  #remember(node: PathNode, set: Partial<Remembered>): void {
    if (!this.#tree.options.remember) throw unsupported('setting this attribute')
    Object.assign(node.remember(), set, { ctime: Date.now() / 1000 })
  }
}

/** An open handle that has the method. Kernel: fchmod(2) and its like don't say through which file they come. */
function handleWith(
  method: 'chmod' | 'chown' | 'utimes',
  { gone, opens }: PathNode,
  handle: HandleLike | undefined,
): HandleLike | undefined {
  if (handle?.[method] !== undefined) return handle
  // What has a name is changed under it: not every handle is open to be changed through.
  if (gone && opens !== undefined)
    for (const { handle: other } of opens) if (other?.[method] !== undefined) return other
  return undefined
}

/** Whether the object has it under a path. */
function byPath({ gone, hiddenPath, remembered }: PathNode): boolean {
  if (gone) return hiddenPath !== undefined
  return remembered?.symlink === undefined && !remembered?.directory
}

function writableHandle({ opens }: PathNode): HandleLike | undefined {
  if (opens === undefined) return undefined
  for (const { handle, writable } of opens) if (writable && handle?.truncate !== undefined) return handle
  return undefined
}
