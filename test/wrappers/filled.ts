// A filesystem in memory with files in it, and views that must leave nothing open.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { fsFrom } from 'devfuse/fs'
import type { FsFromOptions, FsView } from 'devfuse/fs'
import type { Attr, Filesystem } from 'devfuse'
import { memoryFilesystem } from 'devfuse/memory'
import type { MemoryFilesystem } from 'devfuse/memory'
import { cleanup } from '../support/mounting.js'

/** Paths and contents; a path that ends in a slash is a directory. */
export type Content = Record<string, string>

/** Makes a filesystem in memory that holds `content`. */
export async function filled(content: Content): Promise<MemoryFilesystem> {
  const filesystem = memoryFilesystem()
  await using fs = fsFrom(filesystem)
  for (const [path, text] of Object.entries(content)) {
    if (path.endsWith('/')) await fs.mkdir(path, { recursive: true })
    else await fs.writeFile(path, text)
  }
  return filesystem
}

/** A view for the duration of a test, which fails if it leaves something open. */
export function viewed(t: TestContext, filesystem: Filesystem, options?: FsFromOptions): FsView {
  const fs = fsFrom(filesystem, options)
  cleanup(t, async () => assert.deepEqual(await fs.close(), { open: [], inodes: [] }))
  return fs
}

/** What a call that must fail fails with. */
export async function failure(call: Promise<unknown>): Promise<unknown> {
  try {
    await call
  } catch (error) {
    return (error as NodeJS.ErrnoException).code
  }
  return 'no failure'
}

/** Attributes of some directory. */
export const someDirectory: Attr = {
  ...{ ino: 7, mode: 0o040755, nlink: 2, size: 0, blocks: 0, uid: 0, gid: 0, atime: 0, mtime: 0, ctime: 0 },
}
