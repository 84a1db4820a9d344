// Builds the addon (native/*.c) with the system's C compiler, in seconds and without node-gyp.
//   node scripts/build-native.mjs              build/native/devfuse.node
//   node scripts/build-native.mjs --sanitize   build/native-sanitize/devfuse.node, with ASan and UBSan
//   --force builds even when nothing changed; CC and CFLAGS are heard.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const source = join(root, 'native')
const sanitize = process.argv.includes('--sanitize')
const target = join(root, 'build', sanitize ? 'native-sanitize' : 'native')
const addon = join(target, 'devfuse.node')
const stamp = join(target, 'stamp')
const compiler = process.env.CC ?? 'cc'

if (process.platform !== 'linux') {
  console.log('devfuse runs on Linux only: no addon to build here')
  process.exit(0)
}

// Node's own headers serve as well; the package is there in a checkout.
const headers = [
  join(root, 'node_modules', 'node-api-headers', 'include'),
  join(dirname(dirname(process.execPath)), 'include', 'node'),
].find((folder) => existsSync(join(folder, 'node_api.h')))
if (headers === undefined) {
  fail('The Node-API headers are missing. Install the dev dependencies: npm install')
}

const flags = [
  '-std=c11',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-fPIC',
  '-shared',
  '-fvisibility=hidden',
  '-fexceptions', // pthread_cancel unwinds
  '-pthread',
  '-D_GNU_SOURCE',
  '-DNAPI_VERSION=8',
  `-I${headers}`,
  ...(sanitize
    ? [
        '-g',
        '-O1',
        '-fno-omit-frame-pointer',
        '-fsanitize=address,undefined',
        '-fno-sanitize-recover=undefined',
      ]
    : ['-O2', '-fno-stack-protector', '-include', join(source, 'old_glibc.h')]),
  ...(process.env.CFLAGS ?? '').split(' ').filter(Boolean),
]
const sources = readdirSync(source)
  .filter((name) => name.endsWith('.c'))
  .toSorted()
  .map((name) => join(source, name))
// A thread that never came back may still be in the code when a worker's environment is gone: nodelete.
const linking = ['-Wl,-z,nodelete', '-Wl,-z,now', '-Wl,--as-needed', '-ldl']

const hash = createHash('sha256').update(JSON.stringify([compiler, flags, linking, process.arch]))
for (const name of readdirSync(source).toSorted()) hash.update(name).update(readFileSync(join(source, name)))
const digest = hash.digest('hex')
const upToDate = existsSync(addon) && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest
if (upToDate && !process.argv.includes('--force')) process.exit(0)

mkdirSync(target, { recursive: true })
// Under another name first: a running process may have the old file mapped.
const fresh = `${addon}.${process.pid}`
const result = spawnSync(compiler, [...flags, ...sources, '-o', fresh, ...linking], { stdio: 'inherit' })
if (result.error) {
  fail(
    `No C compiler: ${compiler} did not start (${result.error.message}).\n` +
      'Install one (Debian, Ubuntu: apt install gcc libc6-dev; Fedora: dnf install gcc; Alpine: apk add gcc musl-dev linux-headers) or set CC.',
  )
}
if (result.status !== 0) fail(`${compiler} could not build the addon (see above)`)
renameSync(fresh, addon)
writeFileSync(stamp, digest)
console.log(`built ${addon}`)

function fail(message) {
  console.error(message)
  process.exit(1)
}
