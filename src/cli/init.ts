// devfuse init: a new project with a small filesystem, its tests, and a dependency on this very devfuse.
import { existsSync } from 'node:fs'
import { cp, mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CommandError, EXIT_OK, quoted } from './command.js'
import type { Command } from './command.js'
import { packageRoot } from '../package-root.js'

const root = fileURLToPath(packageRoot()).replace(/\/$/, '')

interface Manifest {
  version: string
  engines: { node: string }
}

/** What npm notes of an installed package in node_modules/.package-lock.json. */
interface Installed {
  resolved?: string
  link?: boolean
}

/**
 * What to write behind `"devfuse":` so that npm finds what runs here: a version of the registry, the file or address that it was
 * installed from, or the folder of a checkout.
 */
export async function dependencyOn(folder: string, version: string): Promise<string> {
  const modules = dirname(folder)
  if (basename(modules) !== 'node_modules') return `file:${folder}`
  const installed = await readFile(join(modules, '.package-lock.json'), 'utf8').then(
    (text) =>
      (JSON.parse(text) as { packages: Record<string, Installed> }).packages[
        `node_modules/${basename(folder)}`
      ],
    () => undefined,
  )
  // npm keeps no record of what it installs globally.
  if (installed === undefined) return `file:${folder}`
  const from = installed.resolved
  if (from === undefined || /^https?:\/\/[^/]+\/(.*\/)?devfuse\/-\//.test(from)) return `^${version}`
  if (from.startsWith('file:')) return `file:${resolve(dirname(modules), from.slice('file:'.length))}`
  return from
}

/** A name that npm accepts, made from the name of the folder. */
function packageName(directory: string): string {
  const name = basename(directory)
    .toLowerCase()
    .replaceAll(/[^a-z0-9._~-]+/g, '-')
    .replaceAll(/^[._-]+|-+$/g, '')
  return name === '' || name === 'devfuse' || name === 'node_modules' ? 'filesystem' : name
}

async function mustBeEmpty(directory: string): Promise<void> {
  try {
    const names = await readdir(directory)
    if (names.length === 0) return
    const some = names.slice(0, 3).join(', ')
    throw new CommandError(
      `${directory} is not empty (${some}${names.length > 3 ? ', ...' : ''}); name a new directory, or an empty one`,
    )
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOTDIR')
      throw new CommandError(`${directory} is no directory; name a new one, or an empty one`)
    if (code !== 'ENOENT') throw error
  }
}

/** With the directories above. Kernel: /proc says ENOENT of what it can't make, for which Node's own way of doing this tries for ever. */
async function make(directory: string): Promise<void> {
  try {
    await mkdir(directory)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const above = dirname(directory)
    if (code === 'EEXIST' && existsSync(directory)) return
    if (code !== 'ENOENT' || existsSync(above))
      throw new CommandError(`cannot make ${directory}: ${message}; name a directory elsewhere`)
    await make(above)
    await mkdir(directory)
  }
}

async function run([directory]: string[]): Promise<number> {
  const target = resolve(directory)
  await mustBeEmpty(target)
  const { version, engines } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Manifest
  await make(target)
  await cp(join(root, 'template'), target, { recursive: true })
  const manifest = {
    name: packageName(target),
    version: '0.0.0',
    private: true,
    type: 'module',
    scripts: { start: 'node src/main.js', test: 'node --test' },
    dependencies: { devfuse: await dependencyOn(root, version) },
    engines,
  }
  await writeFile(join(target, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  // npm leaves files of this name out of packages.
  await writeFile(join(target, '.gitignore'), 'node_modules\nmnt\n')
  const shown = relative(process.cwd(), target)
  process.stdout.write(`made a filesystem in ${target}
${shown === '' ? '' : `  cd ${quoted(shown.startsWith('..') ? target : shown)}\n`}  npm install
  npm test     # without a mount, then on a real one
  npm start    # mounts it on ./mnt until Ctrl-C
Begin in src/filesystem.js.
`)
  return EXIT_OK
}

export const init: Command = {
  name: 'init',
  positionals: ['DIR'],
  summary: 'Make a project with a small filesystem, its tests and a command that mounts it.',
  description: `
DIR is made, or has to be empty. The project is plain JavaScript with types in comments; it has no dependency but devfuse, and
takes it from where this devfuse came from.`,
  options: {},
  run,
}
