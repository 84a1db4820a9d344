// The calls of fsFrom that are about whole trees: names byte by byte, what vanishes meanwhile, paths as they are shown.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EACCES } from 'devfuse'
import type { Filesystem } from 'devfuse'
import { fsFrom } from 'devfuse/fs'
import type { FsView } from 'devfuse/fs'
import { memoryFilesystem } from 'devfuse/memory'
import { codeOf, compare } from './compared.js'
import type { Case } from './compared.js'
import { attrOf, file, root, small } from './small.js'

const odd = Buffer.of(0xff, 0x41)
/** What `odd` looks like as text, which is another name. */
const lookalike = '\ufffdA'

const below = (folder: string, ...names: (string | Buffer)[]): Buffer =>
  Buffer.concat([folder, ...names].map((name) => Buffer.from(name as string)))

const cases: Record<string, Case> = {
  'removing names that are no text': async (fs, at) => {
    await fs.writeFile(below(at(''), odd), 'x')
    await fs.writeFile(at(lookalike), 'other')
    await fs.rm(below(at(''), odd))
    await fs.mkdir(at('d'))
    await fs.writeFile(below(at('d/'), odd), '')
    await fs.rm(at('d'), { recursive: true })
    return fs.readdir(at(''), 'buffer')
  },
  'making names that are no text': async (fs, at) => {
    await fs.mkdir(below(at(''), odd, '/', odd), { recursive: true })
    return [await fs.readdir(at(''), 'buffer'), await fs.readdir(below(at(''), odd), 'buffer')]
  },
  'paths that are too long': async (fs, at) => {
    const shown = ({ code, syscall }: NodeJS.ErrnoException): unknown => [code, syscall]
    const long = at('x/'.repeat(3000))
    return [
      await fs.rm(long).catch(shown),
      await fs.rm(long, { recursive: true, force: true }).catch(shown),
      await fs.mkdir(long, { recursive: true }).catch(shown),
      await fs.mkdtemp(long).catch(shown),
      await fs.readdir(long).catch(shown),
    ]
  },
  'a tree that others remove at the same time': async (fs, at) => {
    await fs.mkdir(at('d/e/f'), { recursive: true })
    for (let i = 0; i < 30; i++) await fs.writeFile(at(`d/e/${i}`), '')
    const removals = [1, 2, 3].map(() => fs.rm(at('d'), { recursive: true, force: true }).catch(codeOf))
    return [await Promise.all(removals), await fs.readdir(at(''))]
  },
  'where entries are': async (fs, at) => {
    await fs.mkdir(at('d/e'), { recursive: true })
    await fs.writeFile(at('d/e/f'), '')
    const found: unknown[] = []
    for (const path of ['', 'd/', 'd', 'd//e', 'd/../d']) {
      const entries = await fs.readdir(at(path), { recursive: true, withFileTypes: true })
      for await (const entry of await fs.opendir(at(path), { recursive: true })) entries.push(entry)
      found.push(entries.map(({ name, parentPath }) => [name, parentPath.replace(at(''), '<>/')]))
    }
    return found
  },
}

compare('fsFrom over a mirror does with trees what node:fs/promises does', cases)

describe('names that are no text', () => {
  it('stay what they are in a temporary directory, a listing and a copy', async () => {
    await using fs: FsView = fsFrom(memoryFilesystem())
    const made = (await fs.mkdtemp(below('/', odd) as never, 'buffer')) as unknown as Buffer
    assert.deepEqual(made.subarray(0, 3), below('/', odd))
    await fs.rm(made).then(() => assert.fail('it is a directory'), codeOf)
    await fs.rm(made, { recursive: true })
    await fs.mkdir(below('/d/', odd), { recursive: true })
    await fs.writeFile(below('/d/', odd, '/', odd), 'deep')
    await fs.cp('/d', '/copy', { recursive: true })
    const all = await fs.readdir('/copy', { recursive: true, encoding: 'buffer' })
    assert.deepEqual(all, [odd, below('', odd, '/', odd)])
    assert.equal(await fs.readFile(below('/copy/', odd, '/', odd), 'utf8'), 'deep')
  })
})

describe('rmdir', () => {
  it('leaves a file alone, recursive or not', async () => {
    await using fs = fsFrom(memoryFilesystem())
    await fs.writeFile('/f', '')
    assert.equal(await fs.rmdir('/f', { recursive: true }).catch(codeOf), 'ENOTDIR')
    assert.equal(await fs.rmdir('/f').catch(codeOf), 'ENOTDIR')
    await fs.mkdir('/d/e', { recursive: true })
    await fs.rmdir('/d', { recursive: true })
    assert.deepEqual(await fs.readdir('/'), ['f'])
  })
})

describe('a listing without types', () => {
  const untold: Filesystem = small({
    lookup: ({ name }) =>
      name === 'bad'
        ? EACCES
        : name === 'd'
          ? { nodeid: 3, attr: attrOf(3, 0o040755) }
          : { nodeid: 2, attr: file },
    getattr: ({ nodeid }) => ({ attr: nodeid === 1 ? root : nodeid === 3 ? attrOf(3, 0o040755) : file }),
    readdir: ({ nodeid, offset }) =>
      (nodeid === 1 ? ['bad', 'd'] : ['f']).map((name) => ({ name, ino: 9, type: 0 })).slice(offset),
  })

  it('has names even where a lookup fails', async () => {
    await using fs = fsFrom(untold)
    assert.deepEqual(await fs.readdir('/'), ['bad', 'd'])
    assert.deepEqual(await fs.readdir('/', { recursive: true }), ['bad', 'd', 'd/f'])
    assert.equal(await fs.readdir('/', { withFileTypes: true }).catch(codeOf), 'EACCES')
  })
})
