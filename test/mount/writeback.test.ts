// FUSE_WRITEBACK_CACHE on the filesystems that bring their own: the kernel reads through handles that only write, appends by itself,
// and writes back through whichever handle it finds.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import * as fs from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { mountFs } from 'devfuse/fs'
import { mountMemory } from 'devfuse/memory'
import { mountMirror } from 'devfuse/mirror'
import type { Session, SessionOptions } from 'devfuse'
import { Volume } from 'memfs'
import { cleanup, run, sh, skip, takeDown, temporary } from '../support/mounting.js'

const want: NonNullable<SessionOptions['want']> = ['FUSE_WRITEBACK_CACHE']
const BEFORE = '0123456789'.repeat(10)
const AFTER = `01234XY789${BEFORE.slice(10)}ABCD`

/** Changes DIR/file in the middle and at its end, and a file that loses its name meanwhile. */
const CLIENT = `
  const fs = require('node:fs')
  const { O_WRONLY, O_RDWR, O_APPEND, O_CREAT } = fs.constants
  const [dir] = process.argv.slice(1)
  const part = fs.openSync(dir + '/file', O_WRONLY)
  fs.writeSync(part, 'XY', 5)
  fs.fsyncSync(part)
  fs.closeSync(part)
  const end = fs.openSync(dir + '/file', O_WRONLY | O_APPEND)
  for (const text of ['AB', 'CD']) {
    fs.writeSync(end, text)
    fs.fsyncSync(end)
  }
  fs.closeSync(end)
  for (const name of ['/unlinked', '/new']) {
    const nameless = fs.openSync(dir + name, O_RDWR | O_APPEND | O_CREAT)
    fs.unlinkSync(dir + name)
    fs.writeSync(nameless, 'EF')
    fs.fsyncSync(nameless)
    fs.closeSync(nameless)
  }
`

interface Mounted {
  session: Session
  /** What the file holds, asked of the one who keeps it. */
  readonly content: () => string | Promise<string>
}

// Only the kernel's answers to other processes keep a memory filesystem's content.
const throughTheMount = async (mnt: string): Promise<string> => {
  const { stdout } = await run('cat', [`${mnt}/file`], { timeout: 20_000 })
  return stdout
}

/** Writes, and sets and clears FS_IMMUTABLE_FL on the same descriptor. */
const IMMUTABLE = `
  import * as fs from 'node:fs'
  import { syscalls } from 'devfuse/syscalls'
  const fd = fs.openSync(process.argv[1] + '/file', 'wx')
  fs.writeSync(fd, 'hello')
  const flags = Buffer.alloc(8)
  syscalls.ioctl(fd, 0x80086601, flags)
  const set = (bits) => {
    flags.writeUInt32LE(bits)
    return syscalls.ioctl(fd, 0x40086602, flags)
  }
  const before = flags.readUInt32LE()
  const made = set(before | 0x10)
  if (made === 0) fs.fsyncSync(fd)
  console.log(made, set(before))
`

const subjects: Record<string, (mnt: string, src: string) => Promise<Mounted>> = {
  mirror: async (mnt, src) => ({
    session: await mountMirror(src, mnt, { want, passthrough: 'off' }),
    content: () => readFileSync(join(src, 'file'), 'utf8'),
  }),
  'mirror with workers': async (mnt, src) => ({
    session: await mountMirror(src, mnt, { want, workers: 2, passthrough: 'off' }),
    content: () => readFileSync(join(src, 'file'), 'utf8'),
  }),
  'mountFs of node:fs/promises': async (mnt, src) => ({
    session: await mountFs(fs, mnt, { root: src, want }),
    content: () => readFileSync(join(src, 'file'), 'utf8'),
  }),
  'mountFs of memfs': async (mnt) => {
    const volume = Volume.fromJSON({ '/file': BEFORE, '/unlinked': BEFORE })
    const session = await mountFs(volume, mnt, { want })
    return { session, content: () => volume.readFileSync('/file', 'utf8') as string }
  },
  'mountFs of whole files': async (mnt) => {
    const files: Record<string, string> = { '/file': BEFORE, '/unlinked': BEFORE }
    const whole = {
      readdir: () => Object.keys(files).map((path) => path.slice(1)),
      lstat: (path: string) =>
        path === '/'
          ? { type: 'directory' as const }
          : files[path] === undefined
            ? undefined
            : { size: files[path].length },
      readFile: (path: string) => files[path],
      writeFile: (path: string, data: Uint8Array | string) => void (files[path] = String(data)),
      unlink: (path: string) => void delete files[path],
    }
    const session = await mountFs(whole, mnt, { want })
    return { session, content: () => files['/file'] }
  },
  memory: async (mnt) => {
    const session = await mountMemory(mnt, { writebackCache: true })
    await run('sh', ['-c', `printf ${BEFORE} | tee ${mnt}/unlinked > ${mnt}/file`], { timeout: 20_000 })
    return { session, content: () => throughTheMount(mnt) }
  },
}

describe('FUSE_WRITEBACK_CACHE', { skip, timeout: 120_000 }, () => {
  for (const [name, mountIt] of Object.entries(subjects)) {
    it(name, async (t) => {
      const dir = temporary(t)
      const [mnt, src] = ['mnt', 'src'].map((one) => join(dir, one))
      for (const one of [mnt, src]) mkdirSync(one)
      for (const one of ['file', 'unlinked']) writeFileSync(join(src, one), BEFORE)
      const { session, content } = await mountIt(mnt, src)
      cleanup(t, () => takeDown(session))
      const { code, stderr } = await run(process.execPath, ['-e', CLIENT, mnt], { timeout: 20_000 })
      assert.equal(code, 0, stderr)
      assert.equal(await content(), AFTER)
    })
  }

  it('a mirror writes what it was given before the file becomes immutable', async (t) => {
    const dir = temporary(t)
    const [mnt, src] = ['mnt', 'src'].map((one) => join(dir, one))
    for (const one of [mnt, src]) mkdirSync(one)
    const session = await mountMirror(src, mnt, { want, passthrough: 'off' })
    cleanup(t, () => takeDown(session))
    const args = ['--input-type=module', '-e', IMMUTABLE, mnt]
    const cwd = join(import.meta.dirname, '../../..')
    const { code, stdout, stderr } = await run(process.execPath, args, { timeout: 20_000, cwd })
    assert.equal(code, 0, stderr)
    if (stdout !== '0 0\n') return t.skip('the filesystem of the temporary directory has no inode flags')
    assert.equal(readFileSync(join(src, 'file'), 'utf8'), 'hello')
  })

  it('a mirror says ENOSPC where it could write but a part', async (t) => {
    const dir = temporary(t)
    const [mnt, src] = ['mnt', 'src'].map((one) => join(dir, one))
    for (const one of [mnt, src]) mkdirSync(one)
    await sh(`mount -t tmpfs -o size=512k tmpfs ${src}`)
    cleanup(t, () => sh(`umount -l ${src}`))
    const session = await mountMirror(src, mnt, { want, passthrough: 'off' })
    cleanup(t, () => takeDown(session))
    const client = `
      const fd = fs.openSync(process.argv[1], 'w')
      fs.writeSync(fd, Buffer.alloc(1 << 20, 'x'))
      try { fs.fsyncSync(fd) } catch (error) { console.log(error.code) }`
    const { stdout, stderr } = await run(process.execPath, ['-e', client, `${mnt}/file`], { timeout: 20_000 })
    assert.deepEqual([stdout, stderr], ['ENOSPC\n', ''])
  })

  it('a mirror opens no append-only file for writing, to which pages would be appended whole', async (t) => {
    const dir = temporary(t)
    const [mnt, src] = ['mnt', 'src'].map((one) => join(dir, one))
    for (const one of [mnt, src]) mkdirSync(one)
    writeFileSync(join(src, 'file'), 'abc')
    if ((await run('chattr', ['+a', join(src, 'file')])).code !== 0)
      return t.skip('the filesystem of the temporary directory has no inode flags')
    cleanup(t, () => run('chattr', ['-a', join(src, 'file')]))
    const session = await mountMirror(src, mnt, { want, passthrough: 'off' })
    cleanup(t, () => takeDown(session))
    const client = `
      try { fs.openSync(process.argv[1], 'a+') } catch (error) { console.log(error.code) }`
    const { stdout } = await run(process.execPath, ['-e', client, `${mnt}/file`], { timeout: 20_000 })
    assert.equal(stdout, 'EPERM\n')
  })
})
