// copyFile of node:fs/promises: by copy_file_range(2) where the filesystem has it, and no destination left behind that is half a copy.
import { constants } from 'node:fs'
import type { PathLike } from 'node:fs'
import { EISDIR, ENOSYS } from '../../index.js'
import { O_CREAT, O_EXCL, O_RDONLY, O_WRONLY } from '../../syscalls/index.js'
import { threeBitsOf } from './arguments.js'
import { chmod, status } from './attributes.js'
import type { Caller } from './caller.js'
import { writeBytes } from './content.js'
import { Failure } from './failure.js'
import type { Kernel, Scope } from './kernel.js'
import { unlink } from './names.js'
import { open } from './open.js'
import type { OpenFile } from './open-file.js'
import { bytesOf } from './paths.js'

const CHUNK = 1024 * 1024

export function fileCopies(caller: Caller) {
  return {
    async copyFile(from: PathLike, to: PathLike, mode?: number): Promise<void> {
      const bits = threeBitsOf(mode)
      const exclusive = (bits & constants.COPYFILE_EXCL) === 0 ? 0 : O_EXCL
      const action = async (kernel: Kernel, scope: Scope): Promise<void> => {
        const paths = [bytesOf(from, 'src'), bytesOf(to, 'dest')] as const
        if ((bits & constants.COPYFILE_FICLONE_FORCE) !== 0) throw new Failure(ENOSYS)
        await copy(kernel, scope, ...paths, exclusive)
      }
      await caller.run('copyfile', action, from, to)
    },
  }
}

/** uv_fs_copyfile of libuv. */
async function copy(
  kernel: Kernel,
  scope: Scope,
  from: string,
  to: string,
  exclusive: number,
): Promise<void> {
  const source = await open(kernel, scope, from, O_RDONLY, 0)
  const files = [source]
  const failures: unknown[] = []
  try {
    if (source.isDirectory) throw new Failure(EISDIR)
    const { attr } = await status(kernel, source.node, source.attributeFh)
    const file = await open(kernel, scope, to, O_WRONLY | O_CREAT | exclusive, attr.mode)
    files.push(file)
    if (file.node !== source.node) {
      await file.truncate(0)
      await chmod(kernel, file.node, attr.mode)
      await copyData(source, file, attr.size)
    }
  } catch (error) {
    failures.push(error)
  }
  for (const file of files) await file.close().catch((error: unknown) => failures.push(error))
  if (failures.length === 0) return
  const made = files.length > 1 && files[1].node !== source.node
  if (made) await unlink(kernel, scope, to).catch(() => undefined)
  throw failures[0]
}

async function copyData(source: OpenFile, file: OpenFile, size: number): Promise<void> {
  let at = 0
  while (at < size) {
    const copied = await source.copyTo(file, at, at, size - at)
    if (copied === undefined || copied === 0) break
    at += copied
  }
  const buffer = Buffer.allocUnsafe(Math.min(CHUNK, Math.max(size - at, 4096)))
  for (let got = await source.read(buffer, at); got > 0; got = await source.read(buffer, at)) {
    await writeBytes(file, buffer.subarray(0, got), at)
    at += got
  }
}
