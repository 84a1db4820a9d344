// A tree of 200,000 files under a limit of 1,024 descriptors: every file is found, and inodes cost no descriptors.
import assert from 'node:assert/strict'
import { closeSync, mkdirSync, openSync, readdirSync } from 'node:fs'
import { test } from 'node:test'
import { missing, run } from './command.js'
import { place, unfit } from './mounted.js'

const skip = missing('find', 'prlimit', 'sort', 'md5sum') || unfit()

test('find and stat over 200,000 files with ulimit -n 1024', { skip, timeout: 600_000 }, async (t) => {
  const here = place(t, 'many')
  for (let d = 0; d < 400; d++) {
    const directory = `${here.src}/${d % 20}/${d}`
    mkdirSync(directory, { recursive: true })
    for (let f = 0; f < 500; f++) closeSync(openSync(`${directory}/${f}.c`, 'w'))
  }
  const server = await here.mirror({ prefix: ['prlimit', '--nofile=1024:1024', '--'] })
  const listing = async (directory: string) => {
    const list = `find . -type f -printf '%P %i %s %m %n %U %G %T@\\n'`
    const counted = await run(['sh', '-c', `${list} | LC_ALL=C sort > ${here.path('list')}`], {
      cwd: directory,
      timeout: 180_000,
    })
    assert.equal(counted.stderr, '')
    const { stdout } = await run(['sh', '-c', 'wc -l < "$0"; md5sum < "$0"', here.path('list')])
    assert.match(stdout, /^200000\n/)
    return stdout
  }
  const native = await listing(here.src)
  assert.equal(await listing(server.mnt), native, 'first walk')
  assert.ok(readdirSync(`/proc/${server.pid}/fd`).length < 1000, 'descriptors of the server')
  // All inodes are known by now; asking for each by name must work as well.
  await run(['sh', '-c', 'find . -type f -print0 | xargs -0 stat -c %i > /dev/null'], {
    cwd: server.mnt,
    timeout: 180_000,
  })
  await run(['sh', '-c', 'find . -type f -name "*7.c" -print0 | xargs -0 cat'], {
    cwd: server.mnt,
    timeout: 180_000,
  })
  assert.equal(await listing(server.mnt), native, 'second walk')
  await server.stop()
})
