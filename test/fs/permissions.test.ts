// Who checks permissions on a mount of an object: nobody where root alone uses it, else the kernel.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { memfs } from 'memfs'
import { mountFs } from 'devfuse/fs'
import type { FsOptions } from 'devfuse/fs'
import { cleanup, run, sh, skip, takeDown, temporary } from '../support/mounting.js'

async function mounted(t: TestContext, options: FsOptions = {}) {
  const mnt = temporary(t)
  await sh(`chmod 755 ${mnt}`)
  const { fs } = memfs({ '/plain': 'plain\n', '/tool': '#!/bin/sh\necho ran\n', '/dir/inner': 'x' })
  fs.chmodSync('/tool', 0o755)
  fs.chmodSync('/plain', 0o600)
  fs.chmodSync('/dir', 0o755)
  const session = await mountFs(fs, mnt, options)
  cleanup(t, () => takeDown(session))
  return { mnt, session }
}

describe('permissions of a mounted object', { skip, timeout: 60_000 }, () => {
  it('are root’s where root alone uses it, but what nobody may execute root may not', async (t) => {
    const { mnt, session } = await mounted(t)
    assert.equal(
      await sh(`${mnt}/tool; test -x ${mnt}/tool && test -x ${mnt}/dir && test -r ${mnt}/plain`),
      'ran\n',
    )
    assert.equal((await run('test', ['-x', `${mnt}/plain`])).code, 1)
    assert.match((await run('sh', ['-c', `${mnt}/plain`])).stderr, /Permission denied/)
    assert.equal((await run('test', ['-w', `${mnt}/absent`])).code, 1)
    assert.equal(
      await sh(`chmod 0 ${mnt}/plain; cat ${mnt}/plain; test -w ${mnt}/plain && echo w`),
      'plain\nw\n',
    )
    // One walk asks for names, and for the attributes of what it leads to: not for those of each directory.
    const before = session.stats().operations['GETATTR']?.count ?? 0
    await sh(`stat ${mnt}/dir/inner`)
    const asked = (session.stats().operations['GETATTR']?.count ?? 0) - before
    assert.ok(asked <= 2, `${asked} GETATTR for one stat(2)`)
  })

  it('are checked by the kernel where others may use it', async (t) => {
    const { mnt } = await mounted(t, { allowOther: true })
    const as = (command: string) =>
      run('setpriv', ['--reuid=1000', '--regid=1000', '--clear-groups', 'sh', '-c', command])
    assert.match((await as(`cat ${mnt}/plain`)).stderr, /Permission denied/)
    assert.equal((await as(`${mnt}/tool`)).stdout, 'ran\n')
    assert.match((await as(`echo > ${mnt}/dir/new`)).stderr, /Permission denied/)
  })
})
