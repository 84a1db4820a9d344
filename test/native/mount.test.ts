// The channel over the real /dev/fuse: a server process that knows the protocol by hand, clients of their own.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
// The clients are other people's programs: no sanitizer in them.
const env = { ...process.env, LD_PRELOAD: undefined }

function canMount(): string | false {
  if (process.getuid?.() !== 0) return 'needs root'
  try {
    accessSync('/dev/fuse', constants.R_OK | constants.W_OK)
    return false
  } catch {
    return 'needs /dev/fuse'
  }
}

/** Lines that the server says; `said` waits for one. */
function listen(server: ChildProcess): { said: (line: string) => Promise<void>; all: () => string } {
  let text = ''
  server.stdout?.on('data', (chunk: Buffer) => (text += chunk.toString()))
  server.stderr?.on('data', (chunk: Buffer) => (text += chunk.toString()))
  return {
    all: () => text,
    async said(line) {
      const until = Date.now() + 15_000
      while (!text.split('\n').includes(line)) {
        if (Date.now() > until || server.exitCode !== null) throw new Error(`no "${line}" in: ${text}`)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    },
  }
}

describe('a real mount', { skip: canMount(), timeout: 60_000 }, () => {
  it('is mounted, read, and ends with ENODEV', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'devfuse-raw-'))
    const mountPoint = mkdtempSync(join(tmpdir(), 'devfuse-raw-mount-'))
    const data = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7) % 256))
    const source = join(folder, 'source')
    writeFileSync(source, data)
    const script = fileURLToPath(new URL('./mount-server.js', import.meta.url))
    const server = spawn(process.execPath, [script, mountPoint, source, `${data.length}`])
    const { said, all } = listen(server)
    const ended = once(server, 'exit')
    try {
      await said('ready')
      const limit = {
        timeout: 10_000,
        killSignal: 'SIGKILL',
        encoding: 'buffer',
        maxBuffer: 1 << 20,
      } as const
      await run('stat', ['-f', mountPoint], limit)
      assert.equal((await run('ls', ['-A', mountPoint], limit)).stdout.length, 0)
      assert.deepEqual((await run('cat', [join(mountPoint, 'file')], limit)).stdout, data)
      await assert.rejects(run('cat', [join(mountPoint, 'other')], limit), /No such file/)
      server.stdin.write('end\n')
      await said('ended -19')
      assert.deepEqual(await ended, [0, null])
      assert.doesNotMatch(all(), /send -/)
    } finally {
      // A killed server closes the device, which aborts the connection and frees every client.
      if (server.exitCode === null) server.kill('SIGKILL')
      await run('umount', ['-l', mountPoint], { env, timeout: 10_000 }).catch(() => {})
      rmSync(folder, { recursive: true })
      rmSync(mountPoint, { recursive: true })
    }
  })
})
