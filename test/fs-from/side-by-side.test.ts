// fsFrom over a mirror against node:fs/promises on the same kind of directory: every call, its result and its error.
import { once } from 'node:events'
import { constants } from 'node:fs'
import type { Stats } from 'node:fs'
import { codeOf, compare, textOf } from './compared.js'
import type { Case } from './compared.js'

const shape = ({ mode, nlink, size, uid, gid, rdev }: Stats): unknown => ({
  mode,
  nlink,
  size,
  uid,
  gid,
  rdev,
})

const cases: Record<string, Case> = {
  'writeFile and readFile': async (fs, at) => {
    await fs.writeFile(at('a'), 'hello')
    await fs.appendFile(at('a'), Buffer.from(' world'))
    await fs.writeFile(at('b'), ['one', 'two'])
    return [await fs.readFile(at('a'), 'utf8'), await fs.readFile(at('b')), shape(await fs.stat(at('a')))]
  },
  'a web stream into memory of the reader': async (fs, at) => {
    await fs.writeFile(at('a'), 'hello')
    await using handle = await fs.open(at('a'))
    const reader = handle.readableWebStream({ type: 'bytes' }).getReader({ mode: 'byob' })
    const first = await reader.read(new Uint8Array(10))
    const second = await reader.read(new Uint8Array(10))
    return [Buffer.from(first.value as Uint8Array).toString(), second.done]
  },
  'a file that is too large to read at once': async (fs, at) => {
    await fs.writeFile(at('a'), '')
    await fs.truncate(at('a'), 3 * 2 ** 30)
    return fs.readFile(at('a')).catch((error: Error) => [error.name, codeOf(error)])
  },
  'appending at a position': async (fs, at) => {
    await fs.writeFile(at('a'), '12345')
    await using handle = await fs.open(at('a'), 'a+')
    const { bytesWritten } = await handle.write(Buffer.from('X'), 0, 1, 0)
    const { bytesRead } = await handle.read(Buffer.alloc(10), 0, 10)
    return [bytesWritten, bytesRead, await fs.readFile(at('a'), 'utf8')]
  },
  'large files': async (fs, at) => {
    const bytes = Buffer.alloc(3_500_001, 'devfuse!')
    await fs.writeFile(at('a'), bytes)
    return [(await fs.readFile(at('a'))).equals(bytes), (await fs.stat(at('a'))).size]
  },
  'flags of open': async (fs, at) => {
    const found: unknown[] = []
    await fs.writeFile(at('a'), 'abcdef')
    for (const flag of ['r', 'r+', 'a', 'a+', 'ax', 'wx', 'w+', 'w', 'zz', 'xw+']) {
      try {
        await using handle = await fs.open(at('a'), flag)
        found.push(
          flag,
          await handle.write('xyz').then(({ bytesWritten }) => bytesWritten, codeOf),
          await handle
            .read(Buffer.alloc(4), 0, 4, 1)
            .then(({ bytesRead }) => bytesRead)
            .catch(codeOf),
        )
      } catch (error) {
        found.push(flag, codeOf(error))
      }
      found.push(await fs.readFile(at('a'), 'latin1'))
    }
    return found
  },
  'numbers as flags': async (fs, at) => {
    await fs.mkdir(at('d'))
    await fs.symlink('d', at('l'))
    const { O_DIRECTORY, O_NOFOLLOW, O_RDONLY, O_CREAT, O_EXCL, O_WRONLY } = constants
    const found: unknown[] = []
    for (const [path, flags] of [
      ['d', O_DIRECTORY],
      ['l', O_NOFOLLOW],
      ['l', O_RDONLY],
      ['l', O_CREAT | O_EXCL],
      ['d', O_WRONLY],
      ['d/', O_CREAT],
      ['new/', O_CREAT],
      ['n', O_CREAT | O_EXCL | O_WRONLY],
    ] as const) {
      found.push(await fs.open(at(path), flags).then((handle) => handle.close(), codeOf))
    }
    return found
  },
  'a handle': async (fs, at) => {
    await using handle = await fs.open(at('a'), 'w+', 0o640)
    const wrote = await handle.writev([Buffer.from('abc'), Buffer.from('defg')])
    await handle.write(Buffer.from('__XY__'), 2, 2, 1)
    await handle.write('Z', 0)
    const buffers = [Buffer.alloc(3), Buffer.alloc(10)]
    const read = await handle.readv(buffers, 0)
    await handle.truncate(5)
    await handle.sync()
    await handle.datasync()
    await handle.chmod(0o600)
    await handle.utimes(1, 2.5)
    const stats = await handle.stat()
    return [
      wrote.bytesWritten,
      read.bytesRead,
      buffers,
      shape(stats),
      stats.mtimeMs,
      await fs.readFile(at('a'), 'utf8'),
    ]
  },
  'reading goes on where it stopped': async (fs, at) => {
    await fs.writeFile(at('a'), '0123456789')
    await using handle = await fs.open(at('a'))
    const first = await handle.read({ buffer: Buffer.alloc(4) })
    const second = await handle.read({ buffer: Buffer.alloc(4), position: 1 })
    return [first.buffer, second.buffer, await handle.readFile('utf8'), await handle.read()].map((one) =>
      typeof one === 'object' && 'bytesRead' in one ? one.bytesRead : String(one),
    )
  },
  streams: async (fs, at) => {
    const text = 'line one\nline two\nline three\n'.repeat(5000)
    const out = (await fs.open(at('a'), 'w')).createWriteStream()
    out.write(text)
    out.end()
    await once(out, 'close')
    let read = ''
    for await (const piece of (await fs.open(at('a'))).createReadStream({ encoding: 'utf8' }))
      read += piece as string
    let lines = 0
    await using handle = await fs.open(at('a'))
    for await (const line of handle.readLines()) lines += line.length > 0 ? 1 : 0
    return [read === text, lines]
  },
  directories: async (fs, at) => {
    const made = [
      await fs.mkdir(at('d/e/f'), { recursive: true }),
      await fs.mkdir(at('d/e/f'), { recursive: true }),
    ]
    await fs.writeFile(at('d/file'), '')
    await fs.symlink('file', at('d/link'))
    const types = (await fs.readdir(at('d'), { withFileTypes: true })).map((entry) => [
      entry.name,
      entry.isFile(),
      entry.isDirectory(),
      entry.isSymbolicLink(),
    ])
    const opened: string[] = []
    for await (const { name } of await fs.opendir(at('d'))) opened.push(name)
    return [
      made.map((path) => path?.slice(at('').length)),
      types.toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1)),
      opened.toSorted(),
      (await fs.readdir(at(''), { recursive: true })).toSorted(),
      (await fs.readdir(at('d'), 'buffer')).map(String).toSorted(),
      (await fs.mkdtemp(at('tmp-'))).length - at('').length,
    ]
  },
  removing: async (fs, at) => {
    await fs.mkdir(at('d/e'), { recursive: true })
    for (let i = 0; i < 50; i++) await fs.writeFile(at(`d/e/${i}`), '')
    return [
      await fs.rmdir(at('d')).catch(codeOf),
      await fs.rm(at('d')).catch(codeOf),
      await fs.rm(at('none')).catch(codeOf),
      await fs.rm(at('none'), { force: true }),
      await fs.unlink(at('d')).catch(codeOf),
      await fs.rm(at('d'), { recursive: true }),
      await fs.readdir(at('')),
    ]
  },
  renaming: async (fs, at) => {
    await fs.mkdir(at('d/e'), { recursive: true })
    await fs.writeFile(at('f'), 'f')
    await fs.writeFile(at('g'), 'g')
    const found: unknown[] = []
    for (const [from, to] of [
      ['none', 'x'],
      ['d', 'd/e/x'],
      ['d/e', 'd'],
      ['f', 'd'],
      ['d', 'f'],
      ['f', 'g'],
      ['g/', 'h'],
      ['d/', 'i/'],
    ] as const) {
      found.push(await fs.rename(at(from), at(to)).catch(codeOf))
    }
    return [
      found,
      (await fs.readdir(at(''), { recursive: true })).toSorted(),
      await fs.readFile(at('g'), 'utf8'),
    ]
  },
  links: async (fs, at) => {
    await fs.writeFile(at('a'), 'content')
    await fs.link(at('a'), at('b'))
    await fs.symlink('a', at('s'))
    await fs.symlink('loop', at('loop'))
    await fs.symlink('missing', at('dangling'))
    await fs.writeFile(at('dangling'), 'made through the link')
    return [
      (await fs.stat(at('a'))).nlink,
      await fs.readlink(at('s')),
      (await fs.realpath(at('s'))).slice(at('').length),
      (await fs.lstat(at('s'))).isSymbolicLink(),
      await fs.readFile(at('missing'), 'utf8'),
      await fs.readFile(at('loop')).catch(codeOf),
      await fs.link(at('a'), at('b')).catch(codeOf),
      await fs.readlink(at('a')).catch(codeOf),
      await fs.readFile(at('a/b')).catch(codeOf),
      await fs.stat(at('a/')).catch(codeOf),
      await fs.readFile(at('s/../a'), 'utf8').catch(codeOf),
    ]
  },
  attributes: async (fs, at) => {
    await fs.writeFile(at('a'), '0123456789', { mode: 0o640 })
    await fs.symlink('a', at('s'))
    await fs.chmod(at('a'), '750')
    await fs.chown(at('a'), 12, 34)
    await fs.lchown(at('s'), 56, 78)
    await fs.utimes(at('a'), new Date(1234567), 99.25)
    await fs.lutimes(at('s'), 5, 6)
    await fs.truncate(at('a'), 4)
    const big = await fs.stat(at('a'), { bigint: true })
    await fs.utimes(at('a'), 3, 4)
    const { atimeMs, mtimeMs, atime } = await fs.stat(at('a'))
    const link = await fs.lstat(at('s'))
    return [
      shape(await fs.stat(at('a'))),
      shape(link),
      link.mtimeMs,
      big.size,
      big.mode,
      atimeMs,
      mtimeMs,
      atime,
    ]
  },
  access: async (fs, at) => {
    await fs.writeFile(at('a'), '', { mode: 0o600 })
    return [
      await fs.access(at('a')),
      await fs.access(at('a'), constants.W_OK),
      await fs.access(at('a'), constants.X_OK).catch(codeOf),
      await fs.access(at('none')).catch(codeOf),
    ]
  },
  copies: async (fs, at) => {
    await fs.mkdir(at('d/e'), { recursive: true })
    await fs.writeFile(at('d/e/f'), 'content', { mode: 0o751 })
    await fs.copyFile(at('d/e/f'), at('copy'))
    await fs.cp(at('d'), at('d2'), { recursive: true, preserveTimestamps: true })
    return [
      await fs.readFile(at('d2/e/f'), 'utf8'),
      shape(await fs.stat(at('copy'))),
      await fs.copyFile(at('d/e/f'), at('copy'), constants.COPYFILE_EXCL).catch(codeOf),
      await fs.copyFile(at('d'), at('copy2')).catch(codeOf),
      await fs.cp(at('d'), at('d3')).catch(codeOf),
      await fs.cp(at('d'), at('d/e'), { recursive: true }).catch(codeOf),
      await fs.cp(at('copy'), at('copy'), {}).catch(codeOf),
      await fs.cp(at('copy'), at('d/e/f'), { force: false, errorOnExist: true }).catch(codeOf),
      await fs.cp(at('d'), at('copy'), { recursive: true }).catch(codeOf),
      (await fs.readdir(at(''), { recursive: true })).toSorted(),
    ]
  },
  'the edges of names': async (fs, at) => [
    await fs.writeFile(at('n'.repeat(256)), '').catch(codeOf),
    await fs.stat(at(`${'p/'.repeat(2100)}x`)).catch(codeOf),
    await fs.mkdir(at('ünïcödé-日本')),
    await fs.readdir(at('')),
    await fs.mkdir(at('x/')),
    await fs.mkdir(at('x')).catch(codeOf),
    await fs.symlink('a', at('y/')).catch(codeOf),
    await fs.symlink('a', at('x/')).catch(codeOf),
    await fs.writeFile(at('y/'), '').catch(codeOf),
    await fs.writeFile(at('none/y/'), '').catch(codeOf),
    await fs.rmdir(at('x/.')).catch(codeOf),
    await fs.rmdir(at('x/')),
    await fs.stat('').catch(codeOf),
    await fs.stat('a\0b').catch(codeOf),
    await fs.open(at('x'), 'r', 'no').catch(codeOf),
  ],
  'errors in full': async (fs, at) => {
    await fs.mkdir(at('d'))
    await fs.writeFile(at('d/f'), '')
    return [
      await fs.readFile(at('none')).catch(textOf(at)),
      // Only Node 26 says which file it was.
      await fs.readFile(at('d')).catch(codeOf),
      await fs.writeFile(at('d'), '').catch(textOf(at)),
      await fs.mkdir(at('d')).catch(textOf(at)),
      await fs.mkdir(at('d/f/g')).catch(textOf(at)),
      await fs.rmdir(at('d')).catch(textOf(at)),
      await fs.rename(at('a'), at('b')).catch(textOf(at)),
      await fs.link(at('a'), at('b')).catch(textOf(at)),
      await fs.symlink('x', at('d')).catch(textOf(at)),
      await fs.readdir(at('none')).catch(textOf(at)),
      await fs.opendir(at('d/f')).catch(textOf(at)),
      await fs.lstat(at('none')).catch(textOf(at)),
      await fs.utimes(at('none'), 1, 1).catch(textOf(at)),
      await fs.access(at('none')).catch(textOf(at)),
      await fs.copyFile(at('none'), at('other')).catch(textOf(at)),
      await fs.truncate(at('d')).catch(codeOf),
      await fs.realpath(at('none')).catch(textOf(at)),
      await fs.truncate(at('none')).catch(textOf(at)),
      await fs.truncate(at('d/f'), 2 ** 52).catch(textOf(at)),
      await fs.rm(at('none')).catch(textOf(at)),
      await fs.rm(at('d')).catch(textOf(at)),
      await fs.cp(at('d'), at('d/e'), { recursive: true }).catch(textOf(at)),
      await fs.cp(at('d/f'), at('d')).catch(textOf(at)),
      await fs.cp(at('d'), at('d/f'), { recursive: true }).catch(textOf(at)),
    ]
  },

  'handles that are closed, and calls that are aborted': async (fs, at) => {
    const file = await fs.open(at('closed'), 'w+')
    await file.close()
    const later = [file.stat(), file.sync(), file.truncate(1), file.chmod(0o600), file.utimes(1, 1)]
    const signal = AbortSignal.abort()
    return [
      file.fd,
      await Promise.all(later.map((call) => (call as Promise<unknown>).catch(codeOf))),
      await file.read(Buffer.alloc(1), 0, 1, 0).catch(codeOf),
      await fs.readFile(at('closed'), { signal }).catch(codeOf),
      await fs.writeFile(at('closed'), 'x', { signal }).catch(codeOf),
    ]
  },
}

compare('fsFrom over a mirror does what node:fs/promises does', cases)
