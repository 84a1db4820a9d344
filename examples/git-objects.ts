// The objects of a git repository, from one `git cat-file` that lives as long as the mount: what git-history.ts shows.
import { execFileSync, spawn } from 'node:child_process'

/** `data` is empty where only the size was asked for. */
export type GitObject = { type: string; size: number; data: Buffer }

/** `mode` is 100644, 100755, 120000 for a link, 040000 for a tree, 160000 for a submodule. */
export type TreeEntry = { id: string; mode: string }

export function fail(code: string): never {
  throw Object.assign(new Error(code), { code })
}

export class Repository {
  // Answers come in the order of the questions.
  readonly #waiting: { withData: boolean; answer: (object: GitObject) => void }[] = []
  readonly #path: string
  readonly #cat
  #chunks: Buffer[] = []
  #length = 0
  #needed = 1

  constructor(path: string) {
    this.#path = path
    this.#cat = spawn('git', ['-C', path, 'cat-file', '--batch-command'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    this.#cat.stdout.on('data', (chunk: Buffer) => this.#receive(chunk))
  }

  /** Type and size of an object, and its data if asked for; type `missing` where there is none. */
  object(id: string, withData: boolean): Promise<GitObject> {
    return new Promise((answer) => {
      this.#waiting.push({ withData, answer })
      this.#cat.stdin.write(`${withData ? 'contents' : 'info'} ${id}\n`)
    })
  }

  /** The entries of a tree: mode, a space, name, NUL and the bytes of the id, one after another. */
  async tree(id: string): Promise<Map<string, TreeEntry>> {
    const { type, data } = await this.object(id, true)
    if (type !== 'tree') fail('ENOTDIR')
    const entries = new Map<string, TreeEntry>()
    for (let at = 0; at < data.length;) {
      const space = data.indexOf(' ', at)
      const nul = data.indexOf(0, space)
      const end = nul + 1 + id.length / 2
      const mode = data.toString('latin1', at, space).padStart(6, '0')
      entries.set(data.toString('utf8', space + 1, nul), { mode, id: data.toString('hex', nul + 1, end) })
      at = end
    }
    return entries
  }

  /** Commits by name of a branch or tag. */
  refs(kind: 'branches' | 'tags'): Map<string, string> {
    const format = '%(refname:lstrip=2) %(if)%(*objectname)%(then)%(*objectname)%(else)%(objectname)%(end)'
    const where = kind === 'tags' ? 'refs/tags' : 'refs/heads'
    const lines = this.#run('for-each-ref', `--format=${format}`, where)
    return new Map(lines.map((line) => line.split(' ') as [string, string]))
  }

  /** Every commit that a branch or tag leads to. */
  commits = (): string[] => this.#run('rev-list', '--branches', '--tags')

  close = (): void => void this.#cat.stdin.end()

  #run(...args: string[]): string[] {
    const said = execFileSync('git', ['-C', this.#path, ...args], { encoding: 'utf8', maxBuffer: 1 << 30 })
    return said.split('\n').filter(Boolean)
  }

  #receive(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    if (this.#length < this.#needed) return
    let bytes = Buffer.concat(this.#chunks)
    this.#needed = 1
    while (this.#waiting.length > 0) {
      const line = bytes.indexOf('\n')
      if (line < 0) break
      const [, type, length = '0'] = bytes.toString('utf8', 0, line).split(' ')
      const withData = this.#waiting[0].withData && type !== 'missing'
      const end = line + 1 + Number(length)
      this.#needed = withData ? end + 1 : line + 1
      if (bytes.length < this.#needed) break
      const data = withData ? Buffer.from(bytes.subarray(line + 1, end)) : Buffer.alloc(0)
      bytes = bytes.subarray(this.#needed)
      this.#needed = 1
      this.#waiting.shift()?.answer({ type, size: Number(length), data })
    }
    this.#chunks = [bytes]
    this.#length = bytes.length
  }
}
