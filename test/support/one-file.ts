// One file `f` in a mounted directory, with a real file behind it: what the passthrough tests open in every way.
import assert from 'node:assert/strict'
import { closeSync, openSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { ENOENT } from 'devfuse'
import type { Attr, Filesystem, OpenReply, Reply, Session, SessionOptions } from 'devfuse'
import { mounted, temporary } from './mounting.js'
import type { TestMount } from './mounting.js'

export interface OneFile {
  filesystem: Filesystem
  /** Descriptors open right now, by fh. */
  open: Map<number, number>
}

/** A directory with one file `f` that real file `path` stands behind. */
export function oneFile(path: string, reply: (fd: number, fh: number) => Reply<OpenReply>): OneFile {
  const open = new Map<number, number>()
  let next = 1
  const attr = (): Attr => {
    const { size, mode } = statSync(path)
    return { ino: 2, size, blocks: 0, mode, nlink: 1, uid: 0, gid: 0, atime: 0, mtime: 0, ctime: 0 }
  }
  const root: Attr = {
    ...{ ino: 1, size: 0, blocks: 0, nlink: 2, uid: 0, gid: 0, atime: 0, mtime: 0, ctime: 0 },
    mode: 0o040755,
  }
  return {
    open,
    filesystem: {
      lookup: ({ name }) => (name === 'f' ? { nodeid: 2, attr: attr() } : ENOENT),
      getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? root : attr() }),
      setattr: ({ nodeid }) => ({ attr: nodeid === 1 ? root : attr() }),
      open() {
        const fd = openSync(path, 'r+')
        const fh = next++
        open.set(fh, fd)
        return reply(fd, fh)
      },
      release({ fh }) {
        closeSync(open.get(fh) as number)
        open.delete(fh)
      },
    },
  }
}

/** A real file with this content, in a temporary directory. */
export function source(t: TestContext, content: string): string {
  const path = join(temporary(t), 'source')
  writeFileSync(path, content)
  return path
}

/** Requests of one kind that the session has seen. */
export function count(session: Session, operation: string): number {
  return session.stats().operations[operation]?.count ?? 0
}

/** Mounts the one file with `passthrough: fd`. */
export async function easy(
  t: TestContext,
  path: string,
  options: SessionOptions = {},
): Promise<TestMount & OneFile> {
  const file = oneFile(path, (fd, fh) => ({ fh, passthrough: fd }))
  return { ...file, ...(await mounted(t, file.filesystem, options)) }
}

/** Waits for a condition that the kernel brings about in its own time. */
export async function settled(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !condition(); i++) await new Promise((done) => setTimeout(done, 10))
  assert.ok(condition())
}
