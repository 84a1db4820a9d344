// The calls of node:fs/promises that open a file, and those that open, work and close in one.
import type { PathLike } from 'node:fs'
import { O_APPEND, O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY } from '../../syscalls/index.js'
import { booleanOf, codingOf, modeOf, sizeOf } from './arguments.js'
import type { Coding } from './arguments.js'
import { requireTruncatable, status, truncate } from './attributes.js'
import type { Caller } from './caller.js'
import { contentOf, readAll, writeAll } from './content.js'
import { Failure, systemErrorOf, throwIfAborted } from './failure.js'
import { FsFileHandle } from './file-handle.js'
import type { Kernel } from './kernel.js'
import { flagsOf, open } from './open.js'
import type { OpenFile } from './open-file.js'
import { bytesOf, shown } from './paths.js'
import { find } from './walk.js'

/** A path, or a file that is open already. */
type Target = PathLike | FsFileHandle
type ReadOptions = Coding | { flag?: string | number }
type WriteOptions = Coding | { mode?: number | string; flag?: string | number; flush?: boolean }

const WRITES = O_WRONLY | O_CREAT | O_TRUNC
const APPENDS = O_WRONLY | O_CREAT | O_APPEND

/** Makes the calls; `dev` is the device number that handles show. */
export function fileCalls(caller: Caller, dev: number) {
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
          result = await saidBy(syscall, work(file, kernel), shown(path))
        } catch (error) {
          await file.close().catch(() => undefined)
          throw error
        }
        await saidBy('close', file.close())
        return result
      },
      path,
    )

  async function write(
    target: Target,
    data: unknown,
    options: WriteOptions,
    otherwise: number,
  ): Promise<void> {
    const { encoding, signal, mode, flag, flush } = codingOf(options as Exclude<WriteOptions, Coding>)
    const flags = flag ? flagsOf(flag) : otherwise
    const bits = modeOf(mode, 0o666)
    const flushes = booleanOf(flush, 'options.flush')
    const content = contentOf(data, encoding)
    if (target instanceof FsFileHandle) return target.writeFile(data, { encoding, signal })
    throwIfAborted(signal)
    const work = async (file: OpenFile): Promise<void> => {
      await writeAll(file, content, encoding, signal)
      if (flushes) await file.sync(false)
    }
    await withFile(target, flags, bits, work, 'write')
  }

  return {
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

    async truncate(path: PathLike, len = 0): Promise<void> {
      const size = sizeOf(len)
      return caller.run(
        'open',
        async (kernel, scope) => {
          const node = await find(kernel, scope, bytesOf(path), true)
          await requireTruncatable(kernel, node)
          await saidBy('ftruncate', truncate(kernel, node, size))
        },
        path,
      )
    },

    async readFile(target: Target, options?: ReadOptions): Promise<string | Buffer> {
      const { encoding, signal, flag } = codingOf(options as Exclude<ReadOptions, Coding>)
      if (target instanceof FsFileHandle) return target.readFile({ encoding, signal })
      const flags = flag ? flagsOf(flag) : O_RDONLY
      throwIfAborted(signal)
      const work = async (file: OpenFile, kernel: Kernel): Promise<Buffer> =>
        readAll(file, (await status(kernel, file.node, file.attributeFh)).attr.size, signal)
      const content = await withFile(target, flags, 0o666, work, 'read')
      return encoding ? content.toString(encoding) : content
    },

    writeFile: (target: Target, data: unknown, options?: WriteOptions): Promise<void> =>
      write(target, data, options, WRITES),

    appendFile: (target: Target, data: unknown, options?: WriteOptions): Promise<void> =>
      write(target, data, options, APPENDS),
  }
}

/** A failure of `work` is told as one of `syscall`. */
async function saidBy<T>(syscall: string, work: Promise<T>, path?: string): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw error instanceof Failure ? systemErrorOf(error, syscall, path) : error
  }
}
