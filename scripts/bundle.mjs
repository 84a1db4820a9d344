// Makes dist/*.js, what programs load: the entries of src/, with what they share in dist/chunks. Loading a hundred small files
// would take longer than all the rest of a start. Types lie beside them, from tsc; the tests use single files, in build/src.
import { build } from 'esbuild'
import { chmodSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = new URL('..', import.meta.url)
const at = (path) => fileURLToPath(new URL(path, root))

const { exports, bin } = JSON.parse(readFileSync(at('package.json'), 'utf8'))
const threads = [
  './dist/session/worker-entry.js',
  './dist/session/worker-session-entry.js',
  './dist/filesystems/mirror/worker.js',
]

async function bundle(paths, chunks) {
  const { metafile } = await build({
    absWorkingDir: at('.'),
    entryPoints: paths
      .filter((path) => path.endsWith('.js'))
      .map((path) => path.replace('./dist/', 'src/').replace(/\.js$/, '.ts')),
    outbase: 'src',
    outdir: 'dist',
    entryNames: '[dir]/[name]',
    chunkNames: `${chunks}/[name]-[hash]`,
    bundle: true,
    splitting: true,
    metafile: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    logLevel: 'warning',
  })
  return Object.keys(metafile.outputs)
}

// The command has chunks of its own: those of all entries together are many, and each costs half a millisecond of its start.
const made = new Set([
  ...(await bundle([...Object.values(exports), ...threads], 'chunks')),
  ...(await bundle(Object.values(bin), 'cli/chunks')),
])

// A chunk of another build, or a file from before there were bundles, would be published with the rest.
for (const file of readdirSync(at('dist'), { recursive: true, encoding: 'utf8' })) {
  if (file.endsWith('.js') && !made.has(`dist/${file}`)) rmSync(at(`dist/${file}`), { force: true })
}

// esbuild writes plain files: the command has to be executable to be run by its path.
for (const path of Object.values(bin)) chmodSync(at(path), 0o755)
