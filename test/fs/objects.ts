// Small filesystems written by hand, each with as little as its kind has.
import type { HandleLike, PathFilesystem, StatsLike } from 'devfuse/fs'

const O_TRUNC = 0o1000
const O_CREAT = 0o100
const O_EXCL = 0o200

function fail(code: string, path: string): never {
  throw Object.assign(new Error(`${code}: ${path}`), { code })
}

/** Files and directories in a map by path; whole files only, everything async. */
export class WholeFiles implements PathFilesystem {
  readonly nodes = new Map<string, Buffer | 'directory'>([['/', 'directory']])

  async lstat(path: string): Promise<StatsLike | undefined> {
    const node = this.nodes.get(path)
    if (node === undefined) return undefined
    return node === 'directory' ? { type: 'directory' } : { size: node.length }
  }

  async *readdir(path: string): AsyncGenerator<string> {
    if (this.nodes.get(path) !== 'directory') fail('ENOTDIR', path)
    const start = path === '/' ? '/' : `${path}/`
    for (const key of [...this.nodes.keys()])
      if (key !== '/' && key.startsWith(start) && !key.includes('/', start.length))
        yield key.slice(start.length)
  }

  async readFile(path: string): Promise<Buffer> {
    return this.file(path)
  }

  async writeFile(path: string, data: Uint8Array): Promise<void> {
    if (this.nodes.get(parentOf(path)) !== 'directory') fail('ENOENT', path)
    this.nodes.set(path, Buffer.from(data))
  }

  async mkdir(path: string): Promise<void> {
    if (this.nodes.has(path)) fail('EEXIST', path)
    this.nodes.set(path, 'directory')
  }

  async rmdir(path: string): Promise<void> {
    this.nodes.delete(path)
  }

  async unlink(path: string): Promise<void> {
    if (!this.nodes.delete(path)) fail('ENOENT', path)
  }

  async rename(from: string, to: string): Promise<void> {
    if (!this.nodes.has(from)) fail('ENOENT', from)
    for (const [key, node] of this.nodes) {
      if (key !== from && !key.startsWith(`${from}/`)) continue
      this.nodes.delete(key)
      this.nodes.set(to + key.slice(from.length), node)
    }
  }

  protected file(path: string): Buffer {
    const node = this.nodes.get(path)
    if (node === undefined) fail('ENOENT', path)
    if (node === 'directory') fail('EISDIR', path)
    return node
  }
}

/** The same, sync and with the names of node:fs; no handles either. */
export class WholeFilesSync {
  readonly #nodes = new Map<string, Buffer | 'directory'>([['/', 'directory']])

  statSync(path: string): StatsLike {
    const node = this.#nodes.get(path)
    if (node === undefined) fail('ENOENT', path)
    return node === 'directory'
      ? { isDirectory: () => true }
      : { isFile: () => true, size: BigInt(node.length) }
  }

  readdirSync(path: string): string[] {
    const start = path === '/' ? '/' : `${path}/`
    return [...this.#nodes.keys()]
      .filter((key) => key !== '/' && key.startsWith(start) && !key.includes('/', start.length))
      .map((key) => key.slice(start.length))
  }

  readFileSync(path: string): Buffer {
    const node = this.#nodes.get(path)
    if (node === undefined) fail('ENOENT', path)
    if (node === 'directory') fail('EISDIR', path)
    return node
  }

  writeFileSync(path: string, data: Uint8Array): void {
    this.#nodes.set(path, Buffer.from(data))
  }

  mkdirSync(path: string): void {
    if (this.#nodes.has(path)) fail('EEXIST', path)
    this.#nodes.set(path, 'directory')
  }

  rmSync(path: string): void {
    if (!this.#nodes.delete(path)) fail('ENOENT', path)
  }
}

/** {@link WholeFiles} with handles, which know their file by nothing but its path. */
export class PathHandles extends WholeFiles {
  async open(path: string, flags: number): Promise<HandleLike> {
    if ((flags & O_CREAT) !== 0) {
      if (this.nodes.has(path) && (flags & O_EXCL) !== 0) fail('EEXIST', path)
      if (!this.nodes.has(path)) await this.writeFile(path, Buffer.alloc(0))
    }
    if ((flags & O_TRUNC) !== 0) this.nodes.set(path, Buffer.alloc(0))
    this.file(path)
    return {
      // Never more than 50,000 bytes at a time, as sockets do.
      read: async (buffer, offset, length, position) => {
        const part = this.file(path).subarray(position, position + Math.min(length, 50_000))
        buffer.set(part, offset)
        return { bytesRead: part.length }
      },
      write: async (buffer, offset, length, position) => {
        const count = Math.min(length, 50_000)
        const old = this.file(path)
        const grown = Buffer.alloc(Math.max(old.length, position + count))
        grown.set(old)
        grown.set(buffer.subarray(offset, offset + count), position)
        this.nodes.set(path, grown)
        return count
      },
      truncate: async (size) => {
        const resized = Buffer.alloc(size)
        resized.set(this.file(path).subarray(0, size))
        this.nodes.set(path, resized)
      },
    }
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/')) || '/'
}
