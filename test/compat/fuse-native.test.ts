// Filesystems written for fuse-native, on real mounts: what programs see, and what the handlers are asked.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Handlers } from 'devfuse/compat/fuse-native'
import { run, sh, skip } from '../support/mounting.js'
import { root } from '../support/server.js'
import { CallbackStore, DIRECTORY, FILE } from './callback-store.js'
import { fuseMounted } from './fuse-mounted.js'

describe('a filesystem of callbacks', { skip, timeout: 60_000 }, () => {
  it('does what programs ask of a filesystem', async (t) => {
    const { mnt, warnings } = await fuseMounted(t, new CallbackStore())
    await sh(`cd ${mnt}
      mkdir -p a/b && echo text > a/b/file && printf ' and more' >> a/b/file
      head -c 3000000 /dev/urandom > big && md5sum < big > big.md5
      ln -s a/b/file link && ln a/b/file hard
      echo gone > gone && rm gone
      echo 1 > one && echo 2 > two && mv one two
      chmod 640 a/b/file && chown 12:34 a/b/file && touch -d '2001-02-03 04:05:06.789 UTC' hard
      truncate -s 5 short && mkdir empty && rmdir empty && mkfifo fifo && mv a moved`)
    assert.match((await run('rmdir', [`${mnt}/moved`])).stderr, /not empty/i)
    assert.equal(await sh(`cat ${mnt}/hard`), 'text\n and more')
    assert.equal(await sh(`readlink ${mnt}/link`), 'a/b/file\n')
    assert.equal(await sh(`md5sum < ${mnt}/big`), await sh(`cat ${mnt}/big.md5`))
    assert.equal(
      await sh(`stat -c '%s %a %u:%g %h %y' ${mnt}/hard`),
      '14 640 12:34 2 2001-02-03 04:05:06.789000000 +0000\n',
    )
    assert.equal(await sh(`stat -c %F ${mnt}/fifo`), 'fifo\n')
    assert.equal(
      await sh(`cd ${mnt} && find . | sort | tr '\\n' ' '`),
      '. ./big ./big.md5 ./fifo ./hard ./link ./moved ./moved/b ./moved/b/file ./short ./two ',
    )
    assert.match(await sh(`ls -a ${mnt}`), /^\.\n\.\.\n/)
    assert.match((await run('cat', [`${mnt}/nothing`])).stderr, /No such file/)
    await sh(`cp -a ${mnt} ${mnt}-copy && diff -r --no-dereference ${mnt}/moved ${mnt}-copy/moved`)
    assert.deepEqual(warnings, [])
  })

  it('hands descriptors and arguments to the handlers', async (t) => {
    const store = new CallbackStore()
    const { mnt } = await fuseMounted(t, store, { attrTimeout: 0, entryTimeout: 0 })
    await sh(`echo one > ${mnt}/f`)
    await until(() => store.log.some((line) => line.startsWith('release')))
    assert.match(store.seen(), /create \/f = 7\n(.*\n)*write \/f 7\n(.*\n)*flush \/f 7\n(.*\n)*release \/f 7/)
    await inNode(`
      const fd = fs.openSync('${mnt}/f', 'r+')
      fs.fdatasyncSync(fd); fs.fsyncSync(fd); fs.ftruncateSync(fd, 2); fs.closeSync(fd)
      fs.writeFileSync('${mnt}/f', '')
      const dir = fs.openSync('${mnt}', fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
      fs.fsyncSync(dir); fs.closeSync(dir)
      fs.readdirSync('${mnt}')
      fs.chownSync('${mnt}/f', -1, 5)
      fs.statfsSync('${mnt}/f')`)
    await until(() => store.log.some((line) => line.startsWith('releasedir')))
    const seen = store.seen()
    for (const line of [
      'open /f 2 = 8',
      'fsync /f 1 8',
      'fsync /f 0 8',
      'ftruncate /f 8 2',
      'flush /f 8',
      'release /f 8',
      'truncate /f 0',
      'opendir / O_DIRECTORY = 10',
      'fsyncdir / 0 10',
      'readdir /',
      'releasedir / 10',
      'chown /f 4294967295 5',
      'statfs /f',
    ]) {
      assert.ok(seen.split('\n').includes(line), `${line} is not in:\n${seen}`)
    }
    assert.equal(await sh(`stat -f -c '%s %S %b %f %a %c %d %l' ${mnt}`), '4096 4096 1000 600 500 50 40 99\n')
  })

  it('lets the handlers keep what is written, in large pieces', async (t) => {
    const kept: Buffer[] = []
    const { mnt } = await fuseMounted(t, {
      getattr: (path, cb) => cb(0, path === '/' ? { mode: DIRECTORY } : { mode: FILE }),
      truncate: (_path, _size, cb) => cb(0),
      write: (_path, _fd, buffer, length, _position, cb) => {
        kept.push(buffer)
        setTimeout(cb, 1, length)
      },
    })
    await sh(
      `for i in 0 1 2 3 4 5 6 7 8 9; do head -c 1000000 /dev/zero | tr '\\0' $i | dd of=${mnt}/f bs=1000000 iflag=fullblock 2>&1; done`,
    )
    assert.deepEqual([...new Set(kept.map((bytes) => bytes.length))], [1_000_000])
    assert.deepEqual(
      kept.map((bytes) => [bytes[0], bytes.equals(Buffer.alloc(bytes.length, bytes[0]))]),
      Array.from({ length: 10 }, (_, i) => [0x30 + i, true]),
    )
  })

  it('stores extended attributes', async (t) => {
    const store = new CallbackStore()
    const { mnt } = await fuseMounted(t, store)
    await inNode(`
      const path = '${mnt}/f', big = Buffer.alloc(60000, 'x'), room = Buffer.alloc(65536)
      fs.closeSync(fs.openSync(path, 'w'))
      assert.equal(syscalls.lsetxattr(path, 'user.a', Buffer.from('value'), 0), 0)
      assert.equal(syscalls.lsetxattr(path, 'user.big', big, 0), 0)
      assert.equal(syscalls.lgetxattr(path, 'user.a', room), 5)
      assert.equal(room.toString('utf8', 0, 5), 'value')
      assert.equal(syscalls.lgetxattr(path, 'user.a', Buffer.alloc(4)), devfuse.ERANGE)
      assert.equal(syscalls.lgetxattr(path, 'user.big', room), 60000)
      assert.equal(syscalls.llistxattr(path, room), 16)
      assert.equal(room.toString('utf8', 0, 16), 'user.a\\0user.big\\0')
      assert.equal(syscalls.lsetxattr(path, 'user.a', big, 1), devfuse.EEXIST)
      assert.equal(syscalls.lgetxattr(path, 'user.none', room), devfuse.ENODATA)
      assert.equal(syscalls.lremovexattr(path, 'user.a'), 0)
      assert.equal(syscalls.lremovexattr(path, 'user.a'), devfuse.ENODATA)`)
  })

  it('keeps a file that is removed or replaced while it is open', async (t) => {
    const store = new CallbackStore()
    const { mnt } = await fuseMounted(t, store)
    assert.equal(
      await sh(`cd ${mnt}; echo kept > f; exec 3<> f; rm f; test ! -e f
        cat <&3; echo more >&3; cat /proc/self/fd/3`),
      'kept\nkept\nmore\n',
    )
    await until(() => store.items.size === 1)
    assert.equal(
      await sh(`cd ${mnt}; echo old > f; echo new > g; exec 3< f; mv g f; cat f - <&3`),
      'new\nold\n',
    )
    await until(() => store.items.size === 2)
    assert.match(store.seen(), /rename \/f \/\.fuse_hidden[0-9a-f]{16}\n/)
  })

  it('forgets a removed file whose release fails, and removes none without unlink', async (t) => {
    const store = new CallbackStore()
    const failing = Object.assign(without(store), {
      release: () => assert.fail('no release'),
    } satisfies Handlers)
    const { mnt, warnings } = await fuseMounted(t, failing)
    await sh(`cd ${mnt}; echo text > f; exec 3< f; rm f`)
    await until(() => store.items.size === 1)
    assert.match(warnings.join(), /release failed .*no release/)
    const kept = new CallbackStore()
    const other = await fuseMounted(t, without(kept, 'unlink'))
    const { stderr } = await run('sh', ['-c', `cd ${other.mnt}; echo text > f; exec 3< f; rm f`])
    assert.match(stderr, /not implemented/)
    assert.deepEqual([...kept.items.keys()], ['/', '/f'])
  })

  it('asks for an open file by the path that it has now', async (t) => {
    const store = new CallbackStore()
    const { mnt } = await fuseMounted(t, store)
    await sh(`cd ${mnt}; mkdir a b; echo text > a/f; exec 3< a/f; mv a/f b/g; mv b c; cat <&3`)
    await until(() => store.log.some((line) => line.startsWith('release /c')))
    const seen = store.seen()
    assert.match(seen, /open \/a\/f 0 = (\d+)\n(.*\n)*read \/c\/g \1\n(.*\n)*release \/c\/g \1/)
  })

  it('refuses to remove an open file where it cannot be hidden', async (t) => {
    const store = new CallbackStore()
    const handlers = without(store, 'rename')
    const { mnt } = await fuseMounted(t, handlers)
    const { stderr } = await run('sh', ['-c', `cd ${mnt}; echo text > f; exec 3< f; rm f; cat <&3`])
    assert.match(stderr, /busy/i)
    await sh(`rm ${mnt}/f`)
  })

  it('makes files with mknod where there is no create, and with create what mknod(2) asks for', async (t) => {
    const store = new CallbackStore()
    const { mnt } = await fuseMounted(t, without(store, 'create'))
    await sh(`echo text > ${mnt}/f`)
    assert.equal(await sh(`cat ${mnt}/f`), 'text\n')
    assert.match(store.seen(), /mknod \/f 100644 0\n/)
    const other = new CallbackStore()
    const { mnt: second } = await fuseMounted(t, other)
    await inNode(`assert.equal(syscalls.mknodat(-100, '${second}/n', 0o100644, 0), 0)`)
    assert.match(other.seen(), /create \/n = 7\nrelease \/n 7/)
  })

  it('tells fstat(2) by fgetattr, and sets one time alone', async (t) => {
    const store = new CallbackStore()
    const handlers: Handlers = Object.assign(without(store), {
      fgetattr(path: string, fd: number, cb: (result: number, stats?: object) => void) {
        store.log.push(`fgetattr ${path} ${fd}`)
        store.getattr(path, cb)
      },
    } satisfies Handlers)
    const { mnt } = await fuseMounted(t, handlers)
    await sh(`echo text > ${mnt}/f`)
    assert.match(store.seen(), /create \/f = 7\nfgetattr \/f 7\n/)
    await sh(`touch -d '2001-02-03 04:05:06 UTC' ${mnt}/f; touch -m -d '2011-02-03 04:05:06 UTC' ${mnt}/f`)
    assert.equal(await sh(`stat -c '%X %Y' ${mnt}/f`), '981173106 1296705906\n')
  })
})

describe('a filesystem with few handlers', { skip, timeout: 60_000 }, () => {
  it('has an empty root without any', async (t) => {
    const { mnt } = await fuseMounted(t, {})
    assert.equal(await sh(`stat -c '%A %s %Y' ${mnt}`), 'drwxr-xr-x 4096 0\n')
    assert.match((await run('stat', [`${mnt}/f`])).stderr, /not permitted/i)
    for (const command of [
      ['ls', mnt],
      ['mkdir', `${mnt}/d`],
      ['touch', `${mnt}/f`],
    ]) {
      assert.notEqual((await run(command[0], command.slice(1))).code, 0)
    }
    await sh(`stat -f ${mnt}`)
  })

  it('opens and reads without open, by path', async (t) => {
    const asked: unknown[] = []
    const { mnt, warnings } = await fuseMounted(t, {
      force: true,
      getattr: (path: string, cb: (result: number | null, stats?: object) => void) =>
        path === '/' ? cb(null, { mode: DIRECTORY }) : cb(0, { mode: FILE, size: 5, mtime: 1000 }),
      readdir: (_: string, cb: (result: null, names: string[]) => void) => cb(null, ['.', '..', 'a', 'b']),
      read(...[path, fd, buffer, , position, cb]: Parameters<NonNullable<Handlers['read']>>) {
        asked.push([path, fd, position])
        cb(buffer.write('hello'.slice(position)))
      },
    } as Handlers)
    assert.equal(await sh(`ls -a ${mnt}`), '.\n..\na\nb\n')
    assert.equal(await sh(`cat ${mnt}/a`), 'hello')
    assert.deepEqual(asked, [['/a', 0, 0]])
    assert.equal(await sh(`stat -c '%Y %h %b' ${mnt}/a`), '1 1 1\n')
    assert.match((await run('sh', ['-c', `echo > ${mnt}/a`])).stderr, /not implemented/i)
    assert.deepEqual(warnings, [])
  })
})

/** The store as a plain object, but for some handlers. */
function without(store: CallbackStore, ...names: (keyof Handlers)[]): Handlers {
  const handlers: Record<string, unknown> = {}
  for (const name of Object.getOwnPropertyNames(CallbackStore.prototype)) {
    const method: unknown = Reflect.get(store, name)
    if (typeof method === 'function' && !names.includes(name as keyof Handlers))
      handlers[name] = method.bind(store)
  }
  return handlers
}

/** Runs statements in a process of their own. */
async function inNode(statements: string): Promise<void> {
  const source = `
    import assert from 'node:assert/strict'
    import fs from 'node:fs'
    import * as devfuse from 'devfuse'
    import { syscalls } from 'devfuse/syscalls'
    ${statements}`
  const { code, stderr } = await run(process.execPath, ['--input-type=module', '-e', source], { cwd: root })
  assert.equal(code, 0, stderr)
}

async function until(what: () => boolean): Promise<void> {
  for (let i = 0; i < 500 && !what(); i++) await new Promise((done) => setTimeout(done, 10))
  assert.ok(what())
}
