// The filesystems that the contract is tested on: each as its users have it, and the options that it needs.
import * as nodeFs from 'node:fs'
import { InMemory, configure, fs as zenfs } from '@zenfs/core'
import type { FsOptions } from 'devfuse/fs'
import { memfs } from 'memfs'
import { Union } from 'unionfs'
import { createStorage } from 'unstorage'
import fsDriver from 'unstorage/drivers/fs'
import memoryDriver from 'unstorage/drivers/memory'
import { PathHandles, WholeFiles, WholeFilesSync } from './objects.js'

export interface Subject {
  fs: object
  options?: FsOptions
}

/** Makes the subject; `directory` is an empty one on disk, for those that need it. */
export type Make = (directory: string) => Subject | Promise<Subject>

function only(object: object, names: readonly string[]): Record<string, unknown> {
  const methods = object as Record<string, (...args: unknown[]) => unknown>
  return Object.fromEntries(names.map((name) => [name, methods[name].bind(object)]))
}

const CALLBACKS = [
  'open',
  'close',
  'read',
  'write',
  'fstat',
  'ftruncate',
  'fsync',
  'lstat',
  'stat',
  'readdir',
  'readFile',
  'mkdir',
  'rmdir',
  'unlink',
  'rename',
  'symlink',
  'readlink',
  'link',
  'chmod',
  'lchown',
  'lutimes',
]

export const subjects: Record<string, Make> = {
  memfs: () => ({ fs: memfs({}).fs }),
  'memfs as { promises }': () => ({ fs: memfs({}).fs, options: { calls: 'async' } }),
  'promises of memfs': () => ({ fs: memfs({}).fs.promises }),
  'memfs, believed by the kernel': () => ({
    fs: memfs({}).fs,
    options: { entryValid: 5, attrValid: 5, negativeValid: 5 },
  }),
  'unionfs of two memfs': () => {
    const union = new Union()
    union.use(memfs({ '/lower': 'of the lower layer' }).fs as never).use(memfs({}).fs as never)
    return { fs: union }
  },
  '@zenfs/core in memory': async () => {
    await configure({ mounts: { '/': InMemory } })
    return { fs: zenfs }
  },
  'node:fs on a directory': (root) => ({ fs: nodeFs, options: { root } }),
  'node:fs/promises on a directory': (root) => ({ fs: nodeFs.promises, options: { root } }),
  'callbacks of node:fs': (root) => ({ fs: only(nodeFs, CALLBACKS), options: { root } }),
  'unstorage memory driver': () => ({ fs: memoryDriver() }),
  'unstorage storage': () => ({ fs: createStorage() }),
  'unstorage fs driver': (base) => ({ fs: fsDriver({ base, ignore: [] }) }),
  'whole files, no handles': () => ({ fs: new WholeFiles() }),
  'whole files, believed by the kernel': () => ({
    fs: new WholeFiles(),
    options: { entryValid: 5, attrValid: 5, negativeValid: 5 },
  }),
  'handles that hold a path': () => ({ fs: new PathHandles() }),
  'sync methods for whole files': () => ({ fs: new WholeFilesSync() }),
}
