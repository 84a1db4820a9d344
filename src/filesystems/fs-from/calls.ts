// The calls of node:fs/promises that are about one path and need no open file, each a handful of requests.
import type { BigIntStats, BigIntStatsFs, OpenDirOptions, PathLike, Stats, StatsFs, TimeLike } from 'node:fs'
import { ENOENT, ENOSYS, EOPNOTSUPP, EROFS } from '../../index.js'
import type { Statfs } from '../../index.js'
import { S_IFDIR, S_IFLNK, S_IFREG } from '../../syscalls/index.js'
import { idOf, modeOf, threeBitsOf, uint32Of, viewOf } from './arguments.js'
import { chmod, chown, status, utimes } from './attributes.js'
import type { Caller } from './caller.js'
import { bytesOfView } from './content.js'
import { FsDir } from './dir.js'
import { Failure, invalidType, systemErrorOf } from './failure.js'
import { MAY_WRITE, checkExecutable } from './identity.js'
import type { Kernel, Scope } from './kernel.js'
import { link, mkdir, rename, rmdir, symlink, unlink } from './names.js'
import type { Node } from './nodes.js'
import { bytesOf, decoded, encodingOf, shown } from './paths.js'
import { statsFsOf, statsOf } from './stats.js'
import { timestampOf } from './times.js'
import { find, readlink, requireAccess, walk } from './walk.js'
import { getxattr, listxattr, removexattr, setxattr } from './xattrs.js'

/** Whether the call is about a link itself or about what it points to. */
export interface FollowOptions {
  /** Follow a symbolic link at the end of the path. Default true. */
  follow?: boolean
}

/** Makes the calls; `dev` is the device number that they show. */
export function calls(caller: Caller, dev: number) {
  const at = <T>(
    syscall: string,
    path: PathLike,
    follow: boolean,
    action: (kernel: Kernel, node: Node) => Promise<T>,
  ): Promise<T> =>
    caller.run(
      syscall,
      async (kernel, scope) => action(kernel, await find(kernel, scope, bytesOf(path), follow)),
      path,
    )

  const stat =
    (follow: boolean, syscall: string) =>
    (path: PathLike, options?: { bigint?: boolean }): Promise<Stats | BigIntStats> =>
      at(syscall, path, follow, async (kernel, node) =>
        statsOf(await status(kernel, node), dev, options?.bigint),
      )
  const setTimes =
    (follow: boolean, syscall: string) =>
    async (path: PathLike, atime: TimeLike, mtime: TimeLike): Promise<void> => {
      const times = [timestampOf(atime, 'atime'), timestampOf(mtime, 'mtime')] as const
      return at(syscall, path, follow, (kernel, node) => utimes(kernel, node, ...times))
    }
  const setOwner =
    (follow: boolean, syscall: string) =>
    async (path: PathLike, uid: number, gid: number): Promise<void> => {
      const ids = [idOf(uid, 'uid'), idOf(gid, 'gid')] as const
      return at(syscall, path, follow, (kernel, node) => chown(kernel, node, ...ids))
    }
  const attribute = <T>(
    syscall: string,
    path: PathLike,
    name: unknown,
    options: FollowOptions | undefined,
    action: (kernel: Kernel, node: Node, name: string) => Promise<T>,
  ): Promise<T> => {
    if (typeof name !== 'string') throw invalidType('name', 'of type string', name)
    return at(syscall, path, options?.follow ?? true, (kernel, node) => action(kernel, node, name))
  }

  const view = {
    stat: stat(true, 'stat'),
    lstat: stat(false, 'lstat'),
    utimes: setTimes(true, 'utime'),
    lutimes: setTimes(false, 'lutime'),
    chown: setOwner(true, 'chown'),
    lchown: setOwner(false, 'lchown'),

    async chmod(path: PathLike, mode: number | string): Promise<void> {
      const bits = modeOf(mode)
      return at('chmod', path, true, (kernel, node) => chmod(kernel, node, bits))
    },

    /** Kernel: a symbolic link has no mode to change. */
    async lchmod(path: PathLike, mode: number | string): Promise<void> {
      const bits = modeOf(mode)
      return at('lchmod', path, false, (kernel, node) => {
        if (node.type === S_IFLNK) throw new Failure(EOPNOTSUPP)
        return chmod(kernel, node, bits)
      })
    },

    async access(path: PathLike, mode?: number): Promise<void> {
      const mask = threeBitsOf(mode)
      return at('access', path, true, async (kernel, node) => {
        const { attr } = await status(kernel, node)
        const kept = [S_IFREG, S_IFDIR, S_IFLNK].includes(node.type)
        if ((mask & MAY_WRITE) !== 0 && kernel.behaviour.readOnly && kept) throw new Failure(EROFS)
        if (kernel.behaviour.defaultPermissions) return requireAccess(kernel, node, mask)
        checkExecutable(attr, mask)
        await kernel.attempt('access', node.nodeid, { mask })
      })
    },

    opendir(path: PathLike, options?: OpenDirOptions | null): Promise<FsDir> {
      return caller.run(
        'opendir',
        async (kernel, scope) => {
          const encoding = encodingOf(options)
          const node = await find(kernel, scope, bytesOf(path), true)
          return FsDir.open(caller, kernel, node, shown(path), encoding, options?.recursive === true)
        },
        path,
      )
    },

    unlink(path: PathLike): Promise<void> {
      return caller.run('unlink', (kernel, scope) => unlink(kernel, scope, bytesOf(path)), path)
    },

    rmdirOne: (path: PathLike): Promise<void> =>
      caller.run('rmdir', (kernel, scope) => rmdir(kernel, scope, bytesOf(path)), path),

    mkdirOne: (path: PathLike, mode: number): Promise<void> =>
      caller.run('mkdir', (kernel, scope) => mkdir(kernel, scope, bytesOf(path), mode), path),

    rename(from: PathLike, to: PathLike): Promise<void> {
      return view.rename2(from, to, 0)
    },

    async rename2(from: PathLike, to: PathLike, flags: number): Promise<void> {
      const bits = uint32Of(flags, 'flags')
      const action = (kernel: Kernel, scope: Scope): Promise<void> =>
        rename(kernel, scope, bytesOf(from, 'oldPath'), bytesOf(to, 'newPath'), bits)
      return caller.run('rename', action, from, to)
    },

    link(existing: PathLike, path: PathLike): Promise<void> {
      const action = (kernel: Kernel, scope: Scope): Promise<void> =>
        link(kernel, scope, bytesOf(existing, 'existingPath'), bytesOf(path, 'newPath'))
      return caller.run('link', action, existing, path)
    },

    symlink(target: PathLike, path: PathLike): Promise<void> {
      const action = (kernel: Kernel, scope: Scope): Promise<void> =>
        symlink(kernel, scope, bytesOf(target, 'target'), bytesOf(path))
      return caller.run('symlink', action, target, path)
    },

    async readlink(path: PathLike, options?: unknown): Promise<string | Buffer> {
      const encoding = encodingOf(options)
      return decoded(await at('readlink', path, false, readlink), encoding)
    },

    async realpath(path: PathLike, options?: unknown): Promise<string | Buffer> {
      const encoding = encodingOf(options)
      const action = async (kernel: Kernel, scope: Scope): Promise<string | Buffer> => {
        const { names, name, node } = await walk(kernel, scope, bytesOf(path), true)
        if (node === undefined) throw new Failure(ENOENT)
        return decoded(`/${[...names, ...(name === '' ? [] : [name])].join('/')}`, encoding)
      }
      return caller.run('realpath', action, path)
    },

    statfs(path: PathLike, options?: { bigint?: boolean }): Promise<StatsFs | BigIntStatsFs> {
      return at('statfs', path, true, async (kernel, node) => {
        const reply = await kernel.call('statfs', node.nodeid)
        return statsFsOf(reply as Statfs, options?.bigint)
      })
    },

    async getxattr(path: PathLike, name: string, options?: FollowOptions): Promise<Buffer> {
      return attribute('getxattr', path, name, options, getxattr)
    },

    async setxattr(
      path: PathLike,
      name: string,
      value: string | Uint8Array,
      options?: FollowOptions & { flags?: number },
    ): Promise<void> {
      const bytes = typeof value === 'string' ? Buffer.from(value) : bytesOfView(viewOf(value, 'value'))
      const flags = uint32Of(options?.flags ?? 0, 'options.flags')
      return attribute('setxattr', path, name, options, (kernel, node, plain) =>
        setxattr(kernel, node, plain, bytes, flags),
      )
    },

    listxattr(path: PathLike, options?: FollowOptions): Promise<string[]> {
      return at('listxattr', path, options?.follow ?? true, listxattr)
    },

    async removexattr(path: PathLike, name: string, options?: FollowOptions): Promise<void> {
      return attribute('removexattr', path, name, options, removexattr)
    },

    watch(path: PathLike): never {
      throw systemErrorOf(new Failure(ENOSYS), 'watch', shown(path))
    },
  }
  return view
}
