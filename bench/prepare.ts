// Owns the files that the workloads use: those in the source directory, and supplies beside it. The same bytes in every run.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { attempt, run } from './child.js'
import { scripts } from './workloads/programs.js'
import type { Sizes } from './workloads/workload.js'

// latency.c knows the names of the tree, too.
const number = (value: number) => String(value).padStart(3, '0')

/** Makes the directory `path` with `directories` directories of `files` files of `size` bytes. */
async function layOut(path: string, directories: number, files: number, size: number): Promise<void> {
  for (let d = 0; d < directories; d++) {
    const directory = join(path, `d${number(d)}`)
    await mkdir(directory, { recursive: true })
    const names = Array.from({ length: files }, (_, f) => join(directory, `f${number(f)}`))
    await Promise.all(names.map((name, f) => writeFile(name, `${d} ${f}\n`.repeat(size).slice(0, size))))
  }
}

/** What the workloads find on every mount. Afterwards its pages are in the page cache, and nothing waits to be written. */
export async function prepareSource(source: string, sizes: Sizes): Promise<void> {
  await mkdir(join(source, 'work'), { recursive: true })
  const programs = join(source, 'programs')
  await mkdir(programs)
  // What lies in it begins in a block group of its own on ext4, away from inodes that another workload has just deleted.
  await attempt(['chattr', '+T', programs])
  await writeFile(join(source, 'small'), 'a small file\n')
  const block = Buffer.alloc(sizes.data)
  for (let at = 0; at < sizes.data; at += 4096) block.writeUInt32LE(at, at)
  await writeFile(join(source, 'read.data'), block)
  await writeFile(join(source, 'write.data'), block)
  await layOut(join(source, 'tree'), sizes.directories, 100, 100)
  const many = join(source, 'many')
  await mkdir(many)
  await run([
    'sh',
    '-c',
    'cd "$1" && seq "$2" | sed s/^/entry-/ | xargs touch',
    'sh',
    many,
    String(sizes.entries),
  ])
  await run(['sync', join(source, 'read.data'), join(source, 'write.data')])
}

/** An archive, a repository, packages and SQL, on the native directory `supplies`. */
export async function prepareSupplies(supplies: string, sizes: Sizes): Promise<void> {
  const at = (...names: string[]) => join(supplies, ...names)
  await layOut(at('archive'), sizes.archive / 100, 100, 4096)
  await run(['tar', '-cf', at('files.tar'), '-C', supplies, 'archive'])
  await layOut(at('checkout'), sizes.checkout / 50, 50, 1500)
  const git = ['git', '-C', at('checkout'), '-c', 'user.name=bench', '-c', 'user.email=bench@localhost']
  await run([...git, 'init', '-q'])
  await run([...git, 'add', '.'])
  await run([...git, 'commit', '-q', '-m', 'files'])
  await run(['git', 'clone', '-q', '--bare', at('checkout'), at('repository.git')])

  const dependencies: Record<string, string> = {}
  for (let p = 0; p < sizes.packages; p++) {
    const name = `package-${number(p)}`
    await layOut(at('npm', name, 'package', 'lib'), 2, 10, 800)
    await writeFile(at('npm', name, 'package/package.json'), JSON.stringify({ name, version: '1.0.0' }))
    await run(['tar', '-czf', at('npm', `${name}.tgz`), '-C', at('npm', name), 'package'])
    dependencies[name] = `file:${at('npm', `${name}.tgz`)}`
  }
  await writeFile(at('package.json'), JSON.stringify({ name: 'bench', version: '1.0.0', dependencies }))
  for (const [name, text] of Object.entries(scripts(sizes.transactions))) await writeFile(at(name), text)
}
