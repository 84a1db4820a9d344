// tar through a mirror: an archive of more than 10,000 files unpacks to the same tree as natively.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { test } from 'node:test'
import { missing, run } from './command.js'
import { place, unfit } from './mounted.js'
import { makeTree } from './tree.js'

test(
  'tar extraction of more than 10,000 files',
  { skip: missing('tar', 'diff', 'find') || unfit(), timeout: 300_000 },
  async (t) => {
    const here = place(t, 'tar')
    const tree = here.path('tree')
    const files = makeTree(tree, { directories: 120, filesEach: 90, variety: true })
    assert.ok(files > 10_000)
    const archive = here.path('tree.tar')
    await run(['tar', '-cf', archive, '-C', tree, '.'])
    const native = here.path('native')
    mkdirSync(native)
    await run(['tar', '-xpf', archive, '-C', native])

    const { mnt } = await here.mirror()
    await run(['mkdir', `${mnt}/unpacked`])
    await run(['tar', '-xpf', archive, '-C', `${mnt}/unpacked`], { timeout: 180_000 })
    await run(['diff', '-r', '--no-dereference', native, `${mnt}/unpacked`], { timeout: 120_000 })

    // What diff does not look at: owner, mode, links, size, times to the nanosecond.
    const listing = async (directory: string) => {
      const script = `find . -printf '%P|%y|%m|%n|%s|%U|%G|%T@|%l\\n' | sort | grep -v '^|' | grep -v '|d|'`
      return (await run(['sh', '-c', script], { cwd: directory })).stdout
    }
    assert.equal(await listing(`${mnt}/unpacked`), await listing(native))

    // And back again: the archive made through the mount holds the same.
    await run(['tar', '-cf', here.path('again.tar'), '-C', `${mnt}/unpacked`, '.'], { timeout: 120_000 })
    await run(['tar', '--compare', '-f', here.path('again.tar'), '-C', native], { timeout: 120_000 })
  },
)
