// Builds the addon (native/*.c) with the system's C compiler, in seconds and without node-gyp.
//   node scripts/build-native.mjs              build/native/devfuse.node
//   node scripts/build-native.mjs --sanitize   build/native-sanitize/devfuse.node, with ASan and UBSan
//   node scripts/build-native.mjs --prebuild   prebuilds/linux-x64.node and -arm64.node, for the published package
//   --force builds even when nothing changed; CC and CFLAGS are heard, but not for prebuilds.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const source = join(root, 'native')
const sanitize = process.argv.includes('--sanitize')
const prebuild = process.argv.includes('--prebuild')
const prebuilds = join(root, 'prebuilds')

if (process.platform !== 'linux') {
  console.log('devfuse runs on Linux only: no addon to build here')
  process.exit(0)
}

// The package is there in a checkout, a copy of it in a published package; Node's own headers serve as well.
const packaged = join(root, 'node_modules', 'node-api-headers')
const headers = [
  join(packaged, 'include'),
  join(prebuilds, 'include'),
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
  ...(prebuild ? '' : (process.env.CFLAGS ?? '')).split(' ').filter(Boolean),
]
const sources = readdirSync(source)
  .filter((name) => name.endsWith('.c'))
  .toSorted()
  .map((name) => join(source, name))
// A thread that never came back may still be in the code when a worker's environment is gone: nodelete.
const linking = ['-Wl,-z,nodelete', '-Wl,-z,now', '-Wl,--as-needed', '-ldl']

if (prebuild) {
  mkdirSync(prebuilds, { recursive: true })
  // With them the package can be built from source where no prebuilt file fits.
  cpSync(join(packaged, 'include'), join(prebuilds, 'include'), { recursive: true })
  cpSync(join(packaged, 'LICENSE'), join(prebuilds, 'include', 'LICENSE'))
  for (const [arch, cross] of [
    ['x64', 'x86_64-linux-gnu-gcc'],
    ['arm64', 'aarch64-linux-gnu-gcc'],
  ]) {
    const addon = join(prebuilds, `linux-${arch}.node`)
    if (compile(arch === process.arch ? 'cc' : cross, addon)) console.log(`built ${addon}`)
    else if (arch === process.arch) noCompiler('cc')
    else console.log(`left out ${addon}: there is no ${cross}`)
  }
} else {
  const target = join(root, 'build', sanitize ? 'native-sanitize' : 'native')
  const addon = join(target, 'devfuse.node')
  const stamp = join(target, 'stamp')
  const compiler = process.env.CC ?? 'cc'
  const hash = createHash('sha256').update(JSON.stringify([compiler, flags, linking, process.arch]))
  for (const name of readdirSync(source).toSorted())
    hash.update(name).update(readFileSync(join(source, name)))
  const digest = hash.digest('hex')
  const upToDate = existsSync(addon) && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest
  if (upToDate && !process.argv.includes('--force')) process.exit(0)

  mkdirSync(target, { recursive: true })
  if (!compile(compiler, addon)) noCompiler(compiler)
  writeFileSync(stamp, digest)
  console.log(`built ${addon}`)
}

/** False where there is no such compiler. */
function compile(compiler, addon) {
  // Under another name first: a running process may have the old file mapped.
  const fresh = `${addon}.${process.pid}`
  const { error, status } = spawnSync(compiler, [...flags, ...sources, '-o', fresh, ...linking], {
    stdio: 'inherit',
  })
  if (error) return false
  if (status !== 0) fail(`${compiler} could not build the addon (see above)`)
  renameSync(fresh, addon)
  return true
}

function noCompiler(compiler) {
  fail(
    `No C compiler: ${compiler} did not start.\n` +
      'Install one (Debian, Ubuntu: apt install gcc libc6-dev; Fedora: dnf install gcc; Alpine: apk add gcc musl-dev linux-headers) or set CC.',
  )
}

function fail(message) {
  console.error(message)
  process.exit(1)
}
