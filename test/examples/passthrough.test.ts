// The examples about passthrough: who reads the data, and what a server without privileges can still do.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { findMount } from '#dist/device/mountinfo.js'
import { run, sh, skip, temporary } from '../support/mounting.js'
import { example } from './example.js'

describe('examples/passthrough', { skip, timeout: 60_000 }, () => {
  it('lets the kernel read the file', async (t) => {
    const file = join(temporary(t), 'file')
    writeFileSync(file, Buffer.alloc(5_000_000, 'z'))
    const { mnt, output } = await example(t, 'passthrough', file)
    assert.equal(await sh(`md5sum < ${mnt}/file`), await sh(`md5sum < ${file}`))
    assert.equal(await sh(`cmp ${mnt}/file ${file} && cat ${mnt}/file | tail -c 1`), 'z')
    for (let i = 0; i < 50 && !output().includes('3 opens'); i++) await delay(100)
    assert.match(output(), /3 opens passed through, 0 READ requests/)
    assert.match((await run('sh', ['-c', `echo > ${mnt}/file`])).stderr, /read-only/i)
  })
})

describe('examples/passthrough-fork', { skip, timeout: 60_000 }, () => {
  it('serves without privileges, with ids that the helper opened', async (t) => {
    const source = join(temporary(t), 'source')
    mkdirSync(source)
    for (const name of ['a', 'b']) writeFileSync(join(source, name), Buffer.alloc(300_000, name))
    writeFileSync(join(source, 'secret'), 'for root only', { mode: 0o600 })
    const { mnt, pid, output, stop } = await example(t, 'passthrough-fork', source)
    for (let i = 0; i < 50 && !output().includes('served by'); i++) await delay(100)
    assert.match(output(), /served by user 65534/)
    const status = readFileSync(`/proc/${pid}/status`, 'latin1')
    assert.match(status, /^Uid:\s65534\s65534\s65534\s65534$/m)
    assert.match(status, /^CapEff:\s0+$/m)
    assert.match(status, /^Groups:\s*$/m)
    // There is no read handler: whatever is read, the kernel has read.
    for (const name of ['a', 'b', 'secret']) {
      assert.equal(await sh(`md5sum < ${mnt}/${name}`), await sh(`md5sum < ${source}/${name}`))
    }
    // Many opens of one file share an id; its last release closes it, and the next open gets a new one.
    const readers = Array.from({ length: 20 }, () => sh(`sleep 0.1; md5sum < ${mnt}/a`))
    assert.equal(new Set(await Promise.all(readers)).size, 1)
    for (let i = 0; i < 30; i++) await sh(`cat ${mnt}/b > /dev/null`)
    assert.match((await run('sh', ['-c', `echo > ${mnt}/a`])).stderr, /read-only/i)
    assert.doesNotMatch(output(), /Warning|Error/)
    // The server cannot unmount; its helper does when the server has gone.
    await stop().catch(() => undefined)
    for (let i = 0; i < 50 && findMount(mnt) !== undefined; i++) await delay(100)
    assert.equal(findMount(mnt), undefined)
  })
})
