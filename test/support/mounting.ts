// Mounting in tests: temporary directories, mounts that always go away again, and clients that are always
// child processes, because a call on one's own mount would wait for the thread that makes it.
import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TestContext } from 'node:test'
import { mount } from 'devfuse'
import type { Filesystem, Session, SessionOptions } from 'devfuse'
import { mount as mountOfSingleFiles } from '#dist/index.js'
import { readMountInfo } from '#dist/device/mountinfo.js'

/** Why real mounts cannot be tested here, false where they can. */
export const skip: string | false =
  process.platform !== 'linux'
    ? 'FUSE exists on Linux only'
    : !existsSync('/dev/fuse')
      ? '/dev/fuse is missing'
      : process.geteuid?.() !== 0
        ? 'needs root'
        : false

/** Why an ordinary user cannot mount here, false where one can: udev gives the device to everybody, a bare devtmpfs does not. */
export const skipUsers: string | false =
  skip || (statSync('/dev/fuse').mode & 0o006) === 0o006
    ? skip
    : 'ordinary users may not open /dev/fuse here (chmod 666 /dev/fuse)'

export interface Ran {
  code: number
  stdout: string
  stderr: string
}

/** Runs a program with a timeout; never rejects. */
export function run(
  file: string,
  args: readonly string[],
  options: { timeout?: number; cwd?: string; uid?: number; gid?: number; env?: NodeJS.ProcessEnv } = {},
): Promise<Ran> {
  return new Promise((done) => {
    execFile(
      file,
      args,
      { timeout: 60_000, killSignal: 'SIGKILL', maxBuffer: 64 << 20, encoding: 'utf8', ...options },
      (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 255
        done({
          code,
          stdout,
          stderr: error !== null && code === 255 ? `${error.message}\n${stderr}` : stderr,
        })
      },
    )
  })
}

/** Runs a shell script; fails the test unless it exits 0. Returns what it printed. */
export async function sh(script: string, options: Parameters<typeof run>[2] = {}): Promise<string> {
  const { code, stdout, stderr } = await run('sh', ['-ec', script], options)
  if (code !== 0) throw new Error(`exit status ${code} from: ${script}\n${stdout}${stderr}`)
  return stdout
}

const cleanups = new WeakMap<TestContext, (() => unknown)[]>()

/** Runs `step` after the test, the last one registered first: a mount goes before the directory it lies on. */
export function cleanup(t: TestContext, step: () => unknown): void {
  const steps = cleanups.get(t) ?? []
  if (steps.length === 0) {
    cleanups.set(t, steps)
    t.after(async () => {
      for (let next = steps.pop(); next !== undefined; next = steps.pop()) await next()
    })
  }
  steps.push(step)
}

/** A temporary directory that is removed after the test. Never call it with a path on a mount of this process. */
export function temporary(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'devfuse-test-'))
  cleanup(t, () => {
    // A sync call on one's own mount would wait for ever: what is still mounted stays, and fails the test.
    const left = readMountInfo().find(({ mountPoint }) => mountPoint.startsWith(path))
    if (left !== undefined) throw new Error(`${left.mountPoint} is still mounted after the test`)
    rmSync(path, { recursive: true, force: true })
  })
  return path
}

export interface TestMount {
  session: Session
  mnt: string
  /** What the session reported. */
  warnings: string[]
}

/** What the tests mount with unless they say otherwise: DEVFUSE_TEST_TRANSPORT, or the default. */
export const transportUnderTest = process.env['DEVFUSE_TEST_TRANSPORT'] as SessionOptions['transport']

let mountNow: typeof mount = mount

/**
 * Until the end of the test, {@link mounted} mounts with the files of `#dist/`, one by one: for tests that replace methods of classes
 * which are not public. `devfuse` itself is a bundle, with copies of these classes.
 */
export function mountWithSingleFiles(t: TestContext): void {
  mountNow = mountOfSingleFiles
  t.after(() => (mountNow = mount))
}

/** Mounts for the duration of a test; whatever happens, nothing stays mounted. */
export async function mounted<Options extends SessionOptions>(
  t: TestContext,
  filesystem: Filesystem<Options['encoding'] extends 'buffer' ? Buffer : string>,
  options?: Options,
): Promise<TestMount> {
  const mnt = temporary(t)
  const warnings: string[] = []
  const session = await mountNow<SessionOptions>(mnt, filesystem as Filesystem, {
    onWarning: (problem) => warnings.push(problem.message),
    transport: transportUnderTest,
    ...options,
  })
  cleanup(t, () => takeDown(session))
  return { session, mnt, warnings }
}

/** Unmounts, and aborts the connection where that takes too long. */
export async function takeDown(session: Session): Promise<void> {
  const abort = setTimeout(() => abortMount(session.mountPoint), 10_000)
  await session.shutdown()
  await session.closed
  clearTimeout(abort)
}

/**
 * Has the kernel forget what nobody uses of one mount. Kernel: a remount drops the dentries, and FUSE keeps no inode without one.
 * What `drop_caches` does to the whole machine disturbs tests that count what the kernel asks for again.
 */
export async function dropDentries(mountPoint: string): Promise<void> {
  await sh(`mount --internal-only -o remount ${mountPoint}`)
}

/** Mounts fusectl, unless somebody has. */
export function mountFusectl(): void {
  if (readMountInfo().some(({ fsType }) => fsType === 'fusectl')) return
  spawnSync('mount', ['-t', 'fusectl', 'fusectl', '/sys/fs/fuse/connections'])
}

/**
 * Aborts the connection that is mounted at a path, through fusectl: every caller of it returns with an error. Its number is looked up
 * now, because the number of a mount that is gone may be another one's.
 */
export function abortMount(path: string): void {
  mountFusectl()
  // The folders of fusectl are named by minor numbers, for mounts without a block device only.
  const found = readMountInfo().findLast(({ mountPoint, major }) => mountPoint === path && major === 0)
  const file = `/sys/fs/fuse/connections/${found?.minor}/abort`
  if (found !== undefined && existsSync(file)) writeFileSync(file, '1')
}

const root = join(dirname(fileURLToPath(import.meta.url)), '../../..')
const programs = new Map<string, string>()

/** Path of a test program, compiled from the C file `source` of the project. */
export function compiled(source: string): string {
  const known = programs.get(source)
  if (known !== undefined) return known
  const folder = join(root, 'build/test-client')
  mkdirSync(folder, { recursive: true })
  const out = join(folder, `${basename(source, '.c')}-${process.pid}`)
  execFileSync('cc', ['-O1', '-Wall', '-Wextra', '-Werror', '-o', out, join(root, source)])
  process.on('exit', () => rmSync(out, { force: true }))
  programs.set(source, out)
  return out
}

/** Path of the compiled test client. */
export function client(): string {
  return compiled('test/support/client.c')
}

/** Runs one operation of the test client; fails the test unless it says ok. */
export async function act(operation: string, path: string, ...args: (string | number)[]): Promise<void> {
  const { code, stdout, stderr } = await run(client(), [operation, path, ...args.map(String)])
  if (code !== 0)
    throw new Error(`client ${operation} ${path}: ${stdout.trim()} ${stderr.trim()} (exit status ${code})`)
}
