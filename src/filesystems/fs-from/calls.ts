// The calls of node:fs/promises that are about one path, each a handful of requests.
import type { BigIntStats, BigIntStatsFs, OpenDirOptions, PathLike, Stats, StatsFs, TimeLike } from 'node:fs'
import { ENOENT, ENOSYS, EOPNOTSUPP, EROFS } from '../../index.js'
import type { Statfs } from '../../index.js'
import { O_CREAT, O_TRUNC, O_WRONLY, S_IFDIR, S_IFLNK, S_IFREG } from '../../syscalls/index.js'
import { chmod, chown, status, truncate, utimes } from './attributes.js'
import type { Caller } from './caller.js'
import { writeAll, readAll } from './content.js'
import { FsDir } from './dir.js'
import { Failure, systemErrorOf, throwIfAborted } from './failure.js'
import { FsFileHandle, codingOf } from './file-handle.js'
import { MAY_WRITE, checkExecutable } from './identity.js'
import type { Kernel, Scope } from './kernel.js'
import { link, mkdir, rename, rmdir, symlink, unlink } from './names.js'
import type { Node } from './nodes.js'
import { flagsOf, open } from './open.js'
import type { OpenFile } from './open-file.js'
import { modeOf } from './options.js'
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

/** A path, or a file that is open already. */
type Target = PathLike | FsFileHandle
type Coding = Parameters<typeof codingOf>[0]
type WriteOptions = Coding | { mode?: number | string; flag?: string; flush?: boolean }

/** Makes the calls; `dev` is the device number that they show. */
export function calls(caller: Caller, dev: number) {
  const at =
    <Rest extends unknown[], T>(
      syscall: string,
      follow: boolean,
      action: (kernel: Kernel, node: Node, ...rest: Rest) => Promise<T>,
    ) =>
    (path: PathLike, ...rest: Rest): Promise<T> =>
      caller.run(
        syscall,
        async (kernel, scope) => action(kernel, await find(kernel, scope, bytesOf(path), follow), ...rest),
        path,
      )
  const named =
    <Rest extends unknown[]>(
      syscall: string,
      action: (kernel: Kernel, scope: Scope, path: string, ...rest: Rest) => Promise<void>,
    ) =>
    (path: PathLike, ...rest: Rest): Promise<void> =>
      caller.run(syscall, (kernel, scope) => action(kernel, scope, bytesOf(path), ...rest), path)

  const stat = (follow: boolean, syscall: string) =>
    at(syscall, follow, async (kernel, node, options?: { bigint?: boolean }): Promise<Stats | BigIntStats> =>
      statsOf(await status(kernel, node), dev, options?.bigint),
    )
  const setTimes =
    (follow: boolean, syscall: string) => (path: PathLike, atime: TimeLike, mtime: TimeLike) => {
      const times = [timestampOf(atime, 'atime'), timestampOf(mtime, 'mtime')] as const
      return at(syscall, follow, (kernel, node) => utimes(kernel, node, ...times))(path)
    }
  const setOwner = (follow: boolean, syscall: string) =>
    at(syscall, follow, (kernel, node, uid: number, gid: number) => chown(kernel, node, uid, gid))
  const attribute =
    <Rest extends unknown[], T>(
      syscall: string,
      action: (kernel: Kernel, node: Node, ...rest: Rest) => Promise<T>,
    ) =>
    (path: PathLike, options: FollowOptions | undefined, ...rest: Rest): Promise<T> =>
      at(syscall, options?.follow ?? true, action)(path, ...rest)

  /** Opens, works, and closes whatever happens. */
  const withFile = <T>(
    path: PathLike,
    flags: number,
    mode: number,
    work: (file: OpenFile, kernel: Kernel) => Promise<T>,
    syscall: string,
  ): Promise<T> =>
    caller.run(
      'open',
      async (kernel, scope) => {
        const file = await open(kernel, scope, bytesOf(path), flags, mode)
        let result: T
        try {
          result = await work(file, kernel)
        } catch (error) {
          await file.close().catch(() => undefined)
          throw error instanceof Failure ? systemErrorOf(error, syscall, shown(path)) : error
        }
        await file.close()
        return result
      },
      path,
    )

  const view = {
    stat: stat(true, 'stat'),
    lstat: stat(false, 'lstat'),
    truncate: at('truncate', true, (kernel, node, size: number = 0) =>
      truncate(kernel, node, Math.max(0, size)),
    ),
    utimes: setTimes(true, 'utime'),
    lutimes: setTimes(false, 'lutime'),
    chown: setOwner(true, 'chown'),
    lchown: setOwner(false, 'lchown'),
    chmod: at('chmod', true, (kernel, node, mode: number | string) => chmod(kernel, node, modeOf(mode, 0))),
    /** Kernel: a symbolic link has no mode to change. */
    lchmod: at('lchmod', false, (kernel, node, mode: number | string) => {
      if (node.type === S_IFLNK) throw new Failure(EOPNOTSUPP)
      return chmod(kernel, node, modeOf(mode, 0))
    }),
    unlink: named('unlink', unlink),
    rmdirOne: named('rmdir', rmdir),

    access: at('access', true, async (kernel, node, mode: number = 0) => {
      const { attr } = await status(kernel, node)
      if (
        (mode & MAY_WRITE) !== 0 &&
        kernel.behaviour.readOnly &&
        [S_IFREG, S_IFDIR, S_IFLNK].includes(node.type)
      )
        throw new Failure(EROFS)
      if (kernel.behaviour.defaultPermissions) return requireAccess(kernel, node, mode)
      checkExecutable(attr, mode)
      await kernel.attempt('access', node.nodeid, { mask: mode })
    }),

    open(path: PathLike, flags?: string | number, mode?: number | string): Promise<FsFileHandle> {
      return caller.run(
        'open',
        async (kernel, scope) => {
          const file = await open(kernel, scope, bytesOf(path), flagsOf(flags), modeOf(mode, 0o666))
          return new FsFileHandle(caller, file, shown(path), dev)
        },
        path,
      )
    },

    opendir(path: PathLike, options?: OpenDirOptions | null): Promise<FsDir> {
      return caller.run(
        'opendir',
        async (kernel, scope) => {
          const node = await find(kernel, scope, bytesOf(path), true)
          return FsDir.open(caller, kernel, node, shown(path), options ?? {})
        },
        path,
      )
    },

    async readFile(target: Target, options?: Coding & { flag?: string }): Promise<string | Buffer> {
      if (target instanceof FsFileHandle) return target.readFile(options)
      const { encoding, signal, flag } = codingOf(options) as { flag?: string } & ReturnType<typeof codingOf>
      throwIfAborted(signal)
      const content = await withFile(
        target,
        flagsOf(flag),
        0o666,
        async (file, kernel) =>
          readAll(file, (await status(kernel, file.node, file.attributeFh)).attr.size, signal),
        'read',
      )
      return encoding ? content.toString(encoding) : content
    },

    async writeFile(target: Target, data: unknown, options?: WriteOptions): Promise<void> {
      if (target instanceof FsFileHandle) return target.writeFile(data, options as Coding)
      const given = codingOf(options as Coding) as ReturnType<typeof codingOf> & Record<string, unknown>
      const { encoding, signal, mode, flag, flush } = given
      throwIfAborted(signal)
      const flags = flag === undefined ? O_WRONLY | O_CREAT | O_TRUNC : flagsOf(flag as string)
      const work = async (file: OpenFile): Promise<void> => {
        await writeAll(file, data, encoding ?? 'utf8', signal)
        if (flush) await file.sync(false)
      }
      await withFile(target, flags, modeOf(mode as number, 0o666), work, 'write')
    },

    appendFile(target: Target, data: unknown, options?: WriteOptions): Promise<void> {
      const given = codingOf(options as Coding)
      if (target instanceof FsFileHandle) return target.appendFile(data, given)
      return view.writeFile(target, data, { flag: 'a', ...given })
    },

    rename(from: PathLike, to: PathLike): Promise<void> {
      return view.rename2(from, to, 0)
    },

    rename2(from: PathLike, to: PathLike, flags: number): Promise<void> {
      const action = (kernel: Kernel, scope: Scope): Promise<void> =>
        rename(kernel, scope, bytesOf(from, 'oldPath'), bytesOf(to, 'newPath'), flags)
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

    mkdirOne: named('mkdir', (kernel, scope, path, mode: number) => mkdir(kernel, scope, path, mode)),

    readlink(path: PathLike, options?: unknown): Promise<string | Buffer> {
      const action = at('readlink', false, (kernel, node) => readlink(kernel, node))
      return action(path).then((target) => decoded(target, encodingOf(options)))
    },

    realpath(path: PathLike, options?: unknown): Promise<string | Buffer> {
      const action = async (kernel: Kernel, scope: Scope): Promise<string | Buffer> => {
        const { names, name, node } = await walk(kernel, scope, bytesOf(path), true)
        if (node === undefined) throw new Failure(ENOENT)
        return decoded(`/${[...names, ...(name === '' ? [] : [name])].join('/')}`, encodingOf(options))
      }
      return caller.run('realpath', action, path)
    },

    statfs: at(
      'statfs',
      true,
      async (kernel, node, options?: { bigint?: boolean }): Promise<StatsFs | BigIntStatsFs> => {
        const reply = await kernel.call('statfs', node.nodeid)
        return statsFsOf(reply as Statfs, options?.bigint)
      },
    ),

    getxattr: (path: PathLike, name: string, options?: FollowOptions): Promise<Buffer> =>
      attribute('getxattr', getxattr)(path, options, name),
    setxattr: (
      path: PathLike,
      name: string,
      value: string | Uint8Array,
      options?: FollowOptions & { flags?: number },
    ): Promise<void> =>
      attribute('setxattr', setxattr)(path, options, name, Buffer.from(value as string), options?.flags ?? 0),
    listxattr: (path: PathLike, options?: FollowOptions): Promise<string[]> =>
      attribute('listxattr', listxattr)(path, options),
    removexattr: (path: PathLike, name: string, options?: FollowOptions): Promise<void> =>
      attribute('removexattr', removexattr)(path, options, name),

    watch(path: PathLike): never {
      throw systemErrorOf(new Failure(ENOSYS), 'watch', shown(path))
    },
  }
  return view
}
