// The life of a mount of `devfuse/compat/fuse-native`: how it comes and goes, its options on a real kernel, CommonJS.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import Fuse from 'devfuse/compat/fuse-native'
import type { Options } from 'devfuse/compat/fuse-native'
import { cleanup, dropDentries, run, sh, skip, temporary } from '../support/mounting.js'
import { mountAt, root, until } from '../support/server.js'
import { CallbackStore, DIRECTORY, FILE } from './callback-store.js'
import { fuseMounted, mountPoint } from './fuse-mounted.js'

const mounting = (fuse: Fuse) => promisify(fuse.mount.bind(fuse))()
const unmounting = (fuse: Fuse) => promisify(fuse.unmount.bind(fuse))()

describe('a mount', { skip, timeout: 60_000 }, () => {
  it('comes and goes once', async (t) => {
    const mnt = mountPoint(t)
    const fuse = new Fuse(mnt, new CallbackStore())
    await mounting(fuse)
    assert.equal(mountAt(mnt)?.fsType, 'fuse')
    assert.equal(mountAt(mnt)?.source, '/dev/fuse')
    assert.ok(fuse.opened)
    await unmounting(fuse)
    assert.equal(mountAt(mnt), undefined)
    assert.ok(fuse.closed)
    await assert.rejects(mounting(fuse), /Resource is closed/)
  })

  it('needs a directory that nothing is mounted on', async (t) => {
    const { mnt } = await fuseMounted(t, new CallbackStore())
    const place = temporary(t)
    writeFileSync(join(place, 'file'), '')
    for (const [path, message] of [
      [
        join(place, 'none'),
        /^Error: Mountpoint does not exist: .*none; create it, or set the option `mkdir`/,
      ],
      [join(place, 'file'), /^Error: Mountpoint is not a directory: /],
      [mnt, /^Error: Mountpoint in use: /],
    ] as const) {
      await assert.rejects(mounting(new Fuse(path, {})), (error) => message.test(String(error)))
    }
    await assert.rejects(mounting(new Fuse(mnt, {}, { force: true })), /Mountpoint in use/)
    const made = new Fuse(join(place, 'a/b'), {}, { mkdir: true })
    await mounting(made)
    await unmounting(made)
    assert.ok(existsSync(join(place, 'a/b')))
  })

  it('is refused where an option cannot be honoured', async (t) => {
    const mnt = mountPoint(t)
    await assert.rejects(mounting(new Fuse(mnt, {}, { modules: 'subdir' })), /`modules` is not supported/)
    await assert.rejects(mounting(new Fuse(mnt, {}, { allowOther: true, allowRoot: true })), /allowRoot/)
    class Unknown extends Fuse {
      override _fuseOptions(): string {
        return '-ono_such_option'
      }
    }
    await assert.rejects(mounting(new Unknown(mnt, {})), /no_such_option/)
    assert.equal(mountAt(mnt), undefined)
  })

  it('that was busy works on until it is let go', async (t) => {
    const { mnt, fuse } = await fuseMounted(t, new CallbackStore())
    await sh(`echo text > ${mnt}/f`)
    const child = spawn('sh', ['-c', `exec 3< ${mnt}/f; echo open; read go; cat <&3`], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    cleanup(t, () => child.kill('SIGKILL'))
    child.stdout.setEncoding('utf8')
    assert.deepEqual(await once(child.stdout, 'data'), ['open\n'])
    await unmounting(fuse)
    assert.equal(mountAt(mnt), undefined)
    child.stdin.end('go\n')
    assert.deepEqual(await once(child.stdout, 'data'), ['text\n'])
  })

  it('is detached by its path, too', async (t) => {
    const { mnt, warnings } = await fuseMounted(t, new CallbackStore())
    await promisify(Fuse.unmount)(mnt)
    assert.equal(mountAt(mnt), undefined)
    await assert.rejects(promisify(Fuse.unmount)(mnt), /cannot unmount .*: nothing is mounted there/)
    await assert.rejects(
      promisify(Fuse.unmount)('/proc'),
      /cannot unmount \/proc: it is a mount of type proc, not FUSE/,
    )
    assert.deepEqual(warnings, [])
  })

  it('of a server that was killed is cleared by force, and by Fuse.unmount', async (t) => {
    const mnt = mountPoint(t)
    const killed = async (): Promise<void> => {
      const { stdout } = await run(
        process.execPath,
        ['-e', server(mnt, 'process.kill(process.pid, "SIGKILL")')],
        { cwd: root },
      )
      assert.equal(stdout, 'mounted\n')
      assert.match((await run('ls', [mnt])).stderr, /not connected/)
    }
    await killed()
    await assert.rejects(mounting(new Fuse(mnt, {})), /ENOTCONN/)
    const fuse = new Fuse(mnt, {}, { force: true })
    await mounting(fuse)
    await sh(`stat ${mnt}`)
    await unmounting(fuse)
    await killed()
    await promisify(Fuse.unmount)(mnt)
    await sh(`ls ${mnt}`)
  })

  it('belongs to a CommonJS program as well', async (t) => {
    const mnt = mountPoint(t)
    const source = server(
      mnt,
      `require('fs').readFile(${JSON.stringify(join(mnt, 'test'))}, 'utf8', (error, text) => {
        console.log(error, text, Fuse.ENOENT, fuse instanceof Fuse, Fuse.default === Fuse)
        fuse.unmount((error) => console.log('unmounted', error))
      })`,
    )
    const { stdout, code, stderr } = await run(process.execPath, ['-e', source], { cwd: root })
    assert.deepEqual([code, stdout], [0, 'mounted\nnull hello world -2 true true\nunmounted null\n'], stderr)
    assert.equal(mountAt(mnt), undefined)
  })

  it('is served by a worker thread as well', async (t) => {
    const mnt = mountPoint(t)
    const source = `
      const { Worker } = require('worker_threads')
      const worker = new Worker(${JSON.stringify(server(mnt, `require('worker_threads').parentPort.once('message', () => fuse.unmount())`))}, { eval: true })
      worker.stdout.on('data', () => {
        console.log(require('fs').readFileSync(${JSON.stringify(join(mnt, 'test'))}, 'utf8'))
        worker.postMessage('done')
      })`
    const { stdout, code, stderr } = await run(process.execPath, ['-e', source], { cwd: root })
    assert.deepEqual([code, stdout.replace('mounted\n', '')], [0, 'hello world\n'], stderr)
  })

  it('goes with a program that is stopped, with or without a handler of its own', async (t) => {
    const mnt = mountPoint(t)
    for (const handler of [
      '',
      `process.once('SIGINT', () => fuse.unmount(() => setTimeout(console.log, 50, 'by itself')))`,
    ]) {
      const child = spawn(process.execPath, ['-e', server(mnt, handler)], {
        cwd: root,
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      cleanup(t, () => child.kill('SIGKILL'))
      let said = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
      assert.ok(await until(() => said.includes('mounted'), 10_000))
      child.kill('SIGINT')
      const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
      assert.deepEqual([code, signal], handler === '' ? [null, 'SIGINT'] : [0, null])
      assert.equal(said, handler === '' ? 'mounted\n' : 'mounted\nby itself\n')
      assert.equal(mountAt(mnt), undefined)
    }
  })
})

describe('the machine', { skip }, () => {
  it('is configured', async () => {
    assert.equal(await promisify(Fuse.isConfigured)(), true)
    await promisify(Fuse.configure)()
    await promisify(Fuse.beforeMount)()
    await promisify(Fuse.beforeUnmount)()
    await promisify(Fuse.unconfigure)()
    assert.equal(await promisify(Fuse.isConfigured)(), true)
  })
})

describe('an option', { skip, timeout: 60_000 }, () => {
  it('shows in the table of mounts', async (t) => {
    const { mnt } = await fuseMounted(
      t,
      {},
      { allowOther: true, defaultPermissions: true, maxRead: 8192, userId: 5, fsname: 'a,b', subtype: 'c' },
    )
    const { fsType, source, superOptions } = mountAt(mnt) ?? {}
    assert.deepEqual([fsType, source], ['fuse.c', 'a,b'])
    assert.deepEqual(
      superOptions?.filter((word) => !/^r[wo]$|^group_id/.test(word)),
      ['user_id=5', 'default_permissions', 'allow_other', 'max_read=8192'],
    )
  })

  it('says whose files they are', async (t) => {
    const { mnt } = await fuseMounted(t, new CallbackStore(), { uid: 5, gid: 6, umask: '027' })
    await sh(`mkdir ${mnt}/d; echo > ${mnt}/f`)
    assert.equal(await sh(`stat -c '%a %u %g' ${mnt}/d ${mnt}/f`), '750 5 6\n750 5 6\n')
  })

  it('says how long names and attributes are cached', async (t) => {
    const asked = async (options: Options, pause = 0): Promise<number> => {
      const store = new CallbackStore()
      const { mnt } = await fuseMounted(t, store, options)
      await sh(`echo > ${mnt}/f; stat ${mnt}/f`)
      store.seen()
      await sh(`sleep ${pause}; stat ${mnt}/f ${mnt}/f ${mnt}/f`)
      return store
        .seen()
        .split('\n')
        .filter((line) => line === 'getattr /f').length
    }
    assert.equal(await asked({ entryTimeout: 100, attrTimeout: 100 }), 0)
    assert.ok((await asked({}, 1.1)) > 0)
    assert.equal(await asked({ entryTimeout: 100, attrTimeout: 0 }), 3)
    assert.equal(await asked({ entryTimeout: 0, attrTimeout: 100 }), 3)
    assert.ok((await asked({ entryTimeout: 0.1, attrTimeout: 0.1 }, 0.2)) > 0)
  })

  it('says whether data is cached from one opening to the next', async (t) => {
    let mtime = 1000
    const reads = async (options: Options, Class = Fuse): Promise<number[]> => {
      let count = 0
      const handlers = {
        getattr: (path: string, cb: (result: number, stats: object) => void) =>
          cb(0, path === '/' ? { mode: DIRECTORY } : { mode: FILE, size: 5, mtime }),
        read(_path: string, _fd: number, buffer: Buffer, _size: number, at: number, cb: (n: number) => void) {
          count++
          cb(at >= 5 ? 0 : buffer.write('hello'.slice(at)))
        },
      }
      const { mnt } = await fuseMounted(t, handlers, { attrTimeout: 0, ...options }, Class)
      const counted: number[] = []
      for (let i = 0; i < 4; i++) {
        // The third opening finds a newer file.
        if (i === 2) mtime += 1000
        await sh(`test $(cat ${mnt}/f) = hello`)
        counted.push(count)
      }
      return counted
    }
    class DirectIo extends Fuse {
      override _fuseOptions(): string {
        return '-odirect_io'
      }
    }
    assert.deepEqual(await reads({}), [1, 2, 3, 4])
    assert.deepEqual(await reads({ kernelCache: true }), [1, 1, 1, 1])
    assert.deepEqual(await reads({ autoCache: true }), [1, 1, 2, 2])
    const trusting = await reads({ autoCache: true, attrTimeout: 100, acAttrTimeout: 0 })
    assert.deepEqual(trusting.slice(0, 3), [1, 1, 2])
    assert.deepEqual(await reads({ autoCache: true, attrTimeout: 100, acAttrTimeout: 100 }), [1, 1, 1, 1])
    // With direct I/O a read at the end asks, too.
    assert.deepEqual(await reads({}, DirectIo), [2, 4, 6, 8])
  })

  it('says how long a file keeps its number', async (t) => {
    const numbers = async (options: Options): Promise<string[]> => {
      const { mnt } = await fuseMounted(t, new CallbackStore(), { entryTimeout: 0, ...options })
      await sh(`mkdir ${mnt}/d; echo > ${mnt}/d/f`)
      const look = async (): Promise<string> => sh(`stat -c %i ${mnt}/d ${mnt}/d/f`)
      const seen = [await look()]
      for (let i = 0; i < 2; i++) {
        await dropDentries(mnt)
        await sleep(100)
        seen.push(await look())
      }
      return [...new Set(seen)]
    }
    assert.ok((await numbers({})).length > 1)
    assert.equal((await numbers({ noforget: true })).length, 1)
    assert.equal((await numbers({ remember: 100 })).length, 1)
    assert.ok((await numbers({ remember: 0.01 })).length > 1)
  })

  it('tells what the handlers are asked', async (t) => {
    const mnt = mountPoint(t)
    const source = server(
      mnt,
      `require('fs').readFile(${JSON.stringify(join(mnt, 'test'))}, () => fuse.unmount())`,
      '{ debug: true }',
    )
    const { stderr } = await run(process.execPath, ['-e', source], { cwd: root })
    assert.match(stderr, /^fuse-native: getattr\("\/test"\) = 0$/m)
    assert.match(stderr, /^fuse-native: read\("\/test", 42, <\d+ bytes>, \d+, 0\) = 11$/m)
  })

  it('lets a slow handler fail alone', async (t) => {
    const { mnt } = await fuseMounted(
      t,
      {
        getattr: (path, cb) => cb(0, { mode: path === '/' ? DIRECTORY : FILE, size: 5 }),
        read: (path, _fd, buffer, _length, _position, cb) =>
          path === '/slow' ? setTimeout(cb, 500, buffer.write('slow!')) : cb(buffer.write('quick')),
      },
      { timeout: { read: 100 } },
    )
    assert.match((await run('cat', [`${mnt}/slow`])).stderr, /timed out/i)
    assert.equal(await sh(`cat ${mnt}/quick`), 'quick')
    await new Promise((done) => setTimeout(done, 600))
    assert.equal(await sh(`cat ${mnt}/other`), 'quick')
  })

  it('of nobody is warned of once', async () => {
    const source = `
      const Fuse = require('devfuse/compat/fuse-native')
      for (let i = 0; i < 3; i++) new Fuse('/mnt', {}, { displayFolder: true, directIo: true })`
    const { stderr } = await run(process.execPath, ['-e', source], { cwd: root })
    assert.equal(stderr.match(/displayFolder.*macOS only/g)?.length, 1)
    assert.equal(stderr.match(/`directIo` has no effect: fuse-native has no such option/g)?.length, 1)
  })
})

describe('a handler that lies', { skip, timeout: 60_000 }, () => {
  it('makes its caller fail, and nobody else', async (t) => {
    const { mnt, warnings } = await fuseMounted(t, {
      getattr: (path, cb) =>
        cb(
          0,
          path === '/bad' ? { mode: 0 } : { mode: path === '/' || path === '/d' ? DIRECTORY : FILE, size: 5 },
        ),
      read: (path, _fd, buffer, length, _position, cb) =>
        cb(path === '/long' ? length + 1 : buffer.write('hello')),
      write: (path, _fd, _buffer, length, _position, cb) => cb(path === '/long' ? length + 1 : length),
      readdir: (path, cb) => cb(0, path === '/' ? ['ok', 'not/ok'] : ('names' as unknown as string[])),
      release: () => {
        throw new Error('not today')
      },
      truncate: (_path, _size, cb) => cb(0),
    })
    assert.match((await run('stat', [`${mnt}/bad`])).stderr, /Input\/output error/)
    assert.match((await run('cat', [`${mnt}/long`])).stderr, /Input\/output error/)
    assert.match((await run('sh', ['-c', `echo > ${mnt}/long`])).stderr, /I\/O error|Input\/output error/)
    assert.match((await run('ls', [mnt])).stderr, /Input\/output error/)
    assert.match((await run('ls', [`${mnt}/d`])).stderr, /Input\/output error/)
    assert.equal(await sh(`cat ${mnt}/f`), 'hello')
    assert.match(warnings.join('\n'), /release failed .*: not today/)
    assert.match(warnings.join('\n'), /mode 00, which says no type/)
    assert.match(warnings.join('\n'), /`read` answered \d+ bytes of \d+/)
  })
})

/** Source of a CommonJS program that mounts one file `test`, says `mounted`, and then does something. */
function server(mnt: string, then: string, options = '{}'): string {
  return `
    const Fuse = require('devfuse/compat/fuse-native')
    const text = Buffer.from('hello world')
    const fuse = new Fuse(${JSON.stringify(mnt)}, {
      getattr: (path, cb) => path === '/' ? cb(null, { mode: 0o40755 }) : path === '/test' ? cb(0, { mode: 0o100644, size: 11 }) : cb(Fuse.ENOENT),
      readdir: (path, cb) => cb(0, ['test']),
      open: (path, flags, cb) => cb(0, 42),
      read: (path, fd, buffer, length, position, cb) => cb(text.copy(buffer, 0, position, position + length)),
    }, ${options})
    fuse.mount((error) => {
      if (error) throw error
      console.log('mounted')
      ${then}
    })`
}
