// Requests about names and attributes: lookup, getattr and setattr, and what makes, moves and removes names.
import { S_IFMT, S_IFREG } from '../../../syscalls/index.js'
import {
  EINVAL,
  ENOENT,
  ENOSYS,
  FATTR_ATIME,
  FATTR_GID,
  FATTR_MODE,
  FATTR_MTIME,
  FATTR_SIZE,
  FATTR_UID,
} from '../../../index.js'
import type { AttrReply, Entry, Errno, Filesystem, Reply, SetattrRequest } from '../../../index.js'
import { statfsOf } from './attributes.js'
import type { PathInode } from './path-table.js'
import { onward } from './translation.js'
import type { OpenFile, Translation } from './translation.js'
import type { Statfs } from './types.js'

/** What chown(2) has for "as it is". */
const UNCHANGED = 0xffff_ffff

/** The methods that a mount always has, and those whose handlers are there. */
export function nameRequests(translation: Translation): Filesystem {
  const { calls, files, paths } = translation
  return {
    lookup: ({ nodeid, name }) =>
      translation.on<Entry | ReturnType<typeof nothing>>(nodeid, (parent) => {
        const entry = translation.entry(parent, name)
        const found = (answer: Entry | Errno) => (answer === ENOENT ? nothing(translation) : answer)
        return entry instanceof Promise ? entry.then(found) : found(entry)
      }),
    forget: ({ nodeid, nlookup }) => paths.forget(nodeid, nlookup),
    getattr: ({ nodeid, hasFh, fh }) =>
      translation.on(nodeid, (node) => attributes(translation, node, hasFh ? files.get(fh) : undefined)),
    setattr: (request) => translation.on(request.nodeid, (node) => setattr(translation, node, request)),
    readlink: ({ nodeid }) =>
      translation.on(nodeid, ({ path }) =>
        calls.has('readlink') ? calls.ask('readlink', [path], (_, [target]) => target as string) : ENOSYS,
      ),
    mkdir: ({ nodeid, name, mode }) =>
      make(translation, nodeid, name, (path) => translation.tell('mkdir', path, mode)),
    symlink: ({ nodeid, name, target }) =>
      make(translation, nodeid, name, (path) => translation.tell('symlink', target, path)),
    mknod: ({ nodeid, name, mode, rdev }) =>
      make(translation, nodeid, name, (path) =>
        (mode & S_IFMT) === S_IFREG && calls.has('create')
          ? createOnly(translation, path, mode)
          : translation.tell('mknod', path, mode, rdev),
      ),
    ...(calls.has('link') && {
      link: ({ oldnodeid, nodeid, newname }) =>
        translation.on(oldnodeid, ({ path: old }) =>
          make(translation, nodeid, newname, (path) => translation.tell('link', old, path)),
        ),
    }),
    unlink: ({ nodeid, name }) =>
      translation.on(nodeid, (parent) => {
        const node = parent.children.get(name)
        if (node !== undefined && node.opens > 0 && calls.has('unlink'))
          return onward(translation.hide(node), () => translation.nameGone(node))
        return onward(translation.tell('unlink', parent.below(name)), () => paths.remove(parent, name))
      }),
    rmdir: ({ nodeid, name }) =>
      translation.on(nodeid, (parent) =>
        onward(translation.tell('rmdir', parent.below(name)), () => paths.remove(parent, name)),
      ),
    rename: ({ nodeid, name, newdir, newname, flags }) =>
      translation.on(nodeid, (from) =>
        translation.on(newdir, (to) => (flags === 0 ? rename(translation, from, name, to, newname) : EINVAL)),
      ),
    ...(calls.has('access') && {
      access: ({ nodeid, mask }) =>
        translation.on(nodeid, ({ path }) => translation.tell('access', path, mask)),
    }),
    ...(calls.has('statfs') && {
      statfs: ({ nodeid }) =>
        translation.on(nodeid, ({ path }) =>
          calls.ask('statfs', [path], (_, [figures]) => statfsOf(figures as Statfs | undefined)),
        ),
    }),
  }
}

function nothing({ settings: { negativeTimeout } }: Translation) {
  return negativeTimeout > 0 ? { nodeid: 0 as const, entryValid: negativeTimeout } : ENOENT
}

function attributes(translation: Translation, node: PathInode, file?: OpenFile): Reply<AttrReply> {
  return onward(translation.attributes(node.path, file), (attr) => ({
    attr: translation.known(node, attr),
    attrValid: translation.settings.attrTimeout,
  }))
}

/** Makes a name, and answers its entry. */
function make(
  translation: Translation,
  nodeid: number,
  name: string,
  step: (path: string) => Reply<void>,
): Reply<Entry> {
  return translation.on(nodeid, (parent) =>
    onward(step(parent.below(name)), () => translation.entry(parent, name)),
  )
}

/** mknod(2) of a regular file, where `create` can make one: as libfuse, which asks `mknod` for nothing that `create` can do. */
function createOnly(translation: Translation, path: string, mode: number): Reply<void> {
  return onward(translation.descriptor('create', [path, mode]), ({ fd }) =>
    translation.calls.has('release') ? translation.tell('release', path, fd) : undefined,
  )
}

/** One handler after the other, in the order of libfuse; the first that fails is the answer. */
async function setattr(
  translation: Translation,
  node: PathInode,
  request: SetattrRequest,
): Promise<AttrReply | Errno> {
  const { valid, mode, newUid, newGid, size, hasFh, fh } = request
  const { calls, files } = translation
  const has = (...flags: number[]): boolean => flags.some((flag) => (valid & flag) !== 0)
  const file = hasFh ? files.get(fh) : undefined
  let result: void | Errno = undefined
  if (has(FATTR_MODE)) result = await translation.tell('chmod', node.path, mode)
  if (result === undefined && has(FATTR_UID, FATTR_GID)) {
    const [uid, gid] = [has(FATTR_UID) ? newUid : UNCHANGED, has(FATTR_GID) ? newGid : UNCHANGED]
    result = await translation.tell('chown', node.path, uid, gid)
  }
  if (result === undefined && has(FATTR_SIZE)) {
    result =
      file !== undefined && calls.has('ftruncate')
        ? await translation.tell('ftruncate', node.path, file.fd, size)
        : await translation.tell('truncate', node.path, size)
  }
  if (result === undefined && has(FATTR_ATIME, FATTR_MTIME))
    result = await setTimes(translation, node, request)
  return result ?? attributes(translation, node, file)
}

/** `utimens` takes both times: what is not to change is asked for first. */
async function setTimes(
  translation: Translation,
  node: PathInode,
  request: SetattrRequest,
): Promise<void | Errno> {
  const { valid, atime, atimensec, mtime, mtimensec } = request
  const both = FATTR_ATIME | FATTR_MTIME
  const now = (valid & both) === both ? request : await translation.attributes(node.path)
  if (typeof now === 'number') return now
  const accessed = (valid & FATTR_ATIME) !== 0 ? { atime, atimensec } : now
  const modified = (valid & FATTR_MTIME) !== 0 ? { mtime, mtimensec } : now
  return translation.tell(
    'utimens',
    node.path,
    milliseconds(accessed.atime, accessed.atimensec),
    milliseconds(modified.mtime, modified.mtimensec),
  )
}

function milliseconds(seconds: number, nanoseconds = 0): number {
  return seconds * 1000 + Math.floor(nanoseconds / 1e6)
}

async function rename(
  translation: Translation,
  from: PathInode,
  name: string,
  to: PathInode,
  newname: string,
): Promise<void | Errno> {
  const { paths } = translation
  const there = to.children.get(newname)
  const replaced = there !== undefined && there.opens > 0 ? there : undefined
  if (replaced !== undefined) {
    const busy = await translation.hide(replaced)
    if (busy !== undefined) return busy
  }
  const result = await translation.tell('rename', from.below(name), to.below(newname))
  if (replaced !== undefined)
    await (result === undefined
      ? translation.nameGone(replaced)
      : translation.bringBack(replaced, to, newname))
  if (result !== undefined) return result
  const node = from.children.get(name)
  if (node === undefined) paths.remove(to, newname)
  else paths.move(node, to, newname)
  return undefined
}
