// union: layers that throw their errors, that answer ENOSYS, and that fail in the middle of something.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ENOENT, ENOSYS, EROFS, connect } from 'devfuse'
import type { Connection, Filesystem } from 'devfuse'
import { union } from 'devfuse/wrappers'
import { failure, filled, someDirectory as attr, viewed } from './filled.js'

const thrown = (code: string): Error => Object.assign(new Error(`thrown ${code}`), { code })
const root: Filesystem = { getattr: () => ({ attr: { ...attr, ino: 1 } }) }

describe('a union asks the next layer', () => {
  const missing: Record<string, () => typeof ENOENT | Promise<never>> = {
    returned: () => ENOENT,
    thrown: () => {
      throw thrown('ENOENT')
    },
    rejected: () => Promise.reject(Object.assign(new Error('no'), { errno: 2 })),
  }
  for (const [how, lookup] of Object.entries(missing)) {
    it(`where a name is missing: ENOENT ${how}`, async (t) => {
      const fs = viewed(t, union([{ ...root, lookup }, await filled({ '/f': 'lower' })]))
      assert.equal(await fs.readFile('/f', 'utf8'), 'lower')
    })
  }

  const refused: Record<string, () => typeof EROFS | typeof ENOSYS | Promise<never>> = {
    'EROFS returned': () => EROFS,
    'EROFS thrown': () => {
      throw thrown('EROFS')
    },
    'EROFS rejected': () => Promise.reject(thrown('EROFS')),
    'ENOSYS returned': () => ENOSYS,
  }
  for (const [how, make] of Object.entries(refused)) {
    it(`where nothing can be made: ${how}`, async (t) => {
      const upper: Filesystem = { ...root, lookup: () => ENOENT, create: make, mknod: make, mkdir: make }
      const fs = viewed(t, union([upper, await filled({})]))
      await fs.writeFile('/f', 'x')
      await fs.mkdir('/d')
      assert.equal(await fs.readFile('/f', 'utf8'), 'x')
      assert.ok((await fs.stat('/d')).isDirectory())
    })
  }
})

describe('a union in which one layer lacks an operation', () => {
  it('does not have it switched off for the others', async () => {
    const lacking: Filesystem = {
      ...{ lookup: () => ({ nodeid: 5, attr }), open: () => ENOSYS, getxattr: () => ENOSYS },
      ...{ flush: () => ENOSYS, poll: () => ENOSYS },
    }
    await using kernel = await connect(union([lacking]))
    const { nodeid } = await kernel.send('lookup', { name: 'f' })
    const errors = await Promise.all(
      (['open', 'flush', 'getxattr', 'poll'] as const).map(async (name) => {
        const { error, value } = await kernel.send(name, { nodeid, name: 'user.x' })
        return [name, error, value]
      }),
    )
    assert.ok(
      errors.every(([, error]) => error !== ENOSYS),
      String(errors),
    )
    assert.equal(errors[3][2], 0x145)
  })
})

describe('a union whose layer fails in the middle', () => {
  /** Counts the lookups that a layer has given out and not got back. */
  const counting = (rest: Filesystem): { layer: Filesystem; owed: () => number } => {
    let owed = 0
    const layer: Filesystem = {
      lookup: () => {
        owed++
        return { nodeid: 5, attr }
      },
      forget: ({ nlookup }) => void (owed -= nlookup),
      ...rest,
    }
    return { layer, owed: () => owed }
  }
  const broken = (): never => {
    throw new Error('broken')
  }
  const connected = (...layers: Filesystem[]): Promise<Connection> =>
    connect(union(layers), { onWarning: () => undefined })

  for (const how of ['thrown', 'rejected', 'with an errno'] as const) {
    it(`gives back what it looked up: ${how}`, async () => {
      const fail = (): never | Promise<never> => {
        if (how === 'with an errno') throw thrown('EACCES')
        return how === 'thrown' ? broken() : Promise.reject(new Error('broken'))
      }
      const { layer, owed } = counting({ unlink: fail, rmdir: fail, rename: fail, link: fail })
      await using kernel = await connected(layer)
      const requests = {
        unlink: { name: 'f' },
        rmdir: { name: 'f' },
        rename: { name: 'f', newdir: 1, newname: 'g' },
      }
      for (const [name, fields] of Object.entries(requests)) {
        const { error } = await kernel.send(name as 'unlink', fields)
        assert.deepEqual([name, error, owed()], [name, how === 'with an errno' ? -13 : -5, 0])
      }
    })
  }

  it('gives back what upper layers found', async () => {
    const { layer, owed } = counting({})
    await using kernel = await connected(layer, { lookup: broken })
    assert.deepEqual([(await kernel.send('lookup', { name: 'd' })).error, owed()], [-5, 0])
  })

  it('gives back what it made and could not open', async () => {
    let forgotten = 0
    const layer: Filesystem = {
      mknod: () => ({ nodeid: 5, attr: { ...attr, mode: 0o100644 } }),
      open: broken,
      forget: ({ nlookup }) => void (forgotten += nlookup),
    }
    await using kernel = await connected(layer, { create: () => EROFS })
    assert.deepEqual([(await kernel.send('create', { name: 'f' })).error, forgotten], [-5, 1])
  })

  it('gives back what a listing told before it failed', async () => {
    const { layer, owed } = counting({
      *readdirplus() {
        void layer.lookup?.(undefined as never)
        yield { name: 'f', nodeid: 5, attr }
        broken()
      },
    })
    await using kernel = await connected(layer)
    const { fh } = await kernel.send('opendir')
    assert.deepEqual([(await kernel.send('readdir', { fh, size: 4096 })).error, owed()], [-5, 0])
  })

  it('reports a FORGET that fails, as a session does', async () => {
    const warnings: string[] = []
    const listen = ({ message }: Error): void => void warnings.push(message)
    process.on('warning', listen)
    try {
      const late: Filesystem = {
        ...counting({}).layer,
        forget: () => Promise.reject(new Error('late')) as never,
      }
      await using kernel = await connected(late)
      const { nodeid } = await kernel.send('lookup', { name: 'd' })
      kernel.tell('forget', { nodeid, nlookup: 1 })
      await new Promise((resolve) => setImmediate(resolve))
      assert.deepEqual(warnings, ['forget of a wrapped filesystem failed'])
    } finally {
      process.off('warning', listen)
    }
  })

  it('closes the directories that it opened', async () => {
    const closed: unknown[] = []
    const layer: Filesystem = { opendir: () => ({ fh: 3 }), releasedir: ({ fh }) => void closed.push(fh) }
    await using kernel = await connected(layer, { opendir: broken })
    assert.deepEqual([(await kernel.send('opendir')).error, closed], [-5, [3]])
  })

  it('tells what a lower layer failed with', async (t) => {
    const fs = viewed(
      t,
      union([{ ...root, lookup: () => ENOENT }, { lookup: () => Promise.reject(thrown('EACCES')) }]),
    )
    assert.equal(await failure(fs.stat('/f')), 'EACCES')
  })
})
