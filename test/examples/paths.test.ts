// The examples of `devfuse/fs`, each against a real mount: git-history, json, encrypted, http. sqlite has a file of its own.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { openSync, readFileSync, readdirSync, lstatSync, writeFileSync, writeSync, closeSync } from 'node:fs'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { cleanup, run, sh, skip, temporary } from '../support/mounting.js'
import { missing } from '../programs/command.js'
import { built, example, exampleWith } from './example.js'

describe('examples/git-history', { skip: skip || missing('git'), timeout: 60_000 }, () => {
  it('shows branches, tags and the files of every commit', async (t) => {
    const repository = temporary(t)
    const git = `git -C ${repository} -c user.name=a -c user.email=a@b -c commit.gpgsign=false`
    const date = 'GIT_AUTHOR_DATE=2001-02-03T04:05:06Z GIT_COMMITTER_DATE=2001-02-03T04:05:06Z'
    await sh(`cd ${repository}
      git init -q -b main . && mkdir -p a/b && echo one > a/b/file && echo '#!/bin/sh' > run && chmod +x run && ln -s a/b/file link
      head -c 3000000 /dev/urandom > big && printf 'umlaut' > 'ä b'
      ${git} add -A && ${date} ${git} commit -qm 'First commit' && ${git} tag -a -m annotated v1
      echo two > a/b/file && ${git} rm -q run && ${git} commit -qam 'Second commit' && ${git} branch topic/x v1`)
    const { mnt } = await example(t, 'git-history', repository)
    assert.equal(await sh(`ls ${mnt}`), 'branches\ncommits\ntags\n')
    assert.equal(
      await sh(`ls ${mnt}/branches ${mnt}/tags`),
      `${mnt}/branches:\nmain\ntopic:x\n\n${mnt}/tags:\nv1\n`,
    )
    const [second, first] = (await sh(`${git} rev-list main`)).trim().split('\n')
    assert.equal(
      await sh(`readlink ${mnt}/branches/main ${mnt}/tags/v1`),
      `../commits/${second}\n../commits/${first}\n`,
    )
    assert.deepEqual(
      (await sh(`ls ${mnt}/commits`)).trim().split('\n').toSorted(),
      [first, second].toSorted(),
    )
    assert.equal(
      await sh(`cat ${mnt}/branches/main/tree/a/b/file ${mnt}/tags/v1/tree/a/b/file`),
      'two\none\n',
    )
    assert.equal(
      await sh(`cat ${mnt}/branches/main/message ${mnt}/branches/main/parents/1/message`),
      'Second commit\nFirst commit\n',
    )
    assert.equal(
      await sh(`cd ${mnt}/tags/v1/tree; find . | sort | tr '\\n' ' '`),
      '. ./a ./a/b ./a/b/file ./big ./link ./run ./ä b ',
    )
    assert.equal(await sh(`stat -c '%A %Y' ${mnt}/tags/v1/tree/run`), '-r-xr-xr-x 981173106\n')
    assert.equal(await sh(`cat ${mnt}/tags/v1/tree/link`), 'one\n')
    assert.equal(await sh(`md5sum < ${mnt}/tags/v1/tree/big`), await sh(`md5sum < ${repository}/big`))
    await sh(
      `mkdir ${repository}/.out && ${git} archive main | tar -x -C ${repository}/.out && diff -r --no-dereference ${repository}/.out ${mnt}/branches/main/tree`,
    )
    for (const path of [
      'branches/none',
      'commits/none',
      `commits/${'0'.repeat(40)}`,
      'tags/v1/tree/none',
      'tags/v1/none',
    ]) {
      assert.match((await run('ls', [`${mnt}/${path}`])).stderr, /No such file/, path)
    }
    assert.match((await run('touch', [`${mnt}/new`])).stderr, /Read-only/)
    // New commits show without mounting anew.
    await sh(
      `${git} commit -q --allow-empty -m Third; sleep 1.1; test "$(cat ${mnt}/branches/main/message)" = Third`,
    )
  })
})

describe('examples/json', { skip, timeout: 60_000 }, () => {
  it('shows a file as a tree, and saves what is changed', async (t) => {
    const file = join(temporary(t), 'data.json')
    const value = () => JSON.parse(readFileSync(file, 'utf8')) as unknown
    writeFileSync(
      file,
      JSON.stringify({ name: 'x', list: [1, 'two', { a: null }], 'a/b': true, '': 'empty', '..': 'up' }),
    )
    const { mnt, stop } = await example(t, 'json', file)
    assert.equal(await sh(`ls -A ${mnt}`), '%\n%..\na%2Fb\nlist\nname\n')
    assert.equal(
      await sh(`cd ${mnt}; cat name list/0 list/1 list/2/a a%2Fb % %..`),
      'x1\ntwonull\ntrue\nemptyup',
    )
    await sh(`cd ${mnt}
      echo 5 > number; printf 5 > digits; echo text > name; echo false > list/0; echo new > list/3
      mkdir -p deep/er && printf '' > deep/er/nothing && mv deep deeper && mv a%2Fb list/4
      rm list/1 && rm -r list/2 % && printf proto > __proto__ && touch %..`)
    assert.deepEqual(
      value(),
      JSON.parse(
        '{"name":"text\\n","list":[false,null,null,"new\\n",true],"..":"up","number":5,"digits":"5","deeper":{"er":{"nothing":""}},"__proto__":"proto"}',
      ),
    )
    assert.match((await run('rmdir', [`${mnt}/deeper`])).stderr, /not empty/)
    assert.match((await run('sh', ['-c', `echo > ${mnt}/list/9`])).stderr, /Invalid argument/)
    assert.match((await run('cat', [`${mnt}/list/length`])).stderr, /No such file/)
    writeFileSync(`${file}.latin1`, Buffer.from('café', 'latin1'))
    assert.match((await run('cp', [`${file}.latin1`, `${mnt}/name`])).stderr, /multibyte/)
    assert.equal(await sh(`cat ${mnt}/name`), 'text\n')
    await sh(`cp -r ${mnt}/deeper ${mnt}/copy && diff -r ${mnt}/deeper ${mnt}/copy && rm -r ${mnt}/list`)
    await stop()
    const again = await example(t, 'json', file)
    assert.equal(
      await sh(`cd ${again.mnt}; ls -A; cat number digits`),
      '%..\n__proto__\ncopy\ndeeper\ndigits\nname\nnumber\n5\n5',
    )
  })
})

describe('examples/encrypted', { skip, timeout: 120_000 }, () => {
  const mounted = (t: TestContext, store: string, passphrase = 'correct horse') =>
    exampleWith(t, { env: { PASSPHRASE: passphrase } }, 'encrypted', store)

  it('stores nothing that can be read, and shows it all again', async (t) => {
    const store = join(temporary(t), 'store')
    const { mnt, stop } = await mounted(t, store)
    await sh(`cd ${mnt}
      mkdir -p secret/plans && echo 'attack at dawn' > secret/plans/today && head -c 1000000 /dev/urandom > big && md5sum < big > big.md5
      ln -s secret/plans/today link && ln big hard && chmod 640 big && chown 12:34 big && touch -d '2001-02-03 04:05:06 UTC' big
      truncate -s 5000 short && truncate -s 4097 short && echo more >> secret/plans/today && mv secret known && echo > gone && rm gone`)
    await stop()
    const names = readdirSync(store, { recursive: true }) as string[]
    const stored = names
      .filter((name) => lstatSync(join(store, name)).isFile())
      .map((name) => readFileSync(join(store, name), 'latin1'))
    assert.doesNotMatch(names.join(), /secret|plans|today|known|link|big/)
    assert.ok(stored.every((text) => !text.includes('attack')))
    const again = await mounted(t, store)
    assert.equal(
      await sh(`cat ${again.mnt}/known/plans/today; readlink ${again.mnt}/link`),
      'attack at dawn\nmore\nsecret/plans/today\n',
    )
    assert.equal(await sh(`md5sum < ${again.mnt}/hard`), await sh(`cat ${again.mnt}/big.md5`))
    assert.equal(await sh(`stat -c '%s %a %u:%g %h %Y' ${again.mnt}/big`), '1000000 640 12:34 2 981173106\n')
    assert.equal(
      await sh(`cmp -n 4097 ${again.mnt}/short /dev/zero; stat -c %s ${again.mnt}/short`),
      '4097\n',
    )
  })

  it('has files like any other, wherever they are written and cut', async (t) => {
    const { mnt } = await mounted(t, join(temporary(t), 'store'))
    const plain = join(temporary(t), 'plain')
    const program = `
      const fs = require('node:fs')
      const files = ['${mnt}/file', '${plain}'].map((path) => fs.openSync(path, 'w+'))
      let seed = 7
      const random = (below) => (seed = (seed * 48271) % 0x7fffffff) % below
      for (let step = 0; step < 400; step++) {
        const [kind, position, length] = [random(5), random(30000), random(3) ? random(300) : random(20000)]
        const bytes = Buffer.alloc(length, 97 + random(26))
        if (kind === 0) for (const fd of files) fs.ftruncateSync(fd, position)
        else if (kind < 4) for (const fd of files) fs.writeSync(fd, bytes, 0, length, position)
        const seen = files.map((fd) => {
          const buffer = Buffer.alloc(60000)
          return buffer.subarray(0, fs.readSync(fd, buffer, 0, 60000, random(1) + (step % 7) * 1000))
        })
        if (!seen[0].equals(seen[1]) || fs.fstatSync(files[0]).size !== fs.fstatSync(files[1]).size) {
          console.log('step', step, 'differs', kind, position, length)
          process.exit(1)
        }
      }`
    const { code, stdout, stderr } = await run(process.execPath, ['-e', program])
    assert.equal(code, 0, stdout + stderr)
    await sh(`cmp ${mnt}/file ${plain}`)
  })

  it('leaves a stored file as it was where the disk is full', async (t) => {
    const path = join(temporary(t), 'file')
    const program = `
      const fs = await import('node:fs')
      const { EncryptedFile } = await import(process.argv[1])
      const file = new EncryptedFile(fs.openSync(process.argv[2], 'w+'), Buffer.alloc(32), true)
      const write = (text, position) => file.write(Buffer.from(text), 0, text.length, position)
      write('precious', 4096)
      try { write('x'.repeat(8000), 4096); console.log('written') } catch ({ code }) { console.log(code) }
      const buffer = Buffer.alloc(20000)
      console.log(file.size, buffer.toString('latin1', 4096, file.read(buffer, 0, 20000, 0)))`
    const { stdout, stderr } = await run('sh', [
      '-c',
      // Blocks of 512 bytes: the second block of the file does not fit.
      `ulimit -f 12; exec "$0" --input-type=module -e "$1" "$2" "$3"`,
      ...[process.execPath, program, built('encrypted-file'), path],
    ])
    assert.equal(stdout, 'EFBIG\n4104 precious\n', stderr)
  })

  it('reads nothing that was tampered with, and nothing with another passphrase', async (t) => {
    const store = join(temporary(t), 'store')
    const { mnt, stop } = await mounted(t, store)
    await sh(`head -c 20000 /dev/urandom > ${mnt}/f; head -c 20000 /dev/urandom > ${mnt}/g`)
    await stop()
    const files = readdirSync(store).filter((name) => !name.endsWith('.json'))
    const change = (name: string, at: number, bytes: Buffer): void => {
      const fd = openSync(join(store, name), 'r+')
      writeSync(fd, bytes, 0, bytes.length, at)
      closeSync(fd)
    }
    const [first, second] = files.map((name) => readFileSync(join(store, name)))
    change(files[0], 16 + 4124 + 100, Buffer.from([first[16 + 4124 + 100] ^ 1]))
    // A block of another file, and one of another place.
    change(files[1], 16, first.subarray(16, 16 + 4124))
    change(files[1], 16 + 2 * 4124, second.subarray(16 + 4124, 16 + 2 * 4124))
    await assert.rejects(mounted(t, store, 'wrong'), /the passphrase is wrong/)
    const again = await mounted(t, store)
    const blocks = async (name: string): Promise<string> => {
      const readable = [0, 1, 2, 3, 4].map((i) =>
        run('dd', [
          `if=${again.mnt}/${name}`,
          'of=/dev/null',
          'iflag=direct',
          'bs=4096',
          `skip=${i}`,
          'count=1',
        ]),
      )
      return (await Promise.all(readable)).map(({ code }) => code).join('')
    }
    assert.deepEqual(new Set([await blocks('f'), await blocks('g')]), new Set(['01000', '10100']))
  })
})

/** A server of listings and files; `ranges` says whether it knows ranges. */
async function serve(t: TestContext, files: Map<string, Buffer>, ranges: boolean) {
  const asked: string[] = []
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    const path = decodeURIComponent(pathname)
    const { range } = request.headers
    asked.push(`${request.method} ${path} ${range ?? ''}`.trim())
    const below = [...files.keys()].filter((name) => name.startsWith(path))
    if (path.endsWith('/') && below.length > 0) {
      const names = [
        ...new Set(below.map((name) => /^[^/]+\/?/.exec(name.slice(path.length))?.[0] as string)),
      ]
      const links = names.map(
        (name) => `<a href="${encodeURIComponent(name).replace('%2F', '/')}">${name}</a>`,
      )
      response.setHeader('content-type', 'text/html')
      response.end(
        `<a href="?C=N;O=D">Name</a> <a href="../">up</a> <a href="http://elsewhere/x">x</a> ${links.join('\n')}`,
      )
      return
    }
    const data = files.get(path)
    if (data === undefined) return void response.writeHead(path === '/secret' ? 403 : 404).end()
    const etag = `"${createHash('md5').update(data).digest('hex')}"`
    if (request.headers['if-match'] !== undefined && request.headers['if-match'] !== etag)
      return void response.writeHead(412).end()
    response.setHeader('etag', etag)
    response.setHeader('last-modified', 'Sat, 03 Feb 2001 04:05:06 GMT')
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(ranges ? (range ?? '') : '') ?? []
    const part = from === undefined ? data : data.subarray(Number(from), Number(to) + 1)
    response.writeHead(from === undefined ? 200 : 206, { 'content-length': part.length })
    response.end(request.method === 'HEAD' ? undefined : part)
  }
  const server = createServer(answer).listen(0, '127.0.0.1')
  await new Promise((done) => server.once('listening', done))
  cleanup(t, () => {
    server.closeAllConnections()
    server.close()
  })
  return { asked, address: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

describe('examples/http', { skip, timeout: 60_000 }, () => {
  const big = Buffer.alloc(3_000_000, 'abcdefghijk')

  it('shows listings as directories, and reads only what is asked for', async (t) => {
    const files = new Map([
      ['/index file.txt', Buffer.from('hello\n')],
      ['/dir/ä & b', Buffer.from('umlaut\n')],
      ['/dir/deep/big', big],
      ['/empty', Buffer.alloc(0)],
    ])
    const { asked, address } = await serve(t, files, true)
    const { mnt } = await example(t, 'http', `${address}/`)
    assert.equal(
      await sh(`cd ${mnt}; find . | sort | tr '\\n' ' '`),
      '. ./dir ./dir/deep ./dir/deep/big ./dir/ä & b ./empty ./index file.txt ',
    )
    assert.equal(await sh(`cd ${mnt}; cat 'index file.txt' 'dir/ä & b' empty`), 'hello\numlaut\n')
    assert.equal(await sh(`stat -c '%F %s %Y' ${mnt}/dir/deep/big`), 'regular file 3000000 981173106\n')
    asked.length = 0
    assert.equal(
      await sh(`tail -c +2000001 ${mnt}/dir/deep/big | head -c 11`),
      big.toString('latin1', 2_000_000, 2_000_011),
    )
    const bytes = asked
      .map((line) => /bytes=(\d+)-(\d+)/.exec(line))
      .map((match) => (match === null ? 0 : Number(match[2]) - Number(match[1]) + 1))
    const sum = bytes.reduce((total, count) => total + count, 0)
    assert.ok(sum > 0 && sum < 1_500_000, `${sum} bytes were read`)
    assert.equal(
      await sh(`md5sum < ${mnt}/dir/deep/big`),
      `${createHash('md5').update(big).digest('hex')}  -\n`,
    )
    assert.match((await run('cat', [`${mnt}/none`])).stderr, /No such file/)
    assert.match((await run('touch', [`${mnt}/new`])).stderr, /Read-only/)
  })

  it('reads from a server without ranges, and says when a file changed amid reading', async (t) => {
    const files = new Map([
      ['/big', big],
      ['/changing', Buffer.alloc(3_000_000, '1')],
    ])
    const { address } = await serve(t, files, false)
    const { mnt } = await example(t, 'http', address)
    assert.equal(await sh(`md5sum < ${mnt}/big`), `${createHash('md5').update(big).digest('hex')}  -\n`)
    const ranged = await serve(t, files, true)
    const other = await example(t, 'http', ranged.address)
    await sh(`stat ${other.mnt}/changing`)
    files.set('/changing', Buffer.alloc(3_000_000, '2'))
    assert.match((await run('cat', [`${other.mnt}/changing`])).stderr, /Stale/)
  })
})
