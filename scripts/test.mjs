// Runs the built tests with Node's own runner in a temporary directory of their own, then checks that nothing is left
// behind: no mount, no serving process. What is left is cleared away and makes the run fail.
//
//   node scripts/test.mjs [WORD...]              everything but the tests with Debian's programs
//   node scripts/test.mjs --programs [WORD...]   only those
//
// With words, only test files whose path contains one of them are run.
import { spawn, spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readMountInfo, isFuse } from '../build/src/device/mountinfo.js'

const root = fileURLToPath(new URL('..', import.meta.url))

const args = process.argv.slice(2)
const programs = args.includes('--programs')
const FILE_TIMEOUT_MS = (programs ? 10 : 6) * 60_000
const words = args.filter((arg) => arg !== '--programs')

// Outputs of tests that were renamed or removed stay in build/: only those with a source are run.
const files = readdirSync(join(root, 'test'), { recursive: true })
  .filter((file) => file.endsWith('.test.ts'))
  .filter((file) => file.startsWith(`programs${sep}`) === programs)
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .toSorted()
  .map((file) => join(root, 'build/test', file.replace(/\.ts$/, '.js')))

if (files.length === 0) {
  console.error(`no test file matches ${words.join(', ') || (programs ? 'programs' : 'anything')}`)
  process.exit(1)
}

// A folder of our own tells our mounts and temporary files from those of others. Other users must get through it.
const temporary = mkdtempSync(join(tmpdir(), 'devfuse-test-'))
chmodSync(temporary, 0o1777)

const failures = join(temporary, 'failures')

function leftMounts() {
  return readMountInfo().filter((mount) => isFuse(mount) && mount.mountPoint.startsWith(`${temporary}/`))
}

function ourProcesses() {
  const pids = []
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue
    try {
      if (!readFileSync(`/proc/${name}/environ`, 'latin1').includes(`TMPDIR=${temporary}\0`)) continue
      pids.push({
        pid: Number(name),
        command: readFileSync(`/proc/${name}/cmdline`, 'latin1').replaceAll('\0', ' '),
      })
    } catch {
      // Gone, or somebody else's.
    }
  }
  return pids
}

function abortConnection({ minor }) {
  const file = `/sys/fs/fuse/connections/${minor}/abort`
  if (!existsSync(file)) spawnSync('mount', ['-t', 'fusectl', 'fusectl', '/sys/fs/fuse/connections'])
  if (existsSync(file)) writeFileSync(file, '1')
}

// A process that waits for its own mount cannot be killed, and would keep the runner waiting for it.
let firstSeen = new Map()
const watchdog = setInterval(() => {
  const mounts = leftMounts()
  // Kernel: the id of a mount that is gone goes to another one, so its place belongs to the key, and only what is there is kept.
  const key = ({ id, mountPoint }) => `${id} ${mountPoint}`
  firstSeen = new Map(mounts.map((mount) => [key(mount), firstSeen.get(key(mount)) ?? Date.now()]))
  for (const mount of mounts) {
    if (Date.now() - firstSeen.get(key(mount)) > FILE_TIMEOUT_MS + 5000) abortConnection(mount)
  }
}, 5000)

async function clearUp() {
  const problems = []
  for (let round = 0; round < 20 && (leftMounts().length > 0 || ourProcesses().length > 0); round++) {
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  for (const mount of leftMounts()) {
    problems.push(`left mounted: ${mount.mountPoint} (${mount.fsType})`)
    abortConnection(mount)
    spawnSync('umount', ['-l', mount.mountPoint])
  }
  for (const { pid, command } of ourProcesses()) {
    problems.push(`left running: process ${pid}: ${command}`)
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // Ended by itself meanwhile.
    }
  }
  if (leftMounts().length === 0) rmSync(temporary, { recursive: true, force: true })
  return problems
}

const runner = spawn(
  process.execPath,
  [
    '--test',
    '--test-concurrency=2',
    `--test-timeout=${FILE_TIMEOUT_MS}`,
    // The summary of tap comes last, which logs of other programs are read for.
    `--test-reporter=${process.stdout.isTTY ? 'spec' : 'tap'}`,
    '--test-reporter-destination=stdout',
    `--test-reporter=${new URL('failures.mjs', import.meta.url)}`,
    `--test-reporter-destination=${failures}`,
    ...files,
  ],
  { cwd: root, stdio: 'inherit', env: { ...process.env, TMPDIR: temporary, NODE_TEST_CONTEXT: undefined } },
)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => runner.kill(signal))

const status = await new Promise((resolve) => {
  runner.on('close', (code, signal) => resolve(code ?? 128 + constants.signals[signal]))
})
clearInterval(watchdog)
// Of a long log often only the end is read; the reporter for people says it there by itself.
if (status !== 0 && !process.stdout.isTTY && existsSync(failures))
  console.error(readFileSync(failures, 'utf8').trim())
const problems = await clearUp()
for (const problem of problems) console.error(problem)
process.exitCode = status === 0 && problems.length > 0 ? 1 : status
