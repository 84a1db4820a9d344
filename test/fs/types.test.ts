// What a user writes compiles as it is, and what is wrong does not: the compiler is the test.
import assert from 'node:assert/strict'
import * as nodeFs from 'node:fs'
import * as fsPromises from 'node:fs/promises'
import { it } from 'node:test'
import { memfs } from 'memfs'
import { fsFilesystem, mountFs } from 'devfuse/fs'
import type { PathFilesystem } from 'devfuse/fs'
import { createStorage } from 'unstorage'

class Own {
  readonly #size = 1
  async *readdir() {
    yield { name: 'a', size: this.#size }
  }
  readFile(path: string): string {
    return path
  }
}

export const right = [
  () => mountFs(memfs().fs, '/mnt'),
  () => mountFs(nodeFs, '/mnt', { root: '/srv' }),
  () => mountFs(fsPromises, '/mnt', { root: '/srv' }),
  () => mountFs(createStorage(), '/mnt'),
  () => mountFs(new Own(), '/mnt'),
  // Arguments of what is written in place have types.
  () =>
    mountFs(
      {
        async *readdir(path) {
          yield { name: path.slice(1), size: 1 }
        },
        readFile: async (path, { signal }) => (await fetch(path, { signal })).arrayBuffer(),
      },
      '/mnt',
    ),
  () => fsFilesystem(new Own()),
  // node's own handles are handles.
  (): PathFilesystem => ({ open: (path, flags, mode) => fsPromises.open(path, flags, mode) }),
]

export const wrong = [
  // @ts-expect-error: no content
  () => fsFilesystem({ readFile: () => 5 }),
  // @ts-expect-error: no number
  () => fsFilesystem({ lstat: () => ({ size: 'x' }) }),
  // @ts-expect-error: no object
  () => mountFs('memfs', '/mnt'),
  // @ts-expect-error: no such option
  () => mountFs(new Own(), '/mnt', { rooot: '/x' }),
]

it('compiles', () => assert.equal(right.length + wrong.length, 12))
