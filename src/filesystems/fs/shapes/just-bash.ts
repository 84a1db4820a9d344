// just-bash's IFileSystem: whole files, no handles, and errors that say their code in words only.
import type { ContentLike, PathFilesystem, StatsLike } from '../path-filesystem.js'
import { bound, has } from './shape.js'
import type { Method, Shape, Thing } from './shape.js'

/** Adds the `code` that the message begins with. */
function coded(error: unknown): never {
  if (error instanceof Error && !('code' in error)) {
    const code = /^(E[A-Z0-9]+)\b/.exec(error.message)?.[1]
    if (code !== undefined) Object.assign(error, { code })
  }
  throw error
}

export const justBash: Shape = {
  name: 'just-bash IFileSystem',
  needs: 'readFileBuffer, writeFile, stat, readdir, mv and rm',
  fits: (thing) => has(thing, 'readFileBuffer', 'writeFile', 'stat', 'readdir', 'mv', 'rm'),
  adapt(thing: Thing): PathFilesystem {
    const call = (name: string): Method | undefined => {
      const method = bound(thing, name)
      return method && (async (...args) => Promise.resolve(method(...args)).catch(coded))
    }
    const need = (name: string): Method => call(name)!
    const lstat = (call('lstat') ?? need('stat')) as (path: string) => Promise<StatsLike>
    const readFile = need('readFileBuffer') as (path: string) => Promise<ContentLike>
    const [readdir, writeFile, rm, mv] = ['readdir', 'writeFile', 'rm', 'mv'].map(need)
    const [mkdir, readlink, symlink, link, chmod, utimes] = [
      'mkdir',
      'readlink',
      'symlink',
      'link',
      'chmod',
      'utimes',
    ].map(call)
    return {
      lstat: (path) => lstat(path),
      readdir: (path) => readdir(path) as Promise<string[]>,
      readFile: (path) => readFile(path),
      // It makes the file anew, with the mode of new ones.
      writeFile: async (path, data) => {
        const before = await lstat(path).catch(() => undefined)
        await writeFile(path, data)
        if (before?.mode !== undefined) await chmod?.(path, Number(before.mode) & 0o7777)
      },
      rm: (path, { recursive }) => rm(path, { recursive }),
      // It moves into a directory that is there, as mv(1) does; the empty one goes first.
      rename: async (from, to) => {
        const target = await lstat(to).catch(() => undefined)
        if (target !== undefined) await rm(to, { recursive: true })
        await mv(from, to)
      },
      ...(mkdir && { mkdir: (path) => mkdir(path) }),
      ...(readlink && { readlink: (path) => readlink(path) as Promise<string> }),
      ...(symlink && { symlink: (target, path) => symlink(target, path) }),
      ...(link && { link: (existing, path) => link(existing, path) }),
      ...(chmod && { chmod: (path, mode) => chmod(path, mode) }),
      ...(utimes && {
        utimes: (path, atime, mtime) => utimes(path, new Date(atime * 1000), new Date(mtime * 1000)),
      }),
    }
  },
}
