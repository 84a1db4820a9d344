// rm and rmdir of node:fs/promises, with all that is below.
import type { PathLike, RmDirOptions, RmOptions } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { EISDIR } from '../../index.js'
import { booleanOf, integerOf, objectOf, uint32Of } from './arguments.js'
import type { calls } from './calls.js'
import { ignoreMissing, refusal } from './failure.js'
import { anyBytesOf, text, under, wire } from './paths.js'

type Calls = ReturnType<typeof calls>
type Code = NodeJS.ErrnoException['code']

const RETRIED: readonly Code[] = ['EBUSY', 'EMFILE', 'ENFILE', 'ENOTEMPTY', 'EPERM']

const codeOf = (error: unknown): Code => (error as NodeJS.ErrnoException).code

/** Makes the calls on top of those about one path. */
export function removals(view: Calls) {
  async function removeTree(path: string, isDirectory: boolean): Promise<void> {
    if (!isDirectory) return view.unlink(wire(path)).catch(ignoreMissing)
    await removeContent(path).catch(ignoreMissing)
    try {
      await view.rmdirOne(wire(path)).catch(ignoreMissing)
    } catch (error) {
      // What was missed because the listing moved on under us is found by another one.
      if (codeOf(error) !== 'ENOTEMPTY') throw error
      await removeContent(path).catch(ignoreMissing)
      await view.rmdirOne(wire(path)).catch(ignoreMissing)
    }
  }

  async function removeContent(path: string): Promise<void> {
    for await (const entry of await view.opendir(wire(path), { encoding: 'latin1' }))
      await removeTree(under(path, entry.name), entry.isDirectory())
  }

  async function remove(path: string, isDirectory: boolean, options: Removal): Promise<void> {
    for (let tried = 1; ; tried++) {
      try {
        return await removeTree(path, isDirectory)
      } catch (error) {
        if (tried > options.maxRetries || !RETRIED.includes(codeOf(error))) throw error
        await delay(tried * options.retryDelay)
      }
    }
  }

  return {
    async rmdir(path: PathLike, options?: RmDirOptions): Promise<void> {
      const given = removalOf(options)
      if (!given.recursive || !(await view.stat(path)).isDirectory()) return view.rmdirOne(path)
      await remove(anyBytesOf(path), (await view.lstat(path)).isDirectory(), given)
    },

    async rm(path: PathLike, options?: RmOptions): Promise<void> {
      const given = removalOf(options)
      const top = anyBytesOf(path)
      let isDirectory: boolean
      try {
        isDirectory = (await view.lstat(path)).isDirectory()
      } catch (error) {
        if (given.force && codeOf(error) === 'ENOENT') return
        throw error
      }
      if (isDirectory && !given.recursive) {
        const info = { errno: EISDIR, message: 'is a directory', syscall: 'rm', path: text(top) }
        throw refusal('ERR_FS_EISDIR', 'Path is a directory', info)
      }
      await remove(top, isDirectory, given)
    },
  }
}

interface Removal {
  recursive: boolean
  force: boolean
  maxRetries: number
  retryDelay: number
}

function removalOf(options: RmOptions | undefined): Removal {
  const { recursive, force, maxRetries = 0, retryDelay = 100 } = objectOf(options)
  return {
    recursive: booleanOf(recursive, 'options.recursive'),
    force: booleanOf(force, 'options.force'),
    maxRetries: uint32Of(maxRetries, 'options.maxRetries'),
    retryDelay: integerOf(retryDelay, 'options.retryDelay', 0, 0x7fff_ffff),
  }
}
