// What every filesystem has to do, through the calls of node:fs/promises: on a mount (from another process), or on a view
// that fsFrom gives.
import assert from 'node:assert/strict'
import { constants } from 'node:fs'
import type { FsCalls } from 'devfuse/fs'

export type Calls = Pick<
  FsCalls,
  | 'appendFile'
  | 'chmod'
  | 'lchown'
  | 'lstat'
  | 'lutimes'
  | 'mkdir'
  | 'open'
  | 'readFile'
  | 'readdir'
  | 'readlink'
  | 'rename'
  | 'rm'
  | 'rmdir'
  | 'stat'
  | 'symlink'
  | 'truncate'
  | 'unlink'
  | 'utimes'
  | 'writeFile'
>

/** One thing to do in the empty directory `dir`. */
export type Case = (fs: Calls, dir: string) => Promise<void>

const code = (wanted: string) => (error: unknown) => (error as { code?: string }).code === wanted

async function text(fs: Calls, path: string): Promise<string> {
  return String(await fs.readFile(path))
}

export const cases: Record<string, Case> = {
  async 'sets attributes of a file that was removed while it was open'(fs, dir) {
    const path = `${dir}/f`
    const file = await fs.open(path, 'w+', 0o755)
    await file.chmod(0o644)
    await fs.unlink(path)
    await file.write(Buffer.from('text'), 0, 4, 0)
    await file.chmod(0o600)
    await file.utimes(1_000_000_000, 1_100_000_000)
    const { mode, atime, mtime, nlink, size } = await file.stat()
    assert.deepEqual(
      [mode & 0o7777, atime.getTime(), mtime.getTime(), nlink, size],
      [0o600, 1e12, 1.1e12, 0, 4],
    )
    await file.close()
  },

  async 'reads and writes at positions'(fs, dir) {
    const path = `${dir}/f`
    const file = await fs.open(path, 'w+')
    await file.write(Buffer.from('hello'), 0, 5, 3)
    await file.write(Buffer.from('xWORLDx'), 1, 5, 10)
    const buffer = Buffer.alloc(32)
    assert.equal((await file.read(buffer, 2, 30, 1)).bytesRead, 14)
    assert.equal(buffer.toString('latin1', 2, 16), '\0\0hello\0\0WORLD')
    assert.equal((await file.read(buffer, 0, 4, 15)).bytesRead, 0)
    assert.equal((await file.stat()).size, 15)
    assert.equal((await fs.stat(path)).size, 15)
    await file.close()
    assert.equal((await fs.stat(path)).size, 15)
    assert.equal(await text(fs, path), '\0\0\0hello\0\0WORLD')
  },

  async 'keeps large files, written in pieces and overwritten in the middle'(fs, dir) {
    const path = `${dir}/large`
    const bytes = Buffer.alloc(1_300_000)
    for (let at = 0; at < bytes.length; at++) bytes[at] = (at * 31 + (at >> 8)) & 0xff
    const file = await fs.open(path, 'w')
    for (let at = 0; at < bytes.length; at += 100_000)
      await file.write(bytes, at, Math.min(100_000, bytes.length - at), at)
    await file.close()
    assert.ok(bytes.equals(await fs.readFile(path)))
    const again = await fs.open(path, 'r+')
    bytes.fill(7, 500_001, 600_003)
    await again.write(bytes, 500_001, 100_002, 500_001)
    await again.close()
    assert.ok(bytes.equals(await fs.readFile(path)))
  },

  async appends(fs, dir) {
    const path = `${dir}/log`
    await fs.appendFile(path, 'one\n')
    await fs.appendFile(path, 'two\n')
    const file = await fs.open(path, 'a')
    await file.write('three\n')
    await file.write('four\n')
    await file.close()
    assert.equal(await text(fs, path), 'one\ntwo\nthree\nfour\n')
  },

  async 'truncates by path and through a descriptor'(fs, dir) {
    const path = `${dir}/f`
    await fs.writeFile(path, 'abcdefgh')
    await fs.truncate(path, 3)
    assert.equal((await fs.stat(path)).size, 3)
    assert.equal(await text(fs, path), 'abc')
    await fs.truncate(path, 5)
    assert.equal(await text(fs, path), 'abc\0\0')
    const file = await fs.open(path, 'r+')
    await file.truncate(1)
    assert.equal((await file.stat()).size, 1)
    await file.write(Buffer.from('Z'), 0, 1, 2)
    await file.close()
    assert.equal(await text(fs, path), 'a\0Z')
    await fs.writeFile(path, 'x')
    assert.equal(await text(fs, path), 'x')
  },

  async 'shows one open what another wrote'(fs, dir) {
    const path = `${dir}/f`
    await fs.writeFile(path, '1111')
    const writer = await fs.open(path, 'r+')
    const reader = await fs.open(path, 'r')
    await writer.write(Buffer.from('22'), 0, 2, 1)
    const buffer = Buffer.alloc(4)
    await reader.read(buffer, 0, 4, 0)
    assert.equal(String(buffer), '1221')
    assert.equal((await fs.stat(path)).size, 4)
    await writer.write(Buffer.from('33'), 0, 2, 4)
    assert.equal((await fs.stat(path)).size, 6)
    await writer.close()
    await reader.close()
    assert.equal(await text(fs, path), '122133')
  },

  async 'keeps a removed file working while it is open'(fs, dir) {
    const path = `${dir}/f`
    await fs.writeFile(path, 'content')
    const file = await fs.open(path, 'r+')
    await fs.unlink(path)
    await assert.rejects(fs.stat(path), code('ENOENT'))
    assert.deepEqual(await fs.readdir(dir), [])
    const buffer = Buffer.alloc(16)
    assert.equal((await file.read(buffer, 0, 16, 0)).bytesRead, 7)
    await file.write(Buffer.from('CON'), 0, 3, 0)
    await file.write(Buffer.from('!'), 0, 1, 7)
    const { size, nlink } = await file.stat()
    assert.deepEqual({ size, nlink }, { size: 8, nlink: 0 })
    assert.equal((await file.read(buffer, 0, 16, 0)).bytesRead, 8)
    assert.equal(buffer.toString('latin1', 0, 8), 'CONtent!')
    // Its name is free for another file.
    await fs.writeFile(path, 'new')
    await file.close()
    assert.equal(await text(fs, path), 'new')
    await fs.unlink(path)
    await fs.mkdir(path)
    await fs.rmdir(path)
    assert.deepEqual(await fs.readdir(dir), [])
  },

  async 'keeps an open file working while it is renamed'(fs, dir) {
    await fs.writeFile(`${dir}/a`, 'start')
    const file = await fs.open(`${dir}/a`, 'r+')
    await file.write(Buffer.from('S'), 0, 1, 0)
    await fs.mkdir(`${dir}/d`)
    await fs.rename(`${dir}/a`, `${dir}/d/b`)
    await file.write(Buffer.from('ed'), 0, 2, 5)
    await fs.rename(`${dir}/d`, `${dir}/e`)
    await file.write(Buffer.from('!'), 0, 1, 7)
    const buffer = Buffer.alloc(8)
    await file.read(buffer, 0, 8, 0)
    assert.equal(String(buffer), 'Started!')
    await file.close()
    assert.deepEqual(await fs.readdir(dir), ['e'])
    assert.equal(await text(fs, `${dir}/e/b`), 'Started!')
  },

  async 'replaces a file that is open'(fs, dir) {
    await fs.writeFile(`${dir}/old`, 'old content')
    await fs.writeFile(`${dir}/new`, 'new')
    const file = await fs.open(`${dir}/old`, 'r+')
    await fs.rename(`${dir}/new`, `${dir}/old`)
    assert.equal(await text(fs, `${dir}/old`), 'new')
    await file.write(Buffer.from('OLD'), 0, 3, 0)
    const buffer = Buffer.alloc(11)
    await file.read(buffer, 0, 11, 0)
    assert.equal(String(buffer), 'OLD content')
    await file.close()
    assert.equal(await text(fs, `${dir}/old`), 'new')
    assert.deepEqual(await fs.readdir(dir), ['old'])
  },

  async 'saves as an editor does'(fs, dir) {
    const path = `${dir}/notes.txt`
    await fs.writeFile(path, 'first version, which is longer')
    for (const version of ['second', 'third']) {
      const file = await fs.open(`${dir}/.notes.swp`, 'wx', 0o600)
      await file.write(version)
      await file.sync()
      await file.close()
      await fs.rename(`${dir}/.notes.swp`, path)
      assert.equal(await text(fs, path), version)
      assert.equal((await fs.stat(path)).size, version.length)
    }
    assert.deepEqual(await fs.readdir(dir), ['notes.txt'])
  },

  async 'makes, moves and removes directories'(fs, dir) {
    await fs.mkdir(`${dir}/a`)
    await assert.rejects(fs.mkdir(`${dir}/a`), code('EEXIST'))
    await fs.mkdir(`${dir}/a/b`)
    await fs.writeFile(`${dir}/a/b/f`, 'deep')
    await assert.rejects(fs.rmdir(`${dir}/a`), code('ENOTEMPTY'))
    await assert.rejects(fs.rmdir(`${dir}/a/b/f`), code('ENOTDIR'))
    await assert.rejects(fs.unlink(`${dir}/a`), (error: { code?: string }) =>
      ['EISDIR', 'EPERM'].includes(error.code ?? ''),
    )
    await fs.mkdir(`${dir}/full`)
    await fs.writeFile(`${dir}/full/f`, '')
    await assert.rejects(fs.rename(`${dir}/a`, `${dir}/full`), code('ENOTEMPTY'))
    await fs.mkdir(`${dir}/empty`)
    await fs.rename(`${dir}/a`, `${dir}/empty`)
    assert.equal(await text(fs, `${dir}/empty/b/f`), 'deep')
    await fs.unlink(`${dir}/empty/b/f`)
    // A directory stays when its last entry goes.
    assert.ok((await fs.stat(`${dir}/empty/b`)).isDirectory())
    await fs.rmdir(`${dir}/empty/b`)
    await assert.rejects(fs.stat(`${dir}/empty/b`), code('ENOENT'))
    await fs.rmdir(`${dir}/empty`)
    assert.deepEqual(await fs.readdir(dir), ['full'])
  },

  async 'answers what is not there'(fs, dir) {
    await assert.rejects(fs.stat(`${dir}/none`), code('ENOENT'))
    await assert.rejects(fs.open(`${dir}/none`, 'r'), code('ENOENT'))
    await assert.rejects(fs.unlink(`${dir}/none`), code('ENOENT'))
    await assert.rejects(fs.rmdir(`${dir}/none`), code('ENOENT'))
    await assert.rejects(fs.rename(`${dir}/none`, `${dir}/other`), code('ENOENT'))
    await fs.writeFile(`${dir}/file`, '')
    await assert.rejects(fs.stat(`${dir}/file/below`), code('ENOTDIR'))
    await assert.rejects(fs.open(`${dir}/file`, 'wx'), code('EEXIST'))
    await assert.rejects(fs.open(`${dir}/${'n'.repeat(256)}`, 'w'), code('ENAMETOOLONG'))
    assert.deepEqual(await fs.readdir(dir), ['file'])
  },

  async 'moves files and symlinks over symlinks'(fs, dir) {
    for (const name of ['one', 'two']) await fs.symlink(name, `${dir}/${name}`)
    await fs.writeFile(`${dir}/f`, 'saved')
    await fs.rename(`${dir}/one`, `${dir}/two`)
    assert.equal(await fs.readlink(`${dir}/two`), 'one')
    assert.equal((await fs.lstat(`${dir}/two`)).mode, 0o120777)
    await fs.rename(`${dir}/f`, `${dir}/two`)
    assert.ok((await fs.lstat(`${dir}/two`)).isFile())
    assert.equal(await text(fs, `${dir}/two`), 'saved')
    assert.deepEqual(await fs.readdir(dir), ['two'])
  },

  async 'keeps symlinks'(fs, dir) {
    await fs.writeFile(`${dir}/target`, 'behind')
    await fs.symlink('target', `${dir}/link`)
    await fs.symlink('nowhere', `${dir}/dangling`)
    assert.equal(await fs.readlink(`${dir}/link`), 'target')
    assert.equal(await text(fs, `${dir}/link`), 'behind')
    const stats = await fs.lstat(`${dir}/link`)
    assert.ok(stats.isSymbolicLink())
    assert.equal(stats.size, 6)
    await assert.rejects(fs.stat(`${dir}/dangling`), code('ENOENT'))
    await fs.lchown(`${dir}/link`, 1, 2)
    await fs.lutimes(`${dir}/link`, 1_000_000, 1_234_567.5)
    await fs.rename(`${dir}/link`, `${dir}/moved`)
    assert.equal(await fs.readlink(`${dir}/moved`), 'target')
    const moved = await fs.lstat(`${dir}/moved`)
    assert.deepEqual([moved.uid, moved.gid, moved.mtimeMs], [1, 2, 1_234_567_500])
    await fs.unlink(`${dir}/moved`)
    await fs.unlink(`${dir}/dangling`)
    assert.equal(await text(fs, `${dir}/target`), 'behind')
    assert.deepEqual(await fs.readdir(dir), ['target'])
  },

  async 'keeps modes and times'(fs, dir) {
    const path = `${dir}/f`
    await fs.writeFile(path, 'x')
    await fs.chmod(path, 0o640)
    await fs.utimes(path, 1_000_000, 1_234_567.5)
    const stats = await fs.stat(path)
    assert.equal(stats.mode & 0o7777, 0o640)
    assert.equal(stats.mtimeMs, 1_234_567_500)
    await fs.rename(path, `${dir}/g`)
    assert.equal((await fs.stat(`${dir}/g`)).mode & 0o7777, 0o640)
    assert.equal((await fs.stat(`${dir}/g`)).mtimeMs, 1_234_567_500)
    await fs.writeFile(`${dir}/g`, 'changed')
    assert.ok((await fs.stat(`${dir}/g`)).mtimeMs > 1_600_000_000_000)
    await fs.mkdir(`${dir}/d`)
    await fs.chmod(`${dir}/d`, 0o711)
    assert.equal((await fs.stat(`${dir}/d`)).mode & 0o7777, 0o711)
  },

  async 'shows when the entries of a directory were changed'(fs, dir) {
    const [d, e] = [`${dir}/d`, `${dir}/e`]
    for (const one of [d, e]) await fs.mkdir(one)
    const steps: Record<string, () => Promise<unknown>> = {
      mkdir: () => fs.mkdir(`${d}/sub`),
      write: () => fs.writeFile(`${d}/f`, ''),
      symlink: () => fs.symlink('f', `${d}/l`),
      rename: () => fs.rename(`${d}/f`, `${d}/g`),
      'move away': () => fs.rename(`${d}/g`, `${e}/g`),
      'move back': () => fs.rename(`${e}/g`, `${d}/g`),
      unlink: () => fs.unlink(`${d}/g`),
      rmdir: () => fs.rmdir(`${d}/sub`),
    }
    for (const [name, step] of Object.entries(steps)) {
      await fs.utimes(d, 1, 1)
      await step()
      assert.ok((await fs.stat(d)).mtimeMs > 1_600_000_000_000, name)
    }
  },

  async 'keeps any name, and inode numbers'(fs, dir) {
    const names = ['ä ö 漢字', 'with space', '-dash', "quote'", '#hash', 'n'.repeat(255), '.hidden']
    for (const name of names) await fs.writeFile(`${dir}/${name}`, name)
    assert.deepEqual((await fs.readdir(dir)).toSorted(), names.toSorted())
    const inos = new Set<number>()
    for (const name of names) {
      assert.equal(await text(fs, `${dir}/${name}`), name)
      inos.add((await fs.stat(`${dir}/${name}`)).ino)
    }
    assert.equal(inos.size, names.length)
    const file = await fs.open(`${dir}/.hidden`, 'r')
    const { ino } = await fs.stat(`${dir}/.hidden`)
    await fs.rename(`${dir}/.hidden`, `${dir}/shown`)
    assert.equal((await fs.stat(`${dir}/shown`)).ino, ino)
    await file.close()
  },

  async 'lists and removes many'(fs, dir) {
    const names = Array.from({ length: 120 }, (_, at) => `entry-${String(at).padStart(3, '0')}`)
    await fs.mkdir(`${dir}/many`)
    for (const name of names) await fs.writeFile(`${dir}/many/${name}`, '')
    assert.deepEqual((await fs.readdir(`${dir}/many`)).toSorted(), names)
    const types = await fs.readdir(`${dir}/many`, { withFileTypes: true })
    assert.ok(types.every((entry) => entry.isFile()))
    await fs.rm(`${dir}/many`, { recursive: true })
    assert.deepEqual(await fs.readdir(dir), [])
  },

  async 'opens with each kind of flags'(fs, dir) {
    const path = `${dir}/f`
    const made = await fs.open(path, constants.O_WRONLY | constants.O_CREAT, 0o604)
    await made.write('12345')
    await made.close()
    assert.equal((await fs.stat(path)).mode & 0o777, 0o604)
    const emptied = await fs.open(path, constants.O_RDWR | constants.O_TRUNC)
    assert.equal((await emptied.stat()).size, 0)
    await emptied.write('ab')
    await emptied.close()
    assert.equal(await text(fs, path), 'ab')
    // A mode without permission to write is one for later opens.
    const sealed = await fs.open(
      `${dir}/sealed`,
      constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
      0o444,
    )
    await sealed.write('once')
    await sealed.close()
    assert.equal((await fs.stat(`${dir}/sealed`)).mode & 0o777, 0o444)
    assert.equal(await text(fs, `${dir}/sealed`), 'once')
  },
}
