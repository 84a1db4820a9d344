// The filesystem without a mount: fsFrom shows it as node:fs/promises, and needs neither root nor /dev/fuse.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { fsFilesystem, fsFrom } from 'devfuse/fs'
import { createFilesystem } from '../src/filesystem.js'

describe('the filesystem', () => {
  /** @type {import('devfuse/fs').FsView} */
  let fs

  beforeEach(() => {
    fs = fsFrom(fsFilesystem(createFilesystem()))
  })

  // Whatever a test has opened, the filesystem has seen closed.
  afterEach(async () => assert.deepEqual(await fs.close(), { open: [], inodes: [] }))

  it('lists its files', async () => {
    assert.deepEqual((await fs.readdir('/')).sort(), ['hello.txt', 'notes', 'now.txt'])
    assert.deepEqual(await fs.readdir('/notes'), ['first.txt'])
  })

  it('makes files up as they are read', async () => {
    assert.equal(await fs.readFile('/hello.txt', 'utf8'), 'Hello from devfuse!\n')
    const now = await fs.readFile('/now.txt', 'utf8')
    assert.ok(Math.abs(Date.parse(now.trim()) - Date.now()) < 60_000)
  })

  it('keeps notes', async () => {
    await fs.writeFile('/notes/new.txt', 'one\n')
    await fs.appendFile('/notes/new.txt', 'two\n')
    await fs.rename('/notes/new.txt', '/notes/first.txt')
    assert.equal(await fs.readFile('/notes/first.txt', 'utf8'), 'one\ntwo\n')
    await fs.unlink('/notes/first.txt')
    assert.deepEqual(await fs.readdir('/notes'), [])
  })

  it('keeps notes in directories', async () => {
    await fs.mkdir('/notes/old')
    await fs.rename('/notes/first.txt', '/notes/old/first.txt')
    assert.deepEqual(await fs.readdir('/notes'), ['old'])
    await fs.rename('/notes/old', '/notes/older')
    assert.deepEqual(await fs.readdir('/notes/older'), ['first.txt'])
    assert.equal(await fs.readFile('/notes/older/first.txt', 'utf8'), 'Change me.\n')
  })

  it('refuses what it cannot keep', async () => {
    await assert.rejects(fs.readFile('/nothing'), { code: 'ENOENT' })
    await assert.rejects(fs.writeFile('/elsewhere.txt', ''), { code: 'EACCES' })
    await assert.rejects(fs.unlink('/hello.txt'), { code: 'EACCES' })
  })
})
