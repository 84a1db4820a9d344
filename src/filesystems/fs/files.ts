// Open files: OPEN, CREATE, READ, WRITE, FLUSH, FSYNC and RELEASE, through the object's handles or through content in memory.
import {
  EBADF,
  EISDIR,
  EOPNOTSUPP,
  EROFS,
  ESTALE,
  FOPEN_DIRECT_IO,
  FOPEN_KEEP_CACHE,
  FOPEN_NOFLUSH,
  FUSE_WRITE_CACHE,
  writebackOpenFlags,
} from '../../index.js'
import type { CreateReply, Errno, FdData, Filesystem, OpenReply } from '../../index.js'
import { HandleTable } from '../../inodes/index.js'
import { setSize } from './attributes.js'
import { isPromise, run, then, wait } from './awaitable.js'
import type { Steps } from './awaitable.js'
import { Content } from './content.js'
import type { Creation } from './creation.js'
import { codeOf, describe, failure, unsupported } from './failure.js'
import type { Removal } from './removal.js'
import { OpenFile, changes, flagsForObject } from './open-file.js'
import { contentGiven, mayKeepPages } from './page-cache.js'
import type { Awaitable, Caller, HandleLike } from './path-filesystem.js'
import { O_APPEND, O_CREAT, O_EXCL, O_TRUNC, S_IFREG } from '../../syscalls/index.js'
import type { PathNode } from './path-node.js'
import { Slab } from './slab.js'
import { StreamReader } from './stream-reader.js'
import type { Tree } from './tree.js'

type Handlers = Required<
  Pick<Filesystem, 'open' | 'create' | 'read' | 'write' | 'flush' | 'fsync' | 'release'>
>

export class Files {
  readonly table = new HandleTable<OpenFile>()
  /** FUSE_WRITEBACK_CACHE was agreed on. */
  writeback = false
  readonly #tree: Tree
  readonly #creation: Creation
  readonly #removal: Removal
  readonly #slab = new Slab()

  constructor(tree: Tree, creation: Creation, removal: Removal) {
    this.#tree = tree
    this.#creation = creation
    this.#removal = removal
  }

  get handlers(): Handlers {
    return {
      open: (request) => {
        const node = this.#tree.inodes.get(request.nodeid)
        if (node === undefined) return ESTALE
        if (node.isDirectory) return EISDIR
        if (this.#tree.options.readOnly && changes(request.flags)) return EROFS
        // Kernel: of a file for direct I/O it does not know the end.
        const flags = node.sizeUnknown ? request.flags : this.#kept(request.flags)
        return this.#open(node, flags, request) as OpenReply | Promise<OpenReply | Errno>
      },
      create: (request) => {
        const parent = this.#tree.inodes.get(request.nodeid)
        if (parent === undefined) return ESTALE
        if (this.#tree.options.readOnly) return EROFS
        const flags = this.#kept(request.flags)
        return run(this.#create(parent, request.name, flags, request.mode, request))
      },
      read: (request) => {
        const file = this.table.get(request.fh)
        if (file === undefined) return EBADF
        contentGiven(file.node)
        return this.#read(file, request.offset, request.size, request) as Uint8Array | Promise<Uint8Array>
      },
      write: (request) => {
        const file = this.table.get(request.fh)
        if (file === undefined) return EBADF
        // Kernel: pages that were changed through mmap have a place, whichever file they are written through; and
        // fcntl(2) may have taken O_APPEND away.
        const appends = (request.flags & O_APPEND) !== 0 && (request.writeFlags & FUSE_WRITE_CACHE) === 0
        const to = file.appends && !appends ? file.atPositions : file
        return this.#write(to, request.data, request.offset, appends, request) as number | Promise<number>
      },
      flush: (request) => {
        const file = this.table.get(request.fh)
        if (file === undefined) return EBADF
        if (file.handle?.flush !== undefined) return then(file.handle.flush(), nothing) as undefined
        return file.changes ? (file.node.content?.save(request) as undefined) : undefined
      },
      fsync: (request) => {
        const file = this.table.get(request.fh)
        if (file === undefined) return EBADF
        const { handle } = file
        if (handle !== undefined) {
          const synced = request.fdatasync && handle.datasync ? handle.datasync() : handle.sync?.()
          return then(synced, nothing) as undefined
        }
        return file.node.content?.save(request) as undefined
      },
      release: (request) => {
        const file = this.table.remove(request.fh)
        if (file === undefined) return undefined
        return run(this.#release(file, request)) as undefined
      },
    }
  }

  /** Ends what is still open: the mount is over. */
  async clear(caller: Caller): Promise<void> {
    for (const file of this.table) await run(this.#release(file, caller))
  }

  #kept(flags: number): number {
    return this.writeback ? writebackOpenFlags(flags) : flags
  }

  #open(node: PathNode, flags: number, caller: Caller): Awaitable<OpenReply> {
    const { fs } = this.#tree
    if (fs.open === undefined || (node.content !== undefined && node.gone))
      return run(this.#openContent(node, flags, caller))
    const { path } = node
    const handle = fs.open(path, flagsForObject(flags), 0, caller)
    if (!isPromise(handle)) return this.#opened(node, flags, handle)
    return handle.then((opened) => {
      if (fs.stableHandles || node.isAt(path)) return this.#opened(node, flags, opened)
      // Moved meanwhile: what the handle knows is the old path.
      return then(opened.close?.(), () => this.#open(node, flags & ~O_TRUNC, caller))
    })
  }

  #opened(node: PathNode, flags: number, handle: HandleLike): OpenReply {
    if ((flags & O_TRUNC) !== 0) {
      if (node.opens !== undefined) for (const open of node.opens) open.written = 0
      this.#tree.touched(node)
    }
    return this.#reply(new OpenFile(node, flags, handle))
  }

  #reply(file: OpenFile): OpenReply {
    const { node, handle } = file
    let openFlags = 0
    if (handle === undefined ? !file.changes : handle.flush === undefined) openFlags |= FOPEN_NOFLUSH
    if (node.sizeUnknown) openFlags |= FOPEN_DIRECT_IO
    else if (mayKeepPages(node, this.#tree)) openFlags |= FOPEN_KEEP_CACHE
    const fh = this.table.add(file)
    const { descriptor } = handle ?? {}
    return descriptor === undefined ? { fh, openFlags } : { fh, openFlags, passthrough: descriptor }
  }

  *#openContent(node: PathNode, flags: number, caller: Caller): Steps<OpenReply> {
    const { fs } = this.#tree
    if (changes(flags) && fs.writeFile === undefined) throw unsupported('writing files')
    if (fs.readFile === undefined && fs.createReadStream !== undefined && !changes(flags)) {
      const file = new OpenFile(node, flags)
      file.reader = new StreamReader((start, who) => fs.createReadStream!(node.path, { start }, who))
      return this.#reply(file)
    }
    yield* this.#joinContent(node, flags, false, caller)
    return this.#reply(new OpenFile(node, flags))
  }

  *#joinContent(node: PathNode, flags: number, made: boolean, caller: Caller): Steps<void> {
    const content = Content.join(this.#tree, node)
    try {
      if (made) content.fresh()
      else if ((flags & O_TRUNC) !== 0) content.clear()
      else if (!node.gone) yield* wait(content.open(caller))
      if (changes(flags)) yield* wait(content.need(Infinity))
    } catch (error) {
      content.leave()
      throw error
    }
  }

  *#create(
    parent: PathNode,
    name: string,
    flags: number,
    mode: number,
    caller: Caller,
  ): Steps<CreateReply | Errno> {
    const { fs } = this.#tree
    let handle: HandleLike | undefined
    let made = true
    if (fs.open !== undefined) {
      const path = parent.pathOf(name)
      try {
        handle = yield* wait(
          fs.open(
            path,
            flagsForObject(flags | O_CREAT | O_EXCL),
            this.#tree.modeForObject(mode, false),
            caller,
          ),
        )
      } catch (error) {
        // Somebody else was faster; only who insists on a new file minds.
        if ((flags & O_EXCL) !== 0 || codeOf(error) !== 'EEXIST') throw error
        made = false
        handle = yield* wait(fs.open(path, flagsForObject(flags & ~O_CREAT), 0, caller))
      }
    } else if (fs.writeFile === undefined) return EOPNOTSUPP
    else made = yield* this.#creation.writeEmpty(parent, name, mode, flags, caller)
    try {
      const entry = yield* made
        ? this.#creation.created(parent, name, S_IFREG | mode, caller)
        : this.#creation.existing(parent, name, caller)
      const node = this.#tree.inodes.get(entry.nodeid)!
      if (handle === undefined) yield* this.#joinContent(node, flags, made, caller)
      return { ...entry, ...this.#reply(new OpenFile(node, flags, handle)) }
    } catch (error) {
      yield* wait(handle?.close?.())
      throw error
    }
  }

  #read(file: OpenFile, offset: number, size: number, caller: Caller): Awaitable<Uint8Array | FdData> {
    const { node, handle } = file
    if (handle?.descriptor !== undefined) return { fd: handle.descriptor, offset, size }
    if (handle?.read !== undefined) {
      const buffer = this.#slab.take(size)
      const count = handle.read(buffer, 0, size, offset)
      if (!isPromise(count) && countOf(count, 'bytesRead', size) === size) return buffer
      const all = run(this.#readRest(node, handle, buffer, offset, count))
      return isPromise(all) ? file.track(all) : all
    }
    if (file.reader !== undefined)
      return file.reader.read(offset, size, caller).then((bytes) => {
        if (bytes.byteLength < size) node.sizeRead = Math.max(node.sizeRead, offset + bytes.byteLength)
        return bytes
      })
    const { content } = node
    if (content !== undefined) return then(content.need(offset + size), () => content.read(offset, size))
    if (handle !== undefined) throw unsupported('reading through a handle')
    return then(file.reopened(this.#tree.fs, caller), () => this.#read(file, offset, size, caller))
  }

  // Kernel: a short answer is the end of the file, but for direct I/O, whose callers get what there is.
  *#readRest(
    node: PathNode,
    handle: HandleLike,
    buffer: Uint8Array,
    offset: number,
    first: Awaitable<number | { bytesRead: number }>,
  ): Steps<Uint8Array> {
    const size = buffer.byteLength
    let done = countOf(yield* wait(first), 'bytesRead', size)
    if (node.sizeUnknown) {
      if (done < size && (done > 0 || offset > 0)) node.sizeRead = Math.max(node.sizeRead, offset + done)
      return buffer.subarray(0, done)
    }
    const end = Math.min(size, (node.attr?.size ?? 0) - offset)
    for (let more = done; more > 0 && done < end; done += more) {
      const count = handle.read!(buffer, done, size - done, offset + done)
      more = countOf(yield* wait(count), 'bytesRead', size - done)
    }
    return buffer.subarray(0, done)
  }

  #write(
    file: OpenFile,
    data: Uint8Array,
    offset: number,
    appends: boolean,
    caller: Caller,
  ): Awaitable<number> {
    const { node, handle } = file
    if (handle !== undefined) {
      if (handle.write === undefined) throw unsupported('writing through a handle')
      const size = data.byteLength
      const count = handle.write(data, 0, size, offset)
      if (!isPromise(count) && countOf(count, 'bytesWritten', size) === size) {
        this.#wrote(file, offset + size)
        return size
      }
      const all = run(this.#writeRest(file, handle, data, offset, count))
      return isPromise(all) ? file.track(all) : all
    }
    if (node.content !== undefined) {
      const written = node.content.write(data, appends ? -1 : offset)
      return then(written, () => data.byteLength)
    }
    return then(file.reopened(this.#tree.fs, caller), () => this.#write(file, data, offset, appends, caller))
  }

  // Kernel: a short answer to a buffered write is an error to the caller.
  *#writeRest(
    file: OpenFile,
    handle: HandleLike,
    data: Uint8Array,
    offset: number,
    first: Awaitable<number | { bytesWritten: number }>,
  ): Steps<number> {
    let done = countOf(yield* wait(first), 'bytesWritten', data.byteLength)
    while (done < data.byteLength) {
      const count = handle.write!(data, done, data.byteLength - done, offset + done)
      const more = countOf(yield* wait(count), 'bytesWritten', data.byteLength - done)
      if (more === 0) throw failure('EIO', 'nothing more could be written')
      done += more
    }
    this.#wrote(file, offset + done)
    return done
  }

  #wrote(file: OpenFile, end: number): void {
    const { attr } = file.node
    if (end > file.written) file.written = end
    if (attr !== undefined && end > attr.size) setSize(attr, end)
    this.#tree.touched(file.node)
  }

  *#release(file: OpenFile, caller: Caller): Steps<void> {
    const { node } = file
    try {
      if (node.content !== undefined && file.handle === undefined && file.changes)
        yield* wait(node.content.save(caller))
      yield* wait(file.reader?.close())
      yield* wait(file.letGo())
      yield* wait(file.positioned?.letGo())
    } finally {
      file.leave()
      file.positioned?.leave()
      if (file.reader === undefined && file.handle === undefined) node.content?.leave()
      yield* this.#removal.settle(node, caller)
    }
  }
}

/** What an object's method gives where nothing is asked for may be anything. */
const nothing = (): void => undefined

/** How many bytes a handle read or wrote. What is no such number would have us give out memory that nobody filled. */
function countOf(result: unknown, name: 'bytesRead' | 'bytesWritten', most: number): number {
  const count =
    typeof result === 'object' && result !== null ? (result as Record<string, unknown>)[name] : result
  if (Number.isInteger(count) && (count as number) >= 0 && (count as number) <= most) return count as number
  const given = count === result ? describe(count) : `${describe(result)} with ${name} ${describe(count)}`
  throw new TypeError(`a handle has to answer with a number from 0 to ${most}, or { ${name} }, not ${given}`)
}
