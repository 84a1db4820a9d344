// What `npm start [-- SRC MNT]` runs: mounts a mirror of a directory (this project if none is given), reads a file
// through it from another process, shows who served the data, and counts requests until Ctrl-C.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, readdirSync, rmdirSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { mountMirror } from 'devfuse/mirror'

const project = fileURLToPath(new URL('.', import.meta.resolve('devfuse/package.json')))
const command = relative(process.cwd(), join(project, 'dist/cli/main.js'))

const source = resolve(process.argv[2] ?? project)
try {
  readdirSync(source)
} catch (error) {
  console.error(`cannot mirror ${source}: ${(error as Error).message}; name a directory that is there`)
  process.exit(1)
}
const temporary = process.argv[3] === undefined ? mkdtempSync(join(tmpdir(), 'devfuse-start-')) : undefined
const mountPoint = resolve(process.argv[3] ?? temporary ?? '')

// Chosen before mounting: this process serves the mount, so it must never wait for an answer from it.
const sample = largestFile(source)

const session = await mountMirror(source, mountPoint, {
  control: true,
  onWarning: ({ message }) => console.error(`\n${message}`),
}).catch((error: unknown) => {
  if (temporary !== undefined) rmdirSync(temporary)
  console.error(error instanceof Error ? error.message : error)
  console.error(`What this machine lacks is told by: ${command} doctor`)
  process.exit(1)
})
// The library unmounts on these signals; a handler of our own lets the rest of this file run afterwards.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => undefined)

console.log(`${source} is mounted at ${mountPoint}, served by this process (${process.pid}).`)
await readSample()
console.log(`
Try in another terminal:
  ls -l ${mountPoint}
  ${command} stats ${mountPoint}
  ${command} unmount ${mountPoint}
Then read examples/hello.ts: a filesystem of your own in twenty lines. Ctrl-C unmounts.
`)

const counter = countRequests()
const { reason, errno } = await session.closed
clearInterval(counter)
if (temporary !== undefined) rmdirSync(temporary)
console.log(`\nunmounted ${mountPoint}`)
if (reason === 'error' || reason === 'aborted') {
  console.error(`the connection was lost (${reason}, errno ${errno})`)
  process.exitCode = 1
}

/** The largest of the first thousand files below a directory, relative to it; not a hidden one or one of a package. */
function largestFile(directory: string): string | undefined {
  let best: { path: string; size: number } | undefined
  const folders = [directory]
  for (let seen = 0; folders.length > 0 && seen < 1000;) {
    const folder = folders.shift() ?? directory
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (entry.name.startsWith('.') || entry.name === 'node_modules') continue
      const path = join(folder, entry.name)
      if (entry.isDirectory() && path !== mountPoint) folders.push(path)
      if (!entry.isFile()) continue
      seen++
      const { size } = statSync(path)
      if (best === undefined || size > best.size) best = { path, size }
    }
  }
  return best === undefined ? undefined : relative(directory, best.path)
}

/** Reads the file through the mount, from another process, and shows how many READ requests reached this one. */
async function readSample(): Promise<void> {
  if (sample === undefined) {
    console.log('There is no file in it to read.')
    return
  }
  const program = `
    const { createHash } = require('node:crypto')
    const data = require('node:fs').readFileSync(process.argv[1])
    console.log(data.length, createHash('sha256').update(data).digest('hex'))`
  const args = ['-e', program, join(mountPoint, sample)]
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 })
  const [bytes, digest] = stdout.trim().split(' ')
  const expected = createHash('sha256')
    .update(readFileSync(join(source, sample)))
    .digest('hex')
  const verdict = digest === expected ? 'exactly what the source holds' : 'NOT what the source holds'
  console.log(`Another process read ${sample} through the mount: ${bytes} bytes, ${verdict}.`)
  const { operations, passthrough } = session.stats()
  const reads = operations.READ?.count ?? 0
  const who =
    reads === 0
      ? 'the kernel served the data itself (passthrough)'
      : `this process served the data${passthrough.unavailable === undefined ? '' : `: ${passthrough.unavailable}`}`
  console.log(`It took ${reads} READ requests: ${who}.`)
}

function countRequests(): NodeJS.Timeout {
  const terminal = process.stdout.isTTY
  const seconds = terminal ? 1 : 5
  const total = (): number =>
    Object.values(session.stats().operations).reduce((sum, { count }) => sum + count, 0)
  let last = total()
  return setInterval(() => {
    const now = total()
    const line = `${Math.round((now - last) / seconds)} requests a second, ${now} so far`
    if (terminal) process.stdout.write(`\r${line.padEnd(60)}`)
    else console.log(line)
    last = now
  }, seconds * 1000)
}
