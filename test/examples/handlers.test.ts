// The examples about handlers, each against a real mount: null, async-hello, simple, ioctl, poll.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { IOC, ioctl } from '../support/device-client.js'
import { run, sh, skip, temporary } from '../support/mounting.js'
import { built, example } from './example.js'

const root = dirname(fileURLToPath(import.meta.resolve('devfuse/package.json')))

describe('every example', () => {
  it('is short, and imports public entries only', () => {
    for (const name of readdirSync(join(root, 'examples')).filter((file) => file.endsWith('.ts'))) {
      const text = readFileSync(join(root, 'examples', name), 'utf8')
      const lines = text.split('\n').length - 1
      if (name !== 'start.ts') assert.ok(lines < 100, `${name} has ${lines} lines`)
      for (const [, from] of text.matchAll(/from '([^']+)'/g)) {
        assert.match(from, /^(node:\w|devfuse(\/(fs|syscalls|mirror|inodes))?$|\.\/[\w-]+\.js$)/, name)
      }
    }
  })
})

describe('examples/null', { skip, timeout: 60_000 }, () => {
  it('mounts, and has nothing to say', async (t) => {
    const { mnt } = await example(t, 'null')
    assert.match((await run('stat', [mnt])).stderr, /not implemented/i)
    assert.match((await run('ls', [mnt])).stderr, /not implemented/i)
  })
})

describe('examples/async-hello', { skip, timeout: 60_000 }, () => {
  it('lists and reads, after a while', async (t) => {
    const { mnt } = await example(t, 'async-hello', '50')
    assert.equal(await sh(`cat ${mnt}/hello`), 'Hello, a little later!\n')
    assert.equal(await sh(`ls ${mnt}`), 'hello\n')
    assert.match((await run('cat', [`${mnt}/other`])).stderr, /No such file/)
  })

  it('serves others while some wait, and lets go of who is interrupted', async (t) => {
    const { mnt, output } = await example(t, 'async-hello', '1500')
    const started = performance.now()
    const stats = await Promise.all(Array.from({ length: 10 }, () => run('stat', [`${mnt}/hello`])))
    for (const { code } of stats) assert.equal(code, 0)
    // One after the other it would take more than ten times as long as a single wait.
    assert.ok(performance.now() - started < 10_000)
    const killed = performance.now()
    await run('timeout', ['-s', 'INT', '0.3', 'cat', `${mnt}/hello`])
    assert.ok(performance.now() - killed < 1400)
    assert.doesNotMatch(output(), /Warning/)
  })
})

describe('examples/simple', { skip, timeout: 120_000 }, () => {
  it('keeps files, directories, links and attributes over a remount', async (t) => {
    const store = join(temporary(t), 'store')
    const first = await example(t, 'simple', store)
    await sh(`cd ${first.mnt}
      mkdir -p a/b && echo text > a/b/file && printf ' and more' >> a/b/file
      head -c 3000000 /dev/urandom > big && md5sum < big > big.md5
      ln -s a/b/file link && ln a/b/file hard
      echo gone > gone && rm gone
      echo 1 > one && echo 2 > two && mv one two
      chmod 640 a/b/file && chown 12:34 a/b/file && touch -d '2001-02-03 04:05:06 UTC' hard
      truncate -s 5 big.short && mkdir empty && rmdir empty`)
    assert.match((await run('rmdir', [`${first.mnt}/a`])).stderr, /not empty/i)
    await first.stop()
    const { mnt } = await example(t, 'simple', store)
    assert.equal(await sh(`cat ${mnt}/link`), 'text\n and more')
    assert.equal(await sh(`md5sum < ${mnt}/big`), await sh(`cat ${mnt}/big.md5`))
    assert.equal(await sh(`cat ${mnt}/two`), '1\n')
    assert.equal(await sh(`stat -c '%s %a %u:%g %h %Y' ${mnt}/hard`), '14 640 12:34 2 981173106\n')
    assert.equal(
      await sh(`cd ${mnt} && find . | sort | tr '\\n' ' '`),
      '. ./a ./a/b ./a/b/file ./big ./big.md5 ./big.short ./hard ./link ./two ',
    )
    // A removed file leaves nothing in the store: the root, two folders, six files with data and the index.
    assert.equal((await sh(`ls ${store} | grep -v json | wc -l`)).trim(), '6')
  })

  it('keeps an open file without a name until it is closed', async (t) => {
    const store = join(temporary(t), 'store')
    const { mnt, stop } = await example(t, 'simple', store)
    assert.equal(await sh(`cd ${mnt} && echo kept > f && exec 3< f && rm f && cat <&3 && ls`), 'kept\n')
    await stop()
    assert.deepEqual(readdirSync(store), ['index.json'])
  })

  it('is good enough for git', async (t) => {
    const { mnt } = await example(t, 'simple', join(temporary(t), 'store'))
    const git = `git -c user.name=a -c user.email=a@b -c safe.directory='*'`
    await sh(
      `cd ${mnt} && git init -q . && for i in 1 2 3; do echo $i > f$i; ${git} add f$i; ${git} commit -qm $i; done`,
    )
    assert.equal((await sh(`cd ${mnt} && ${git} log --oneline | wc -l`)).trim(), '3')
    await sh(`cd ${mnt} && ${git} fsck`)
  })
})

describe('examples/ioctl', { skip, timeout: 60_000 }, () => {
  it('tells and sets the size', async (t) => {
    const { mnt } = await example(t, 'ioctl')
    const file = `${mnt}/fioc`
    assert.equal(await ioctl(file, IOC.read, 0, 8), 'result=0 errno=0 data=0000000000000000')
    assert.match(await ioctl(file, IOC.write, 1, 8, '0010'), /^result=0 errno=0/)
    assert.equal(await ioctl(file, IOC.read, 0, 8), 'result=0 errno=0 data=0010000000000000')
    assert.equal(await sh(`stat -c %s ${file}`), '4096\n')
    await sh(`printf hello > ${file}`)
    assert.equal(await ioctl(file, IOC.read, 0, 8), 'result=0 errno=0 data=0500000000000000')
    assert.match(await ioctl(file, IOC.write, 1, 8, 'ffffffff'), /errno=EINVAL/)
    assert.match(await ioctl(file, IOC.read, 9, 8), /errno=ENOTTY/)
  })
})

describe('examples/poll', { skip, timeout: 60_000 }, () => {
  it('wakes its client', async (t) => {
    const { mnt } = await example(t, 'poll', '20')
    const { code, stdout, stderr } = await run(process.execPath, [built('poll-client'), mnt, '20'])
    assert.equal(code, 0, stderr)
    const rounds = stdout.trim().split('\n')
    assert.equal(rounds.length, 20)
    for (const round of rounds) {
      assert.match(round, /^0:\d+ 1:\d+ .* F:\d+$/)
      // Nobody is woken for nothing.
      assert.match(round, /:[1-9]/)
    }
  })

  it('refuses a second reader of the same file', async (t) => {
    const { mnt } = await example(t, 'poll', '100000')
    assert.match((await run('sh', ['-c', `exec 3< ${mnt}/A; cat ${mnt}/A`])).stderr, /busy/i)
    assert.match((await run('sh', ['-c', `echo > ${mnt}/A`])).stderr, /denied/i)
  })
})
