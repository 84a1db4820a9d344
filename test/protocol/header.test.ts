// The whole C header of the system against the table, read by scripts/check-header.mjs; and what that script finds wrong.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { PROTOCOL_MINOR } from '#dist/session/init.js'

const root = dirname(fileURLToPath(import.meta.resolve('devfuse/package.json')))
const header = '/usr/include/linux/fuse.h'

function whyNot(): string | false {
  if (!existsSync(header)) return `needs ${header} (Debian: linux-libc-dev)`
  const minor = Number(/FUSE_KERNEL_MINOR_VERSION (\d+)/.exec(readFileSync(header, 'utf8'))?.[1])
  if (minor > PROTOCOL_MINOR) return `the header is 7.${minor}, newer than the table`
  return spawnSync('cc', ['--version']).error === undefined ? false : 'needs a C compiler'
}

function check(path: string): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [join(root, 'scripts/check-header.mjs'), path], { encoding: 'utf8' })
}

describe('scripts/check-header.mjs', { skip: whyNot(), timeout: 60_000 }, () => {
  it('finds everything of the header of this system in the table', (t) => {
    const { status, stdout, stderr } = check(header)
    for (const line of stdout.trimEnd().split('\n')) t.diagnostic(line)
    assert.equal(stderr, '')
    assert.match(stdout, /^0 mismatches$/m)
    assert.equal(status, 0)
  })

  it('notices what the table lacks or has otherwise', (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'devfuse-header-'))
    t.after(() => rmSync(folder, { recursive: true }))
    const path = join(folder, 'fuse.h')
    const changed = readFileSync(header, 'utf8')
      .replace(/(#define FUSE_ROOT_ID) 1/, '$1 2\n#define FUSE_BRAND_NEW 1')
      .replace(/struct fuse_forget_in \{/, 'struct fuse_brand_new { uint32_t a;\n};\n$&\n\tuint64_t earlier;')
      .replace(/FUSE_GETATTR\s*=\s*3/, 'FUSE_GETATTR = 7')
    writeFileSync(path, changed)
    const { status, stderr } = check(path)
    assert.deepEqual(stderr.trimEnd().split('\n').toSorted(), [
      'FUSE_BRAND_NEW (define): not in our table',
      'FUSE_GETATTR (fuse_opcode): 7, ours is 3',
      'FUSE_ROOT_ID (define): 2, ours is 1',
      'struct fuse_brand_new: not in our table',
      'struct fuse_forget_in, earlier: not in our table',
      'struct fuse_forget_in, nlookup: at 8, ours is at 0',
      'struct fuse_forget_in: 16 bytes, ours has 8',
    ])
    assert.equal(status, 1)
  })
})
