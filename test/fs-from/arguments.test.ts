// Wrong arguments: rejected with the errors of node:fs, before anything is opened or changed.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { OptionError } from 'devfuse'
import { fsFrom } from 'devfuse/fs'
import type { FsCalls } from 'devfuse/fs'
import { memoryFilesystem } from 'devfuse/memory'
import { codeOf, compare } from './compared.js'
import type { Case } from './compared.js'

/** The calls without their types: what is tested is what they refuse. */
type Untyped = Record<string, (...args: unknown[]) => Promise<unknown>>
const untyped = (fs: object): Untyped => fs as Untyped

/** Calls `name` with a file `a` and each list of arguments; returns the codes, and what the file is like afterwards. */
const each =
  (name: string, ...lists: unknown[][]): Case =>
  async (fs, at) => {
    const found: unknown[] = []
    for (const list of lists) {
      await fs.writeFile(at('a'), 'precious')
      await fs.chmod(at('a'), 0o644)
      const call = untyped(fs)[name]
      const result = await call(at('a'), ...list).then(() => 'fulfilled', codeOf)
      const { mode, uid, gid } = await fs.stat(at('a'))
      found.push([result, mode, uid, gid, await fs.readFile(at('a'), 'utf8')])
    }
    return found
  }

/** The same with a handle of the file. */
const eachOf =
  (name: string, ...lists: unknown[][]): Case =>
  async (fs, at) => {
    const found: unknown[] = []
    for (const list of lists) {
      await fs.writeFile(at('a'), 'precious')
      await using handle = await fs.open(at('a'), 'r+')
      const call = untyped(handle)[name]
      found.push(await call.apply(handle, list).then(() => 'fulfilled', codeOf))
      found.push(await fs.readFile(at('a'), 'utf8'))
    }
    return found
  }

const numbers = [NaN, 1.5, '3', -5, null, undefined, 2 ** 33, {}].map((value) => [value])
const options = [[5], [true], ['bogus'], [{ encoding: 'bogus' }]]

compare('a wrong argument is refused as by node:fs/promises', {
  'of writeFile': each(
    'writeFile',
    ...[[undefined], [123], [null], [{}], [new ArrayBuffer(3)], ['x', 5], ['x', 'bogus']],
    ...[{ encoding: 'bogus' }, { mode: 'zz' }, { mode: {} }, { flag: 5.5 }, { flag: 'zz' }].map((one) => [
      'x',
      one,
    ]),
    ...[{ signal: 5 }, { flush: 5 }, { flag: null }, { flag: '' }].map((one) => ['x', one]),
  ),
  'of appendFile': each(
    'appendFile',
    ...[[undefined], [123], ['x', 5], ['x', 'bogus']],
    ...[{ mode: 'zz' }, { flag: 'zz' }, { flag: null }, { flag: undefined }, {}].map((one) => ['x', one]),
  ),
  'of writeFile, in what it iterates over': each('writeFile', [[1, 2]], [['x', null]]),
  'of readFile': each('readFile', ...options, [{ flag: 'zz' }], [{ signal: 5 }]),
  'of truncate': each('truncate', ...[NaN, 1.5, '3', -5, null, 2 ** 54].map((value) => [value])),
  'of chmod': each('chmod', ...[NaN, 1.5, '9', -5, null, undefined, {}].map((value) => [value])),
  'of chown': each('chown', ...numbers.map(([value]) => [value, 7]), ...numbers.map(([value]) => [7, value])),
  'of lchown': each('lchown', ...numbers.map(([value]) => [value, 7])),
  'of utimes': each('utimes', ...[NaN, null, undefined, 'x', {}, 5n, Infinity].map((value) => [value, 1])),
  'of lutimes': each('lutimes', [1, NaN], [null, 1]),
  'of access': each('access', [8], [-1], ['4'], [null]),
  'of copyFile': async (fs, at) => {
    await fs.writeFile(at('a'), 'x')
    const modes = [99, -1, '1', NaN]
    const found = modes.map((mode) => untyped(fs).copyFile(at('a'), at('b'), mode).catch(codeOf))
    return [await Promise.all(found), await fs.readdir(at(''))]
  },
  'of open': each('open', [1.5], [NaN], [2 ** 32], [''], ['w '], [{}], ['r', 'zz'], ['r', {}], ['r', -1]),
  'of mkdir': async (fs, at) => {
    const given = ['x', { recursive: 1 }, { mode: 'z' }, { mode: -1 }]
    const found = given.map((one) => untyped(fs).mkdir(at('d'), one).catch(codeOf))
    return [await Promise.all(found), await fs.readdir(at(''))]
  },
  'of rm': each(
    'rm',
    ...[
      [5],
      [null],
      ['x'],
      [{ recursive: 1 }],
      [{ force: 'a' }],
      [{ maxRetries: -1 }],
      [{ retryDelay: 1.5 }],
    ],
  ),
  'of cp': async (fs, at) => {
    await fs.writeFile(at('a'), 'x')
    const given = [
      ...[5, null, 'x', { mode: 99 }, { recursive: 1 }, { filter: 5 }, { force: 1 }],
      { dereference: true, verbatimSymlinks: true },
    ]
    const found = given.map((one) => untyped(fs).cp(at('a'), at('b'), one).catch(codeOf))
    return [await Promise.all(found), await fs.readdir(at(''))]
  },
  'of calls with an encoding': async (fs, at) => {
    await fs.symlink('x', at('l'))
    const found: unknown[] = []
    const calls = { readdir: '', opendir: '', realpath: '', readlink: 'l', mkdtemp: 'tmp-' }
    for (const one of [5, 'bogus', { encoding: 'bogus' }])
      for (const [name, path] of Object.entries(calls)) {
        const call = untyped(fs)[name]
        found.push(await call(at(path), one).then(() => 'fulfilled', codeOf))
      }
    return [found, await fs.readdir(at(''))]
  },
  'that should be a path': async (fs) => {
    const found: unknown[] = []
    const names = [
      'stat',
      'readFile',
      'rm',
      'mkdir',
      'readdir',
      'unlink',
      'realpath',
      'opendir',
      'open',
      'access',
    ]
    for (const path of [undefined, 5, null, {}, Buffer.from('a\0b')])
      for (const name of [...names, 'rmdir', 'mkdtemp', 'truncate', 'statfs', 'readlink'])
        found.push(name, await untyped(fs)[name](path).catch(codeOf))
    for (const name of ['rename', 'link', 'symlink', 'copyFile', 'cp'])
      found.push(name, await untyped(fs)[name]('/none', 5).catch(codeOf))
    return found
  },
  'of write of a handle': eachOf(
    'write',
    ...[[123], [null], [{}], ['abc', 0, 'hex'], [Buffer.from('abc'), 5], [Buffer.from('abc'), 0, 10]],
    ...[
      [Buffer.from('abc'), -1],
      [Buffer.from('abc'), 1.5],
      [Buffer.from('abc'), 0, 1.5],
    ],
  ),
  'of read of a handle': eachOf(
    'read',
    ...[['str'], [5], [Buffer.alloc(4), 5], [Buffer.alloc(4), 0, 10], [Buffer.alloc(4), -1]],
  ),
  'of readv of a handle': eachOf('readv', [5], [null], [[5]], [['a']]),
  'of writev of a handle': eachOf('writev', [5], [null], [[5]], [['a']]),
  'of writeFile of a handle': eachOf('writeFile', [5], [undefined], ['x', 'bogus'], ['x', { signal: 5 }]),
  'of readFile of a handle': eachOf('readFile', ...options),
  'of truncate of a handle': eachOf('truncate', ['x'], [1.5], [null], [NaN], [-3]),
  'of chmod of a handle': eachOf('chmod', ['x'], [1.5], [null], [undefined], [NaN], [-3]),
  'of chown of a handle': eachOf('chown', ...numbers.map(([value]) => [value, 7])),
  'of utimes of a handle': eachOf('utimes', [NaN, 1], [null, 1], [1, 'x']),
})

describe('a call with wrong arguments', () => {
  it('rejects, and never throws', async () => {
    await using fs = fsFrom(memoryFilesystem())
    await using handle = await fs.open('/a', 'w+')
    const odd = Object.create(null) as object
    for (const view of [fs, handle] as const)
      for (const [name, call] of Object.entries(methodsOf(view)))
        for (const argument of [undefined, null, NaN, 5, odd, Symbol('odd')]) {
          const promise = call.call(view, argument, argument, argument, argument)
          assert.ok(promise instanceof Promise, name)
          await promise.catch(() => undefined)
        }
  })

  it('that node:fs has not rejects in the same way', async () => {
    await using fs = fsFrom(memoryFilesystem())
    await fs.writeFile('/a', 'precious')
    await using handle = await fs.open('/a', 'r+')
    const [calls, onHandle] = [untyped(fs), untyped(handle)]
    const found = [
      calls.setxattr('/a', 'user.x', 5),
      calls.setxattr('/a', 5, 'x'),
      calls.setxattr('/a', 'user.x', 'x', { flags: 1.5 }),
      calls.getxattr('/a', undefined),
      calls.rename2('/a', '/b', 'x'),
      onHandle.seek(1.5, 'data'),
      onHandle.seek(0, 'end'),
      onHandle.fallocate('x', 1),
      onHandle.fallocate(0, 0),
      onHandle.fallocate(-1, 1),
      onHandle.write('x', 1.5),
      onHandle.write('x', 0, 'bogus'),
      onHandle.read(Buffer.alloc(1), 0, 1, 'x'),
    ]
    assert.deepEqual(await Promise.all(found.map((call) => call.catch(codeOf))), [
      ...['ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_TYPE', 'ERR_OUT_OF_RANGE', 'ERR_INVALID_ARG_TYPE'],
      ...['ERR_INVALID_ARG_TYPE', 'ERR_OUT_OF_RANGE', 'ERR_INVALID_ARG_VALUE', 'ERR_INVALID_ARG_TYPE'],
      ...['EINVAL', 'EINVAL', 'ERR_OUT_OF_RANGE', 'ERR_INVALID_ARG_VALUE', 'ERR_INVALID_ARG_TYPE'],
    ])
    assert.equal(await fs.readFile('/a', 'utf8'), 'precious')
  })

  it('of fsFrom itself throws an OptionError', () => {
    for (const groups of [5, 'x', [1.5], ['1']])
      assert.throws(
        () => fsFrom(memoryFilesystem(), { groups: groups as never }),
        (error) => error instanceof OptionError && error.message.includes('`groups`'),
      )
  })
})

/** What returns promises. */
function methodsOf(view: FsCalls | object): Record<string, (...args: unknown[]) => unknown> {
  const prototype =
    Object.getPrototypeOf(view) === Object.prototype ? view : (Object.getPrototypeOf(view) as object)
  const others =
    /^(constructor|constants|watch|fd|create.*Stream|readLines|readableWebStream|connection|close)$/
  const found = Object.getOwnPropertyNames(prototype).filter((name) => !others.test(name))
  return Object.fromEntries(found.map((name) => [name, untyped(view)[name]]))
}
