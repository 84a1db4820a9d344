// Checks devfuse memory as a command: its options, what it says, and its exit statuses.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { UsageError } from '#dist/cli/command.js'
import { memoryOptions, sizeOf } from '#dist/cli/memory.js'
import { attempt } from '../programs/command.js'
import { devfuse } from '../programs/mounted.js'

const GIB = 2 ** 30

describe('devfuse memory', () => {
  it('reads sizes with units and as a part of the memory', () => {
    assert.equal(sizeOf('4096', GIB), 4096)
    assert.equal(sizeOf('1G', GIB), GIB)
    assert.equal(sizeOf('512MiB', GIB), GIB / 2)
    assert.equal(sizeOf('2k', GIB), 2048)
    assert.equal(sizeOf('25%', GIB), GIB / 4)
    for (const wrong of ['', 'G', '1.5G', '-1', '1X', 'all']) {
      assert.throws(() => sizeOf(wrong, GIB), UsageError)
    }
  })

  it('translates the command line', () => {
    const options = memoryOptions({ size: '1M', inodes: '10', mode: '1777', noatime: true, fsname: 'x' }, GIB)
    const { size, inodes, mode, noatime, fsName } = options
    assert.deepEqual([size, inodes, mode, noatime, fsName], [2 ** 20, 10, 0o1777, true, 'x'])
    assert.equal(memoryOptions({ 'writeback-cache': true }, GIB).writebackCache, true)
    assert.equal(memoryOptions({ transport: 'auto' }, GIB).transport, 'auto')
    assert.throws(() => memoryOptions({ mode: '999' }, GIB), UsageError)
    assert.throws(() => memoryOptions({ private: true, 'allow-other': true }, GIB), UsageError)
  })

  it('says what is wrong with MNT or the size', { timeout: 60_000 }, async () => {
    const missing = await attempt([...devfuse, 'memory', '/nonexistent/mnt'], { timeout: 20_000 })
    assert.equal(missing.status, 1)
    assert.match(missing.stderr, /^devfuse: .*\/nonexistent\/mnt/)
    const size = await attempt([...devfuse, 'memory', '/nonexistent/mnt', '--size', 'much'], {
      timeout: 20_000,
    })
    assert.equal(size.status, 2)
    assert.match(size.stderr, /--size needs a number of bytes such as 1G/)
  })
})
