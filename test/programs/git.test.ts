// git through a mirror: clone, work and repack; the repository stays sound and the work tree clean.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { missing, run } from './command.js'
import { place, unfit } from './mounted.js'
import { makeTree } from './tree.js'

test(
  'git clone of more than 1,000 files, fsck and status',
  { skip: missing('git') || unfit(), timeout: 300_000 },
  async (t) => {
    const here = place(t, 'git')
    const identity = [
      '-c',
      'user.name=Test',
      '-c',
      'user.email=test@example.org',
      '-c',
      'init.defaultBranch=main',
    ]
    const env = { HOME: here.directory, GIT_CONFIG_NOSYSTEM: '1' }
    const git = async (cwd: string, ...args: string[]) =>
      (await run(['git', ...identity, ...args], { cwd, env, timeout: 120_000 })).stdout

    const origin = here.path('origin')
    const files = makeTree(origin, { directories: 60, filesEach: 25 })
    assert.ok(files > 1000)
    await git(origin, 'init', '--quiet')
    await git(origin, 'add', '.')
    await git(origin, 'commit', '--quiet', '-m', 'one')

    const { mnt } = await here.mirror()
    await git(mnt, 'clone', '--quiet', '--no-hardlinks', origin, 'clone')
    const clone = `${mnt}/clone`
    assert.equal((await git(clone, 'ls-files')).trim().split('\n').length, files)
    await git(clone, 'fsck', '--strict', '--full')
    assert.equal(await git(clone, 'status', '--porcelain'), '')
    await run(['diff', '-r', '--no-dereference', '--exclude=.git', origin, clone])

    await git(clone, 'checkout', '--quiet', '-b', 'work')
    await git(clone, 'mv', 'd1', 'moved')
    await git(clone, 'commit', '--quiet', '-m', 'two')
    await git(clone, 'checkout', '--quiet', 'main')
    await git(clone, 'merge', '--quiet', '--no-ff', '-m', 'merge', 'work')
    await git(clone, 'gc', '--quiet', '--prune=now')
    await git(clone, 'fsck', '--strict', '--full')
    assert.equal(await git(clone, 'status', '--porcelain'), '')
    await git(mnt, 'clone', '--quiet', 'clone', 'second')
    await git(`${mnt}/second`, 'fsck', '--strict', '--full')
  },
)
