// The filesystem as programs see it. They run as processes of their own: a sync call on a mount would wait for this one.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, rmdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { promisify } from 'node:util'
import { mountFs } from 'devfuse/fs'
import { createFilesystem } from '../src/filesystem.js'

const skip = !existsSync('/dev/fuse') && 'there is no /dev/fuse: `npx devfuse doctor` says why'

it('is a filesystem to ordinary programs', { skip, timeout: 30_000 }, async (t) => {
  const mountPoint = mkdtempSync(join(tmpdir(), 'mount-'))
  const session = await mountFs(createFilesystem(), mountPoint)
  t.after(async () => {
    await session.unmount()
    rmdirSync(mountPoint)
  })
  /** @param {string} script */
  const sh = async (script) => (await promisify(execFile)('sh', ['-ec', script], { cwd: '/' })).stdout

  assert.equal(await sh(`cat ${mountPoint}/hello.txt`), 'Hello from devfuse!\n')
  assert.equal(await sh(`ls ${mountPoint}`), 'hello.txt\nnotes\nnow.txt\n')
  await sh(`cd ${mountPoint}/notes; echo one > a; echo two >> a; mv a b; rm first.txt`)
  assert.equal(await sh(`cd ${mountPoint}/notes; ls; cat b`), 'b\none\ntwo\n')
  await assert.rejects(sh(`echo > ${mountPoint}/elsewhere.txt`), /denied/)
})
