// cp of node:fs/promises: files, links and, with `recursive`, whole trees.
import { posix } from 'node:path'
import type { CopyOptions, PathLike, Stats } from 'node:fs'
import { EEXIST, EINVAL, EISDIR, ENOTDIR } from '../../index.js'
import { Failure, systemErrorOf } from './failure.js'
import type { calls } from './calls.js'
import { shown } from './paths.js'
import type { trees } from './trees.js'

type View = ReturnType<typeof calls> & ReturnType<typeof trees>

/** Makes cp on top of the other calls. */
export function copies(view: View) {
  async function copy(from: string, to: string, options: CopyOptions): Promise<void> {
    if (options.filter !== undefined && !(await options.filter(from, to))) return
    const source = (await (options.dereference ? view.stat(from) : view.lstat(from))) as Stats
    const target = (await view.lstat(to).catch(ignoreMissing)) as Stats | undefined
    if (target !== undefined && source.ino === target.ino)
      throw refusal(EINVAL, 'EINVAL', 'src and dest cannot be the same', to)
    if (source.isDirectory()) await copyDirectory(from, to, source, target, options)
    else await copyOther(from, to, source, target, options)
  }

  async function copyDirectory(
    from: string,
    to: string,
    source: Stats,
    target: Stats | undefined,
    options: CopyOptions,
  ): Promise<void> {
    if (!options.recursive) {
      const message = `Recursive option not enabled, cannot copy a directory: cp returned EISDIR (${from} is a directory (not copied)) ${from}`
      throw Object.assign(new Error(message), {
        code: 'ERR_FS_EISDIR',
        errno: EISDIR,
        syscall: 'cp',
        path: from,
      })
    }
    if (target !== undefined && !target.isDirectory())
      throw refusal(
        ENOTDIR,
        'DIR_TO_NON_DIR',
        `cannot overwrite non-directory ${to} with directory ${from}`,
        to,
      )
    if (`${posix.resolve('/', to)}/`.startsWith(`${posix.resolve('/', from)}/`))
      throw refusal(EINVAL, 'EINVAL', `cannot copy ${from} to a subdirectory of self ${to}`, to)
    if (target === undefined) await view.mkdir(to, { recursive: true })
    for (const name of (await view.readdir(from)) as string[])
      await copy(posix.join(from, name), posix.join(to, name), options)
    // Last, because it may take away the right to write into it.
    if (target === undefined) await view.chmod(to, source.mode & 0o7777)
    if (options.preserveTimestamps) await view.utimes(to, source.atime, source.mtime)
  }

  async function copyOther(
    from: string,
    to: string,
    source: Stats,
    target: Stats | undefined,
    options: CopyOptions,
  ): Promise<void> {
    const { force = true, errorOnExist = false, verbatimSymlinks = false } = options
    if (target?.isDirectory())
      throw refusal(
        EISDIR,
        'NON_DIR_TO_DIR',
        `cannot overwrite directory ${to} with non-directory ${from}`,
        to,
      )
    if (target !== undefined && !force) {
      if (errorOnExist) throw refusal(EEXIST, 'EEXIST', `${to} already exists`, to)
      return
    }
    if (target === undefined) await view.mkdir(posix.dirname(to), { recursive: true })
    else await view.unlink(to)
    if (source.isSymbolicLink()) {
      const link = (await view.readlink(from)) as string
      await view.symlink(verbatimSymlinks ? link : posix.resolve('/', posix.dirname(from), link), to)
      return
    }
    if (!source.isFile()) throw refusal(EINVAL, 'EINVAL', `cannot copy a device, pipe or socket: ${from}`, to)
    await view.copyFile(from, to, options.mode)
    if (options.preserveTimestamps) await view.utimes(to, source.atime, source.mtime)
  }

  return {
    async cp(from: PathLike, to: PathLike, options: CopyOptions = {}): Promise<void> {
      await copy(shown(from), shown(to), options)
    },
  }
}

/** The errors of cp have names of their own. */
function refusal(errno: number, code: string, message: string, path: string): Error {
  const error = systemErrorOf(new Failure(errno), 'cp', path)
  error.message = message
  return Object.assign(error, { code: `ERR_FS_CP_${code}` })
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
