// Requests about open files and directories. A handle of the kernel is one here, too; `fd` is what the handler answered.
import { EBADF, ENOENT, ENOSYS, FOPEN_DIRECT_IO, FOPEN_KEEP_CACHE, direntType } from '../../../index.js'
import type { Dirent, Filesystem, OpenReply, Reply } from '../../../index.js'
import { HandleTable } from '../../../inodes/index.js'
import type { PathInode } from './path-table.js'
import { onward } from './translation.js'
import type { OpenFile, Translation } from './translation.js'
import type { Stats } from './types.js'

const DT_DIR = 4
const DT_UNKNOWN = 0
/** Shown in listings for what has no number yet: 0 would hide the entry. libfuse has the same. */
const UNKNOWN_INO = 0xffff_ffff

/** The methods that a mount always has, and those whose handlers are there. */
export function fileRequests(translation: Translation): Filesystem {
  const { calls, files } = translation
  const on = <Result>(fh: number, next: (file: OpenFile) => Reply<Result>): Reply<Result> => {
    const file = files.get(fh)
    if (file === undefined) return EBADF
    return file.node.removed ? ENOENT : next(file)
  }
  return {
    open: ({ nodeid, flags }) =>
      translation.on(nodeid, (node) =>
        onward(translation.descriptor('open', [node.path, flags]), ({ fd }) => opened(translation, node, fd)),
      ),
    ...(calls.has('create') && {
      create: ({ nodeid, name, mode }) =>
        translation.on(nodeid, (parent) =>
          onward(translation.descriptor('create', [parent.below(name), mode]), async ({ fd }) => {
            const entry = await translation.entry(parent, name, { fd })
            if (typeof entry !== 'number') {
              const node = parent.children.get(name) as PathInode
              return { ...entry, ...(await opened(translation, node, fd)) }
            }
            if (calls.has('release')) await translation.tell('release', parent.below(name), fd)
            return entry
          }),
        ),
    }),
    read: ({ fh, offset, size }) =>
      on(fh, ({ node, fd }) => {
        if (!calls.has('read')) return ENOSYS
        // Zeroed: whatever a handler claims to have filled and has not must show nothing of this process.
        const buffer = Buffer.alloc(size)
        return calls.ask(
          'read',
          [node.path, fd, buffer, size, offset],
          (count) => buffer.subarray(0, atMost('read', count, size)),
          true,
        )
      }),
    write: ({ fh, offset, data }) =>
      on(fh, ({ node, fd }) => {
        if (!calls.has('write')) return ENOSYS
        // The handler may keep the bytes, and go on after a timeout: they are its own.
        const args = [node.path, fd, Buffer.from(data), data.byteLength, offset]
        return calls.ask('write', args, (count) => atMost('write', count, data.byteLength), true)
      }),
    ...(calls.has('flush') && {
      flush: ({ fh }) => on(fh, ({ node, fd }) => translation.tell('flush', node.path, fd)),
    }),
    ...(calls.has('fsync') && {
      fsync: ({ fh, fdatasync }) =>
        on(fh, ({ node, fd }) => translation.tell('fsync', node.path, Number(fdatasync), fd)),
    }),
    release: async ({ fh }) => {
      const file = files.remove(fh)
      if (file === undefined) return EBADF
      const { node, fd } = file
      try {
        return calls.has('release') ? await translation.tell('release', node.path, fd) : undefined
      } finally {
        node.opens--
        await translation.closed(node)
      }
    },
  }
}

/** Counts an open file, and says what the kernel may keep of earlier ones. */
function opened(translation: Translation, node: PathInode, fd: number): OpenReply | Promise<OpenReply> {
  const { directIo, kernelCache, autoCache, acAttrTimeout } = translation.settings
  const fh = translation.files.add({ node, fd })
  node.opens++
  if (directIo) return { fh, openFlags: FOPEN_DIRECT_IO }
  if (kernelCache) return { fh, openFlags: FOPEN_KEEP_CACHE }
  if (!autoCache) return { fh, openFlags: 0 }
  const keep = (): OpenReply => {
    const openFlags = node.cached ? FOPEN_KEEP_CACHE : 0
    node.cached = true
    return { fh, openFlags }
  }
  const age = node.seen === undefined ? Infinity : performance.now() - node.seen.at
  if (!node.cached || age <= acAttrTimeout * 1000) return keep()
  const attr = translation.attributes(node.path, { fd })
  const look = (now: Awaited<typeof attr>): OpenReply => {
    if (typeof now === 'number') node.cached = false
    else translation.known(node, now)
    return keep()
  }
  return attr instanceof Promise ? attr.then(look) : look(attr)
}

function atMost(name: string, count: number, size: number): number {
  if (count <= size) return count
  throw new RangeError(`the handler \`${name}\` answered ${count} bytes of ${size}`)
}

interface OpenDirectory extends OpenFile {
  /** The listing as it was when it was last read from the start: what changes meanwhile shifts no entry. */
  entries: readonly Dirent[]
}

/** The same for directories. */
export function directoryRequests(translation: Translation): Filesystem {
  const { calls } = translation
  const directories = new HandleTable<OpenDirectory>()
  return {
    opendir: ({ nodeid, flags }) =>
      translation.on(nodeid, (node) =>
        onward(translation.descriptor('opendir', [node.path, flags]), ({ fd }) => ({
          fh: directories.add({ node, fd, entries: [] }),
        })),
      ),
    readdir: ({ fh, offset }) => {
      const directory = directories.get(fh)
      if (directory === undefined) return EBADF
      if (offset > 0) return directory.entries.slice(offset)
      if (!calls.has('readdir')) return ENOSYS
      if (directory.node.removed) return ENOENT
      return calls.ask('readdir', [directory.node.path], (_, [names, stats]) => {
        directory.entries = listing(directory.node, names, stats)
        return directory.entries
      })
    },
    ...(calls.has('fsyncdir') && {
      fsyncdir: ({ fh, fdatasync }) => {
        const directory = directories.get(fh)
        if (directory === undefined) return EBADF
        return translation.tell('fsyncdir', directory.node.path, Number(fdatasync), directory.fd)
      },
    }),
    releasedir: ({ fh }) => {
      const directory = directories.remove(fh)
      if (directory === undefined) return EBADF
      return calls.has('releasedir')
        ? translation.tell('releasedir', directory.node.path, directory.fd)
        : undefined
    },
  }
}

function listing(node: PathInode, names: unknown, stats: unknown): Dirent[] {
  const found = (names ?? []) as readonly string[]
  if (!Array.isArray(found)) throw new TypeError(`the handler \`readdir\` answered no array of names`)
  const known = Array.isArray(stats) && stats.length === found.length ? (stats as readonly Stats[]) : []
  const entries: Dirent[] = [
    { name: '.', ino: node.nodeid, type: DT_DIR },
    { name: '..', ino: node.parent?.nodeid ?? node.nodeid, type: DT_DIR },
  ]
  for (let i = 0; i < found.length; i++) {
    const name = found[i]
    if (name === '.' || name === '..') continue
    const type = known.length === 0 ? DT_UNKNOWN : direntType(known[i]?.mode ?? 0)
    entries.push({ name, ino: node.children.get(name)?.nodeid ?? UNKNOWN_INO, type })
  }
  return entries
}
