// Checks the house rules that no compiler knows: which folder may import which, no cycles, short files, no dependencies.
import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = dirname(fileURLToPath(import.meta.resolve('devfuse/package.json')))

const MAX_LINES = 400
// A list of cases grows longer than code without getting harder to read.
const MAX_TEST_LINES = 500

interface Import {
  /** Path below src/ without extension, or the name of a package. */
  target: string
  typeOnly: boolean
  relative: boolean
}

function filesBelow(folder: string, extension: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith(extension) && !file.split('/').includes('node_modules'))
    .map((file) => posix.join(folder, file))
}

function importsOf(file: string): Import[] {
  const text = readFileSync(join(root, file), 'utf8')
  const found = [
    ...text.matchAll(/^(?:import|export)\s+(type\s)?[^'";]*?\bfrom\s+'([^']+)'/gm),
    ...text.matchAll(/^import\s+(type\s)?'([^']+)'/gm),
    ...text.matchAll(/\bimport\((\s*)'([^']+)'\)/g),
  ]
  return found.map(([, type, name]) => ({
    target: name.startsWith('.')
      ? posix.relative('src', posix.join(posix.dirname(file), name)).replace(/\.js$/, '')
      : name,
    typeOnly: type?.trim() === 'type',
    relative: name.startsWith('.'),
  }))
}

const sources = filesBelow('src', '.ts')
const imports = new Map(sources.map((file) => [file.slice('src/'.length, -'.ts'.length), importsOf(file)]))

/** A folder of src/, or the name of a file that lies in src/ itself. */
const storey = (module: string): string => module.split('/')[0]

// From the picture of the storeys in docs/architecture.md: what each may import besides itself and node:.
const arrows: Record<string, string[]> = {
  protocol: [],
  'package-root': [],
  native: ['package-root'],
  syscalls: ['native', 'protocol'],
  inodes: ['protocol'],
  device: ['native', 'protocol', 'syscalls'],
  session: ['device', 'package-root', 'protocol', 'syscalls'],
  index: ['session', 'device', 'protocol'],
  filesystems: ['index', 'inodes', 'syscalls', 'protocol'],
  cli: ['filesystems', 'index', 'session', 'device', 'syscalls', 'protocol', 'package-root'],
}

describe('storeys', () => {
  it('are all known', () => {
    const unknown = [...imports.keys()].map(storey).filter((name) => !(name in arrows))
    assert.deepEqual([...new Set(unknown)], [])
  })

  it('import only what lies below them', () => {
    const wrong: string[] = []
    for (const [module, targets] of imports) {
      const from = storey(module)
      for (const { target } of targets) {
        if (target.startsWith('node:')) continue
        const to = storey(target)
        if (to !== from && !arrows[from]?.includes(to)) wrong.push(`${module} -> ${target}`)
      }
    }
    assert.deepEqual(wrong, [])
  })

  it('keep the protocol pure: no Node module, nothing from outside', () => {
    const impure = [...imports]
      .filter(([module]) => storey(module) === 'protocol')
      .flatMap(([module, targets]) => targets.map(({ target }) => [module, target]))
      .filter(([, target]) => storey(target) !== 'protocol')
    assert.deepEqual(impure, [])
  })

  it('let ready-made filesystems use public entries only', () => {
    const entries = new Set(['index', 'inodes/index', 'syscalls/index', 'protocol/index'])
    const closed = [...imports]
      .filter(([module]) => storey(module) === 'filesystems')
      .flatMap(([module, targets]) => targets.map(({ target }) => [module, target]))
      .filter(
        ([, target]) =>
          !target.startsWith('node:') && storey(target) !== 'filesystems' && !entries.has(target),
      )
    assert.deepEqual(closed, [])
  })

  it('need no package at run time', () => {
    const packages = [...imports].flatMap(([module, targets]) =>
      targets
        .filter(({ target, relative: own }) => !own && !target.startsWith('node:'))
        .map(({ target }) => `${module}: ${target}`),
    )
    assert.deepEqual(packages, [])
  })
})

describe('modules', () => {
  it('import each other in no circle', () => {
    const state = new Map<string, 'open' | 'done'>()
    const circles: string[] = []
    const visit = (module: string, path: string[]): void => {
      if (state.get(module) === 'done') return
      if (state.get(module) === 'open') {
        circles.push([...path.slice(path.indexOf(module)), module].join(' -> '))
        return
      }
      state.set(module, 'open')
      // Imports of types alone leave no trace in the output.
      for (const { target, typeOnly } of imports.get(module) ?? []) {
        if (!typeOnly && imports.has(target)) visit(target, [...path, module])
      }
      state.set(module, 'done')
    }
    for (const module of imports.keys()) visit(module, [])
    assert.deepEqual(circles, [])
  })

  it('import no folder in a circle, types included', () => {
    const folders = new Map<string, Set<string>>()
    for (const [module, targets] of imports) {
      const below = folders.get(storey(module)) ?? new Set()
      folders.set(storey(module), below)
      for (const { target } of targets) {
        if (!target.startsWith('node:') && storey(target) !== storey(module)) below.add(storey(target))
      }
    }
    const reaches = (from: string, to: string, seen: Set<string>): boolean =>
      [...(folders.get(from) ?? [])].some(
        (next) => next === to || (!seen.has(next) && reaches(next, to, seen.add(next))),
      )
    const circular = [...folders.keys()].filter((name) => reaches(name, name, new Set()))
    assert.deepEqual(circular, [])
  })
})

describe('files', () => {
  const handWritten = [
    ...sources,
    ...filesBelow('native', '.c'),
    ...filesBelow('native', '.h'),
    ...['test', 'bench', 'examples', 'scripts'].flatMap((folder) => filesBelow(folder, '.ts')),
    ...filesBelow('scripts', '.mjs'),
  ].filter((file) => !file.includes('/generated/'))

  it('stay short', () => {
    // The table of operations is one row after another, and belongs in one place.
    const long = handWritten
      .filter((file) => file !== 'src/protocol/operations.ts')
      .map((file) => ({ file, lines: readFileSync(join(root, file), 'utf8').split('\n').length - 1 }))
      .filter(({ file, lines }) => lines > (file.startsWith('test/') ? MAX_TEST_LINES : MAX_LINES))
    assert.deepEqual(long, [])
  })

  it('begin with a comment that says what they own', () => {
    const silent = sources
      .filter((file) => !file.includes('/generated/'))
      .filter((file) => !/^(#!.*\n)?(\/\/|\/\*)/.test(readFileSync(join(root, file), 'utf8')))
    assert.deepEqual(silent, [])
  })

  it('have names that say what is inside', () => {
    const vague = handWritten.filter((file) => /(^|\/)(utils?|common|helpers?|misc)(\/|\.|$)/.test(file))
    assert.deepEqual(vague, [])
  })
})

describe('package', () => {
  const manifest: unknown = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))

  it('has no run-time dependencies and no install scripts', () => {
    const { dependencies, optionalDependencies, scripts } = manifest as Record<string, Record<string, string>>
    assert.deepEqual([dependencies, optionalDependencies], [undefined, undefined])
    for (const hook of ['preinstall', 'install', 'postinstall', 'prepare'])
      assert.ok(!(hook in scripts), hook)
  })

  it('is never built by node-gyp behind the back of the user', () => {
    assert.ok(!readdirSync(root).includes('binding.gyp'))
  })

  it('exports only files that the build makes', () => {
    const { exports } = manifest as { exports: Record<string, string> }
    for (const [name, path] of Object.entries(exports)) {
      if (path === './package.json') continue
      const source = path.replace('./dist/', 'src/').replace(/\.js$/, '.ts')
      assert.ok(sources.includes(source), `${name} is ${source}`)
    }
  })
})
