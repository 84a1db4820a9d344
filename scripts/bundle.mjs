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
const entries = [...Object.values(exports), ...Object.values(bin), ...threads].filter((path) =>
  path.endsWith('.js'),
)

const { metafile } = await build({
  absWorkingDir: at('.'),
  entryPoints: entries.map((path) => path.replace('./dist/', 'src/').replace(/\.js$/, '.ts')),
  outbase: 'src',
  outdir: 'dist',
  entryNames: '[dir]/[name]',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  metafile: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  logLevel: 'warning',
})

// A chunk of another build, or a file from before there were bundles, would be published with the rest.
const made = new Set(Object.keys(metafile.outputs))
for (const file of readdirSync(at('dist'), { recursive: true, encoding: 'utf8' })) {
  if (file.endsWith('.js') && !made.has(`dist/${file}`)) rmSync(at(`dist/${file}`), { force: true })
}

// esbuild writes plain files: the command has to be executable to be run by its path.
for (const path of Object.values(bin)) chmodSync(at(path), 0o755)
