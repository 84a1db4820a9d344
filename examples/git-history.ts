// A git repository's history as directories. Arguments: MNT, and the repository (default: around the working directory).
//   branches/NAME and tags/NAME   links to commits; a slash in a NAME is shown as a colon, which no name of git has
//   commits/HASH/tree             the files of a commit; beside it `message`, and links to its `parents`
import { mountFs } from 'devfuse/fs'
import type { PathFilesystem, StatsLike } from 'devfuse/fs'
import { Repository, fail } from './git-objects.js'
import type { TreeEntry } from './git-objects.js'

const repository = new Repository(process.argv[3] ?? '.')
const directory = (mtime?: Date) => ({ type: 'directory', mtime }) as const
const link = (mtime?: Date) => ({ type: 'symlink', mtime }) as const

async function commit(hash: string) {
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash)) fail('ENOENT')
  const { type, data } = await repository.object(hash, true)
  if (type !== 'commit') fail('ENOENT')
  const text = data.toString()
  const end = text.indexOf('\n\n')
  const head = text.slice(0, end).split('\n')
  const all = (key: string) => head.map((line) => line.split(' ')).filter(([name]) => name === key)
  const seconds = Number(all('committer')[0].at(-2))
  return {
    message: text.slice(end + 2),
    tree: all('tree')[0][1],
    parents: all('parent').map(([, parent]) => parent),
    mtime: new Date(seconds * 1000),
  }
}

async function find(tree: string, names: string[]): Promise<TreeEntry> {
  let entry: TreeEntry = { id: tree, mode: '040000' }
  for (const name of names) entry = (await repository.tree(entry.id)).get(name) ?? fail('ENOENT')
  return entry
}

async function stat({ id, mode }: TreeEntry, mtime: Date): Promise<StatsLike> {
  // A submodule is an empty directory: its commits are elsewhere.
  if (mode === '040000' || mode === '160000') return directory(mtime)
  const { size } = await repository.object(id, false)
  if (mode === '120000') return { type: 'symlink', size, mtime }
  return { type: 'file', mode: mode === '100755' ? 0o555 : 0o444, size, mtime }
}

const filesystem: PathFilesystem = {
  async lstat(path) {
    const [, kind, name, part, ...rest] = path.split('/')
    if (kind === '') return directory()
    if (kind === 'branches' || kind === 'tags') {
      if (name === undefined) return directory()
      return repository.refs(kind).has(name.replaceAll(':', '/')) ? link() : undefined
    }
    if (kind !== 'commits') return undefined
    if (name === undefined) return directory()
    const { message, tree, parents, mtime } = await commit(name)
    if (part === undefined) return directory(mtime)
    if (part === 'tree') return stat(await find(tree, rest), mtime)
    if (part === 'message' && rest.length === 0)
      return { type: 'file', mode: 0o444, size: Buffer.byteLength(message), mtime }
    if (part !== 'parents' || rest.length > 1) return undefined
    if (rest.length === 0) return directory(mtime)
    return parents[Number(rest[0]) - 1] === undefined ? undefined : link(mtime)
  },

  async readdir(path) {
    const [, kind, name, part, ...rest] = path.split('/')
    if (kind === '') return ['branches', 'tags', 'commits']
    if (kind === 'branches' || kind === 'tags')
      return [...repository.refs(kind).keys()].map((ref) => ref.replaceAll('/', ':'))
    if (name === undefined) return repository.commits()
    const { tree, parents } = await commit(name)
    if (part === undefined) return ['tree', 'message', 'parents']
    if (part === 'parents') return parents.map((_, index) => `${index + 1}`)
    const { id, mode } = await find(tree, rest)
    return mode === '160000' ? [] : (await repository.tree(id)).keys()
  },

  async readlink(path) {
    const [, kind, name, part, ...rest] = path.split('/')
    if (kind !== 'commits')
      return `../commits/${repository.refs(kind as 'tags').get(name.replaceAll(':', '/'))}`
    const { tree, parents } = await commit(name)
    if (part === 'parents') return `../../${parents[Number(rest[0]) - 1]}`
    return (await repository.object((await find(tree, rest)).id, true)).data
  },

  async readFile(path) {
    const [, , name, part, ...rest] = path.split('/')
    const { message, tree } = await commit(name)
    return part === 'message' ? message : (await repository.object((await find(tree, rest)).id, true)).data
  },

  destroy: () => repository.close(),
}

const session = await mountFs(filesystem, process.argv[2] ?? '/mnt', { entryValid: 1, attrValid: 1 })
console.log(`mounted on ${session.mountPoint}`)
await session.closed
