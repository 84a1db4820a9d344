// cp of node:fs/promises: files, links and, with `recursive`, whole trees.
import { posix } from 'node:path'
import type { CopyOptions, PathLike, Stats } from 'node:fs'
import { EEXIST, EINVAL, EISDIR, ENOTDIR } from '../../index.js'
import { booleanOf, objectOf, threeBitsOf } from './arguments.js'
import type { calls } from './calls.js'
import type { fileCopies } from './copy-file.js'
import { ignoreMissing, invalidType, refusal } from './failure.js'
import { anyBytesOf, text, wire } from './paths.js'
import type { trees } from './trees.js'

type View = ReturnType<typeof calls> & ReturnType<typeof fileCopies> & ReturnType<typeof trees>

/** Makes cp on top of the other calls. */
export function copies(view: View) {
  // Paths are bytes here, one per character.
  async function copy(from: string, to: string, options: CopyOptions): Promise<void> {
    if (options.filter !== undefined && !(await options.filter(text(from), text(to)))) return
    const source = (await (options.dereference ? view.stat(wire(from)) : view.lstat(wire(from)))) as Stats
    const target = (await view.lstat(wire(to)).catch(ignoreMissing)) as Stats | undefined
    if (target !== undefined && source.ino === target.ino)
      throw refused('EINVAL', EINVAL, 'src and dest cannot be the same', to)
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
      const message = `${text(from)} is a directory (not copied)`
      const info = { errno: EISDIR, message, syscall: 'cp', path: text(from) }
      throw refusal('ERR_FS_EISDIR', 'Recursive option not enabled, cannot copy a directory', info)
    }
    if (target !== undefined && !target.isDirectory()) {
      const message = `cannot overwrite non-directory ${text(to)} with directory ${text(from)}`
      throw refused('DIR_TO_NON_DIR', EISDIR, message, to)
    }
    if (`${posix.resolve('/', to)}/`.startsWith(`${posix.resolve('/', from)}/`)) {
      const message = `cannot copy ${text(from)} to a subdirectory of self ${text(to)}`
      throw refused('EINVAL', EINVAL, message, to)
    }
    if (target === undefined) await view.mkdir(wire(to), { recursive: true })
    for (const name of (await view.readdir(wire(from), 'latin1')) as string[])
      await copy(posix.join(from, name), posix.join(to, name), options)
    // Last, because it may take away the right to write into it.
    if (target === undefined) await view.chmod(wire(to), source.mode & 0o7777)
    if (options.preserveTimestamps) await view.utimes(wire(to), source.atime, source.mtime)
  }

  async function copyOther(
    from: string,
    to: string,
    source: Stats,
    target: Stats | undefined,
    options: CopyOptions,
  ): Promise<void> {
    const { force = true, errorOnExist = false, verbatimSymlinks = false } = options
    if (target?.isDirectory()) {
      const message = `cannot overwrite directory ${text(to)} with non-directory ${text(from)}`
      throw refused('NON_DIR_TO_DIR', ENOTDIR, message, to)
    }
    if (target !== undefined && !force) {
      if (errorOnExist) throw refused('EEXIST', EEXIST, `${text(to)} already exists`, to)
      return
    }
    if (target === undefined) await view.mkdir(wire(posix.dirname(to)), { recursive: true })
    else await view.unlink(wire(to))
    if (source.isSymbolicLink()) {
      const link = (await view.readlink(wire(from), 'latin1')) as string
      const resolved = verbatimSymlinks ? link : posix.resolve('/', posix.dirname(from), link)
      await view.symlink(wire(resolved), wire(to))
      return
    }
    if (!source.isFile())
      throw refused('EINVAL', EINVAL, `cannot copy a device, pipe or socket: ${text(from)}`, to)
    await view.copyFile(wire(from), wire(to), options.mode)
    if (options.preserveTimestamps) await view.utimes(wire(to), source.atime, source.mtime)
  }

  return {
    async cp(from: PathLike, to: PathLike, options?: CopyOptions): Promise<void> {
      const given = checked(options)
      await copy(anyBytesOf(from, 'src'), anyBytesOf(to, 'dest'), given)
    },
  }
}

const FLAGS = [
  ...(['dereference', 'errorOnExist', 'force', 'preserveTimestamps'] as const),
  ...(['recursive', 'verbatimSymlinks'] as const),
]

function checked(options: CopyOptions | undefined): CopyOptions {
  const given = objectOf(options)
  for (const flag of FLAGS) booleanOf(given[flag], `options.${flag}`)
  threeBitsOf(given.mode)
  if (given.dereference && given.verbatimSymlinks) {
    const message = 'Option "dereference" cannot be used in combination with option "verbatimSymlinks"'
    throw Object.assign(new TypeError(message), { code: 'ERR_INCOMPATIBLE_OPTION_PAIR' })
  }
  if (given.filter !== undefined && typeof given.filter !== 'function')
    throw invalidType('options.filter', 'of type function', given.filter)
  return given
}

const SUMMARIES = {
  DIR_TO_NON_DIR: 'Cannot overwrite non-directory with directory',
  EEXIST: 'Target already exists',
  EINVAL: 'Invalid src or dest',
  NON_DIR_TO_DIR: 'Cannot overwrite directory with non-directory',
}

/** The errors of cp have names of their own. */
function refused(code: keyof typeof SUMMARIES, errno: number, message: string, path: string): Error {
  return refusal(`ERR_FS_CP_${code}`, SUMMARIES[code], { errno, message, syscall: 'cp', path: text(path) })
}
