// A server in a process of its own, for tests of what happens around one: other users, namespaces, violent ends.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, chmodSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { TestContext } from 'node:test'
import type { Attr, Filesystem } from 'devfuse'
import { findMount, readMountInfo } from '#dist/device/mountinfo.js'
import type { MountInfo } from '#dist/device/mountinfo.js'
import { cleanup, run } from './mounting.js'

export const root = join(dirname(fileURLToPath(import.meta.url)), '../../..')

/** Runs a command as another user, without any group but one of the same number. */
export const as = (id: number): string[] => [
  'setpriv',
  `--reuid=${id}`,
  `--regid=${id}`,
  '--clear-groups',
  '--',
]

/** Source of a module that mounts a directory with one file `file` of the text `hello`, and says `ready`. */
export function serverSource(mount: string, before = ''): string {
  return `
    import { mount, fromFd } from 'devfuse'
    import { syscalls } from 'devfuse/syscalls'
    const times = { atime: 0, mtime: 0, ctime: 0 }
    const attrs = {
      1: { ino: 1, size: 0, blocks: 0, mode: 0o040755, nlink: 2, uid: 0, gid: 0, ...times },
      2: { ino: 2, size: 6, blocks: 1, mode: 0o100644, nlink: 1, uid: 0, gid: 0, ...times },
    }
    const filesystem = {
      lookup: ({ name }) => name === 'file' ? { nodeid: 2, attr: attrs[2] } : -2,
      getattr: ({ nodeid }) => ({ attr: attrs[nodeid] }),
      readdir: ({ offset }) => [{ name: 'file', ino: 2, type: 8 }].slice(offset),
      read: ({ offset, size }) => Buffer.from('hello\\n').subarray(offset, offset + size),
    }
    ${before}
    const session = await ${mount}
    console.log('ready')
  `
}

export interface Server {
  child: ChildProcess
  output: () => string
  /** Waits for the end: exit status or signal. */
  ended: Promise<unknown>
}

/** Starts a module of {@link serverSource} and waits until it is ready. */
export async function serve(
  t: TestContext,
  source: string,
  {
    prefix = [],
    stdio = [],
    detached = false,
  }: { prefix?: string[]; stdio?: number[]; detached?: boolean } = {},
): Promise<Server> {
  const [file, ...args] = [...prefix, process.execPath, '--input-type=module', '-e', source]
  const child = spawn(file, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe', ...stdio], detached })
  cleanup(t, () => child.kill('SIGKILL'))
  let output = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (output += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (output += text))
  const ended = once(child, 'exit')
  await until(() => output.includes('ready') || child.exitCode !== null, 10_000)
  assert.match(output, /ready/)
  return { child, output: () => output, ended }
}

/** Waits for something to become true; says whether it did. */
export async function until(what: () => boolean, timeout = 3000): Promise<boolean> {
  for (const end = performance.now() + timeout; performance.now() < end;) {
    if (what()) return true
    await new Promise((done) => setTimeout(done, 10))
  }
  return what()
}

/** A directory that every user can reach, made away with after the test together with what is still mounted on it. */
export function place(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'devfuse-test-'))
  chmodSync(path, 0o755)
  cleanup(t, async () => {
    for (let i = 0; i < 8 && findMount(path) !== undefined; i++) await run('umount', ['-l', path])
    assert.equal(findMount(path), undefined)
    if (existsSync(path)) rmSync(path, { recursive: true })
  })
  return path
}

/** What is mounted on top at the path. */
export const mountAt = (path: string): MountInfo | undefined => findMount(path, readMountInfo())

/** Processes whose command line has this word. */
export function processesWith(word: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && name !== String(process.pid))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes(word)
      } catch {
        return false
      }
    })
}

const times = { atime: 0, mtime: 0, ctime: 0 }

/** Attributes of the directory (nodeid 1) or a file. */
export const attrOf = (nodeid: number, more: Partial<Attr> = {}): Attr =>
  nodeid === 1
    ? { ino: 1, size: 0, blocks: 0, mode: 0o040755, nlink: 2, uid: 0, gid: 0, ...times, ...more }
    : { ino: nodeid, size: 6, blocks: 1, mode: 0o100666, nlink: 1, uid: 0, gid: 0, ...times, ...more }

/** The same filesystem for this process: nothing is cached, so every call asks. */
export const oneFile: Filesystem = {
  lookup: ({ name }) => (name === 'file' ? { nodeid: 2, attr: attrOf(2) } : -2),
  getattr: ({ nodeid }) => ({ attr: attrOf(nodeid) }),
  readdir: ({ offset }) => [{ name: 'file', ino: 2, type: 8 }].slice(offset),
  read: ({ offset, size }) => Buffer.from('hello\n').subarray(offset, offset + size),
}
