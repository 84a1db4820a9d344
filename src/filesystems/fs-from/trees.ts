// The calls of node:fs/promises that are about many paths: recursive mkdir, readdir and rm, copies, temporary directories.
import { randomInt } from 'node:crypto'
import { constants } from 'node:fs'
import type { Dirent, MakeDirectoryOptions, PathLike, RmDirOptions, RmOptions } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { EEXIST, EISDIR, ENOSYS, ENOTDIR, ENOTEMPTY } from '../../index.js'
import { O_CREAT, O_EXCL, O_RDONLY, O_WRONLY } from '../../syscalls/index.js'
import { chmod, status } from './attributes.js'
import type { Caller } from './caller.js'
import type { calls } from './calls.js'
import { Failure, systemErrorOf } from './failure.js'
import type { Kernel, Scope } from './kernel.js'
import { open } from './open.js'
import type { OpenFile } from './open-file.js'
import { modeOf } from './options.js'
import { bytesOf, decoded, encodingOf, shown } from './paths.js'
import type { NameEncoding } from './paths.js'

type Calls = ReturnType<typeof calls>
type Code = NodeJS.ErrnoException['code']

const CHUNK = 1024 * 1024
const RETRIED: readonly Code[] = ['EBUSY', 'EMFILE', 'ENFILE', 'ENOTEMPTY', 'EPERM']
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

const codeOf = (error: unknown): Code => (error as NodeJS.ErrnoException).code

/** Makes the calls on top of those about one path. */
export function trees(caller: Caller, view: Calls) {
  /** Every directory on the way that is missing; the first one made, undefined where all were there. */
  async function mkdirAll(path: string, mode: number): Promise<string | undefined> {
    try {
      await view.mkdirOne(path, mode)
      return path
    } catch (error) {
      if (codeOf(error) === 'ENOENT') {
        const parent = parentPath(path)
        if (parent === path) throw error
        const first = await mkdirAll(parent, mode)
        await mkdirAll(path, mode)
        return first
      }
      const there = await view.stat(path).catch(() => undefined)
      if (there === undefined) throw error
      if (there.isDirectory()) return undefined
      throw systemErrorOf(new Failure(codeOf(error) === 'EEXIST' ? EEXIST : ENOTDIR), 'mkdir', path)
    }
  }

  async function removeTree(path: string, isDirectory: boolean): Promise<void> {
    if (!isDirectory) return view.unlink(path)
    for await (const entry of await view.opendir(path)) {
      await removeTree(`${path}/${entry.name}`, entry.isDirectory())
    }
    // What was missed because the listing moved on under us is found by another one.
    try {
      await view.rmdir(path)
    } catch (error) {
      if (codeOf(error) !== 'ENOTEMPTY') throw error
      for (const entry of await everything(path))
        await removeTree(`${path}/${entry.name}`, entry.isDirectory())
      await view.rmdir(path)
    }
  }

  async function everything(path: PathLike, encoding?: NameEncoding): Promise<Dirent[]> {
    const entries: Dirent[] = []
    for await (const entry of await view.opendir(path, { encoding: encoding as BufferEncoding }))
      entries.push(entry)
    return entries
  }

  async function retried(options: RmOptions, step: () => Promise<void>): Promise<void> {
    const { maxRetries = 0, retryDelay = 100 } = options
    for (let tried = 1; ; tried++) {
      try {
        return await step()
      } catch (error) {
        if (tried > maxRetries || !RETRIED.includes(codeOf(error))) throw error
        await delay(tried * retryDelay)
      }
    }
  }

  return {
    async mkdir(
      path: PathLike,
      options?: number | string | (MakeDirectoryOptions & { mode?: number | string }) | null,
    ): Promise<string | undefined> {
      const given = typeof options === 'object' && options !== null ? options : { mode: options }
      const mode = modeOf(given.mode, 0o777)
      if ((given as MakeDirectoryOptions).recursive) return mkdirAll(plain(path), mode)
      await view.mkdirOne(path, mode)
      return undefined
    },

    async rmdir(path: PathLike, options?: RmDirOptions): Promise<void> {
      if (!options?.recursive) return retried(options ?? {}, () => view.rmdir(path))
      const { recursive: _, ...rest } = options
      await this.rm(path, { ...rest, recursive: true })
    },

    async rm(path: PathLike, options: RmOptions = {}): Promise<void> {
      const top = plain(path)
      let isDirectory: boolean
      try {
        isDirectory = (await view.lstat(path)).isDirectory()
      } catch (error) {
        if (options.force && codeOf(error) === 'ENOENT') return
        throw systemErrorLike(error, 'rm')
      }
      if (isDirectory && !options.recursive) {
        const error = systemErrorOf(new Failure(EISDIR), 'rm', top)
        error.message = `Path is a directory: rm returned EISDIR (is a directory) ${top}`
        throw Object.assign(error, { code: 'ERR_FS_EISDIR' })
      }
      await retried(options, () => removeTree(top, isDirectory))
    },

    async readdir(
      path: PathLike,
      options?:
        | NameEncoding
        | { encoding?: NameEncoding | null; withFileTypes?: boolean; recursive?: boolean }
        | null,
    ): Promise<(string | Buffer)[] | Dirent[]> {
      const encoding = encodingOf(options)
      const given = typeof options === 'object' && options !== null ? options : {}
      const top = shown(path)
      const found: { entry: Dirent; name: string | Buffer }[] = []
      const pending: { path: PathLike; below: string }[] = [{ path, below: '' }]
      for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
        const { below } = next
        for (const entry of await listed(next.path, encoding)) {
          const name = joined(below, entry.name)
          found.push({ entry, name })
          if (given.recursive && entry.isDirectory())
            pending.push({ path: joined(`${top}/`, name), below: `${String(name)}/` })
        }
      }
      return given.withFileTypes ? found.map(({ entry }) => entry) : found.map(({ name }) => name as string)
    },

    async mkdtemp(prefix: string | Buffer | URL, options?: unknown): Promise<string | Buffer> {
      for (;;) {
        const random = Array.from({ length: 6 }, () => LETTERS[randomInt(LETTERS.length)]).join('')
        const path = plain(prefix) + random
        try {
          await view.mkdirOne(path, 0o700)
          return decoded(bytesOf(path), encodingOf(options))
        } catch (error) {
          const { errno = ENOTEMPTY } = error as NodeJS.ErrnoException
          if (errno !== EEXIST) throw systemErrorOf(new Failure(errno), 'mkdtemp', `${plain(prefix)}XXXXXX`)
        }
      }
    },

    async copyFile(from: PathLike, to: PathLike, mode = 0): Promise<void> {
      if ((mode & constants.COPYFILE_FICLONE_FORCE) !== 0)
        throw systemErrorOf(new Failure(ENOSYS), 'copyfile', shown(from), shown(to))
      const exclusive = (mode & constants.COPYFILE_EXCL) === 0 ? 0 : O_EXCL
      const action = async (kernel: Kernel, scope: Scope): Promise<void> => {
        const source = await open(kernel, scope, bytesOf(from, 'src'), O_RDONLY, 0)
        try {
          await copyContent(kernel, scope, source, bytesOf(to, 'dest'), exclusive)
        } finally {
          await source.close()
        }
      }
      await caller.run('copyfile', action, from, to)
    },
  }

  async function listed(path: PathLike, encoding: NameEncoding): Promise<Dirent[]> {
    try {
      return await everything(path, encoding)
    } catch (error) {
      throw systemErrorLike(error, 'scandir')
    }
  }
}

async function copyContent(
  kernel: Kernel,
  scope: Scope,
  source: OpenFile,
  path: string,
  exclusive: number,
): Promise<void> {
  if (source.isDirectory) throw new Failure(EISDIR)
  const { attr } = await status(kernel, source.node, source.attributeFh)
  const file = await open(kernel, scope, path, O_WRONLY | O_CREAT | exclusive, attr.mode)
  try {
    if (file.node === source.node) return
    await file.truncate(0)
    await chmod(kernel, file.node, attr.mode)
    await copyData(source, file, attr.size)
  } finally {
    await file.close()
  }
}

/** By copy_file_range where the filesystem has it, else through memory. */
async function copyData(source: OpenFile, file: OpenFile, size: number): Promise<void> {
  let at = 0
  while (at < size) {
    const copied = await source.copyTo(file, at, at, size - at)
    if (copied === undefined || copied === 0) break
    at += copied
  }
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK, Math.max(size - at, 4096)))
  for (let got = await source.read(buffer, at); got > 0; got = await source.read(buffer, at)) {
    for (let done = 0; done < got;) done += await file.write(buffer.subarray(done, got), at + done)
    at += got
  }
}

/** A path as text, for those calls that put paths together. */
function plain(path: PathLike): string {
  return Buffer.from(bytesOf(path), 'latin1').toString()
}

function parentPath(path: string): string {
  const trimmed = path.replace(/(?<=.)\/+$/, '')
  const slash = trimmed.lastIndexOf('/')
  return slash < 0 ? '.' : slash === 0 ? '/' : trimmed.slice(0, slash)
}

function joined(below: string, name: string | Buffer): string | Buffer {
  if (below === '') return name
  return typeof name === 'string' ? below + name : Buffer.concat([Buffer.from(below), name])
}

/** The same error as another call would say it. */
function systemErrorLike(error: unknown, syscall: string): unknown {
  const { errno, path, cause } = error as NodeJS.ErrnoException
  if (typeof errno !== 'number') return error
  return systemErrorOf(cause instanceof Failure ? cause : new Failure(errno), syscall, path)
}
