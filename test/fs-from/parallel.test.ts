// Calls of fsFrom that are under way at the same time: on one handle, on one file, on one listing, and while it is closed.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import type { Filesystem } from 'devfuse'
import { fsFrom } from 'devfuse/fs'
import { memoryFilesystem } from 'devfuse/memory'
import { codeOf } from './compared.js'
import { file, recorded, root, small } from './small.js'

/** Handlers of which `names` answer only when they are let. */
function gated(inner: Filesystem, ...names: ('write' | 'read' | 'readdir')[]): [Filesystem, () => void] {
  let open!: () => void
  const gate = new Promise<void>((resolve) => (open = resolve))
  const held = names.map((name) => {
    const handler = inner[name] as (request: object) => unknown
    return [name, (request: object) => gate.then(() => handler.call(inner, request))]
  })
  return [{ ...inner, ...Object.fromEntries(held) } as Filesystem, open]
}

/** Lets everything happen that waits for nothing else. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
}

describe('closing a handle', { timeout: 30_000 }, () => {
  const handlers: Filesystem = {
    open: () => ({ fh: 5 }),
    flush: () => undefined,
    release: () => undefined,
    write: ({ size }) => size,
  }

  it('waits for the calls under way, and refuses new ones', async () => {
    const [held, letGo] = gated({ ...small(), ...handlers }, 'write')
    const { fs, names } = recorded(held, { maxWrite: 4096 })
    const handle = await fs.open('/hello', 'r+')
    const writing = handle.write(Buffer.alloc(3 * 4096), 0, 3 * 4096, 0)
    const closing = handle.close()
    assert.equal(await handle.stat().catch(codeOf), 'EBADF')
    await settle()
    assert.ok(!names().includes('release'))
    letGo()
    assert.equal((await writing).bytesWritten, 3 * 4096)
    await closing
    assert.deepEqual(names(), ['write', 'write', 'write', 'flush', 'release'])
    assert.deepEqual(await fs.close(), { open: [], inodes: [] })
  })

  it('ends its streams, with all that was written to them', async () => {
    await using fs = fsFrom(memoryFilesystem())
    const handle = await fs.open('/a', 'w')
    const out = handle.createWriteStream()
    out.write('one ')
    out.write('two')
    await handle.close()
    assert.ok(out.destroyed)
    assert.equal(await fs.readFile('/a', 'utf8'), 'one two')
    const again = await fs.open('/a')
    assert.throws(() => again.createReadStream({ start: 'x' as never }))
    const stream = again.createReadStream()
    const read = once(stream, 'close')
    await again.close()
    await read
  })

  it('does not keep a view open, when a call never ends', async () => {
    const never = new Promise<never>(() => undefined)
    const fs = fsFrom(small({ ...handlers, read: () => never }), { interruptGrace: 20 })
    const handle = await fs.open('/hello')
    const failed = assert.rejects(handle.read(), { code: 'ECONNABORTED' })
    await settle()
    assert.deepEqual(await fs.close(), { open: ['/hello'], inodes: [2] })
    await failed
  })

  it('does not keep a view open, when nobody reads a stream', async () => {
    const released: unknown[] = []
    const fs = fsFrom(small({ ...handlers, release: ({ fh }) => void released.push(fh) }))
    ;(await fs.open('/hello')).createReadStream()
    assert.deepEqual(await fs.close(), { open: ['/hello'], inodes: [] })
    assert.deepEqual(released, [5])
  })

  it('does not keep a view open, when a listing never ends', async () => {
    let more = false
    const never = new Promise<never>(() => undefined)
    const fs = fsFrom(small({ readdir: () => (more ? never : [{ name: 'hello', ino: 2, type: 8 }]) }), {
      interruptGrace: 20,
    })
    const dir = await fs.opendir('/')
    await dir.read()
    more = true
    const failed = assert.rejects(dir.read(), { code: 'ECONNABORTED' })
    await settle()
    assert.deepEqual((await fs.close()).open, ['/'])
    await failed
  })
})

describe('writes at the same time', { timeout: 30_000 }, () => {
  it('append one after the other', async () => {
    await using fs = fsFrom(memoryFilesystem())
    await fs.writeFile('/a', '')
    await Promise.all(Array.from({ length: 20 }, (_, i) => fs.appendFile('/a', `line ${i}\n`)))
    assert.equal((await fs.readFile('/a', 'utf8')).split('\n').length, 21)
  })

  it('append to what a truncation leaves', async () => {
    await using fs = fsFrom(memoryFilesystem())
    await fs.writeFile('/a', 'before')
    await using handle = await fs.open('/a', 'a')
    const open = await fs.open('/a', 'r+')
    await Promise.all([handle.write('x'), open.truncate(0), handle.write('y')])
    await open.close()
    assert.equal(await fs.readFile('/a', 'utf8'), 'y')
  })

  it('share the place where the file stands', async () => {
    await using fs = fsFrom(memoryFilesystem())
    await using handle = await fs.open('/a', 'w+')
    await Promise.all(['a', 'b', 'c'].map((letter) => handle.write(letter)))
    assert.equal(await fs.readFile('/a', 'utf8'), 'abc')
    const again = await fs.open('/a')
    const read = await Promise.all([1, 2, 3].map(() => again.read(Buffer.alloc(1))))
    await again.close()
    assert.equal(read.map(({ buffer }) => String(buffer)).join(''), 'abc')
  })

  it('are at work together where the filesystem asked for it', async () => {
    const FOPEN_DIRECT_IO = 1
    const FOPEN_PARALLEL_DIRECT_WRITES = 64
    for (const [openFlags, most] of [
      [FOPEN_DIRECT_IO, 1],
      [FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES, 2],
    ]) {
      let now = 0
      let seen = 0
      const fs = fsFrom(
        small({
          open: () => ({ fh: 1, openFlags }),
          getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? root : file }),
          write: async ({ size }) => {
            seen = Math.max(seen, ++now)
            await settle()
            now--
            return size
          },
        }),
      )
      await using handle = await fs.open('/hello', 'r+')
      await Promise.all([handle.write('a', 0), handle.write('b', 1)])
      assert.equal(seen, most)
    }
  })
})

describe('reads of a listing at the same time', { timeout: 30_000 }, () => {
  it('get every entry once', async () => {
    await using fs = fsFrom(memoryFilesystem())
    await fs.mkdir('/a/b/c', { recursive: true })
    const files = ['/a/1', '/a/2', '/a/b/3', '/a/b/c/4', '/z1', '/z2', '/z3']
    for (const path of files) await fs.writeFile(path, '')
    const dir = await fs.opendir('/', { recursive: true })
    const found: string[] = []
    for (let more = true; more;) {
      const entries = await Promise.all([dir.read(), dir.read(), dir.read()])
      more = !entries.includes(null)
      found.push(...entries.flatMap((entry) => (entry === null ? [] : [entry.name])))
    }
    await dir.close()
    assert.deepEqual(found.toSorted(), ['1', '2', '3', '4', 'a', 'b', 'c', 'z1', 'z2', 'z3'])
  })
})
